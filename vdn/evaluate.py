"""Scores of a trained network on a split, and of a finished run beside its twin and naive forecasts."""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from probes import catalog
from probes.analysis.paired_scores import UnpairedError
from probes.analysis.run_groups import twin_of
from vdn import ranks
from vdn.answers import Answers, Counted, OriginScores, averages, calibration_scores, number_scores
from vdn.baselines import baselines
from vdn.config import Config, ConfigError, from_dict
from vdn.data import Batch, ForecastTask, RowTask, Split, Task, index_batches, say_what_was_read
from vdn.differences import origin_frame, twin_differences
from vdn.network import Output, VariationalNetwork
from vdn.objective import class_nll
from vdn.pools import living_share, pooled_statistics
from vdn.scores import brier
from vdn.selection import Weights
from vdn.sequence_data import SequenceTask
from vdn.sequence_scores import sequence_scores
from vdn.trainer import Network, load_checkpoint, load_network, load_run


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
    for index in index_batches(task, split, draws, limit):
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
