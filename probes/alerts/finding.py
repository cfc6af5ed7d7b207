"""Alerts from a run's frames: every rule, and what layers do at one time as one alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.alerts.code_book_rules import dead_codes, told_by_picks
from probes.alerts.control_rules import chasing, saturated
from probes.alerts.layer_rules import broken, jumps, leaving, lifeless
from probes.alerts.limits import Limits
from probes.alerts.parts import Part
from probes.alerts.progress_rules import progress
from probes.families import Family
from probes.families.gaussian import GAUSSIAN
from probes.families.others import CODES


@dataclass(frozen=True)
class Alert:
    """One event.

    Attributes
    ----------
    step
        When it began.
    layer
        Index of the layer where it began, of several at once the one with most neurons; None: the whole run.
    kind
        What it is, in two or three words.
    count
        Neurons concerned, in all layers.
    text, advice
        What happened (of the first part), and what to do (of the part with most neurons).
    layers
        Indices of all layers that take part, increasing.
    parts
        What each layer does.
    where
        The layers in words, where their names are known.
    """

    step: int
    layer: int | None
    kind: str
    count: int
    text: str
    advice: str
    layers: tuple[int, ...] = ()
    parts: tuple[Part, ...] = field(default=(), repr=False)
    where: str = ""


def find(
    summary: pd.DataFrame,
    scalars: pd.DataFrame,
    events: pd.DataFrame,
    warmup: int | None = None,
    limits: Limits | None = None,
    families: Sequence[Family] = (),
) -> list[Alert]:
    """Alerts from a run's frames (columns as in the log), in order of step.

    Parameters
    ----------
    summary, scalars, events
        As `Run.layer_summary()`, `.scalars()` and `.events()` give them. Without columns settled_0 .. of
        counts those of regime_0 .. are read.
    warmup
        First step after it; None: unknown, and then each layer's first `limits.window` records.
    limits
        When rules fire.
    families
        Of the layers, by index; Gaussian where there are none.

    Returns
    -------
    list of Alert
        Of frames that are cut at a step the same alerts up to there; one that goes on may have fewer layers.
    """
    limits = limits or Limits()
    found: list[Part] = []
    for key, layer in summary.sort_values(["layer", "step"], kind="stable").groupby("layer"):
        index = int(cast(int, key))
        own = events[events["layer"] == index] if len(events) else events
        found += broken(index, layer)
        family = families[index] if index < len(families) else GAUSSIAN
        after = layer.iloc[limits.window :] if warmup is None else layer[layer["step"] >= warmup]
        if family.name == CODES.name:
            found += dead_codes(index, told_by_picks(layer, after, limits), limits, family)
        elif len(after):
            found += leaving(index, after, limits, family)
            found += jumps(index, after, limits)
            found += saturated(index, after, limits)
            found += chasing(index, after, own, limits)
            if warmup is not None:
                found += lifeless(index, after, limits, family)
    found += progress(scalars, limits)
    steps = np.unique(summary["step"].to_numpy(np.int64))
    return _grouped(found, steps, limits.window)


def _grouped(parts: list[Part], steps: NDArray[np.int64], window: int) -> list[Alert]:
    """One alert for all parts of one kind and side that follow each other within a window of records."""
    groups: list[list[Part]] = []
    going_on: dict[tuple[str, str], list[Part]] = {}
    for part in sorted(parts, key=lambda p: (p.step, p.kind, -p.count, -1 if p.layer is None else p.layer)):
        group = going_on.get((part.kind, part.side))
        if part.layer is None or group is None or _records(steps, group[-1].step, part.step) > window:
            group = going_on[part.kind, part.side] = []
            groups.append(group)
        group.append(part)
    found = [_alert(group) for group in groups]
    return sorted(found, key=lambda a: (a.step, -1 if a.layer is None else a.layer, a.kind))


def _records(steps: NDArray[np.int64], first: int, last: int) -> int:
    return int(np.searchsorted(steps, last) - np.searchsorted(steps, first))


def _alert(parts: list[Part]) -> Alert:
    first, last = parts[0], parts[-1]
    counts: dict[int, int] = {}
    for part in parts:
        if part.layer is not None:
            counts[part.layer] = max(counts.get(part.layer, 0), part.count)
    count = sum(counts.values())
    also = [
        f"{len(counts) - 1} more {'layer' if len(counts) == 2 else 'layers'}" if len(counts) > 1 else "",
        f"{count} neurons by step {last.step}" if last.step > first.step and count > first.count else "",
    ]
    text = f"{first.text}; {', '.join(filter(None, also))}" if any(also) else first.text
    advice = max(parts, key=lambda part: part.count).advice
    return Alert(
        first.step, first.layer, first.kind, count, text, advice, tuple(sorted(counts)), tuple(parts)
    )
