"""Means over blocks that are independent of each other, with their errors; what an estimate is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probes.diagnostics import student_quantile

Floats = NDArray[np.float64]
NORMAL_95 = 1.959963984540054  # two-sided 95 % of the standard normal


class Estimate(NamedTuple):
    """A number with the ends of its 95 % interval; NaN where there is too little to say.

    Attributes
    ----------
    value
        The number.
    low, high
        Ends of the interval.
    """

    value: float
    low: float
    high: float


def clustered_mean(values: ArrayLike, groups: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """Mean and its standard error over the first axis.

    Parameters
    ----------
    values
        (n, ...).
    groups
        (n,) blocks that are independent of each other; without it every value is one.

    Returns
    -------
    tuple of ndarray
        (...) each; NaN error with one group.

    Notes
    -----
    Cluster-robust: sqrt(G/(G-1) sum_g (sum_{b in g} (d_b - mean))^2) / n over the G groups.
    """
    table = np.asarray(values, np.float64)
    mean = table.mean(0)
    residual = (table - mean).reshape(len(table), -1)
    if groups is None:
        sums = residual
    else:
        _, index = np.unique(np.asarray(groups), return_inverse=True)
        sums = np.zeros((index.max() + 1, residual.shape[1]))
        np.add.at(sums, index, residual)
    count = len(sums)
    if count < 2:
        return mean, np.full_like(mean, np.nan)
    error = np.sqrt(count / (count - 1) * (sums**2).sum(0)) / len(table)
    return mean, error.reshape(mean.shape)


def degrees_of_freedom(count: int, groups: ArrayLike | None = None) -> float:
    """Degrees of freedom of the error of a mean over groups.

    Parameters
    ----------
    count
        How many values.
    groups
        (count,) blocks, as for `clustered_mean`.

    Returns
    -------
    float
        Groups - 1 where they are of one size; below 1, which is no error to speak of, where one of them
        outweighs the others.

    Notes
    -----
    Satterthwaite's for values that are one within their group: (sum n_g^2)^2 / sum n_g^4 - 1.
    """
    if groups is None:
        return float(count - 1)
    squares = np.unique(np.asarray(groups), return_counts=True)[1].astype(np.float64) ** 2
    return float(squares.sum() ** 2 / (squares**2).sum() - 1) if len(squares) else -1.0


def half_width(error: ArrayLike, freedom: ArrayLike) -> Floats:
    """Half of the width of the 95 % interval of a mean.

    Parameters
    ----------
    error
        Standard error, as `clustered_mean` gives it.
    freedom
        As `degrees_of_freedom` gives it; broadcasts.

    Returns
    -------
    ndarray
        Student's t times the error; NaN below 1 degree of freedom.
    """
    return student_quantile(np.asarray(freedom, np.float64)) * np.asarray(error, np.float64)
