"""Rules on a code book: codes that are picked no more."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.alerts.limits import Limits
from probes.alerts.parts import ROUNDING, Part, counts_of, layer_width
from probes.families import Family
from probes.regimes import reading
from probes.schema import DEAD, REGIME, layer_column

DEAD_CODES = "dead codes"
"""Kind of the alert of a code book."""


def told_by_picks(layer: pd.DataFrame, after: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """The records of a code book whose windows tell which codes are dead: from the first on that holds
    `limits.picks` for each code; where that comes later, or picks were not counted, those after the warm-up.
    """
    picks = layer.get(layer_column("window"))
    if picks is None:
        return after
    enough = np.flatnonzero(picks.to_numpy(float, na_value=np.nan) >= limits.picks * layer_width(layer, 0))
    return layer.iloc[min(int(enough[0]), len(layer) - len(after)) :] if enough.size else after


def dead_codes(index: int, layer: pd.DataFrame, limits: Limits, family: Family) -> Iterator[Part]:
    """A share of a code book's codes is dead that was not before, or none was known before: one part, which
    says how many there are at most, and how many of them are picked again.

    It goes on while more die within a window of the last record that had more; what follows is measured from
    the fewest dead codes since. Usage is over a window, so that what a single record says counts at once.
    """
    if not len(layer):
        return
    steps = layer["step"].to_numpy()
    dead, total = layer[f"{REGIME}_{DEAD}"].to_numpy(), max(int(counts_of(layer, REGIME).sum(1).max()), 1)
    least = max(limits.lost_share * total - ROUNDING, limits.lost_least)
    low, since = (int(dead[0]), 0) if dead[0] < least else (0, -1)
    at = 0
    while at < len(dead):
        if dead[at] < low:
            low, since = int(dead[at]), at
        if dead[at] - low < least:
            at += 1
            continue
        top = _risen(dead, at, limits.window)
        after = dead[top:]
        again = _risen_again(after, least)
        revived = int(after[0] - after[:again].min())
        text = f"{dead[top]} of {total} codes are dead"
        text += f", {low} were at step {steps[since]}" if since >= 0 else ""
        if revived:
            back = top + int(after[:again].argmin())
            text += f"; {revived} of them are picked again by step {steps[back]}"
        yield Part(
            int(steps[at]), index, DEAD_CODES, int(dead[top] - low), text, reading(DEAD, family=family)[1],
            before=(int(steps[since]),) * 2 if since >= 0 else None, after=(int(steps[top]),) * 2,
        )  # fmt: skip
        since = top + int(after[:again].argmin())
        low, at = int(dead[since]), since + 1


def _risen(values: NDArray[np.int64], start: int, window: int) -> int:
    """Where a count that rises from `start` on is highest, which it is not again within a window."""
    top = start
    for i in range(start + 1, len(values)):
        if i - top > window:
            break
        if values[i] > values[top]:
            top = i
    return top


def _risen_again(values: NDArray[np.int64], least: float) -> int:
    """Up to where a count has not risen by `least` above the lowest before."""
    risen = np.flatnonzero(values - np.minimum.accumulate(values) >= least)
    return int(risen[0]) if risen.size else len(values)
