"""Steps as epochs or as training time: a run's own mapping, from the epoch and time of its scalars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Measure = Literal["epoch", "time"]

UNITS = ((7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))
"""From how many seconds on a unit is used, the seconds it has, its name."""
MOMENTS = 200  # of a run: what is written within one of them counts as written at once


@dataclass(frozen=True, eq=False)  # arrays have no truth value; a clock is itself alone
class Clock:
    """Where a run's steps lie on another horizontal axis; `clocks` reads it off a run.

    Parameters
    ----------
    title : str
        Of the axis, with its unit.
    steps : (P,) int64
        Ascending; P is at least 2.
    values : (P,) float64
        Where they lie, ascending.
    """

    title: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    def at(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Positions of steps: linear between what was recorded, at the run's mean pace after it, the first
        value before it.
        """
        asked = np.asarray(steps, dtype=float)
        pace = (self.values[-1] - self.values[0]) / (self.steps[-1] - self.steps[0])
        beyond = np.maximum(asked - self.steps[-1], 0)
        return np.interp(asked, self.steps, self.values) + pace * beyond

    def step_of(self, values: ArrayLike) -> NDArray[np.float64]:
        """The steps at positions, not rounded: the inverse of `at`, from the first recorded step on."""
        asked = np.asarray(values, dtype=float)
        pace = (self.values[-1] - self.values[0]) / (self.steps[-1] - self.steps[0])
        beyond = np.maximum(asked - self.values[-1], 0)
        return np.interp(asked, self.values, self.steps) + beyond / pace


def clocks(scalars: Sequence[pd.DataFrame], measure: Measure) -> list[Clock | None]:
    """A clock for each of several runs, all in one unit.

    Parameters
    ----------
    scalars : sequence of DataFrame
        `Run.scalars()` of each run: columns step, epoch (null where none was given) and time (seconds of
        recording since the run's start, continued over resumes: not the wall clock).
    measure : {"epoch", "time"}
        What the clocks show.

    Returns
    -------
    list of Clock or None
        None for a run that has fewer than two different values.

    Notes
    -----
    Epochs given as whole numbers are taken to begin at the first step that has them.
    """
    found = [_knots(table, measure) for table in scalars]
    if measure == "epoch":
        factor, title = 1.0, "epoch"
    else:
        longest = max((float(values[-1]) for _, values in found if len(values)), default=0.0)
        factor, unit = next((seconds, name) for least, seconds, name in UNITS if longest >= least)
        title = f"training time ({unit})"
    return [Clock(title, steps, values / factor) if len(steps) > 1 else None for steps, values in found]


def _knots(scalars: pd.DataFrame, measure: Measure) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Steps and values between which a clock is linear, both ascending.

    A step was there when it or a later one was first written: a number that is logged late is not when its
    step was. Of steps that were written at once only the last had just been made; recording had begun at 0.
    """
    recorded = scalars.loc[
        np.isfinite(scalars[measure].to_numpy(dtype=float, na_value=np.nan)), ["step", measure]
    ]
    recorded = recorded.groupby("step", sort=True)[measure].min()
    values = np.minimum.accumulate(recorded.to_numpy(dtype=float)[::-1])[::-1]
    steps = recorded.index.to_numpy(dtype=np.int64)
    if measure == "epoch":
        rising = np.flatnonzero(np.diff(values, prepend=-np.inf) > 0)
        return steps[rising], values[rising]
    moment = MOMENTS * values // (values.max(initial=0.0) or 1.0)
    moment = np.minimum(moment, MOMENTS - 1)  # the very last is no moment of its own
    last = np.flatnonzero(np.diff(moment, append=np.inf) > 0)
    if len(last) and last[0] > 0 and values[last[0]] > 0:
        return np.r_[steps[0], steps[last]], np.r_[0.0, values[last]]
    return steps[last], values[last]
