"""Layer summaries with as many rows as a panel can show, without losing what sticks out."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST = 1000
"""Rows a layer: more than a panel has pixels."""
AS_RECORDED = 256
"""The first steps stay as they are: most of the change is there, and a log axis shows them wide."""


def downsample(summary: pd.DataFrame, most: int = MOST) -> tuple[pd.DataFrame, int]:
    """A layer summary of fewer rows.

    Parameters
    ----------
    summary : DataFrame
        `Run.layer_summary()`.
    most : int
        Rows a layer, above AS_RECORDED + 1.

    Returns
    -------
    DataFrame
        At most `most` rows a layer; `step` is the first of those that a row stands for.
    int
        How many recorded steps a row stands for at most; 1 where nothing was reduced.

    Notes
    -----
    The first AS_RECORDED rows and the last stay as they are. Between them those of several steps become one:
    of the low quantiles (p05, p25) the least, of the high ones (p75, p95) the largest, of medians, means and
    regime counts the mean.
    """
    parts, widest = [], 1
    for _, part in summary.groupby("layer", sort=True):
        if len(part) > most:
            steps_per_row = -(-(len(part) - AS_RECORDED - 1) // (most - AS_RECORDED - 1))
            parts.append(_reduced(part, steps_per_row))
            widest = max(widest, steps_per_row)
        else:
            parts.append(part)
    if widest == 1:
        return summary, 1
    return pd.concat(parts, ignore_index=True).sort_values(
        ["step", "layer"], kind="stable", ignore_index=True
    ), widest


def downsampling_note(steps_per_row: int, bands: bool = True) -> str:
    """How a caption ends that a downsampled summary is drawn under; empty where nothing was reduced."""
    if steps_per_row == 1:
        return ""
    stand = (
        f"stand for {steps_per_row} recorded steps, bands at their widest"
        if bands
        else f"are means of {steps_per_row} recorded steps"
    )
    return f"; late points {stand}"


def _reduced(part: pd.DataFrame, steps_per_row: int) -> pd.DataFrame:
    last = len(part) - 1
    starts = np.r_[np.arange(AS_RECORDED), np.arange(AS_RECORDED, last, steps_per_row), last]
    columns: dict[str, NDArray[np.generic]] = {}
    for name in part.columns:
        values = part[name].to_numpy()
        if name in ("step", "layer"):
            columns[name] = values[starts]
        elif name.endswith(("_p05", "_p25")):
            columns[name] = np.fmin.reduceat(values, starts)
        elif name.endswith(("_p75", "_p95")):
            columns[name] = np.fmax.reduceat(values, starts)
        else:
            columns[name] = _means(values.astype(np.float64), starts).astype(np.float32)
    return pd.DataFrame(columns)


def _means(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the finite values from each start to the next; NaN where there is none."""
    finite = np.isfinite(values)
    total, count = (
        np.add.reduceat(np.where(finite, values, 0), starts),
        np.add.reduceat(finite.astype(np.int64), starts),
    )
    return np.divide(total, count, out=np.full(len(starts), np.nan), where=count > 0)
