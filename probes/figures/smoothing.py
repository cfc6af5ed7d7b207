"""A causal exponential moving average over steps that need not be evenly spaced."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def smooth(steps: ArrayLike, values: ArrayLike, half_life: float) -> NDArray[np.float64]:
    """Average of each value with those before it, weighted 2^(-distance / half_life).

    Parameters
    ----------
    steps : (T,) array
        Ascending.
    values : (T,) array
        NaN stays NaN and weighs nothing.
    half_life : float
        In steps, as the distances are.

    Returns
    -------
    (T,) float64

    Raises
    ------
    ValueError
        For a half-life that is not positive.

    Notes
    -----
    The weights of what there is add up to 1, so that a constant stays itself from the first step on.
    """
    if not half_life > 0:
        raise ValueError(f"half_life is {half_life}; it must be a positive number of steps")
    raw = np.asarray(values, dtype=float)
    seen = np.flatnonzero(np.isfinite(raw))
    decays = np.exp2(-np.diff(np.asarray(steps, dtype=float)[seen], prepend=0.0) / half_life)
    out = np.full(raw.shape, np.nan)
    total, weight = 0.0, 0.0
    for place, share, value in zip(seen.tolist(), decays.tolist(), raw[seen].tolist(), strict=True):
        total, weight = share * total + value, share * weight + 1.0
        out[place] = total / weight
    return out
