"""What forecasts without a network are worth: the last value, the season before, the training rows' mean."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from probes.schema import COVERAGE_LEVELS
from vdn.answers import nested
from vdn.data import ForecastTask, RowTask, Split, Task, index_batches
from vdn.scores import brier, coverage, energy_score, gaussian_crps, gaussian_nll, trajectories
from vdn.sequence_data import SequenceTask
from vdn.sequence_scores import sequence_baselines


def baselines(task: Task, split: Split) -> dict[str, dict[str, Any]]:
    """Scores of naive forecasts.

    Parameters
    ----------
    task, split
        What they are scored on.

    Returns
    -------
    dict
        "last_value" and "seasonal_naive" for series, the "training_mean" or "class_shares" for rows, of
        sequences as `sequence_baselines` -> scores as `scores` names them.

    Notes
    -----
    Each gets the Gaussian of its training residuals, one sd a horizon step, so that every score exists.
    """
    if isinstance(task, RowTask):
        return _row_baselines(task, split)
    if isinstance(task, SequenceTask):
        return sequence_baselines(task, split)
    result = {}
    for name, forecast in (("last_value", _last_value), ("seasonal_naive", _seasonal)):
        scale = torch.zeros(task.horizon, dtype=torch.float64)
        for index in index_batches(task, "train", 1):
            batch = task.batch("train", index)
            scale += (batch.y - forecast(batch.x, task)).double().square().sum(0)
        scale = (scale / task.count("train")).sqrt().float()
        sums: dict[str, float] = defaultdict(float)
        for index in index_batches(task, split, 1):
            batch = task.batch(split, index)
            for key, value in _single_scores(batch.y, forecast(batch.x, task), scale).items():
                sums[key] += value * len(index)
        result[name] = nested({key: value / task.count(split) for key, value in sums.items()})
    return result


def _last_value(x: Tensor, task: ForecastTask) -> Tensor:
    return x[:, -1:].expand(-1, task.horizon)


def _seasonal(x: Tensor, task: ForecastTask) -> Tensor:
    ahead = torch.arange(task.horizon, device=x.device) % task.season
    return x[:, x.shape[1] - task.season + ahead]


def _single_scores(y: Tensor, mean: Tensor, scale: Tensor) -> dict[str, float]:
    nll = gaussian_nll(y, mean, scale).item()
    values = {
        "mse": (y - mean).square().mean().item(),
        "mae": (y - mean).abs().mean().item(),
        "nll_joint": nll,
        "nll_marginal": nll,
        "crps": gaussian_crps(y, mean, scale).item(),
    }
    if y.shape[-1] > 1:
        noise = torch.Generator(y.device).manual_seed(0)
        drawn = trajectories(mean.expand_as(y)[None], scale.expand_as(y)[None], noise)
        values["energy"] = energy_score(y, drawn).item()
    return values | {
        f"coverage.{level}": coverage(y, mean, scale, level / 100).item() for level in COVERAGE_LEVELS
    }


def _row_baselines(task: RowTask, split: Split) -> dict[str, dict[str, Any]]:
    train = task.batch("train", torch.arange(task.count("train"))).y
    y = task.batch(split, torch.arange(task.count(split))).y
    if task.kind == "classification":
        share = torch.bincount(train, minlength=task.outputs).float() / len(train)
        nll = -math.fsum(share[y].clamp_min(torch.finfo(share.dtype).tiny).log().tolist()) / len(y)
        return {
            "class_shares": {
                "accuracy": (y == share.argmax()).float().mean().item(),
                "nll_joint": nll,
                "nll_marginal": nll,
                "brier": brier(share, y).item(),
            }
        }
    mean, scale = train.mean(0), train.std(0, correction=0)
    return {"training_mean": nested(_single_scores(y, mean.expand_as(y), scale))}
