"""A Gaussian whose components depend on each other: its marginals, and what it pays as a whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal, Normal

LOG_2PI_E = 2.8378770664093453


@torch.no_grad()
def full_covariance(posterior: Any, prior: Any = None) -> tuple[Tensor, Tensor, Tensor]:
    """Marginals of a multivariate Gaussian, and its KL as a whole.

    Parameters
    ----------
    posterior
        `MultivariateNormal` or `LowRankMultivariateNormal` over N values, of batch shape (B,) or ().
    prior
        A Gaussian over the same values: Normal (independent components) or multivariate; None: Normal(0, 1).

    Returns
    -------
    mu, sigma : Tensor
        (B, N), of the marginals.
    joint_kl : Tensor
        (B,), nats. What it exceeds the sum of the marginals' KL by is the layer's coupling; where the prior's
        components are independent that is the total correlation, never below 0.

    Raises
    ------
    ValueError
        For what is no Gaussian.

    Notes
    -----
    ½ (Σ ((Σ_ii + (μ_i − m_i)²) / s_i² + ln s_i²) − N − ln det Σ); the determinant is that of the entropy.
    """
    while isinstance(posterior, Independent):
        posterior = posterior.base_dist
    if not isinstance(posterior, MultivariateNormal | LowRankMultivariateNormal):
        raise ValueError(f"a {type(posterior).__name__} has no covariance of all components")
    while isinstance(prior, Independent):
        prior = prior.base_dist
    mu, variance = posterior.loc, posterior.variance
    lead = (1,) * (mu.dim() == 1)
    if isinstance(prior, MultivariateNormal | LowRankMultivariateNormal):
        joint = torch.distributions.kl_divergence(posterior, prior)
    elif prior is None or isinstance(prior, Normal):
        m, s = (0.0, torch.ones((), device=mu.device)) if prior is None else (prior.loc, prior.scale)
        s = s.double()
        ratio = (variance.double() + (mu.double() - m) ** 2) / (s * s)
        log_scale = (2 * s.log()).expand(ratio.shape)
        log_det = 2 * posterior.entropy().double() - mu.shape[-1] * LOG_2PI_E
        joint = 0.5 * ((ratio - 1 + log_scale).sum(-1) - log_det)
    else:
        raise ValueError(f"a prior that is a {type(prior).__name__} is no Gaussian")
    shape = (*lead, *mu.shape)
    return mu.reshape(shape), variance.sqrt().reshape(shape), joint.reshape(shape[:-1]).to(mu.dtype)
