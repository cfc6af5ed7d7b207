"""Rank correlations and AUROC."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import rankdata

from probes.experiments.estimates.means import (
    NORMAL_95,
    Estimate,
    Floats,
    clustered_mean,
    degrees_of_freedom,
    half_width,
)

FEWEST_BLOCKS = 4  # that can be halved in more than a few ways


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
