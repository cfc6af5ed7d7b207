"""Sequences whose state is the neurons' sample: what passes from position t to t + 1 is a draw of every
neuron, under an autoregressive prior, and the head reads nothing else.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vdn.heads import Head, HeadKind, make_head
from vdn.network import draws_of, rows_of
from vdn.scan import BLOCK, Path, before, gated_scan, scan

PHI_LOW, PHI_HIGH = 0.01, 0.999  # limits of phi, learned ones too
HALF_LIVES = (0.5, 70.0)  # positions: ends of the row that phi is spread over
Edit = Callable[[int, Tensor], Tensor]
"""(layer, z (S, B, T, N, K)) -> z: replaces what the layers above and the head see of a layer's draws."""


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
        if not self.path.log_width.numel():
            return torch.zeros_like(self.path.gate)
        wide = innovation(self.phi.detach()).sqrt().expand(self.start.z.shape[1:]).flatten()
        return self.path.log_width.exp().mul_(wide)

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
    buffers = path.gate.new_zeros(2, 2, BLOCK, *mean.shape)  # a twin adds no variance
    for first in range(0, len(path.gate), BLOCK):
        at = slice(first, first + BLOCK)
        gate = path.gate[at]
        keep, added = buffers[:, :, : len(gate)]
        torch.sub(one, gate, out=keep[0])
        torch.mul(keep[0], keep[0], out=keep[1])
        torch.mul(gate, path.target[at], out=added[0])
        if path.log_width.numel():
            sigma = torch.exp(path.log_width[at], out=added[1]).mul_(s)
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
        For a phi outside of [`PHI_LOW`, `PHI_HIGH`].

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
            (B S, N, K) draws before the first position, or the whole state (a tensor begins with the belief
            Normal(0, 1)).
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
            z0 = LayerState(z0, torch.zeros_like(z0), torch.ones_like(z0))
        # under autocast only the products are short
        raw = self.maps(u.transpose(0, 1)).to(self.maps.weight.dtype)
        if u.shape[0] != batch * draws:
            raw = raw.repeat_interleave(draws, 1)
        eps = None if self.deterministic else noise.permute(2, 1, 0, 3, 4).flatten(3).flatten(1, 2)
        wide = self.phi.repeat_interleave(self.latent_dim)
        path = gated_scan(raw, wide, z0.z.flatten(1), eps)
        kl = path.kl if eps is None else self.summed(path.kl).transpose(0, 1)
        return SequencePosterior(path, z0, self.phi, kl, draws)


@dataclass(eq=False)
class SequenceOutput:
    """What a sequential network computed for a batch.

    Attributes
    ----------
    parameters
        (S, B, T, P) of the next position's distribution, as its head has them.
    paths
        What each recurrent layer did, of a twin too.
    posteriors
        `SequencePosterior`, of a transformer `TokenPosterior`, of each layer; none of a twin.
    """

    parameters: Tensor
    paths: list[SequencePosterior]
    posteriors: list[Any]

    @property
    def state(self) -> State:
        """What the next position begins with, detached."""
        return [path.end() for path in self.paths]


class Generation(NamedTuple):
    """Continuations of a prompt.

    Attributes
    ----------
    positions
        (M, L) symbols or (M, L, D), a row a trajectory.
    log_prob
        (M, L) nats: of each position under its own trajectory.
    entropy
        (M, L) nats of the next symbol's distribution; NaN where positions are no symbols.
    mean, variance
        (M, L, outputs) of the distribution that each position was drawn from, as
        `vdn.heads.Head.mean_and_variance` has them; of symbols without positions in it, (M, 0, outputs).
    """

    positions: Tensor
    log_prob: Tensor
    entropy: Tensor
    mean: Tensor
    variance: Tensor


class SequentialNetwork(nn.Module):
    """Embedding -> `layers` layers of `neurons` sequence neurons -> head on the sum of their samples.

    Parameters
    ----------
    outputs
        Symbols, or numbers of a position (D).
    head
        Name of a head of `vdn.heads`; "categorical" reads symbols, the others numbers.
    layers, neurons, latent_dim
        L, N and K.
    phi, learn_phi, log_width
        As for `SequenceNeurons`.
    dropout
        Share of the inputs of layers and head that is left out in training.

    Raises
    ------
    ValueError
        For a choice that does not exist.

    Notes
    -----
    u^1 = embedding of x_t (zeros at a sequence's start), u^{l+1} = GELU(LN(sum_{j <= l} z^j)), and the head
    reads GELU(LN(sum_j z^j)): nothing passes by the neurons, neither through the layers nor along t.
    """

    deterministic = False

    def __init__(
        self,
        outputs: int,
        head: HeadKind = "categorical",
        layers: int = 2,
        neurons: int = 96,
        latent_dim: int = 1,
        phi: float | Tensor | None = None,
        learn_phi: bool = False,
        log_width: float = -1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if layers < 1 or neurons < 1:
            raise ValueError(
                f"a network needs at least one layer and one neuron, these are {layers} and {neurons}"
            )
        self.outputs = outputs
        self.embedding = Embedding(outputs, neurons, symbols=head == "categorical")
        self.layers = nn.ModuleList(
            SequenceNeurons(neurons, neurons, latent_dim, phi, learn_phi, log_width, self.deterministic)
            for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(neurons) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.head = make_head(head, neurons, outputs)

    @property
    def neuron_layers(self) -> list[SequenceNeurons]:
        """The layers of neurons, typed."""
        return [layer for layer in self.layers if isinstance(layer, SequenceNeurons)]

    def draw_noise(
        self, batch: int, positions: int, n_samples: int = 1, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """Standard normal noise for one forward pass, from one stream.

        Parameters
        ----------
        batch, positions
            B and T.
        n_samples
            Draws S.
        generator
            Its source, on the network's device; torch's global stream without it.

        Returns
        -------
        list of Tensor
            (S, B, T, N, K) a layer; in memory time first, as it is read.
        """
        layer = self.neuron_layers[0]
        weight = layer.maps.weight
        shape = (len(self.layers), positions, batch, n_samples, layer.neurons, layer.latent_dim)
        if self.deterministic:
            return [part.permute(2, 1, 0, 3, 4) for part in weight.new_zeros(()).expand(shape)]
        noise = torch.randn(shape, dtype=weight.dtype, device=weight.device, generator=generator)
        return [part.permute(2, 1, 0, 3, 4) for part in noise]

    def start(self, batch: int, n_samples: int = 1, generator: torch.Generator | None = None) -> State:
        """What a sequence begins with: draws of the stationary prior.

        Parameters
        ----------
        batch, n_samples
            B and S.
        generator
            Source of the draws.

        Returns
        -------
        list of LayerState
            One a layer.
        """
        return [layer.start(batch * n_samples, generator) for layer in self.neuron_layers]

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        n_samples: int = 1,
        noise: Sequence[Tensor] | None = None,
        edit: Edit | None = None,
    ) -> SequenceOutput:
        """Predictions of every next position, and posteriors.

        Parameters
        ----------
        x
            (B, T) symbols, -1 at a sequence's start, or (B, T, D).
        state
            Where the sequences go on; new ones without it.
        n_samples
            Draws S.
        noise
            As `draw_noise` returns it; drawn from torch's global stream without it.
        edit
            Replaces draws, see `Edit`.

        Returns
        -------
        SequenceOutput
            KL of its posteriors in nats.
        """
        batch, positions = x.shape[:2]
        noise = self.draw_noise(batch, positions, n_samples) if noise is None else noise
        state = self.start(batch, n_samples) if state is None else state
        posteriors: list[SequencePosterior] = []
        u = self.dropout(self.embedding(x.transpose(0, 1)))  # time first, as all below
        stream = u
        for index, (layer, norm) in enumerate(zip(self.neuron_layers, self.norms, strict=True)):
            posterior = layer(u.transpose(0, 1), state[index], noise[index])
            posteriors.append(posterior)
            z = posterior.path.z
            if edit is not None:
                z = rows_of(edit(index, posterior.z)).transpose(0, 1).flatten(2)
            stream = layer.summed(z) if index == 0 else stream + layer.summed(z)
            u = self.dropout(F.gelu(norm(stream)))
        parameters = self.head(u).to(self.head_dtype)
        shown = parameters.unflatten(1, (batch, n_samples)).permute(2, 1, 0, 3)
        return SequenceOutput(shown, posteriors, [] if self.deterministic else posteriors)

    @property
    def head_dtype(self) -> torch.dtype:
        """Of the head's weights: autocast shortens products alone."""
        return next(self.head.parameters()).dtype

    def step(
        self,
        x: Tensor,
        state: State | None = None,
        n_samples: int = 1,
        noise: Sequence[Tensor] | None = None,
        edit: Edit | None = None,
    ) -> SequenceOutput:
        """One position: `forward` with T = 1.

        Parameters
        ----------
        x
            (B,) symbols or (B, D).
        state, n_samples, noise, edit
            As for `forward`; noise (S, B, 1, N, K) a layer.

        Returns
        -------
        SequenceOutput
            T = 1.
        """
        return self.forward(x[:, None], state, n_samples, noise, edit)

    def log_prob(self, output: SequenceOutput, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """ln p(y_t | z_t^s), nats.

        Parameters
        ----------
        output
            Of `forward`.
        y
            (B, T) symbols or (B, T, D).
        mask
            (B, T) bool: 0 where False, whatever y holds there.

        Returns
        -------
        Tensor
            (S, B, T).
        """
        values: Tensor = self.head.log_prob(output.parameters, y)
        return values if mask is None else torch.where(mask, values, 0.0)

    @torch.no_grad()
    def generate(
        self,
        prompt: Tensor,
        length: int,
        trajectories: int = 1,
        generator: torch.Generator | None = None,
    ) -> Generation:
        """Continuations of a prompt, each a draw of all: of the neurons' states and of every position.

        Parameters
        ----------
        prompt
            (T,) symbols or (T, D), from a sequence's start on; may be empty.
        length
            L, positions to add.
        trajectories
            M.
        generator
            Source of all draws.

        Returns
        -------
        Generation
            M x L positions.
        """
        state = self.start(trajectories, 1, generator)

        def predict(x: Tensor) -> Tensor:
            nonlocal state
            noise = self.draw_noise(trajectories, x.shape[1], 1, generator)
            output = self.forward(x, state, 1, noise)
            state = output.state
            return output.parameters[0, :, -1]

        return continuations(self, prompt, length, trajectories, predict, generator)


class SequentialTwin(SequentialNetwork):
    """The same modules with sigma = 0 and no KL: z_t = (1 - g) z_{t-1} + g c, z_0 = 0."""

    deterministic = True


def continued(
    network: Continued,
    carried: State | None,
    fresh: Tensor,
    n_samples: int,
    generator: torch.Generator | None = None,
) -> State:
    """States that a batch of chunks begins with: new ones where a sequence begins, else those carried.

    Parameters
    ----------
    network
        Whose states they are.
    carried
        Where the chunks before have ended; None: there were none.
    fresh
        (B,) bool: True where a sequence begins.
    n_samples
        Draws S.
    generator
        Source of the new draws; not used where nothing begins.

    Returns
    -------
    list of LayerState
        One a layer.
    """
    if carried is not None and not bool(fresh.any()):
        return carried
    new = network.start(len(fresh), n_samples, generator)
    if carried is None or bool(fresh.all()):
        return new
    chosen = fresh.repeat_interleave(n_samples)[:, None, None]
    return [
        LayerState(*(torch.where(chosen, a, b) for a, b in zip(one, other, strict=True)))
        for one, other in zip(new, carried, strict=True)
    ]


class Continued(Protocol):
    """A network of sequences as what goes on with them sees it."""

    embedding: Embedding
    head: Head
    training: bool

    def train(self, mode: bool = True) -> object:
        """Sets its mode."""

    def start(self, batch: int, n_samples: int = 1, generator: torch.Generator | None = None) -> State:
        """What a sequence begins with."""


def continuations(
    network: Continued,
    prompt: Tensor,
    length: int,
    trajectories: int,
    predict: Callable[[Tensor], Tensor],
    generator: torch.Generator | None = None,
) -> Generation:
    """Draws position after position; the network is in evaluation mode meanwhile.

    Parameters
    ----------
    network
        Whose head is drawn from.
    prompt
        (T,) symbols or (T, D).
    length, trajectories
        L and M.
    predict
        Given further positions (M, T', ...), the parameters (M, P) of the next one.
    generator
        Source of the positions.

    Returns
    -------
    Generation
        M x L positions.
    """
    was_training = network.training
    network.train(False)
    x = torch.cat([network.embedding.first(prompt), prompt])
    x = x[None].expand(trajectories, *x.shape)
    drawn, scores, entropies = [x[:, :0]], [], []
    none = torch.zeros(trajectories, 0, device=x.device)
    moments = [2 * (none[..., None].expand(-1, -1, network.head.outputs),)]
    for _ in range(length):
        parameters = predict(x)
        x = network.head.sample(parameters, generator)[:, None]
        drawn.append(x)
        scores.append(network.head.log_prob(parameters[None, :, None], x)[0])
        symbols = x.dim() == 2
        if not symbols:
            mean, variance = network.head.mean_and_variance(parameters)
            moments.append((mean[:, None], variance[:, None]))
        spread = torch.distributions.Categorical(logits=parameters).entropy() if symbols else None
        entropies.append(torch.full_like(scores[-1], torch.nan) if spread is None else spread[:, None])
    network.train(was_training)
    return Generation(
        torch.cat(drawn, 1),
        torch.cat([none, *scores], 1),
        torch.cat([none, *entropies], 1),
        *(torch.cat(parts, 1) for parts in zip(*moments, strict=True)),
    )


class Embedding(nn.Module):
    """A position as a layer's input; zeros at a sequence's start.

    Parameters
    ----------
    size
        Symbols, or numbers of a position.
    features
        F.
    symbols
        Whether positions are symbols; -1 is the start. The start of numbers is zeros.
    """

    def __init__(self, size: int, features: int, symbols: bool) -> None:
        super().__init__()
        self.size, self.symbols = size, symbols
        # the row that is always zeros comes last
        self.map = (
            nn.Embedding(size + 1, features, padding_idx=size)
            if symbols
            else nn.Linear(size, features, bias=False)
        )

    def first(self, like: Tensor) -> Tensor:
        """The position that a sequence begins with.

        Parameters
        ----------
        like
            (T,) symbols or (T, D).

        Returns
        -------
        Tensor
            (1,) or (1, D).
        """
        if self.symbols:
            return torch.full((1,), -1, dtype=torch.long, device=like.device)
        return torch.zeros((1, self.size), dtype=like.dtype, device=like.device)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs of the first layer.

        Parameters
        ----------
        x
            (...) symbols or (..., D).

        Returns
        -------
        Tensor
            (..., F).
        """
        if self.symbols:
            x = torch.where(x < 0, self.size, x)
        found: Tensor = self.map(x)
        return found
