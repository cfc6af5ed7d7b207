"""Ablation: what a network loses when one neuron is silenced, and whether any statistic would have told.

Each neuron in turn stands at its prior's mean ("mean"), or draws from its prior whatever the input ("resampled"); all else,
noise included, stays. The effect is the change of a score, paired over the same windows and draws: above 0 the network needed it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes.experiments.estimates import bootstrap, clustered_mean, interval, rank_share, spearman
from probes.experiments.store import Progress, silent
from probes.experiments.subject import Score, Subject

MODES = ("mean", "resampled")
PREDICTORS = ("kl", "information", "spread", "contraction")
ROWS_AT_ONCE = 4096  # rows of a matrix product, variations x windows x draws: its temporaries of 256 columns stay in the cache


@torch.no_grad()
def ablate(
    subject: Subject,
    x: Tensor,
    y: Tensor,
    scores: Mapping[str, Score],
    draws: int = 2,
    seed: int = 0,
    modes: Sequence[str] = MODES,
    groups: np.ndarray | None = None,
    windows_at_once: int = 128,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Effect of silencing every neuron: rows (layer, neuron, mode, score) with effect and standard_error.

    x (B, ...), y (B, ...): examples; scores: name -> function of draws that gives one number an example, lower is better;
    groups (B,): blocks of windows that are independent of each other, for the standard error. A score with S draws is that of
    the network as used with S draws. Neurons are silenced under the stationary prior Normal(0, 1).
    """
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown:
        raise ValueError(f"a neuron is silenced by {', '.join(MODES)}, not by {unknown[0]!r}")
    differences: dict[tuple[int, str, str], list[np.ndarray]] = {}
    work = sum(layer.neurons for layer in subject.layers) * len(modes) * len(x)
    done = 0
    for start in range(0, len(x), windows_at_once):
        here, target = x[start : start + windows_at_once], y[start : start + windows_at_once]
        response = subject.respond(here, draws, seed + start)
        before = {name: score(*response.forecast, target) for name, score in scores.items()}
        generator = torch.Generator(response.forecast.mean.device).manual_seed(seed + start)
        together = max(1, ROWS_AT_ONCE // (len(here) * draws))
        for layer, (_, neurons, latent_dim) in enumerate(subject.layers):
            shape = (1, draws, len(here), latent_dim)
            prior = torch.randn(shape, device=response.forecast.mean.device, generator=generator)
            for mode in modes:
                values = torch.zeros_like(prior) if mode == "mean" else prior
                found: dict[str, list[Tensor]] = {name: [] for name in scores}
                for chosen in torch.arange(neurons).split(together):
                    after = subject.replace(response, layer, chosen, values)
                    repeated = target.expand(len(chosen), *target.shape).flatten(0, 1)
                    rows = [None if part is None else part.flatten(1, 2) for part in after]
                    for name, score in scores.items():
                        change = score(rows[0], rows[1], repeated).view(len(chosen), -1) - before[name]  # type: ignore[arg-type]
                        found[name].append(change)
                    done += len(chosen) * len(here)
                    progress(done, work)
                for name, parts in found.items():
                    differences.setdefault((layer, mode, name), []).append(torch.cat(parts).T.double().cpu().numpy())
    rows_out = []
    for (layer, mode, name), chunks in differences.items():
        effect, error = clustered_mean(np.concatenate(chunks), groups)
        frame = pd.DataFrame({"neuron": np.arange(len(effect)), "effect": effect, "standard_error": error})
        rows_out.append(frame.assign(layer=layer, mode=mode, score=name))
    return pd.concat(rows_out, ignore_index=True)[["layer", "neuron", "mode", "score", "effect", "standard_error"]]


def predictors(effects: pd.DataFrame, statistics: pd.DataFrame, names: Sequence[str] = PREDICTORS) -> pd.DataFrame:
    """Does a statistic rank the neurons as their silencing does? Rows (mode, score, layer, predictor): value, low, high, neurons.

    statistics: columns layer, neuron, regime and any of `names`. Spearman's coefficient with its 95 % interval for numbers; for
    `regime` the share of the ranks' variance that it explains (epsilon squared) with a bootstrap interval over neurons. layer -1
    stands for all layers together. Noise in the effects pulls every coefficient towards 0: see `reliability`.
    """
    columns = [name for name in names if name in statistics]
    joined = effects.merge(statistics[["layer", "neuron", "regime", *columns]], on=["layer", "neuron"], validate="many_to_one")
    rows = []
    for (mode, score), part in joined.groupby(["mode", "score"], sort=False):
        for layer, group in [(-1, part), *part.groupby("layer")]:
            effect = group["effect"].to_numpy()
            for name in columns:
                rows.append((mode, score, layer, name, *spearman(group[name], effect), len(group)))
            rows.append((mode, score, layer, "regime", *_by_regime(group["regime"].to_numpy(), effect), len(group)))
    return pd.DataFrame(rows, columns=["mode", "score", "layer", "predictor", "value", "low", "high", "neurons"])


def _by_regime(regime: np.ndarray, effect: np.ndarray) -> tuple[float, float, float]:
    value = rank_share(effect, regime)
    if not np.isfinite(value):
        return value, np.nan, np.nan
    return interval(value, bootstrap(lambda index: rank_share(effect[index], regime[index]), len(effect)))


def reliability(effects: pd.DataFrame) -> pd.DataFrame:
    """Share of the effects' variance over neurons that is not their standard error: rows (mode, score, layer), reliability.

    1 - mean error^2 / variance, at least 0. A statistic that ranked the true effects perfectly would reach about its square root.
    """
    rows = []
    for key, part in effects.groupby(["mode", "score", "layer"], sort=False):
        variance = part["effect"].var()
        share = 1 - (part["standard_error"] ** 2).mean() / variance if variance > 0 else np.nan
        rows.append((*key, max(share, 0.0) if np.isfinite(share) else share))
    return pd.DataFrame(rows, columns=["mode", "score", "layer", "reliability"])
