"""What the scores of every kind of task are made of: answers of classifiers, scores of Gaussian mixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from probes import reliability
from probes.schema import COVERAGE_LEVELS
from vdn.scores import mixture_crps, mixture_nll, pit

Counted = Callable[[int, int], None]
"""Is told how many examples are done, and of how many."""


class Answers(NamedTuple):
    """A classifier's answers to n examples.

    Attributes
    ----------
    probability
        (n, C), the mean over draws.
    y
        (n,), the right classes.
    conditional_entropy
        (n,), nats: the mean over draws of the entropy of a draw.
    """

    probability: np.ndarray
    y: np.ndarray
    conditional_entropy: np.ndarray


def calibration_scores(confidence: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """ECE, and what it would be of a calibrated classifier with the same confidences.

    Parameters
    ----------
    confidence, right
        (n,): the largest probability, and whether that class was the right one.

    Returns
    -------
    dict
        ece, ece_null (mean) and ece_null_95 (95th percentile).
    """
    bins = reliability.equal_mass_bins(confidence, right)
    null = reliability.calibrated_errors(bins)
    return {
        "ece": reliability.calibration_error(bins),
        "ece_null": float(null.mean()),
        "ece_null_95": float(np.quantile(null, 0.95)),
    }


def number_scores(
    mean: Tensor, scale: Tensor, y: Tensor, crps: bool = True, df: Tensor | None = None
) -> dict[str, float]:
    """Scores of mixtures of Gaussians, or of Student's t, averaged over all elements.

    Parameters
    ----------
    mean, scale
        (S, B, H).
    y
        (B, H).
    crps
        Whether to take the CRPS, the dearest of them.
    df
        () degrees of freedom of Student's t; None for Gaussians.

    Returns
    -------
    dict
        mse, mae of the mixture's mean; nll_joint, nll_marginal in nats a number; crps; coverage.LEVEL.
    """
    centre = mean.mean(0)
    values = {
        "mse": (y - centre).square().mean(),
        "mae": (y - centre).abs().mean(),
        "nll_joint": mixture_nll(y, mean, scale, "joint", df=df),
        "nll_marginal": mixture_nll(y, mean, scale, "marginal", df=df),
    }
    if crps:
        values["crps"] = mixture_crps(y, mean, scale, df=df)
    reached = pit(y, mean, scale, df)
    for level in COVERAGE_LEVELS:
        inside = (reached - 0.5).abs() <= level / 200
        values[f"coverage.{level}"] = inside.to(y.dtype).mean()
    return {name: value.item() for name, value in values.items()}


def nested(flat: dict[str, float]) -> dict[str, Any]:
    """Names with a point as dictionaries.

    Parameters
    ----------
    flat
        Such as {"coverage.80": x}.

    Returns
    -------
    dict
        Such as {"coverage": {"80": x}}.
    """
    found: dict[str, Any] = {}
    for name, value in flat.items():
        head, _, tail = name.partition(".")
        if tail:
            found.setdefault(head, {})[tail] = value
        else:
            found[head] = value
    return found
