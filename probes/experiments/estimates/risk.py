"""Risk against coverage."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from probes.experiments.estimates.means import (
    Floats,
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
