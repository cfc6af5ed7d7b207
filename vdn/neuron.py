"""The variational distributional neuron: a unit that computes with a distribution and passes on a sample of
it.

Every neuron holds, for each of its K latent dimensions, q(z | h) = Normal(mu(h), sigma(h)^2), a prior, and
their exact KL. All is exposed as plain tensors; nothing here knows of logs or dashboards. Source: arXiv
2602.18250.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vdn.priors import Prior, PriorContext, StandardNormalPrior

# numerical limits of sigma, in prior sds; the share of values at them is recorded
SIGMA_MIN, SIGMA_MAX = 1e-4, 10.0
LATENT_DIMS = (1, 2, 4, 8, 16)  # those that are compared; any integer of at least 1 is possible
SigmaMode = Literal["shared", "per_neuron", "input"]
Pooling = Literal["mean", "sum", "sum_sqrt"]


class Posterior(NamedTuple):
    """What a layer of variational neurons computed for one batch.

    Attributes
    ----------
    mu
        (B, N, K).
    sigma, prior_mu, prior_sigma
        Broadcastable to mu.
    z
        (S, B, N, K) draws.
    activation
        (S, B, N) draws pooled.
    kl
        (B, N) nats, summed over K.
    past
        (B, N) nats, the part of kl due to an uncertain past; None where there is no past.
    phi
        (N,), the persistence that the prior expects; None where there is no past.
    log_sigma
        Natural log of sigma, as sigma was computed from it.
    """

    mu: Tensor
    sigma: Tensor
    prior_mu: Tensor
    prior_sigma: Tensor
    z: Tensor
    activation: Tensor
    kl: Tensor
    past: Tensor | None
    phi: Tensor | None
    log_sigma: Tensor


class VariationalNeurons(nn.Module):
    """A layer of N variational neurons with K latent dimensions each.

    Parameters
    ----------
    in_features
        Width F of the input.
    neurons
        How many there are, N.
    latent_dim
        K, at least 1.
    sigma
        "shared" (one number), "per_neuron" (a table (N, K)) or "input" (a linear map of h).
    pool
        How the K draws become the one number that is passed on: "mean", "sum" or "sum_sqrt" (sum / sqrt K).
    prior
        A module of `vdn.priors`, standard normal by default.
    sigma_init
        sigma at the start, in prior sds.

    Raises
    ------
    ValueError
        For a choice that does not exist.

    Notes
    -----
    Trained: `mean.weight` (N K, F) and `mean.bias`, row = neuron K + k; `log_sigma` (natural log). Source:
    arXiv 2602.18250.
    """

    def __init__(
        self,
        in_features: int,
        neurons: int,
        latent_dim: int = 1,
        sigma: SigmaMode = "per_neuron",
        pool: Pooling = "mean",
        prior: Prior | None = None,
        sigma_init: float = 0.5,
    ) -> None:
        super().__init__()
        if neurons < 1 or latent_dim < 1:
            raise ValueError(
                f"a layer has at least one neuron of one latent dimension; neurons is {neurons}, latent_dim"
                f" {latent_dim}"
            )
        if sigma not in ("shared", "per_neuron", "input"):
            raise ValueError(f'sigma must be "shared", "per_neuron" or "input", this is {sigma!r}')
        if not SIGMA_MIN <= sigma_init <= SIGMA_MAX:
            raise ValueError(f"sigma_init must lie in [{SIGMA_MIN}, {SIGMA_MAX}], this is {sigma_init}")
        factors = {"mean": 1 / latent_dim, "sum": 1.0, "sum_sqrt": 1 / math.sqrt(latent_dim)}
        if pool not in factors:
            raise ValueError(f"pool must be one of {tuple(factors)}, this is {pool!r}")
        self.in_features, self.neurons, self.latent_dim = in_features, neurons, latent_dim
        self.sigma_mode, self.pool_factor = sigma, factors[pool]
        self.prior: Prior = StandardNormalPrior() if prior is None else prior
        self.mean = nn.Linear(in_features, neurons * latent_dim)
        start = math.log(sigma_init)
        self.log_sigma: nn.Parameter | nn.Linear
        if sigma == "input":
            self.log_sigma = nn.Linear(in_features, neurons * latent_dim)
            nn.init.zeros_(self.log_sigma.weight)
            nn.init.constant_(self.log_sigma.bias, start)
        else:
            shape = () if sigma == "shared" else (neurons, latent_dim)
            self.log_sigma = nn.Parameter(torch.full(shape, start))

    def parameters_of(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior's parameters for a batch.

        Parameters
        ----------
        h
            (B, F) inputs.

        Returns
        -------
        tuple of Tensor
            mu (B, N, K), and log sigma within its limits, broadcastable to it.
        """
        shape = (h.shape[0], self.neurons, self.latent_dim)
        exact = self.mean.weight.dtype  # under autocast only the products are short: KL and sigma stay exact
        mu = self.mean(h).view(shape).to(exact)
        raw = (
            self.log_sigma(h).view(shape).to(exact)
            if isinstance(self.log_sigma, nn.Linear)
            else self.log_sigma
        )
        return mu, raw.clamp(math.log(SIGMA_MIN), math.log(SIGMA_MAX))

    def pool(self, z: Tensor) -> Tensor:
        """Activations of the neurons. Linear, so it pools means as it pools draws.

        Parameters
        ----------
        z
            (..., N, K) latent values.

        Returns
        -------
        Tensor
            (..., N).
        """
        return z.squeeze(-1) if self.latent_dim == 1 else z.sum(-1) * self.pool_factor

    def pool_sd(self, sigma: Tensor) -> Tensor:
        """Sd of the pooled variable.

        Parameters
        ----------
        sigma
            (..., N, K) sds of its independent dimensions.

        Returns
        -------
        Tensor
            (..., N).
        """
        return sigma.square().sum(-1).sqrt() * self.pool_factor

    def forward(
        self,
        h: Tensor,
        n_samples: int = 1,
        prior_context: PriorContext = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """Posterior, draws and local KL.

        Parameters
        ----------
        h
            (B, F) inputs.
        n_samples
            Draws S a row.
        prior_context
            The past, see `vdn.priors.PriorContext`.
        noise
            (S, B, N, K) standard normal, to use instead of drawing it.
        generator
            Source of the draws, on h's device.

        Returns
        -------
        Posterior
            KL in nats.

        Raises
        ------
        ValueError
            When noise has another shape.
        """
        mu, log_sigma = self.parameters_of(h)
        sigma = log_sigma.exp()
        shape = (n_samples, *mu.shape)
        if noise is None:
            noise = torch.randn(shape, dtype=mu.dtype, device=mu.device, generator=generator)
        elif noise.shape != shape:
            raise ValueError(f"noise must have shape (S, B, N, K) = {shape}, this is {tuple(noise.shape)}")
        z = torch.addcmul(mu, sigma, noise)
        local = self.prior(mu, sigma, log_sigma, prior_context)
        return Posterior(
            mu,
            sigma,
            local.prior_mu,
            local.prior_sigma,
            z,
            self.pool(z),
            local.kl,
            local.past,
            local.phi,
            log_sigma,
        )


class LocalDecoder(nn.Module):
    """Each neuron explains, linearly and from its own z alone, a fixed projection of the layer's input.

    Parameters
    ----------
    layer
        The neurons that explain.
    dimensions
        D, numbers to be explained; at most the layer's input has.

    Notes
    -----
    Targets: T = h P^T with P (D, F) random with orthonormal rows, fixed, h detached. p(T | z_i) = Normal(W_i
    z_i + b_i, s_i^2 I), s_i learned. E_q log p is exact because the mean is linear in z; no draw is needed.
    """

    def __init__(self, layer: VariationalNeurons, dimensions: int = 16) -> None:
        super().__init__()
        self.dimensions = min(dimensions, layer.in_features)
        basis, _ = torch.linalg.qr(torch.randn(layer.in_features, self.dimensions))
        self.projection: Tensor
        self.register_buffer("projection", basis.T.contiguous())
        scale = 1 / math.sqrt(layer.latent_dim * self.dimensions)
        self.weight = nn.Parameter(scale * torch.randn(layer.neurons, layer.latent_dim, self.dimensions))
        self.bias = nn.Parameter(torch.zeros(layer.neurons, self.dimensions))
        self.log_scale = nn.Parameter(torch.zeros(layer.neurons))

    def forward(self, h: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
        """E_q log p(target | z_i).

        Parameters
        ----------
        h
            (B, F) inputs of the layer.
        mu
            (B, N, K) posterior means.
        sigma
            Posterior sds, broadcastable to mu.

        Returns
        -------
        Tensor
            (B, N) nats.
        """
        target = F.linear(h.detach(), self.projection)  # (B, D)
        gram = torch.einsum("nkd,njd->nkj", self.weight, self.weight)
        # E |T - W z - b|^2 without a (B, N, D) array: every term is a product of small matrices.
        cross = torch.einsum("bd,nkd->bnk", target, self.weight) - torch.einsum(
            "nd,nkd->nk", self.bias, self.weight
        )
        own = torch.einsum("bnk,nkj->bnj", mu, gram) - 2 * cross
        width = (sigma * sigma * torch.diagonal(gram, dim1=-2, dim2=-1)).sum(-1)
        fixed = (
            target.square().sum(-1, keepdim=True)
            - 2 * F.linear(target, self.bias)
            + self.bias.square().sum(-1)
        )
        error = (own * mu).sum(-1) + width + fixed
        precision = torch.exp(-2 * self.log_scale)
        return -0.5 * error * precision - self.dimensions * (self.log_scale + 0.5 * math.log(2 * math.pi))
