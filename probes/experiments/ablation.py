"""Ablation: what a network loses when one neuron is silenced, and whether any statistic would have told.

Each neuron in turn stands at its prior's mean ("mean"), or draws from its prior whatever the input
("resampled"); all else,
noise included, stays. The effect is the change of a score, paired over the same windows and draws: above 0
the network needed it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes.experiments.estimates import (
    bootstrap,
    clustered_mean,
    degrees_of_freedom,
    interval,
    rank_share,
    spearman,
    split_half_reliability,
)
from probes.experiments.store import Progress, silent
from probes.experiments.subject import PRIOR, Score, Subject, generator

MODES = ("mean", "resampled")
PREDICTORS = ("kl", "information", "spread", "contraction")
# rows of a matrix product, variations x windows x draws: small enough to stay in the cache
ROWS_AT_ONCE = 1024
WINDOWS_AT_ONCE = 128
Changes = dict[tuple[int, str, str], np.ndarray]


def ablate(
    subject: Subject,
    x: Tensor,
    y: Tensor,
    scores: Mapping[str, Score],
    draws: int = 2,
    seed: int = 0,
    modes: Sequence[str] = MODES,
    groups: np.ndarray | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Effect of silencing every neuron: the change of each score, above 0 where the network needed it.

    Parameters
    ----------
    subject
        The network.
    x, y
        (B, ...) examples and their targets.
    scores
        Name -> function of draws that gives one number an example, lower is better. A score with S draws is
        that of the network as used with S draws.
    draws
        S, draws an example.
    seed
        Of the noise, which stays the same while a neuron is silenced.
    modes
        "mean": the neuron stands at its prior's mean; "resampled": it draws from its prior. The prior is the
        stationary Normal(0, 1).
    groups
        (B,): blocks of windows that are independent of each other, for the standard error.
    workers
        Threads, each with matrix products of its own (two threads on one product wait for each other).
    progress
        Called with (done, total) as it goes on.

    Returns
    -------
    DataFrame
        layer, neuron, mode, score, effect, standard_error, freedom (degrees, of the error), reliability: that
        of the ranks of the layer's effects (`estimates.split_half_reliability`), the same for all its neurons
        and null with fewer than 4 blocks.

    Raises
    ------
    ValueError
        For an unknown mode.
    """
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown:
        raise ValueError(f"a neuron is silenced by {', '.join(MODES)}, not by {unknown[0]!r}")
    starts = range(0, len(x), WINDOWS_AT_ONCE)

    def one(start: int) -> Changes:
        part = slice(start, start + WINDOWS_AT_ONCE)
        return _changes(subject, x[part], y[part], scores, draws, seed + start, modes)

    chunks: list[Changes] = []
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(
        workers, initializer=torch.set_num_threads, initargs=(1 if workers > 1 else threads,)
    ) as pool:
        try:
            for chunk in pool.map(one, starts):
                chunks.append(chunk)
                progress(len(chunks), len(starts))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)
    freedom = degrees_of_freedom(len(x), groups)
    rows = []
    for layer, mode, name in chunks[0]:
        change = np.concatenate([chunk[layer, mode, name] for chunk in chunks])
        effect, error = clustered_mean(change, groups)
        columns = {"effect": effect, "standard_error": error, "freedom": freedom}
        key = {"layer": layer, "neuron": np.arange(len(effect)), "mode": mode, "score": name}
        reliable = split_half_reliability(change, groups)
        rows.append(pd.DataFrame({**key, **columns, "reliability": reliable}))
    return pd.concat(rows, ignore_index=True)


@torch.no_grad()
def _changes(
    subject: Subject,
    x: Tensor,
    y: Tensor,
    scores: Mapping[str, Score],
    draws: int,
    seed: int,
    modes: Sequence[str],
) -> Changes:
    """Change of each score for some windows: (layer, mode, score) -> (B, N)."""
    response = subject.respond(x, draws, seed)
    before = {name: score(*response.forecast, y) for name, score in scores.items()}
    device = response.forecast.mean.device
    noise = generator(seed, PRIOR, device)
    together = max(1, ROWS_AT_ONCE // (len(x) * draws))
    changes: Changes = {}
    for layer, (_, neurons, latent_dim) in enumerate(subject.layers):
        # the same for all neurons
        prior = torch.randn((1, draws, len(x), latent_dim), device=device, generator=noise)
        for mode in modes:
            values = torch.zeros_like(prior) if mode == "mean" else prior
            found: dict[str, list[Tensor]] = {name: [] for name in scores}
            for chosen in torch.arange(neurons, device=device).split(together):
                forecast = subject.replace(response, layer, chosen, values)
                mean = forecast.mean.flatten(1, 2)  # variations as if they were further examples
                scale = None if forecast.scale is None else forecast.scale.flatten(1, 2)
                target = y.expand(len(chosen), *y.shape).flatten(0, 1)
                for name, score in scores.items():
                    found[name].append(score(mean, scale, target).view(len(chosen), -1) - before[name])
            for name, parts in found.items():
                changes[layer, mode, name] = torch.cat(parts).T.double().cpu().numpy()
    return changes


def predictors(
    effects: pd.DataFrame, statistics: pd.DataFrame, names: Sequence[str] = PREDICTORS
) -> pd.DataFrame:
    """Does a statistic rank the neurons as their silencing does?

    Parameters
    ----------
    effects
        As `ablate` returns them.
    statistics
        Columns layer, neuron, regime and any of `names`.
    names
        Statistics to look at.

    Returns
    -------
    DataFrame
        mode, score, layer (-1: all together), predictor, value, low, high, neurons. Spearman's coefficient
        with its 95 % interval for numbers; for `regime` the share of the ranks' variance that it explains
        (epsilon squared) with a bootstrap interval over neurons.

    Notes
    -----
    Noise in the effects pulls every coefficient towards 0: see `reliability`.
    """
    columns = [name for name in names if name in statistics]
    joined = effects.merge(
        statistics[["layer", "neuron", "regime", *columns]], on=["layer", "neuron"], validate="many_to_one"
    )
    rows = []
    for (mode, score), part in joined.groupby(["mode", "score"], sort=False):
        for layer, group in [(-1, part), *part.groupby("layer")]:
            effect = group["effect"].to_numpy()
            for name in columns:
                rows.append((mode, score, layer, name, *spearman(group[name], effect), len(group)))
            rows.append(
                (mode, score, layer, "regime", *_by_regime(group["regime"].to_numpy(), effect), len(group))
            )
    return pd.DataFrame(
        rows, columns=["mode", "score", "layer", "predictor", "value", "low", "high", "neurons"]
    )


def _by_regime(regime: np.ndarray, effect: np.ndarray) -> tuple[float, float, float]:
    value = rank_share(effect, regime)
    if not np.isfinite(value):
        return value, np.nan, np.nan
    return interval(value, bootstrap(lambda index: rank_share(effect[index], regime[index]), len(effect)))


def reliability(effects: pd.DataFrame) -> pd.DataFrame:
    """How well the ranks of a layer's effects repeat.

    Parameters
    ----------
    effects
        As `ablate` returns them.

    Returns
    -------
    DataFrame
        mode, score, layer, reliability: the rank correlation of the effects with those of as many other
        windows. A statistic that ranked the true effects perfectly would reach about its square root.
    """
    return effects.groupby(["mode", "score", "layer"], sort=False)["reliability"].first().reset_index()
