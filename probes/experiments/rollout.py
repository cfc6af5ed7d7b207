"""Rollout: the network continues a series on its own; each sampled prediction becomes input of the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes.experiments.estimates import quantiles_of_few
from probes.experiments.store import Progress, silent
from probes.experiments.subject import VALUES, Subject, generator
from probes.experiments.uncertainty import internal_kl, variance_of_draws
from probes.moments import Moments
from probes.recorder import Recorder

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def _gaussian(like: Tensor, source: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=source, device=like.device, dtype=like.dtype)


@torch.no_grad()
def rollout(
    subject: Subject,
    x: Tensor,
    length: int,
    trajectories: int = 32,
    feed: int = 1,
    seed: int = 0,
    truth: Tensor | None = None,
    progress: Progress = silent,
    noise: Callable[[Tensor, torch.Generator], Tensor] | None = None,
) -> dict[str, pd.DataFrame]:
    """Let the network continue windows on its own, each sampled prediction fed back.

    Parameters
    ----------
    subject
        The network.
    x
        (C, W) windows.
    length
        Positions to continue.
    trajectories
        Continuations of each window.
    feed
        Values that are drawn and fed at once.
    seed
        Of the noise.
    truth
        (C, length): what really came.
    progress
        Called with (done, total) as it goes on.
    noise
        (like, generator) -> draws of the observation's law with mean 0 and sd 1, of the shape of `like`;
        Gaussian by default.

    Returns
    -------
    dict of DataFrame
        "forecasts": start, t, mean, sd, q05 .. q95 over trajectories (null where they are too few, and the sd
        of one), each t for itself, and with truth y, crps (of the sample, fair: Ferro 2014); "uncertainty":
        start, t, internal_kl (nats), latent (unbiased variance of the predicted mean over trajectories: draws
        and diverging histories), output (observation variance), means over the values fed, at the positions
        where the network was asked; "neurons": t, layer, neuron, statistics over all windows and
        trajectories, at the same positions. t counts positions from 1.

    Raises
    ------
    ValueError
        For a forecast without a scale, or a `feed` beyond the horizon.

    Notes
    -----
    Every `feed` positions each trajectory draws its neurons and then its next `feed` values from the
    predictive distribution of that draw; they are appended and the oldest values fall out.
    """
    starts = len(x)
    windows = x.repeat_interleave(trajectories, 0)
    source = generator(seed, VALUES, x.device)
    samples: list[Tensor] = []
    neurons, uncertainty = [], []
    asked = range(0, length, feed)
    for number, before in enumerate(asked):
        response = subject.respond(windows, 1, seed + number)
        mean, scale = response.forecast.mean[0], response.forecast.scale
        if scale is None:
            raise ValueError("a rollout feeds predictions back: it needs forecasts of numbers, with a scale")
        if not 1 <= feed <= mean.shape[1]:
            raise ValueError(
                f"feed is {feed}; between 1 and the horizon of {mean.shape[1]} values can be fed back"
            )
        drawn = mean[:, :feed] + scale[0, :, :feed] * (noise or _gaussian)(mean[:, :feed], source)
        samples.append(drawn)
        windows = torch.cat([windows[:, feed:], drawn], 1)
        neurons += _statistics(response.mu, response.sigma, response.kl, before + 1)
        kl = internal_kl(response).reshape(starts, -1).mean(1)
        by_trajectory = mean[:, :feed].unflatten(0, (starts, -1)).transpose(0, 1)
        latent = variance_of_draws(by_trajectory).mean(-1).cpu().numpy()
        output = scale[0, :, :feed].square().unflatten(0, (starts, -1)).mean((1, 2)).cpu().numpy()
        columns = {
            "start": np.arange(starts),
            "t": before + 1,
            "internal_kl": kl,
            "latent": latent,
            "output": output,
        }
        uncertainty.append(pd.DataFrame(columns))
        progress(number + 1, len(asked))
    values = torch.cat(samples, 1)[:, :length].view(starts, trajectories, length).double().cpu().numpy()
    return {
        "forecasts": _forecasts(values, None if truth is None else truth.double().cpu().numpy()),
        "uncertainty": pd.concat(uncertainty, ignore_index=True),
        "neurons": pd.concat(neurons, ignore_index=True),
    }


def _statistics(mu: list[Tensor], sigma: list[Tensor], kl: list[Tensor], t: int) -> list[pd.DataFrame]:
    frames = []
    for layer, parts in enumerate(zip(mu, sigma, kl, strict=True)):
        result = Moments().update(parts[0], parts[1], kl=parts[2]).result()
        statistics = {name: value.cpu().numpy() for name, value in result.items()}
        frames.append(
            pd.DataFrame({"t": t, "layer": layer, "neuron": np.arange(len(statistics["kl"])), **statistics})
        )
    return frames


def _forecasts(values: np.ndarray, truth: np.ndarray | None) -> pd.DataFrame:
    """Summaries over trajectories of values (C, R, T), and the sample's CRPS against truth (C, T)."""
    starts, _, length = values.shape
    start, t = np.indices((starts, length))
    columns = {
        "start": start.ravel(),
        "t": t.ravel() + 1,
        "mean": values.mean(1).ravel(),
        "sd": (values.std(1, ddof=1) if values.shape[1] > 1 else np.full(start.shape, np.nan)).ravel(),
    }
    for level, quantile in zip(QUANTILES, quantiles_of_few(values, QUANTILES, axis=1), strict=True):
        columns[f"q{round(100 * level):02d}"] = quantile.ravel()
    if truth is not None:
        columns |= {"y": truth.ravel(), "crps": sample_crps(values, truth).ravel()}
    return pd.DataFrame(columns)


def sample_crps(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """CRPS of samples: mean |X - y| - 1/2 mean |X - X'| over pairs of different draws.

    Parameters
    ----------
    values
        (C, R, T) samples.
    truth
        (C, T).

    Returns
    -------
    ndarray
        (C, T), in the values' unit.

    Notes
    -----
    Unbiased for the distribution that the draws are from, whatever R > 1 (Ferro 2014).
    """
    count = values.shape[1]
    ordered = np.sort(values, axis=1)
    weight = 2 * np.arange(1, count + 1) - count - 1  # sum_{i<j} (x_j - x_i) over sorted values
    spread = (
        (weight[:, None] * ordered).sum(1) * 2 / (count * (count - 1)) if count > 1 else np.zeros(truth.shape)
    )
    return np.abs(values - truth[:, None]).mean(1) - 0.5 * spread


def write_replay(folder: Path, neurons: pd.DataFrame, layers: list[dict[str, object]]) -> None:
    """The rollout's neurons as a run of its own, with t in place of the step: Replay opens it like any other.

    Parameters
    ----------
    folder
        Of the run.
    neurons
        The table "neurons" of `rollout`.
    layers
        As for `Recorder`.
    """
    with Recorder(folder, layers, config={"axis": "t"}, precision="10bit") as recorder:
        for t, frame in neurons.groupby("t", sort=True):
            for layer, part in frame.groupby("layer", sort=True):
                ordered = part.sort_values("neuron").drop(columns=["t", "layer", "neuron"])
                recorder.record(
                    int(str(t)), int(str(layer)), **{str(name): ordered[name].to_numpy() for name in ordered}
                )
