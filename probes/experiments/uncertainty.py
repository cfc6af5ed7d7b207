"""How uncertain a network is about each input, by several statistics of its response; none of them is given a
deeper name.

By the law of total variance a mixture's variance is latent + output: that of the draws' means, and the mean
of their own.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from probes.experiments.subject import Forecast, Response

INTERNAL_KL, LATENT, OUTPUT, TOTAL = "internal KL", "latent variance", "output variance", "total variance"
REFERENCE = OUTPUT
"""What every network with a predictive distribution has: the others are measured against it."""
NAMES = (INTERNAL_KL, LATENT, OUTPUT, TOTAL)


def internal_kl(response: Response) -> np.ndarray:
    """KL of all neurons of all layers, summed, mean over draws.

    Parameters
    ----------
    response
        Of the network.

    Returns
    -------
    ndarray
        (B,) nats.
    """
    inputs = response.forecast.mean.shape[1]
    parts = [kl.reshape(inputs, -1, kl.shape[-1]).mean(1).sum(-1) for kl in response.kl]
    return np.sum([_plain(part) for part in parts], 0)


def variances(forecast: Forecast) -> tuple[np.ndarray, np.ndarray]:
    """Latent and output variance of each input.

    Parameters
    ----------
    forecast
        (S, B, H).

    Returns
    -------
    tuple of ndarray
        (B,) each: means over H of numbers, sums over classes of probabilities. Latent is unbiased, and NaN
        for a single draw.

    Notes
    -----
    Without a scale the forecast is logits: latent is then the variance of the classes' probabilities over
    draws, output the mean over draws of sum_c p_c (1 - p_c).
    """
    if forecast.scale is None:
        share = forecast.mean.softmax(-1)
        latent, output = variance_of_draws(share).sum(-1), (share * (1 - share)).sum(-1).mean(0)
    else:
        latent, output = variance_of_draws(forecast.mean).mean(-1), forecast.scale.square().mean((0, 2))
    return _plain(latent), _plain(output)


def variance_of_draws(values: Tensor) -> Tensor:
    """Unbiased variance over the first axis.

    Parameters
    ----------
    values
        (S, ...).

    Returns
    -------
    Tensor
        (...); NaN for S of 1.
    """
    return values.var(0) if len(values) > 1 else torch.full_like(values[0], torch.nan)


def of_inputs(response: Response) -> dict[str, np.ndarray]:
    """Every statistic of uncertainty (`NAMES`).

    Parameters
    ----------
    response
        Of the network.

    Returns
    -------
    dict
        Name -> (B,).
    """
    latent, output = variances(response.forecast)
    return {INTERNAL_KL: internal_kl(response), LATENT: latent, OUTPUT: output, TOTAL: latent + output}


def _plain(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()
