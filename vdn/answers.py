"""What the scores of every kind of task are made of: answers of classifiers, scores of Gaussian mixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from probes import reliability
from probes.schema import COVERAGE_LEVELS
from vdn.scores import energy_score, mixture_crps, mixture_nll, pit, trajectories

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


class OriginScores(NamedTuple):
    """Scores of each origin of a split, the mean over the series; of rows without time of each row.

    Attributes
    ----------
    origin
        (n,) int64, the position of the first target, increasing.
    target
        (n,), the mean of its targets, or the class.
    span
        Positions that its targets cover, the horizon; 0 where origins are independent.
    scores
        Name -> (n,).
    """

    origin: np.ndarray
    target: np.ndarray
    span: int
    scores: dict[str, np.ndarray]


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
    mean: Tensor,
    scale: Tensor,
    y: Tensor,
    crps: bool = True,
    df: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Scores of mixtures of Gaussians, or of Student's t, one an example, averaged over its numbers.

    Parameters
    ----------
    mean, scale
        (S, B, H).
    y
        (B, H).
    crps
        Whether to take CRPS and energy score, the dearest of them: S^2 operations a number.
    df
        () degrees of freedom of Student's t; None for Gaussians.
    generator
        Of the trajectories that the energy score is of.

    Returns
    -------
    dict
        (B,) each: mse, mae of the mixture's mean; nll_joint, nll_marginal in nats a number; crps; energy
        where H > 1; coverage.LEVEL.
    """
    centre = mean.mean(0)
    values = {
        "mse": (y - centre).square(),
        "mae": (y - centre).abs(),
        "nll_joint": mixture_nll(y, mean, scale, "joint", "none", df),
        "nll_marginal": mixture_nll(y, mean, scale, "marginal", "none", df),
    }
    if crps:
        values["crps"] = mixture_crps(y, mean, scale, "none", df)
        if y.shape[-1] > 1:  # of one number it is the CRPS
            values["energy"] = energy_score(y, trajectories(mean, scale, generator, df), "none")
    reached = pit(y, mean, scale, df)
    for level in COVERAGE_LEVELS:
        values[f"coverage.{level}"] = ((reached - 0.5).abs() <= level / 200).to(y.dtype)
    return {name: value if value.dim() == 1 else value.mean(-1) for name, value in values.items()}


def averages(scores: dict[str, Tensor]) -> dict[str, Any]:
    """Averages over examples.

    Parameters
    ----------
    scores
        (B,) each, such as `number_scores` returns.

    Returns
    -------
    dict
        Name -> number, as `nested` arranges them.
    """
    return nested({name: value.double().mean().item() for name, value in scores.items()})


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
