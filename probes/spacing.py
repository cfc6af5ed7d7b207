"""Which few of many: indices into steps, layers or ranks at even or at logarithmic distances.

All functions give strictly increasing indices, at most `most` of them; the first and the last are always
among them (of `most` = 1, only the first).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def evenly_spaced(count: int, most: int) -> Indices:
    """Indices at even distances.

    Parameters
    ----------
    count : int
        How many there are; 0 gives no index.
    most : int
        How many are wanted at most, at least 1. All are given where there are no more.

    Returns
    -------
    (min(count, most),) int64
        Increasing indices in [0, count).
    """
    return evenly_spaced_between(0, count - 1, most)


def evenly_spaced_between(first: int, last: int, most: int) -> Indices:
    """Whole numbers at even distances from `first` to `last`, both included; none where `last` < `first`."""
    if last < first:
        return np.zeros(0, np.int64)
    return _indices(np.linspace(first, last, min(most, last - first + 1)))


def log_spaced(count: int, most: int) -> Indices:
    """Indices at distances that grow in proportion to the index: dense at the beginning.

    Parameters
    ----------
    count : int
        How many there are; 0 gives no index.
    most : int
        How many are wanted at most, at least 1; the first ones fall together, so that there are fewer.

    Returns
    -------
    (K,) int64
        Increasing indices in [0, count), K <= most.
    """
    if count <= 0:
        return np.zeros(0, np.int64)
    return _indices(np.geomspace(1, count, min(most, count)) - 1)


def log_spaced_steps(steps: NDArray[np.int64], most: int) -> Indices:
    """Indices of recorded steps that are log-spaced in the step itself, not in its index.

    Parameters
    ----------
    steps : (T,) int64
        Recorded steps, ascending.
    most : int
        How many are wanted at most, at least 1. All are given where there are no more.

    Returns
    -------
    (K,) int64
        Increasing indices in [0, T), K <= most.
    """
    if len(steps) <= most:
        return np.arange(len(steps))
    # Counted from the first step, since that may be 0 or, of a continued run, large.
    wanted = steps[0] + np.geomspace(1, steps[-1] - steps[0] + 1, most) - 1
    return np.unique(np.searchsorted(steps, np.round(wanted)).clip(0, len(steps) - 1))


def _indices(places: NDArray[np.float64]) -> Indices:
    return np.unique(np.round(places).astype(np.int64))
