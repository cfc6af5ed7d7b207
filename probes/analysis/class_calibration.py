"""Can a classifier's confidence be trusted: reliability with intervals, ECE with its null, entropy of right
and of wrong answers.

Frames are `Run.reliability()` (bins of equal counts, of all answers of a split) and `Run.answers()` (some of
the answers, one by one).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from probes.reliability import calibrated_errors, calibration_error

Floats = NDArray[np.float64]
LEVEL = 0.95
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
PARTS = ("entropy", "latent")
"""Of the predictive entropy all, and what comes from the neurons' own uncertainty."""
BINS = 20  # of the entropy: as many as can be told apart beside each other


def jeffreys_interval(hits: ArrayLike, count: ArrayLike, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Interval of a share, of hits among a count.

    Parameters
    ----------
    hits, count
        Integers of one shape.
    level
        Its coverage, about.

    Returns
    -------
    tuple of ndarray
        Low and high: 0 and 1 where nothing, or everything, was a hit.

    Notes
    -----
    Equal-tailed quantiles of Beta(hits + 1/2, count - hits + 1/2) (Brown, Cai & DasGupta 2001).
    """
    k, n = np.asarray(hits, np.float64), np.asarray(count, np.float64)
    tail = (1 - level) / 2
    low, high = (stats.beta.ppf(q, k + 0.5, n - k + 0.5) for q in (tail, 1 - tail))
    return np.where(k > 0, low, 0.0), np.where(k < n, high, 1.0)


def reliability_diagram(bins: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each bin of confidence, with its interval.

    Parameters
    ----------
    bins
        Rows of `Run.reliability()` of one step and split.

    Returns
    -------
    DataFrame
        The bins in order, with accuracy and accuracy_low, accuracy_high of its 95 % Jeffreys interval.
    """
    table = bins.sort_values("bin", ignore_index=True)
    low, high = jeffreys_interval(table["right"], table["count"])
    return table.assign(accuracy=table["right"] / table["count"], accuracy_low=low, accuracy_high=high)


def calibration_over_steps(bins: pd.DataFrame) -> pd.DataFrame:
    """ECE and accuracy of a split at each step, with what chance does to them.

    Parameters
    ----------
    bins
        Rows of `Run.reliability()` of one split.

    Returns
    -------
    DataFrame
        step, count; accuracy with the ends of its 95 % Jeffreys interval; confidence (mean); ece; null and
        null_95, the mean and the 95th percentile of the ECE of a calibrated classifier of the same
        confidences.
    """
    rows = []
    for step, part in bins.groupby("step", sort=True):
        held = {name: part[name].to_numpy() for name in ("count", "confidence", "right")}
        count, right = int(held["count"].sum()), int(held["right"].sum())
        low, high = jeffreys_interval(right, count)
        null = calibrated_errors(held)
        rows.append(
            {
                "step": step, "count": count, "accuracy": right / count, "accuracy_low": float(low),
                "accuracy_high": float(high),
                "confidence": float((held["count"] * held["confidence"]).sum() / count),
                "ece": calibration_error(held), "null": float(null.mean()),
                "null_95": float(np.quantile(null, LEVEL)),
            }
        )  # fmt: skip
    columns = [
        "step", "count", "accuracy", "accuracy_low", "accuracy_high", "confidence", "ece", "null", "null_95",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def with_parts(answers: pd.DataFrame) -> pd.DataFrame:
    """Answers with what is asked of them here.

    Parameters
    ----------
    answers
        Rows of `Run.answers()`.

    Returns
    -------
    DataFrame
        With right (bool) and, where the entropy of single draws was recorded, latent: the entropy less that
        (nats), the mutual information of the class and the draw.

    Notes
    -----
    Depeweg, Hernández-Lobato, Doshi-Velez & Udluft 2018.
    """
    table = answers.assign(right=answers["predicted"] == answers["y"])
    if "conditional_entropy" in table:
        table = table.assign(latent=(table["entropy"] - table["conditional_entropy"]).clip(lower=0))
    return table


def entropy_over_steps(answers: pd.DataFrame) -> pd.DataFrame:
    """How the entropy of right and of wrong answers is distributed at each step.

    Parameters
    ----------
    answers
        As `with_parts` gives them, of one split.

    Returns
    -------
    DataFrame
        step, part ("entropy", "latent"), right (bool), count, p05 .. p95 (nats); a step without wrong answers
        has no row of them.
    """
    rows = []
    parts = [part for part in PARTS if part in answers]
    for (step, right), group in answers.groupby(["step", "right"], sort=True):
        for part in parts:
            values = group[part].to_numpy(np.float64)
            found = np.quantile(values, list(QUANTILES.values()))
            rows.append((step, part, bool(right), len(values), *found))
    return pd.DataFrame(rows, columns=["step", "part", "right", "count", *QUANTILES])


def entropy_histogram(answers: pd.DataFrame, classes: int | None = None) -> pd.DataFrame:
    """Shares of right and of wrong answers in bins of their entropy.

    Parameters
    ----------
    answers
        As `with_parts` gives them, of one step and split.
    classes
        C, which the entropy's largest value, ln C, follows from; without it the largest that there is.

    Returns
    -------
    DataFrame
        right (bool), left, right_edge (nats), count, share (of the right, or of the wrong ones).
    """
    largest = float(np.log(classes)) if classes else float(answers["entropy"].max())
    edges = np.linspace(0, max(largest, np.finfo(float).tiny), BINS + 1)
    frames = []
    for right, group in answers.groupby("right", sort=False):
        values = np.clip(group["entropy"].to_numpy(np.float64), 0, edges[-1])
        count = np.histogram(values, edges)[0]
        columns = {"left": edges[:-1], "right_edge": edges[1:], "count": count, "share": count / len(values)}
        frames.append(pd.DataFrame({"right": bool(right), **columns}))
    names = ["right", "left", "right_edge", "count", "share"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=names)
