"""A small decoder-only transformer whose feed-forward units are `VariationalNeurons`, with its twin.

Each token of each draw has a posterior of its own in every unit. Here a deterministic path exists: residual
stream and attention are as usual, and only what the feed-forward units add is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vdn.heads import HeadKind, make_head
from vdn.network import draws_of, rows_of
from vdn.neuron import VariationalNeurons
from vdn.priors import AutoregressivePrior
from vdn.sequence import Edit, Embedding, Generation, SequenceOutput, State, continuations

HEADS = 4  # of attention
NEURONS_PER_FEATURE = 2  # feed-forward units to width of the residual stream


@dataclass(eq=False)
class TokenPosterior:
    """What a layer's feed-forward units computed for a batch of sequences.

    Attributes
    ----------
    z, mu, sigma
        (S, B, T, N, K): beyond the first layer each draw has a posterior of its own.
    kl
        (B S, T, N) nats, summed over K.
    phi
        (N,) of an autoregressive prior along t, None without one.
    past
        (B S, T, N, K) nats, the part of kl due to an uncertain past; None without one.
    """

    z: Tensor
    mu: Tensor
    sigma: Tensor
    kl: Tensor
    phi: Tensor | None
    past: Tensor | None


class Block(nn.Module):
    """Causal attention, then variational neurons in place of the feed-forward units.

    Parameters
    ----------
    width
        D of the residual stream.
    neurons, latent_dim
        N and K.
    phi, learn_phi
        Persistence of an autoregressive prior along t, or None: Normal(0, 1) for each token.
    sigma_init
        sigma at the start, in prior sds.
    dropout
        Share of what both parts add that is left out in training.
    deterministic
        sigma = 0 and no KL.
    """

    def __init__(
        self,
        width: int,
        neurons: int,
        latent_dim: int,
        phi: Tensor | None,
        learn_phi: bool,
        sigma_init: float,
        dropout: float,
        deterministic: bool,
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attend = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        prior = None if phi is None else AutoregressivePrior(neurons, phi, learn_phi)
        self.neurons = VariationalNeurons(width, neurons, latent_dim, "input", "mean", prior, sigma_init)
        self.out = nn.Linear(neurons, width)
        self.dropout = nn.Dropout(dropout)
        self.deterministic = deterministic
        if deterministic:
            self.neurons.log_sigma = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(
        self, x: Tensor, noise: Tensor, edit: Callable[[Tensor], Tensor] | None
    ) -> tuple[Tensor, TokenPosterior | None]:
        """The residual stream after the block, and the posterior; none of a twin.

        Parameters
        ----------
        x
            (B S, T, D).
        noise
            (S, B, T, N, K).
        edit
            Replaces the draws (S, B, T, N, K).

        Returns
        -------
        tuple
            (B S, T, D), and `TokenPosterior` or None.
        """
        rows, positions, width = x.shape
        parts = self.attend(self.norms[0](x)).unflatten(-1, (3, HEADS, -1))
        q, k, v = (part.transpose(1, 2) for part in parts.unbind(2))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        x = x + self.dropout(self.mix(seen.reshape(rows, positions, width)))
        layer, h = self.neurons, self.norms[1](x).flatten(0, 1)
        shape = (rows, positions, layer.neurons, layer.latent_dim)
        if self.deterministic:
            mu = layer.mean(h).view(shape)
            return x + self.dropout(self.out(F.gelu(layer.pool(mu)))), None
        mu, log_sigma = (part.view(shape) for part in layer.parameters_of(h))
        sigma = log_sigma.exp()
        z = torch.addcmul(mu, sigma, rows_of(noise))
        posterior = self._posterior(mu, sigma, log_sigma, z, len(noise))
        if edit is not None:
            z = rows_of(edit(posterior.z))
        return x + self.dropout(self.out(F.gelu(layer.pool(z)))), posterior

    def _posterior(
        self, mu: Tensor, sigma: Tensor, log_sigma: Tensor, z: Tensor, draws: int
    ) -> TokenPosterior:
        prior = self.neurons.prior
        shown = draws_of(z, draws), draws_of(mu, draws), draws_of(sigma, draws)
        if not isinstance(prior, AutoregressivePrior):
            return TokenPosterior(*shown, prior(mu, sigma, log_sigma).kl, None, None)
        # the first token of a chunk stands under the stationary prior
        first = prior(mu[:, :1], sigma[:, :1], log_sigma[:, :1]).kl
        rest = prior(mu[:, 1:], sigma[:, 1:], log_sigma[:, 1:], (mu[:, :-1], sigma[:, :-1])).kl
        s2 = ((1 - prior.phi) * (1 + prior.phi))[:, None]
        past = 0.5 * (prior.phi[:, None] * sigma.detach()[:, :-1]).square() / s2
        past = torch.cat([torch.zeros_like(past[:, :1]), past], 1).detach()
        return TokenPosterior(*shown, torch.cat([first, rest], 1), prior.phi, past)


class SequenceTransformer(nn.Module):
    """Embedding -> `layers` blocks -> head; each chunk of `window` positions is read for itself.

    Parameters
    ----------
    outputs, head
        As for `vdn.sequence.SequentialNetwork`.
    window
        Most positions that are read together.
    layers, neurons, latent_dim
        L; N feed-forward units of a block; K. The residual stream is N / 2 wide.
    phi, learn_phi
        Persistence of an autoregressive prior along t, None: Normal(0, 1).
    sigma_init
        sigma at the start.
    dropout
        As for `Block`.

    Raises
    ------
    ValueError
        For neurons that do not divide into the heads of attention.
    """

    deterministic = False

    def __init__(
        self,
        outputs: int,
        head: HeadKind,
        window: int,
        layers: int = 2,
        neurons: int = 128,
        latent_dim: int = 1,
        phi: Tensor | None = None,
        learn_phi: bool = False,
        sigma_init: float = 0.5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width, odd = divmod(neurons, NEURONS_PER_FEATURE)
        if odd or width % HEADS:
            least = NEURONS_PER_FEATURE * HEADS
            raise ValueError(f"a transformer's neurons are a multiple of {least}, these are {neurons}")
        self.outputs, self.window = outputs, window
        self.embedding = Embedding(outputs, width, symbols=head == "categorical")
        self.position = nn.Parameter(0.02 * torch.randn(window, width))
        self.blocks = nn.ModuleList(
            Block(width, neurons, latent_dim, phi, learn_phi, sigma_init, dropout, self.deterministic)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = make_head(head, width, outputs)

    @property
    def neuron_layers(self) -> list[VariationalNeurons]:
        """The layers of neurons, typed."""
        return [block.neurons for block in self.blocks if isinstance(block, Block)]

    def draw_noise(
        self, batch: int, positions: int, n_samples: int = 1, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """Standard normal noise for one forward pass, from one stream.

        Parameters
        ----------
        batch, positions, n_samples, generator
            As for `SequentialNetwork.draw_noise`.

        Returns
        -------
        list of Tensor
            (S, B, T, N, K) a layer.
        """
        layer = self.neuron_layers[0]
        weight = layer.mean.weight
        shape = (len(self.blocks), positions, batch, n_samples, layer.neurons, layer.latent_dim)
        if self.deterministic:
            return [part.permute(2, 1, 0, 3, 4) for part in weight.new_zeros(()).expand(shape)]
        noise = torch.randn(shape, dtype=weight.dtype, device=weight.device, generator=generator)
        return [part.permute(2, 1, 0, 3, 4) for part in noise]

    def start(self, batch: int, n_samples: int = 1, generator: torch.Generator | None = None) -> State:
        """Nothing: each chunk is read for itself.

        Parameters
        ----------
        batch, n_samples, generator
            As for `SequentialNetwork.start`.

        Returns
        -------
        list
            Empty.
        """
        return []

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
            (B, T) symbols, -1 at a sequence's start, or (B, T, D); T at most the window.
        state
            Not used; it is there so that all networks of sequences are called alike.
        n_samples, noise, edit
            As for `SequentialNetwork.forward`.

        Returns
        -------
        SequenceOutput
            KL of its posteriors in nats.
        """
        batch, positions = x.shape[:2]
        noise = self.draw_noise(batch, positions, n_samples) if noise is None else noise
        h = (self.embedding(x) + self.position[:positions]).repeat_interleave(n_samples, 0)
        posteriors: list[TokenPosterior] = []
        for index, block in enumerate(self.blocks):
            own = None if edit is None else (lambda z, index=index: edit(index, z))
            h, posterior = block(h, noise[index], own)
            if posterior is not None:
                posteriors.append(posterior)
        parameters = self.head(self.norm(h)).to(self.position.dtype)
        return SequenceOutput(draws_of(parameters, n_samples), [], posteriors)

    def log_prob(self, output: SequenceOutput, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """ln p(y_t | draw s), nats.

        Parameters
        ----------
        output, y, mask
            As for `SequentialNetwork.log_prob`.

        Returns
        -------
        Tensor
            (S, B, T).
        """
        return self.head.masked_log_prob(output.parameters, y, mask)

    @torch.no_grad()
    def generate(
        self,
        prompt: Tensor,
        length: int,
        trajectories: int = 1,
        generator: torch.Generator | None = None,
    ) -> Generation:
        """Continuations of a prompt; the last `window` positions are read, with the noise that they had.

        Parameters
        ----------
        prompt, length, trajectories, generator
            As for `SequentialNetwork.generate`.

        Returns
        -------
        Generation
            M x L positions.
        """
        read: list[Tensor] = []
        kept: list[list[Tensor]] = []

        def predict(x: Tensor) -> Tensor:
            noise = self.draw_noise(trajectories, x.shape[1], 1, generator)
            read[:] = [torch.cat([*read, x], 1)[:, -self.window :]]
            kept.append(noise)
            joined = [torch.cat(parts, 2)[:, :, -self.window :] for parts in zip(*kept, strict=True)]
            kept[:] = [joined]
            return self.forward(read[0], None, 1, joined).parameters[0, :, -1]

        return continuations(self, prompt, length, trajectories, predict, generator)


class TransformerTwin(SequenceTransformer):
    """The same modules with sigma = 0 and no KL."""

    deterministic = True
