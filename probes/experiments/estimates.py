"""Estimates that experiments share, each with the error that it has: means, rank correlation, AUROC, risk
against coverage.

Windows of one series that overlap are not independent. `groups` (n,) names blocks that are, and errors are
taken over blocks; without it every value is a block of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def ranks(values: ArrayLike) -> Floats:
    """Ranks from 1 along the last axis, ties share their mean rank.

    Parameters
    ----------
    values
        (..., n).

    Returns
    -------
    ndarray
        (..., n).
    """
    table = np.asarray(values, np.float64)
    ordered = np.sort(table, -1)
    if table.ndim == 1:
        return (np.searchsorted(ordered, table, "left") + np.searchsorted(ordered, table, "right") + 1) / 2
    flat = [ranks(row) for row in table.reshape(-1, table.shape[-1])]
    return np.array(flat).reshape(table.shape)


def rank_correlation(x: ArrayLike, y: ArrayLike) -> Floats:
    """Spearman's coefficient along the last axis.

    Parameters
    ----------
    x, y
        (..., n), broadcast.

    Returns
    -------
    ndarray
        (...); NaN where one does not vary.
    """
    a, b = ranks(x), ranks(y)
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def spearman(x: ArrayLike, y: ArrayLike) -> Estimate:
    """Spearman's coefficient with its interval.

    Parameters
    ----------
    x, y
        (n,); pairs with a NaN are left out.

    Returns
    -------
    Estimate
        Fewer than 10 pairs give no interval, fewer than 3 nothing.

    Notes
    -----
    Fisher's z, variance (1 + rho^2/2)/(n - 3) (Bonett & Wright 2000).
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    kept = np.isfinite(a) & np.isfinite(b)
    a, b = a[kept], b[kept]
    if len(a) < 3:
        return Estimate(np.nan, np.nan, np.nan)
    rho = float(rank_correlation(a, b))
    if len(a) < 10 or not np.isfinite(rho):
        return Estimate(rho, np.nan, np.nan)
    size = min(abs(rho), 1 - 1e-12)
    half = NORMAL_95 * np.sqrt((1 + rho**2 / 2) / (len(a) - 3))
    centre = np.copysign(np.arctanh(size), rho)
    return Estimate(rho, float(np.tanh(centre - half)), float(np.tanh(centre + half)))


def rank_share(values: ArrayLike, classes: ArrayLike) -> float:
    """Share of the variance of ranks that classes explain, less what chance would.

    Parameters
    ----------
    values
        (n,), to be ranked.
    classes
        (n,).

    Returns
    -------
    float
        About 0 when classes say nothing; NaN with one class or values all equal.

    Notes
    -----
    epsilon^2 = 1 - (n - 1)/(n - k) within/total for k classes (Kelley 1935).
    """
    rank = ranks(values)
    _, index = np.unique(np.asarray(classes), return_inverse=True)
    count = np.bincount(index)
    total = ((rank - rank.mean()) ** 2).sum()
    if len(count) < 2 or len(rank) <= len(count) or total == 0:
        return float("nan")
    means = np.bincount(index, rank) / count
    within = ((rank - means[index]) ** 2).sum()
    return float(1 - (len(rank) - 1) / (len(rank) - len(count)) * within / total)


def auroc(negative: ArrayLike, positive: ArrayLike, groups: ArrayLike | None = None) -> Estimate:
    """Probability that a value of `positive` exceeds one of `negative`, ties half.

    Parameters
    ----------
    negative, positive
        (n,) each, value b of the same input b.
    groups
        (n,) blocks that are independent of each other.

    Returns
    -------
    Estimate
        In [0, 1].

    Raises
    ------
    ValueError
        For shapes that differ.

    Notes
    -----
    Interval by placement values (DeLong 1988), kept in pairs, since the same inputs are in both, and summed
    over groups.
    """
    a, b = np.asarray(negative, np.float64), np.asarray(positive, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"{a.shape} values against {b.shape}: AUROC here takes the same inputs twice")
    above = _share_below(a, b)  # of each positive: share of negatives below it
    below = 1 - _share_below(b, a)  # of each negative: share of positives above it
    value, error = clustered_mean(above + below, groups)
    area, half = float(value) / 2, NORMAL_95 * float(error)
    return Estimate(area, max(0.0, area - half), min(1.0, area + half))


def _share_below(reference: Floats, values: Floats) -> Floats:
    ordered = np.sort(reference)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (
        2 * len(ordered)
    )


def risk_curve(error: ArrayLike, uncertainty: ArrayLike) -> tuple[Floats, Floats]:
    """Mean error of the inputs kept, as those of most uncertainty are dropped.

    Parameters
    ----------
    error, uncertainty
        (n,); inputs of equal uncertainty count alike.

    Returns
    -------
    tuple of ndarray
        Coverage k/n and mean error of the k inputs of least uncertainty, k = 1 .. n.
    """
    losses, order = np.asarray(error, np.float64), np.asarray(uncertainty, np.float64)
    _, index, count = np.unique(order, return_inverse=True, return_counts=True)
    alike = (np.bincount(index, losses) / count)[np.sort(index)]
    number = np.arange(1, len(losses) + 1)
    return number / len(losses), np.cumsum(alike) / number


def area_under_risk(error: ArrayLike, uncertainty: ArrayLike) -> float:
    """AURC: the mean of `risk_curve` over coverages, in the error's unit.

    Parameters
    ----------
    error, uncertainty
        (n,).

    Returns
    -------
    float
        Lower is better.

    Notes
    -----
    Geifman & El-Yaniv 2017.
    """
    return float(risk_curve(error, uncertainty)[1].mean())


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], ArrayLike],
    count: int,
    groups: ArrayLike | None = None,
    repeats: int = 300,
) -> Floats:
    """A statistic of resamples of whole groups of inputs.

    Parameters
    ----------
    statistic
        Function of the indices of a resample.
    count
        How many inputs.
    groups
        (count,) blocks; without it every input is one.
    repeats
        How many resamples.

    Returns
    -------
    ndarray
        (repeats, ...).
    """
    generator = np.random.default_rng(0)
    ids = np.arange(count) if groups is None else np.asarray(groups)
    _, index = np.unique(ids, return_inverse=True)
    members = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    drawn = generator.integers(len(members), size=(repeats, len(members)))
    return np.array([statistic(np.concatenate([members[g] for g in row])) for row in drawn], np.float64)


def interval(value: float, resampled: ArrayLike) -> Estimate:
    """A number with the central 95 % of its resamples.

    Parameters
    ----------
    value
        The number.
    resampled
        The same of resamples, as `bootstrap` returns them; NaNs are left out.

    Returns
    -------
    Estimate
        The number and its interval.
    """
    low, high = np.nanpercentile(np.asarray(resampled, np.float64), [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def auroc_gain(
    negative: ArrayLike,
    positive: ArrayLike,
    other_negative: ArrayLike,
    other_positive: ArrayLike,
    groups: ArrayLike | None = None,
) -> Estimate:
    """AUROC of one quantity less that of another on the same inputs, with the interval of the difference.

    Parameters
    ----------
    negative, positive
        (n,) of the one, as for `auroc`.
    other_negative, other_positive
        (n,) of the other.
    groups
        (n,) blocks that are independent of each other.

    Returns
    -------
    Estimate
        In [-1, 1].
    """
    parts = []
    for low, high in ((negative, positive), (other_negative, other_positive)):
        a, b = np.asarray(low, np.float64), np.asarray(high, np.float64)
        parts.append(_share_below(a, b) + 1 - _share_below(b, a))
    value, error = clustered_mean(parts[0] - parts[1], groups)
    gain, half = float(value) / 2, NORMAL_95 * float(error)
    return Estimate(gain, gain - half, gain + half)
