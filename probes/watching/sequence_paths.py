"""What the log keeps of a watched layer's posteriors along a sequence: moments or parameters, and the KL."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probes.family_moments import FamilyMoments, derive_family
from probes.watching.family_pools import shown_parameters
from probes.watching.family_readings import FamilyObserved
from probes.watching.layouts import Observed

MOST_PARAMETERS = 2**20
"""Numbers of a layer's posteriors at all positions, where they are no Gaussians: 4 MB a look."""


def family_path_of(observed: FamilyObserved, prior_known: bool) -> dict[str, NDArray[np.float32]]:
    """What `Recorder.sequence_parameters` stores of a layer's posteriors at T positions.

    Parameters
    ----------
    observed
        Of T rows and N neurons.
    prior_known
        Whether a prior is known: else KL is null.

    Returns
    -------
    dict
        kl (T, N) in nats, and each parameter of the family, (T, N) or (T, N, C).

    Raises
    ------
    ValueError
        For more than MOST_PARAMETERS numbers.
    """
    values = dict(observed.parameters)
    if observed.family == "samples":
        kl = _kl_of_samples(observed)
        values = {"sample": values["sample"].permute(1, 2, 0)}
    else:
        kl = _kl_of(observed)
    if not prior_known:
        kl = torch.full(kl.shape, torch.nan)
    shown = shown_parameters(observed.family, values)
    numbers = sum(value.numel() for value in shown.values())
    if numbers > MOST_PARAMETERS:
        raise ValueError(
            f"{observed.rows:,} positions of {observed.neurons[0]:,} neurons take {numbers:,} numbers,"
            f" {MOST_PARAMETERS:,} at most are stored: hand over a shorter sequence"
        )
    return {name: value.detach().float().cpu().numpy() for name, value in (shown | {"kl": kl}).items()}


def code_path_of(observed: FamilyObserved) -> dict[str, NDArray[np.float32]]:
    """What `Recorder.sequence` stores of the picks of a code book at T positions.

    Parameters
    ----------
    observed
        T picks; what is outside of the code book is none.

    Returns
    -------
    dict
        m, V, mu, sigma, kl, (T, codes) each: m = mu is 1 of the code that was picked and 0 of others, V and
        sigma are 0, since a pick has no distribution, and KL is NaN.

    Raises
    ------
    ValueError
        For more than MOST_PARAMETERS numbers.
    """
    index, size = observed.parameters["index"].long(), observed.neurons[0]
    if len(index) * size > MOST_PARAMETERS:
        raise ValueError(
            f"{len(index):,} positions of {size:,} codes take {len(index) * size:,} numbers,"
            f" {MOST_PARAMETERS:,} at most are stored: hand over a shorter sequence"
        )
    picked = (index[:, None] == torch.arange(size, device=index.device)).cpu().numpy().astype(np.float32)
    nothing = np.zeros_like(picked)
    return {"m": picked, "V": nothing, "mu": picked, "sigma": nothing, "kl": np.full_like(picked, np.nan)}


def _kl_of(observed: FamilyObserved) -> Tensor:
    """(T, N) nats: each position's of each neuron, NaN where none is known. Positions stand as neurons, so
    that it is the family's own closed form, or what came with the batch.
    """
    rows, neurons = observed.rows, observed.neurons[0]

    def apart(value: Tensor, behind: int) -> Tensor:
        trailing = value.shape[value.dim() - behind :]
        return value.expand(rows, neurons, *trailing).reshape(1, rows * neurons, *trailing)

    axes = {name: value.dim() - 2 for name, value in observed.parameters.items()}
    moments = FamilyMoments(observed.family, prior_by_row=True).update(
        {name: apart(value, axes[name]) for name, value in observed.parameters.items()},
        None
        if observed.prior is None
        else {name: apart(value, value.dim() - 2) for name, value in observed.prior.items()},
        kl=None if observed.kl is None else apart(observed.kl, 0),
    )
    found = derive_family(observed.family, moments.sufficient_statistics()).get("kl")
    return torch.full((rows, neurons), torch.nan) if found is None else found.reshape(rows, neurons)


def _kl_of_samples(observed: FamilyObserved) -> Tensor:
    """(T, N) nats, the mean over draws; NaN where log densities are absent or of all neurons together."""
    log_q, log_prior = (observed.parameters.get(name) for name in ("log_q", "log_prior"))
    shape = observed.parameters["sample"].shape
    if log_q is None or log_prior is None or log_q.shape != shape or log_prior.shape != shape:
        return torch.full(shape[1:], torch.nan)
    return (log_q - log_prior).mean(0)


def path_of(observed: Observed, prior_known: bool) -> dict[str, NDArray[np.float32]]:
    """What `Recorder.sequence` stores of a layer's posteriors at T positions.

    Parameters
    ----------
    observed
        mu (T, N, K), its sigma and, where the network has one of its own, the prior's.
    prior_known
        Whether a prior is known: else KL is null.

    Returns
    -------
    dict
        m, V, mu, sigma, kl, (T, N) each: no belief beyond the posterior is known, so that m = mu and V =
        sigma^2. Means over the K latent dimensions; KL (nats) is their sum.
    """
    mu, sigma = observed.mu.float(), observed.sd.expand(observed.mu.shape).float()
    kl = torch.full(mu.shape[:2], torch.nan)
    if prior_known:
        centre = torch.zeros_like(mu) if observed.prior_mu is None else observed.prior_mu
        width = torch.ones_like(mu) if observed.prior_sigma is None else observed.prior_sigma
        ratio = (sigma / width).square()
        kl = (0.5 * (ratio + ((mu - centre) / width).square() - 1 - ratio.log())).sum(-1)
    m, v, s = (part.mean(-1) for part in (mu, sigma.square(), sigma))
    columns = {"m": m, "V": v, "mu": m, "sigma": s, "kl": kl}
    return {name: part.cpu().numpy().astype(np.float32) for name, part in columns.items()}
