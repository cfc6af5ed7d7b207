"""Sequences whose state is the neurons' sample: what passes from position t to t + 1 is a draw of every
neuron, under an autoregressive prior, and the head reads nothing else.

u^1_t is the embedding of x_t, zeros at a sequence's start; `vdn.sequence_layer` has the equations of a layer.
Rows are b S + s, as in `vdn.network`; computed is time first, shown are (S, B, T, N, K). docs/sequence.md has
the idea.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vdn.continuing import Generation, continuations, continued
from vdn.encoders import Embedding
from vdn.heads import HeadKind, make_head
from vdn.network import rows_of
from vdn.sequence_layer import (
    LayerState,
    SequenceNeurons,
    SequencePosterior,
    State,
    innovation,
    spread_phi,
)

Edit = Callable[[int, Tensor], Tensor]
"""(layer, z (S, B, T, N, K)) -> z: replaces what the layers above and the head see of a layer's draws."""


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
        return self.head.masked_log_prob(output.parameters, y, mask)

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


__all__ = [
    "Edit", "Embedding", "Generation", "LayerState", "SequenceNeurons", "SequenceOutput", "SequencePosterior",
    "SequentialNetwork", "SequentialTwin", "State", "continuations", "continued", "innovation", "spread_phi",
]  # fmt: skip
