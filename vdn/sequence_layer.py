"""A layer of neurons along a sequence: what passes from position t to t + 1 is a draw of every neuron, under
an autoregressive prior.

u_t the layer's input (B S, T, F), s_i = sqrt(1 - phi_i^2), for neuron i (and latent dimension k):

    g = sigmoid(Wg u + bg)      c = 2 tanh(Wc u + bc)      sigma = s_i exp(clip(Ws u + bs, -5, 0))
    q(z_t | z_{t-1}, x_<=t) = Normal((1 - g) z_{t-1} + g c, sigma^2)
    p(z_t | z_{t-1}) = Normal(phi_i z_{t-1}, s_i^2),  z_0 ~ Normal(0, 1)

Draws keep their identity along t. Given a layer's input path its belief is exact: m_t = (1 - g) m_{t-1} + g
c, V_t = (1 - g)^2 V_{t-1} + sigma^2, (m, V)_0 = (0, 1). Rows are b S + s, as in `vdn.network`; computed is
time first, shown are (S, B, T, N, K). docs/sequence.md has the idea.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vdn.network import draws_of, rows_of
from vdn.scan import Path, at_once, before, gated_scan, scan

PHI_LOW, PHI_HIGH = 0.01, 0.999  # limits of phi, learned ones too
HALF_LIVES = (0.5, 70.0)  # positions: ends of the row that phi is spread over


class LayerState(NamedTuple):
    """What one layer carries from a position to the next.

    Attributes
    ----------
    z
        (B S, N, K) draws.
    mean, variance
        (B S, N, K) belief m, V.
    """

    z: Tensor
    mean: Tensor
    variance: Tensor


State = list[LayerState]
"""One a layer."""


def spread_phi(neurons: int) -> Tensor:
    """Persistences of half-lives in a geometric row over `HALF_LIVES`.

    Parameters
    ----------
    neurons
        N.

    Returns
    -------
    Tensor
        (N,), increasing.
    """
    low, high = (math.log(life) for life in HALF_LIVES)
    return 0.5 ** torch.exp(-torch.linspace(low, high, neurons))


@dataclass(eq=False)
class SequencePosterior:
    """What a layer of `SequenceNeurons` computed for a batch of sequences.

    Attributes
    ----------
    path
        Draws, gates and widths, (T, B S, N K), as they were computed.
    start
        Draws and belief before the first position.
    phi
        (N,).
    kl
        (B S, T, N) nats, summed over K: given each draw's own past, as it is trained on; empty of a twin.
    n_samples
        S.
    """

    path: Path
    start: LayerState
    phi: Tensor
    kl: Tensor
    n_samples: int

    def _rows(self, values: Tensor) -> Tensor:
        """(T, B S, N K) as (B S, T, N, K)."""
        return values.unflatten(2, self.start.z.shape[1:]).transpose(0, 1)

    def _draws(self, values: Tensor) -> Tensor:
        """(T, B S, N K) as (S, B, T, N, K)."""
        return draws_of(self._rows(values), self.n_samples)

    @property
    def z(self) -> Tensor:
        """(S, B, T, N, K) draws."""
        return self._draws(self.path.z)

    @property
    def previous_z(self) -> Tensor:
        """(S, B, T, N, K), z_{t-1}."""
        return self._draws(before(self.path.z, self.start.z.flatten(1)))

    @property
    def gate(self) -> Tensor:
        """(S, B, T, N, K), g, without a gradient."""
        return self._draws(self.path.gate)

    @property
    def mu(self) -> Tensor:
        """(S, B, T, N, K) mean of z_t given z_{t-1}, without a gradient."""
        past = before(self.path.z.detach(), self.start.z.flatten(1))
        return self._draws(past + self.path.gate * (self.path.target - past))

    @property
    def sigma(self) -> Tensor:
        """(S, B, T, N, K) sd of z_t given z_{t-1}, without a gradient; 0 of a twin."""
        return self._draws(self._sigma)

    @cached_property
    def _sigma(self) -> Tensor:
        if not self.path.width.numel():
            return torch.zeros_like(self.path.gate)
        wide = innovation(self.phi.detach()).sqrt().expand(self.start.z.shape[1:]).flatten()
        return self.path.width * wide

    @cached_property
    def _belief(self) -> tuple[Tensor, Tensor]:
        """m and V, (T, B S, N K)."""
        start = (self.start.mean.flatten(1), self.start.variance.flatten(1))
        return belief_path(self.path.gate, self.path.target, self._sigma, *start)

    @property
    def belief(self) -> tuple[Tensor, Tensor]:
        """m and V, (B S, T, N, K) each, without a gradient: exact given the layer's input path."""
        return self._rows(self._belief[0]), self._rows(self._belief[1])

    @property
    def previous_belief(self) -> tuple[Tensor, Tensor]:
        """m and V of t - 1, (B S, T, N, K) each."""
        mean, variance = self._belief
        return (
            self._rows(before(mean, self.start.mean.flatten(1))),
            self._rows(before(variance, self.start.variance.flatten(1))),
        )

    @property
    def past(self) -> Tensor:
        """(B S, T, N, K) nats, (1 - g - phi)^2 V / (2 s^2): what an uncertain past adds to the KL."""
        phi = self.phi.detach()
        keep = 1 - self._rows(self.path.gate) - phi[:, None]
        return 0.5 * keep.square() * self.previous_belief[1] / innovation(phi)

    @property
    def closed_kl(self) -> Tensor:
        """(B S, T, N) nats: the KL expected over the draws of the past, given the layer's input path."""
        phi = self.phi.detach()
        s2 = innovation(phi)
        r2 = (self.belief[0] - phi[:, None] * self.previous_belief[0]).square() / s2
        log_width = self._rows(self.path.log_width)
        return (0.5 * (r2 + (2 * log_width).exp() - 1) - log_width + self.past).sum(-1)

    def end(self) -> LayerState:
        """What the next position begins with, detached."""
        shape = self.start.z.shape
        s = innovation(self.phi.detach()).sqrt().expand(shape[1:]).flatten()
        mean, variance = belief_end(self.path, s, self.start.mean.flatten(1), self.start.variance.flatten(1))
        return LayerState(*(part.view(shape) for part in (self.path.z.detach()[-1], mean, variance)))


def innovation(phi: Tensor) -> Tensor:
    """s^2 = 1 - phi^2.

    Parameters
    ----------
    phi
        (N,).

    Returns
    -------
    Tensor
        (N, 1), to stand beside (..., N, K).
    """
    return ((1 - phi) * (1 + phi))[:, None]


@torch.no_grad()
def belief_path(
    gate: Tensor, target: Tensor, sigma: Tensor, mean: Tensor, variance: Tensor
) -> tuple[Tensor, Tensor]:
    """m_t = (1 - g) m_{t-1} + g c and V_t = (1 - g)^2 V_{t-1} + sigma^2.

    Parameters
    ----------
    gate, target, sigma
        (T, ...), time first.
    mean, variance
        (...), before the first position.

    Returns
    -------
    tuple of Tensor
        (T, ...) each.
    """
    keep = 1 - gate
    return scan(keep, gate * target, mean), scan(keep.square(), sigma.square(), variance)


@torch.no_grad()
def belief_end(path: Path, s: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The last of `belief_path`, block by block of positions: all that a training step asks for.

    Parameters
    ----------
    path
        Of the layer.
    s
        (N K,), prior sds of the innovation.
    mean, variance
        (B S, N K), before the first position.

    Returns
    -------
    tuple of Tensor
        (B S, N K) each.
    """
    belief, one = torch.stack([mean, variance]), path.gate.new_full((), 1.0)
    block = at_once(len(path.gate), 2 * mean.numel())
    buffers = path.gate.new_zeros(2, 2, block, *mean.shape)  # a twin adds no variance
    for first in range(0, len(path.gate), block):
        at = slice(first, first + block)
        gate = path.gate[at]
        keep, added = buffers[:, :, : len(gate)]
        torch.sub(one, gate, out=keep[0])
        torch.mul(keep[0], keep[0], out=keep[1])
        torch.mul(gate, path.target[at], out=added[0])
        if path.width.numel():
            sigma = torch.mul(path.width[at], s, out=added[1])
            sigma.mul_(sigma)
        for keep_t, added_t in zip(keep.unbind(1), added.unbind(1), strict=True):
            torch.addcmul(added_t, keep_t, belief, out=belief)
    return belief[0], belief[1]


class SequenceNeurons(nn.Module):
    """A layer of N variational neurons along a sequence, with K latent dimensions each.

    Parameters
    ----------
    in_features
        Width F of the input.
    neurons, latent_dim
        N and K.
    phi
        Persistence of the prior, a number or (N,); spread over half-lives by default.
    learn_phi
        Train it (through a logit between `PHI_LOW` and `PHI_HIGH`).
    log_width
        ln of sigma in prior sds at the start, b_s; 0 is the prior's own width.
    deterministic
        sigma = 0 and no KL, as a twin has.

    Raises
    ------
    ValueError
        For a phi outside of [`PHI_LOW`, `PHI_HIGH`], and a layer of nothing.

    Notes
    -----
    `maps` are Wg, Wc, Ws below each other, rows neuron K + k of each. The gate's bias is ln((1 - phi) / phi),
    so that 1 - g = phi and the mean of q is the prior's at the start.
    """

    def __init__(
        self,
        in_features: int,
        neurons: int,
        latent_dim: int = 1,
        phi: float | Tensor | None = None,
        learn_phi: bool = False,
        log_width: float = -1.0,
        deterministic: bool = False,
    ) -> None:
        super().__init__()
        if neurons < 1 or latent_dim < 1:
            raise ValueError(
                f"a layer has at least one neuron of one latent dimension; neurons is {neurons}, latent_dim"
                f" {latent_dim}"
            )
        table = spread_phi(neurons) if phi is None else torch.as_tensor(phi).float().expand(neurons).clone()
        if not bool(((table >= PHI_LOW) & (table <= PHI_HIGH)).all()):
            raise ValueError(f"phi of a sequence lies between {PHI_LOW} and {PHI_HIGH}, this is {phi}")
        self.in_features, self.neurons, self.latent_dim = in_features, neurons, latent_dim
        self.deterministic = deterministic
        share = ((table - PHI_LOW) / (PHI_HIGH - PHI_LOW)).clamp(1e-6, 1 - 1e-6)
        self.raw_phi = nn.Parameter(torch.logit(share), requires_grad=learn_phi)
        size = neurons * latent_dim
        self.maps = nn.Linear(in_features, size * (2 if deterministic else 3))
        with torch.no_grad():
            self.maps.bias[:size] = torch.log((1 - table) / table).repeat_interleave(latent_dim)
            self.maps.bias[size : 2 * size] = 0
            self.maps.bias[2 * size :] = log_width

    @property
    def phi(self) -> Tensor:
        """(N,) persistence that the prior expects."""
        return PHI_LOW + (PHI_HIGH - PHI_LOW) * torch.sigmoid(self.raw_phi)

    def summed(self, values: Tensor) -> Tensor:
        """Over the K latent dimensions of each neuron.

        Parameters
        ----------
        values
            (..., N K).

        Returns
        -------
        Tensor
            (..., N).
        """
        return values if self.latent_dim == 1 else values.unflatten(-1, (self.neurons, -1)).sum(-1)

    def start(self, rows: int, generator: torch.Generator | None = None) -> LayerState:
        """Draws and belief before the first position: the stationary prior; of a twin its mean.

        Parameters
        ----------
        rows
            B S.
        generator
            Source of the draws.

        Returns
        -------
        LayerState
            z ~ Normal(0, 1), m = 0, V = 1.
        """
        weight = self.maps.weight
        shape = (rows, self.neurons, self.latent_dim)
        zero = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        if self.deterministic:
            return LayerState(zero, zero, zero)
        z = torch.randn(shape, dtype=weight.dtype, device=weight.device, generator=generator)
        return LayerState(z, zero, torch.ones_like(zero))

    def belief(self, u: Tensor, start: LayerState | None = None) -> tuple[Tensor, Tensor]:
        """What the layer believes at each position, exact given its input path.

        Parameters
        ----------
        u
            (B S, T, F).
        start
            Where the belief begins; the stationary prior without it.

        Returns
        -------
        tuple of Tensor
            m and V, (B S, T, N, K).
        """
        first = self.start(u.shape[0]) if start is None else start
        noise = u.new_zeros(1, u.shape[0], u.shape[1], self.neurons, self.latent_dim)
        found: tuple[Tensor, Tensor] = self(u, first, noise).belief
        return found

    def forward(self, u: Tensor, z0: LayerState | Tensor, noise: Tensor) -> SequencePosterior:
        """Draws and local KL along a sequence.

        Parameters
        ----------
        u
            (B S, T, F) inputs, row = b S + s; or (B, T, F) where all draws have one.
        z0
            Draws before the first position, (B S, N, K) or (S, B, N, K), or the whole state (a tensor begins
            with the belief Normal(0, 1)).
        noise
            (S, B, T, N, K) standard normal.

        Returns
        -------
        SequencePosterior
            KL in nats.

        Raises
        ------
        ValueError
            When shapes do not belong together.
        """
        draws, batch, positions = noise.shape[:3]
        if u.shape[0] not in (batch, batch * draws) or u.shape[1] != positions:
            raise ValueError(
                f"inputs {tuple(u.shape)} do not fit noise (S, B, T, N, K) = {tuple(noise.shape)}"
            )
        if not isinstance(z0, LayerState):
            z0 = rows_of(z0) if z0.dim() == 4 and z0.shape[:2] == noise.shape[:2] else z0
            z0 = LayerState(z0, torch.zeros_like(z0), torch.ones_like(z0))
        if z0.z.shape != (batch * draws, self.neurons, self.latent_dim):
            raise ValueError(
                f"z0 {tuple(z0.z.shape)} does not fit noise (S, B, T, N, K) = {tuple(noise.shape)}: it is "
                f"(B S, N, K) = {(batch * draws, self.neurons, self.latent_dim)}, or (S, B, N, K)"
            )
        # under autocast only the products are short
        raw = self.maps(u.transpose(0, 1)).to(self.maps.weight.dtype)
        if u.shape[0] != batch * draws:
            raw = raw.repeat_interleave(draws, 1)
        eps = None if self.deterministic else noise.permute(2, 1, 0, 3, 4).flatten(3).flatten(1, 2)
        wide = self.phi.repeat_interleave(self.latent_dim)
        path = gated_scan(raw, wide, z0.z.flatten(1), eps)
        kl = path.kl if eps is None else self.summed(path.kl).transpose(0, 1)
        return SequencePosterior(path, z0, self.phi, kl, draws)
