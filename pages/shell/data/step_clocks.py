"""Recorded steps of runs, and the clocks by which steps become epochs or time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.figures.clock import Clock, Measure, clocks


def recorded_steps(contexts: Sequence[RunContext]) -> np.ndarray:
    """Steps at which something is recorded in some run: of neurons, or of a twin's scores."""
    found = [_steps(context) for context in contexts]
    return found[0] if len(found) == 1 else np.unique(np.concatenate(found))


def _steps(context: RunContext) -> np.ndarray:
    steps = context.run.steps
    return np.asarray(steps) if len(steps) else np.unique(cache.scalars(context)["step"].to_numpy(np.int64))


def step_clocks(contexts: Sequence[RunContext], measure: Measure) -> list[Clock | None]:
    """A clock for each run, all in one unit; None for a run that does not say where its steps lie."""
    return _clocks(tuple(contexts), measure)


@cache.of_run("scalars", keep=cache.SLICES_KEPT)
def _clocks(contexts: tuple[RunContext, ...], measure: Measure) -> list[Clock | None]:
    return clocks([cache.scalars(context) for context in contexts], measure)
