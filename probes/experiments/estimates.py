"""Estimates that experiments share, each with the error that it has: means, rank correlation, AUROC, risk
against coverage, reliability.

Windows of one series that overlap are not independent. `groups` (n,) names blocks that are, and errors are
taken over blocks; without it every value is a block of its own. Blocks may be few: intervals are Student's t.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata

from probes.diagnostics import student_quantile

Floats = NDArray[np.float64]
NORMAL_95 = 1.959963984540054  # two-sided 95 % of the standard normal
FEWEST_BLOCKS = 4  # that can be halved in more than a few ways


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
    a, b = rankdata(x, axis=-1), rankdata(y, axis=-1)
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
    rank = rankdata(values)
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
    Error by placement values (DeLong 1988), kept in pairs, since the same inputs are in both, and summed over
    groups; the interval is Student's t on the scale of the log odds (Pepe 2003), so that it stays in [0, 1].
    There is none at 0 and 1, nor where groups are too few; a value that is no number gives nothing.
    """
    a, b = np.asarray(negative, np.float64), np.asarray(positive, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"{a.shape} values against {b.shape}: AUROC here takes the same inputs twice")
    above = _share_below(a, b)  # of each positive: share of negatives below it
    below = 1 - _share_below(b, a)  # of each negative: share of positives above it
    value, error = clustered_mean(above + below, groups)
    area = float(value) / 2
    if not 0 < area < 1:
        return Estimate(area, np.nan, np.nan)
    half = float(half_width(error, degrees_of_freedom(len(a), groups))) / (area * (1 - area))
    return Estimate(area, *(float(expit(logit(area) + side * half)) for side in (-1, 1)))


def _share_below(reference: Floats, values: Floats) -> Floats:
    if not (np.isfinite(reference).all() and np.isfinite(values).all()):
        return np.full(len(values), np.nan)
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
        Lower is better; NaN where an uncertainty is no number.

    Notes
    -----
    Geifman & El-Yaniv 2017.
    """
    if not np.isfinite(np.asarray(uncertainty, np.float64)).all():
        return float("nan")
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
    parts: list[Floats] = []
    for low, high in ((negative, positive), (other_negative, other_positive)):
        a, b = np.asarray(low, np.float64), np.asarray(high, np.float64)
        parts.append(_share_below(a, b) + 1 - _share_below(b, a))
    value, error = clustered_mean(parts[0] - parts[1], groups)
    gain = float(value) / 2
    half = float(half_width(error, degrees_of_freedom(len(parts[0]), groups)))
    return Estimate(gain, gain - half, gain + half)


def split_half_reliability(values: ArrayLike, groups: ArrayLike | None = None, halves: int = 100) -> float:
    """How well ranks of means repeat: the rank correlation that a second sample of the same size would show.

    Parameters
    ----------
    values
        (n, N): what is averaged over n, for N to be ranked.
    groups
        (n,) blocks that are independent of each other; they are split, never one of them.
    halves
        How many random halvings, the same each time.

    Returns
    -------
    float
        At least 0; NaN for fewer than 4 blocks or 3 to be ranked, where means do not differ or a value is not
        finite.

    Notes
    -----
    Spearman's coefficient between the means over random halves of the blocks, averaged over halvings and
    stepped up to the whole by Spearman & Brown (1910): 2 r / (1 + r). Of ranks it does not hang on the few
    means of largest error, as 1 - mean error^2 / variance does.
    """
    table = np.asarray(values, np.float64)
    ids = np.arange(len(table)) if groups is None else np.asarray(groups)
    _, index = np.unique(ids, return_inverse=True)
    count = np.bincount(index)
    if len(count) < FEWEST_BLOCKS or table.shape[1] < 3 or not np.isfinite(table).all():
        return float("nan")
    sums = np.zeros((len(count), table.shape[1]))
    np.add.at(sums, index, table)
    generator = np.random.default_rng(0)
    chosen = np.zeros((halves, len(count)))
    for row in chosen:
        row[generator.permutation(len(count))[: len(count) // 2]] = 1
    means = [(half @ sums) / (half @ count)[:, None] for half in (chosen, 1 - chosen)]
    correlations = rank_correlation(*means)
    defined = correlations[np.isfinite(correlations)]
    correlation = max(defined.mean(), 0.0) if len(defined) else np.nan
    return float(2 * correlation / (1 + correlation))


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
