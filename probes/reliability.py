"""How far a classifier's confidence can be trusted: bins of equal counts, the ECE, what it is by chance.

Answers are told from class probabilities (n, C) and the right classes (n,). In a log their bins stand in
`reliability/`, exactly and of all of them, and the answers to some in `answers/`. numpy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15
"""About: as many as Guo et al. 2017 take."""
REPEATS = 1000
"""Sets of answers that are drawn for the ECE of a calibrated classifier."""
POINTS_KEPT = 512
"""Answers of a split that are stored one by one at a step, evenly spread over it."""
CLASSES_KEPT = 64
"""With more classes, answers are stored without the probability of each."""

Floats = NDArray[np.float64]
Bins = dict[str, NDArray[Any]]


def equal_mass_bins(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> Bins:
    """Answers in bins of (about) equally many, by confidence.

    Parameters
    ----------
    confidence
        (n,): the probability of the class that was named.
    right
        (n,): whether it was the right one.
    bins
        About so many: answers of one confidence stay together, alone where they would fill a bin.

    Returns
    -------
    dict
        Of arrays, one number a bin, in order of confidence: low, high (the least and the largest confidence
        in it), count, confidence (mean), right (how many were). Empty of no answers.

    Notes
    -----
    Bins of equal counts bias the ECE less than bins of equal width (Roelofs, Cain, Shlens & Mozer 2022).
    """
    values, hits = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    order = np.argsort(values, kind="stable")
    values, hits = values[order], hits[order]
    if not len(values):
        empty, none = np.zeros(0), np.zeros(0, np.int64)
        return {"low": empty, "high": empty, "count": none, "confidence": empty, "right": none}
    cuts = values[np.arange(1, bins) * len(values) // bins]
    first, after = (np.searchsorted(values, cuts, side) for side in ("left", "right"))
    alone = after - first > len(values) / bins  # of one confidence, more than a bin is to hold
    starts = np.unique(np.r_[0, first, after[alone]])
    starts = starts[starts < len(values)]
    count = np.diff(np.r_[starts, len(values)])
    return {
        "low": values[starts],
        "high": values[starts + count - 1],
        "count": count,
        "confidence": np.add.reduceat(values, starts) / count,
        "right": np.add.reduceat(hits, starts).round().astype(np.int64),
    }


def calibration_error(bins: Bins) -> float:
    """Expected calibration error: mean |accuracy - confidence| over bins, weighted by their answers.

    Parameters
    ----------
    bins
        As `equal_mass_bins` gives them.

    Returns
    -------
    float
        In [0, 1]; NaN of no answers.

    Notes
    -----
    Guo et al. 2017.
    """
    total = int(bins["count"].sum())
    gaps = np.abs(bins["right"] - bins["count"] * bins["confidence"])
    return float(gaps.sum() / total) if total else float("nan")


def calibrated_errors(bins: Bins, repeats: int = REPEATS) -> Floats:
    """What `calibration_error` is of a perfectly calibrated classifier: never 0, since accuracies of bins are
    of few answers.

    Parameters
    ----------
    bins
        As `equal_mass_bins` gives them.
    repeats
        How many sets of answers are drawn, the same each time.

    Returns
    -------
    ndarray
        (repeats,). An ECE below their 95th percentile is no sign of miscalibration.

    Notes
    -----
    Right answers of a bin are binomial at its mean confidence, whose variance is that of answers each right
    with its own confidence, and that of the confidences within the bin more.
    """
    count, confidence = bins["count"], np.clip(bins["confidence"], 0, 1)
    total = int(count.sum())
    if not total:
        return np.full(repeats, np.nan)
    right = np.random.default_rng(0).binomial(count, confidence, (repeats, len(count)))
    return np.asarray(np.abs(right - count * confidence).sum(1) / total, np.float64)


def entropy(probability: ArrayLike) -> Floats:
    """Entropy of class probabilities.

    Parameters
    ----------
    probability
        (..., C).

    Returns
    -------
    ndarray
        (...), nats: -sum p ln p, from 0 to ln C.
    """
    p = np.asarray(probability, np.float64)
    return np.asarray(-np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(-1), np.float64)


def spread_points(count: int, most: int = POINTS_KEPT) -> NDArray[np.int64]:
    """Numbers of the answers that are stored one by one.

    Parameters
    ----------
    count
        How many there are.
    most
        How many are kept.

    Returns
    -------
    ndarray
        (min(count, most),) increasing, evenly spread, the same for each step.
    """
    kept = min(count, most)
    return np.arange(kept, dtype=np.int64) * count // max(kept, 1)
