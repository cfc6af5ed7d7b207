"""Priors of a neuron's latent variable and the local KL against them, in closed form and in nats.

Both priors have the stationary marginal Normal(0, 1). The autoregressive one expects each neuron to carry a
share phi of its previous value along the data; its local KL is an expectation over the predecessor's
posterior.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

PriorContext = tuple[Tensor, Tensor] | Literal["pairs"] | None
"""What is known of the past: nothing; the predecessors' (mu', sigma'), each broadcastable to (B, N, K); or
"pairs": the second half of the batch holds the predecessors of the first half, row by row."""

# |phi| = 1 is a random walk without a stationary law; its innovation variance is 0 and the KL infinite
PHI_LIMIT = 0.999


class LocalKL(NamedTuple):
    """KL of a layer's posteriors against their prior, with the prior itself.

    Attributes
    ----------
    kl
        (B, N) nats, summed over latent dimensions.
    prior_mu, prior_sigma
        Broadcastable to (B, N, K).
    past
        (B, N) nats, the part that the uncertainty of the predecessor costs; None where there is no past.
    phi
        (N,) persistence that the prior expects; None where there is no past.
    """

    kl: Tensor
    prior_mu: Tensor
    prior_sigma: Tensor
    past: Tensor | None = None
    phi: Tensor | None = None


def gaussian_kl(mu: Tensor, sigma: Tensor, prior_mu: Tensor, prior_sigma: Tensor) -> Tensor:
    """KL(Normal(mu, sigma^2) || Normal(prior_mu, prior_sigma^2)) in nats, element by element.

    Parameters
    ----------
    mu, sigma
        Posterior.
    prior_mu, prior_sigma
        Prior, broadcastable to it.

    Returns
    -------
    Tensor
        Of the common shape.

    Notes
    -----
    1/2 (r^2 + v - ln v - 1) with r = (mu - m)/s and v = sigma^2/s^2 (Kingma & Welling 2014, appendix B, for m
    = 0, s = 1).
    """
    ratio = sigma / prior_sigma
    r = (mu - prior_mu) / prior_sigma
    return 0.5 * (r * r + ratio * ratio - 1) - torch.log(ratio)


def kl_floor(phi: Tensor) -> Tensor:
    """Least KL per latent dimension under a persistent prior, both posteriors following one law.

    Parameters
    ----------
    phi
        Persistence that the prior expects, any shape.

    Returns
    -------
    Tensor
        1/2 ln(1 + phi^2), nats.
    """
    return 0.5 * torch.log1p(phi * phi)


class StandardNormalPrior(nn.Module):
    """Normal(0, 1) for every latent dimension, whatever the past."""

    def forward(self, mu: Tensor, sigma: Tensor, log_sigma: Tensor, context: PriorContext = None) -> LocalKL:
        """KL of Normal(mu, sigma^2) against Normal(0, 1).

        Parameters
        ----------
        mu
            (B, N, K).
        sigma, log_sigma
            Sd and its natural log, broadcastable to mu.
        context
            Ignored.

        Returns
        -------
        LocalKL
            Without past and phi.
        """
        # All that depends on sigma alone is one small table when sigma does not depend on the input: mu is
        # touched once.
        of_sigma = 0.5 * (sigma * sigma - 1) - log_sigma
        kl = torch.addcmul(of_sigma, mu, mu, value=0.5).sum(-1)
        return LocalKL(kl, mu.new_zeros(()), mu.new_ones(()))


class AutoregressivePrior(nn.Module):
    """p(z | past) = Normal(phi_i z', 1 - phi_i^2) for neuron i, with z' from the predecessor's posterior.

    Parameters
    ----------
    neurons
        How many there are, N.
    phi
        Start value in (-1, 1), a number or a table (N,).
    learned
        Train it (through atanh).

    Raises
    ------
    ValueError
        For a phi outside (-1, 1).

    Notes
    -----
    The local KL is the expectation over q(z') = Normal(mu', sigma'^2): 1/2 [ (sigma^2 + (mu - phi mu')^2 +
    phi^2 sigma'^2)/s^2 - 1 - ln(sigma^2/s^2) ], s^2 = 1 - phi^2. Rows without a past (the predecessors
    themselves) are under the stationary Normal(0, 1).
    """

    def __init__(self, neurons: int, phi: float | Tensor = 0.6, learned: bool = False) -> None:
        super().__init__()
        table = torch.as_tensor(phi, dtype=torch.get_default_dtype()).expand(neurons).clone()
        if not bool((table.abs() < 1).all()):
            raise ValueError(f"phi must lie in (-1, 1), this is {phi}")
        self.stationary = StandardNormalPrior()
        self.raw_phi = nn.Parameter(torch.atanh(table.clamp(-PHI_LIMIT, PHI_LIMIT)), requires_grad=learned)

    @property
    def phi(self) -> Tensor:
        """(N,) persistence that the prior expects of each neuron."""
        return torch.tanh(self.raw_phi).clamp(-PHI_LIMIT, PHI_LIMIT)

    def forward(self, mu: Tensor, sigma: Tensor, log_sigma: Tensor, context: PriorContext = None) -> LocalKL:
        """Expected KL of Normal(mu, sigma^2) given the past.

        Parameters
        ----------
        mu
            (B, N, K).
        sigma, log_sigma
            Sd and its natural log, broadcastable to mu.
        context
            The past, see `PriorContext`; None: the stationary Normal(0, 1).

        Returns
        -------
        LocalKL
            With past and phi where there is a past.

        Raises
        ------
        ValueError
            When `context` is "pairs" and B is odd.
        """
        if context is None:
            return self.stationary(mu, sigma, log_sigma)
        phi = self.phi[:, None]
        innovation = 1 - phi * phi  # (N, 1) variance of the prior given the past
        if context == "pairs":
            half, odd = divmod(mu.shape[0], 2)
            if odd:
                raise ValueError(
                    f"a batch of pairs holds origins and their predecessors; {mu.shape[0]} rows cannot be"
                    " halved"
                )
            before_mu, before_sigma = mu[half:], sigma.expand_as(mu)[half:]
            prior_mu = torch.cat([phi * before_mu, torch.zeros_like(before_mu)])
            prior_variance = torch.cat(
                [innovation.expand(half, -1, -1), torch.ones_like(innovation).expand(half, -1, -1)]
            )
            past = phi**2 * before_sigma**2 / (2 * innovation)
            past = torch.cat([past, torch.zeros_like(past)])
        else:
            before_mu, before_sigma = context
            prior_mu, prior_variance = phi * before_mu, innovation
            past = (phi**2 * before_sigma**2 / (2 * innovation)).expand_as(mu)
        residual = mu - prior_mu
        kl = (
            0.5 * ((residual * residual + sigma * sigma) / prior_variance - 1 + torch.log(prior_variance))
            - log_sigma
            + past
        )
        return LocalKL(kl.sum(-1), prior_mu, prior_variance.sqrt(), past.sum(-1), phi[:, 0])


Prior = StandardNormalPrior | AutoregressivePrior


def ar_penalty(current: Tensor, previous: Tensor, phi: float = 0.95, ar_sigma: float = 0.1) -> Tensor:
    """The published penalty on the means' change: mean of (cur - phi prev)^2 / (2 ar_sigma^2); not a KL.

    Parameters
    ----------
    current, previous
        Posterior means, any equal shapes.
    phi
        Persistence that is asked for.
    ar_sigma
        Width of the penalty, in prior sds.

    Returns
    -------
    Tensor
        A scalar.

    Notes
    -----
    arXiv 2602.18250.
    """
    return (current - phi * previous).square().mean() / (2 * ar_sigma**2)


def ar_sigma_from_band(
    low: Tensor, high: Tensor, ar_k: float = 0.8, floor: float = 0.03, ceil: float = 1.0
) -> float:
    """Width of the published penalty, tied to the band of E[mu^2].

    Parameters
    ----------
    low, high
        (N,) ends of the band.
    ar_k
        Factor on the root of the bands' mean geometric centre.
    floor, ceil
        Limits of the width.

    Returns
    -------
    float
        clip(ar_k sqrt(mean_i sqrt(lo_i hi_i)), floor, ceil).
    """
    centre = torch.sqrt(torch.as_tensor(low) * torch.as_tensor(high)).mean().item()
    return min(max(ar_k * math.sqrt(centre), floor), ceil)
