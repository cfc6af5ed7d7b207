"""Traversal: one neuron's value is walked over its prior, all else stays, and the prediction is watched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes.experiments.store import Progress, silent
from probes.experiments.subject import Forecast, Subject
from probes.experiments.uncertainty import variance_of_draws
from probes.neuron_names import neuron_name

REACH, POINTS = 3.0, 25  # prior sds to either side, and values on the way


@torch.no_grad()
def traverse(
    subject: Subject,
    x: Tensor,
    neurons: Sequence[tuple[int, int]],
    draws: int = 16,
    seed: int = 0,
    values: Sequence[float] | None = None,
    progress: Progress = silent,
) -> dict[str, pd.DataFrame]:
    """Predictions with each of some neurons held at values over its prior.

    Parameters
    ----------
    subject
        The network.
    x
        (B, ...) inputs.
    neurons
        (layer, neuron) of each.
    draws
        S, the same draws at every value.
    seed
        Of the noise.
    values
        In prior sds; 25 from -3 to 3 by default. All K latent dimensions of a neuron take the value together.
    progress
        Called with (done, total) as it goes on.

    Returns
    -------
    dict of DataFrame
        "curves": layer, neuron, input, value, output, mean, sd: mean and sd of the mixture over draws; of a
        classifier mean is the class's probability and sd that of the draws. "posteriors": layer, neuron,
        input, mu, sigma: where the input itself puts the neuron, means over draws and dimensions.

    Raises
    ------
    ValueError
        For a neuron that is not there.
    """
    widths = [part.neurons for part in subject.layers]
    for layer, neuron in neurons:
        if not 0 <= layer < len(widths) or not 0 <= neuron < widths[layer]:
            raise ValueError(
                f"there is no neuron {neuron_name(layer, neuron)} (layer:neuron); layers 1 to {len(widths)}"
                f" have {widths} neurons"
            )
    response = subject.respond(x, draws, seed)
    held = (
        torch.linspace(-REACH, REACH, POINTS) if values is None else torch.tensor(values, dtype=torch.float32)
    )
    curves, posteriors = [], []
    for done, (layer, neuron) in enumerate(neurons, 1):
        shape = (len(held), draws, len(x), subject.layers[layer].latent_dim)
        walked = held.to(response.z[layer])[:, None, None, None].expand(shape)
        chosen = torch.full((len(held),), neuron, device=walked.device)
        mean, sd = pooled(subject.replace(response, layer, chosen, walked))  # (M, B, H)
        value, index, output = np.indices(mean.shape)
        key = {"layer": layer, "neuron": neuron}
        columns = {"input": index.ravel(), "value": held.numpy()[value.ravel()], "output": output.ravel()}
        curves.append(pd.DataFrame({**key, **columns, "mean": mean.ravel(), "sd": sd.ravel()}))
        mu, sigma = (
            part[:, neuron].reshape(len(x), -1).mean(1)
            for part in (response.mu[layer], response.sigma[layer])
        )
        own = {"input": np.arange(len(x)), "mu": mu.cpu().numpy(), "sigma": sigma.cpu().numpy()}
        posteriors.append(pd.DataFrame({**key, **own}))
        progress(done, len(neurons))
    return {
        "curves": pd.concat(curves, ignore_index=True),
        "posteriors": pd.concat(posteriors, ignore_index=True),
    }


def pooled(forecast: Forecast) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd over draws of a forecast, its observation's part included; of logits, of probabilities.

    Parameters
    ----------
    forecast
        (S, ..., H).

    Returns
    -------
    tuple of ndarray
        (..., H) each; the sd is NaN for a single draw.
    """
    means = forecast.mean.softmax(-1) if forecast.scale is None else forecast.mean
    variance = variance_of_draws(means)
    if forecast.scale is not None:
        variance = variance + forecast.scale.square().mean(0)
    return means.mean(0).cpu().numpy(), variance.sqrt().cpu().numpy()


def strength(curves: pd.DataFrame) -> pd.DataFrame:
    """How far a neuron moves the prediction.

    Parameters
    ----------
    curves
        The table "curves" of `traverse`.

    Returns
    -------
    DataFrame
        layer, neuron, strength: the mean over inputs and outputs of max - min of `mean`.
    """
    by = curves.groupby(["layer", "neuron", "input", "output"])["mean"]
    return (by.max() - by.min()).groupby(["layer", "neuron"]).mean().rename("strength").reset_index()
