"""Sequences that go on: states carried from chunk to chunk, and continuations drawn position by position."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vdn.encoders import Embedding
from vdn.heads import Head
from vdn.sequence_layer import LayerState, State


class Continued(Protocol):
    """A network of sequences as what goes on with them sees it."""

    embedding: Embedding
    head: Head
    training: bool

    def train(self, mode: bool = True) -> object:
        """Sets its mode."""

    def start(self, batch: int, n_samples: int = 1, generator: torch.Generator | None = None) -> State:
        """What a sequence begins with."""


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
