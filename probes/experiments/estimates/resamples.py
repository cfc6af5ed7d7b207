"""Intervals from resampled blocks, and quantiles of few values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probes.experiments.estimates.means import (
    Estimate,
    Floats,
    half_width,
)


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
    """A number with the central 95 % of its resamples: for many groups.

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


def interval_of_few(value: float, resampled: ArrayLike, freedom: float, positive: bool = False) -> Estimate:
    """A number with a 95 % interval from resamples of groups that may be few.

    Parameters
    ----------
    value
        The number.
    resampled
        The same of resamples of groups, as `bootstrap` returns them.
    freedom
        Of the groups, as `degrees_of_freedom` gives it.
    positive
        Whether the number cannot be below 0: the interval is then one of its logarithm.

    Returns
    -------
    Estimate
        The number and its interval; no ends below 1 degree of freedom.

    Notes
    -----
    Student's t times the resamples' sd, which with G groups is short by sqrt((G - 1) / G): the percentiles of
    few groups are much too narrow (Hesterberg 2015).
    """
    numbers = np.asarray(resampled, np.float64)
    if not freedom >= 1 or not np.isfinite(numbers).all():
        return Estimate(value, np.nan, np.nan)
    logarithmic = positive and value > 0 and bool((numbers > 0).all())
    spread = np.std(np.log(numbers) if logarithmic else numbers, ddof=1)
    half = float(half_width(spread * np.sqrt((freedom + 1) / freedom), freedom))
    if logarithmic:
        return Estimate(value, value * float(np.exp(-half)), value * float(np.exp(half)))
    return Estimate(value, value - half, value + half)


def quantiles_of_few(values: ArrayLike, levels: ArrayLike, axis: int = 0) -> Floats:
    """Quantiles of a sample between which the expected share of its distribution lies.

    Parameters
    ----------
    values
        The sample, along `axis`.
    levels
        (M,) in (0, 1).
    axis
        Of the sample.

    Returns
    -------
    ndarray
        (M, ...); NaN where a level lies beyond what n values can tell, 1/(n + 1) from an end.

    Notes
    -----
    Weibull's positions, level (n + 1): the distribution function at the k-th of n has mean k/(n + 1). numpy's
    own, level (n - 1) + 1, are too close: its middle 90 % of 32 values hold 84 %.
    """
    table, wanted = np.asarray(values, np.float64), np.asarray(levels, np.float64)
    count = table.shape[axis]
    found = np.quantile(table, wanted, axis=axis, method="weibull")
    told = (wanted * (count + 1) >= 1 - 1e-9) & ((1 - wanted) * (count + 1) >= 1 - 1e-9)
    found[~told] = np.nan
    return np.asarray(found)


def content_between(count: int, low: float, high: float) -> Estimate:
    """Share of a distribution between two quantiles of a sample of it.

    Parameters
    ----------
    count
        Size of the sample.
    low, high
        Levels of the quantiles, as `quantiles_of_few` takes them.

    Returns
    -------
    Estimate
        Its mean and where 95 % of such samples have it; NaN where the quantiles are. By 4,000 uniform
        samples, the same each time: it depends on no distribution but for the interpolation between
        neighbours.
    """
    drawn = np.random.default_rng(0).random((4000, count))
    bottom, top = quantiles_of_few(drawn, [low, high], axis=1)
    share = top - bottom
    return Estimate(float(share.mean()), *(float(end) for end in np.quantile(share, [0.025, 0.975])))
