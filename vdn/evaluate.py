"""Scores of a trained network, of its twin and of naive forecasts, and statistics pooled over a whole
split.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from probes import catalog
from probes.analysis.paired_scores import UnpairedError
from probes.analysis.run_groups import twin_of
from probes.moments import Moments
from probes.regimes import classify
from probes.schema import COVERAGE_LEVELS, LIVING_REGIMES
from vdn import ranks
from vdn.answers import Answers, Counted, OriginScores, averages, calibration_scores, nested, number_scores
from vdn.config import Config, ConfigError, from_dict
from vdn.data import Batch, ForecastTask, RowTask, Split, Task, say_what_was_read
from vdn.differences import origin_frame, twin_differences
from vdn.network import Output, VariationalNetwork
from vdn.neuron import SIGMA_MAX, SIGMA_MIN, Posterior
from vdn.objective import class_nll
from vdn.scores import Reduction, coverage, energy_score, gaussian_crps, gaussian_nll, trajectories
from vdn.selection import Weights
from vdn.sequence_data import SequenceTask
from vdn.sequence_scores import pool_sequences, sequence_baselines, sequence_scores
from vdn.trainer import Network, load_checkpoint, load_network, load_run

ROWS_AT_ONCE = 16384  # rows of one forward pass, draws included: about 16 MB an array at 256 neurons


def chunks(task: Task, split: Split, draws: int, limit: int | None = None) -> Iterator[Tensor]:
    """Example numbers of a split in chunks that fit into memory.

    Parameters
    ----------
    task, split
        What is scored.
    draws
        Draws that each example gets.
    limit
        That many examples, evenly spread; all by default.

    Yields
    ------
    Tensor
        int64.
    """
    count = task.count(split)
    taken = count if limit is None else min(limit, count)
    index = (
        (torch.arange(taken, dtype=torch.float64) * (count / taken)).long()
        if taken < count
        else torch.arange(count)
    )
    yield from index.split(max(1, ROWS_AT_ONCE // draws))


@torch.no_grad()
def scores(
    network: Network,
    task: Task,
    split: Split,
    draws: int,
    seed: int,
    limit: int | None = None,
    crps: bool = True,
    report: Counted | None = None,
    answered: Callable[[Answers], None] | None = None,
    by_origin: Callable[[OriginScores], None] | None = None,
) -> dict[str, Any]:
    """Scores of a network on a split, averaged over all examples and outputs.

    Parameters
    ----------
    network
        The network, or its twin; its mode is restored.
    task, split
        What it is scored on.
    draws
        S, an example.
    seed
        Of the draws.
    limit
        That many examples, evenly spread; all by default.
    crps
        Whether to take CRPS and energy score, the dearest of them.
    report
        Is called as examples are done.
    answered
        Is given a classifier's answers.
    by_origin
        Is given the scores of each origin, or sequence, of a whole split.

    Returns
    -------
    dict
        mse, mae of the mixture's mean; nll_joint, nll_marginal in nats a number; crps and, of several numbers
        an example, energy in the scaled data's unit; coverage {"50", "80", "95"}: share of targets in the
        central interval. Classification: accuracy, nll_joint, nll_marginal (equal), brier, ece, and ece_null,
        ece_null_95: mean and 95th percentile of the ECE if the same confidences were calibrated. Sequences:
        as `sequence_scores` returns them.
    """
    if isinstance(task, SequenceTask):
        assert not isinstance(network, VariationalNetwork)
        return sequence_scores(network, task, split, draws, seed, limit, report, answered, by_origin)
    assert isinstance(network, VariationalNetwork)
    device = network.neuron_layers[0].mean.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    noise = torch.Generator(device).manual_seed(seed)  # of trajectories: draws are the same with or without
    was_training = network.training
    network.eval()
    parts: dict[str, list[Tensor]] = defaultdict(list)
    targets: list[Tensor] = []
    seen = 0
    found: list[Answers] = []
    for index in chunks(task, split, draws, limit):
        batch = task.batch(split, index.to(device))
        output = ranks.run(network, batch.x, draws, noise=network.draw_noise(len(index), draws, generator))
        part = (
            _class_scores(output, batch, found)
            if output.scale is None
            else number_scores(output.mean, output.scale, batch.y, crps, output.df, noise)
        )
        for name, value in part.items():
            parts[name].append(value)
        targets.append(batch.y.double() if batch.y.dim() == 1 else batch.y.double().mean(-1))
        seen += len(index)
        if report is not None:
            report(seen, task.count(split) if limit is None else min(limit, task.count(split)))
    network.train(was_training)
    each = {name: torch.cat(values) for name, values in parts.items()}
    result = averages(each)
    if by_origin is not None and limit is None:
        by_origin(origin_scores(task, split, torch.cat(targets), each))
    if found:
        answers = Answers(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
        p = answers.probability
        result |= calibration_scores(p.max(1), p.argmax(1) == answers.y)
        if answered is not None:
            answered(answers)
    return result


def origin_scores(
    task: ForecastTask | RowTask, split: Split, target: Tensor, each: Mapping[str, Tensor]
) -> OriginScores:
    """Scores of all examples of a split by origin.

    Parameters
    ----------
    task, split
        What was scored.
    target
        (n,) of the examples, in their order.
    each
        Name -> (n,) scores of the examples, in their order; coverage is left out.

    Returns
    -------
    OriginScores
        Averages over the series of an origin.
    """
    kept = {name: value for name, value in each.items() if "." not in name} | {"target": target}
    if isinstance(task, ForecastTask):  # in order (series, origin)
        first, last = task.origins(split)
        kept = {name: value.view(-1, last - first).double().mean(0) for name, value in kept.items()}
        origin, span = np.arange(first, last), task.horizon
    else:
        origin, span = np.arange(len(target)), 0
    found = {name: value.cpu().numpy() for name, value in kept.items()}
    return OriginScores(origin, found.pop("target"), span, found)


def _class_scores(output: Output, batch: Batch, found: list[Answers]) -> dict[str, Tensor]:
    """(B,) each; the answers are added to `found`."""
    draws = F.softmax(output.mean.double(), -1)  # (S, B, C)
    probability = draws.mean(0)
    of_draws = torch.special.entr(draws).sum(-1).mean(0)
    found.append(Answers(*(part.cpu().numpy() for part in (probability, batch.y, of_draws))))
    nll = class_nll(output.mean, batch.y)
    return {
        "accuracy": (probability.argmax(-1) == batch.y).double(),
        "nll_joint": nll,
        "nll_marginal": nll,
        "brier": brier(probability, batch.y, "none"),
    }


def brier(probability: Tensor, y: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Brier score of class probabilities: sum_c (p_c - 1[y=c])^2.

    Parameters
    ----------
    probability
        (B, C), or broadcastable to it.
    y
        (B,) int64.
    reduction
        "mean" over examples, or "none".

    Returns
    -------
    Tensor
        From 0 to 2: a scalar, or (B,) without reduction.

    Notes
    -----
    Brier 1950, over all classes.
    """
    truth = F.one_hot(y, probability.shape[-1]).to(probability.dtype)
    values = (probability - truth).square().sum(-1)
    return values.mean() if reduction == "mean" else values


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
        for index in chunks(task, "train", 1):
            batch = task.batch("train", index)
            scale += (batch.y - forecast(batch.x, task)).double().square().sum(0)
        scale = (scale / task.count("train")).sqrt().float()
        sums: dict[str, float] = defaultdict(float)
        for index in chunks(task, split, 1):
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


def new_pool(task: Task, split: Split | None = None) -> Moments:
    """An empty pool of one layer's statistics.

    Parameters
    ----------
    task
        That its batches are of.
    split
        Whole: its pairs belong to `ForecastTask.blocks`. None: a training batch.

    Returns
    -------
    Moments
        Empty.
    """
    n_blocks = None
    if split is not None and isinstance(task, ForecastTask):
        n_blocks = int(task.blocks(split, torch.tensor(task.count(split) - 1))) + 1
    return Moments(series_count(task), (SIGMA_MIN, SIGMA_MAX), n_blocks)


def series_count(task: Task) -> int:
    """How many series the examples come from; rows count as one.

    Parameters
    ----------
    task
        The task.

    Returns
    -------
    int
        At least 1.
    """
    return task.values.shape[0] if isinstance(task, ForecastTask) else 1


def accumulate(pool: Moments, posterior: Posterior, batch: Batch, block: Tensor | None = None) -> None:
    """Adds a layer's posteriors of one batch to a pool, and the pairs with predecessors where it holds them.

    Parameters
    ----------
    pool
        Of the layer; changed.
    posterior
        What the layer computed.
    batch
        That it computed it for.
    block
        (B/2,) `ForecastTask.blocks` of the origins, where the pool is of a whole split.

    Notes
    -----
    Under an autoregressive prior only rows with a past count: predecessors stand under another prior.
    """
    mu, sigma, log_sigma = posterior.mu.detach(), posterior.sigma.detach(), posterior.log_sigma.detach()
    if batch.series is None:
        pool.update(mu, sigma, kl=posterior.kl.detach(), log_sigma=log_sigma)
        return
    half = len(mu) // 2
    draws = half // len(batch.series)
    series = batch.series.repeat_interleave(draws)  # rows of draws: b S + s
    block = None if block is None else block.repeat_interleave(draws)
    if posterior.phi is not None:
        sigma = sigma.expand_as(mu)
        pool.update(
            mu[:half],
            sigma[:half],
            kl=posterior.kl[:half].detach(),
            phi=posterior.phi.detach(),
            previous_mu=mu[half:],
            previous_sigma=sigma[half:],
            series=series,
            block=block,
        )
    else:
        pool.update(
            mu,
            sigma,
            kl=posterior.kl.detach(),
            log_sigma=log_sigma,
            previous_mu=mu[half:],
            series=series,
            block=block,
        )


@torch.no_grad()
def pooled_statistics(network: Network, task: Task, split: Split, seed: int) -> list[dict[str, np.ndarray]]:
    """Per-neuron statistics of each layer, pooled over every example of a split with its predecessor.

    Parameters
    ----------
    network
        The network.
    task, split
        What they are taken on.
    seed
        Of the draws.

    Returns
    -------
    list of dict
        One a layer, name -> (N,); none for a twin.
    """
    if isinstance(task, SequenceTask):
        assert not isinstance(network, VariationalNetwork)
        return pool_sequences(network, task, split, seed)
    assert isinstance(network, VariationalNetwork)
    device = network.neuron_layers[0].mean.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    pools: list[Moments] = []
    for index in chunks(task, split, 2):
        batch = task.batch(split, index.to(device), task.pairs)
        noise = network.draw_noise(len(batch.x), 1, generator)
        output = ranks.run(network, batch.x, 1, task.pairs, noise)
        pools = pools or [new_pool(task, split) for _ in output.posteriors]
        block = task.blocks(split, index) if isinstance(task, ForecastTask) else None
        for pool, posterior in zip(pools, output.posteriors, strict=True):
            accumulate(pool, posterior, batch, block)
    return [{name: value.float().cpu().numpy() for name, value in pool.result().items()} for pool in pools]


def network_scores(
    network: Network,
    task: Task,
    split: Split,
    draws: int,
    seed: int,
    report: Counted | None = None,
    answered: Callable[[Answers], None] | None = None,
    by_origin: Callable[[OriginScores], None] | None = None,
) -> tuple[dict[str, Any], list[dict[str, np.ndarray]]]:
    """All scores of a network on a split, and its pooled statistics.

    Parameters
    ----------
    network, task, split, draws, seed, report, answered, by_origin
        As for `scores`.

    Returns
    -------
    tuple
        The scores, with rate (nats an example) and living_share of each layer, both None for a twin; and what
        `pooled_statistics` returns.
    """
    result = scores(network, task, split, draws, seed, report=report, answered=answered, by_origin=by_origin)
    pooled = pooled_statistics(network, task, split, seed)
    latent_dim = network.neuron_layers[0].latent_dim
    result["rate"] = float(sum(statistics["kl"].sum() for statistics in pooled)) if pooled else None
    result["living_share"] = [living_share(statistics, latent_dim) for statistics in pooled] or None
    return result, pooled


def find_twin(run: Path, config: Config) -> Path | None:
    """The newest finished run beside a run that trained its twin.

    Parameters
    ----------
    run
        Folder of the run.
    config
        Of the run.

    Returns
    -------
    Path or None
        As `probes.analysis.run_groups.twin_of` chooses.
    """
    twin = twin_of({"config": dataclasses.asdict(config)}, finished_beside(run))
    return Path(twin["path"]) if twin else None


def finished_beside(run: Path) -> list[dict[str, Any]]:
    """Finished runs in the folder that a run lies in, itself among them.

    Parameters
    ----------
    run
        Its folder.

    Returns
    -------
    list of dict
        Rows of `probes.catalog`.
    """
    rows = catalog(run.resolve().parent).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows if row["status"] == "finished"]


def evaluate(
    run: Path,
    twin: Path | None = None,
    split: Split = "test",
    draws: int | None = None,
    data: str | None = None,
    changed: bool = False,
    reading: Mapping[str, str] | None = None,
    weights: Weights = "best",
) -> dict[str, Any]:
    """Scores of a finished run, from its checkpoint.

    Parameters
    ----------
    run
        Folder of the run.
    twin
        Run of the deterministic twin; without it the newest one beside `run`.
    split
        What is scored.
    draws
        S, the run's own `test_draws` without it.
    data, changed, reading
        As for `vdn.data.load_known`.
    weights
        "best" by validation, where they were kept, or "last"; the twin's likewise.

    Returns
    -------
    dict
        {"weights": {"which", "step"}, "model": scores, "twin": scores or None, "baselines": {name: scores}},
        as `Selection.told`, `network_scores` and `baselines` return them; "differences": as
        `vdn.differences.twin_differences`, None without a twin that was scored on the same targets.

    Raises
    ------
    ConfigError, DataError
        When the run or its data cannot be read, or `twin` is no twin.
    """
    state = load_checkpoint(run, weights)
    config, task, network = load_network(state, data, changed, reading)
    say_what_was_read(task)
    # its data may have moved since: a twin is found by what the run was trained on
    beside = twin or (None if config.twin else find_twin(run, from_dict(state["config"])))
    trained = None if beside is None else load_run(beside, data, changed, reading, weights)
    if trained is not None and not trained[0].twin:
        raise ConfigError(f"{beside} is no deterministic twin; train one with --twin")
    number = config.test_draws if draws is None else draws
    kept: list[OriginScores] = []
    result: dict[str, Any] = {
        "weights": {"which": state["weights"], "step": state["step"]},
        "model": network_scores(network, task, split, number, config.seed, by_origin=kept.append)[0],
        "twin": None,
        "differences": None,
    }
    if beside is not None and trained is not None:
        twin_config, twin_task, twin_network = trained
        result["twin"] = network_scores(
            twin_network, twin_task, split, 1, twin_config.seed, by_origin=kept.append
        )[0]
        if len(kept) > 1:
            own, other = (origin_frame(found, split) for found in kept)
            # what is stored is of the test, with the draws of the configuration
            rows = finished_beside(run) if split == "test" and number == config.test_draws else []
            try:
                result["differences"] = twin_differences(run, beside, own, other, rows)
            except UnpairedError as error:  # scores of both stand beside each other all the same
                logging.getLogger("vdn").warning("no differences from the twin %s: %s", beside, error)
    return result | {"baselines": baselines(task, split)}


def living_share(statistics: dict[str, np.ndarray], latent_dim: int) -> float:
    """Share of a layer's neurons whose regime is living or mixed.

    Parameters
    ----------
    statistics
        Name -> (N,).
    latent_dim
        K, latent dimensions of a neuron.

    Returns
    -------
    float
        In [0, 1].
    """
    return float(classify(pd.DataFrame(statistics), latent_dim=latent_dim).isin(LIVING_REGIMES).mean())
