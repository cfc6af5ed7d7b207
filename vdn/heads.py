"""Heads of sequential networks: what a state predicts of the next position, as a density that can be scored
and drawn from.

Each maps features (..., F) to parameters (..., P) of the distribution of the next position; `log_prob` scores
a position, `sample` draws one. Symbols are integers; a chord is D numbers 0 or 1; a signal D real numbers.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HeadKind = Literal["categorical", "bernoulli", "mixture", "gaussian"]
HEADS = ("categorical", "bernoulli", "mixture", "gaussian")
MIXTURE, HIDDEN = 8, 128  # products of Bernoullis, and the width of the layer before them
RARE = 0.05  # share of a piano's notes that sound in a chord of four voices
SCALE_FLOOR = 0.01  # of a Gaussian's sd: a density must not become a spike


class Head(nn.Module):
    """Base of the heads.

    Parameters
    ----------
    features
        F, width of what the head reads.
    outputs
        Symbols, or numbers of a position (D).

    Notes
    -----
    `outputs` is kept; `parameters` of a head are its weights, those of the distribution are called so too.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.read: nn.Module = nn.Linear(features, outputs)

    def forward(self, h: Tensor) -> Tensor:
        """Parameters of the next position's distribution.

        Parameters
        ----------
        h
            (..., F).

        Returns
        -------
        Tensor
            (..., P).
        """
        found: Tensor = self.read(h)
        return found

    def log_prob(self, parameters: Tensor, y: Tensor) -> Tensor:
        """ln p(y), nats.

        Parameters
        ----------
        parameters
            (S, B, T, P).
        y
            (B, T) symbols, or (B, T, D).

        Returns
        -------
        Tensor
            (S, B, T).
        """
        raise NotImplementedError

    def masked_log_prob(self, parameters: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """ln p(y), nats, and 0 where there is nothing to score, without a gradient.

        Parameters
        ----------
        parameters, y
            As for `log_prob`; where the mask is False y may hold anything: -1, NaN.
        mask
            (B, T) bool; all positions count without it.

        Returns
        -------
        Tensor
            (S, B, T).
        """
        if mask is None:
            return self.log_prob(parameters, y)
        scored = mask.bool()
        kept = scored if y.dim() == 2 else scored[..., None]
        return torch.where(scored, self.log_prob(parameters, torch.where(kept, y, 0)), 0.0)

    def sample(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One position from each distribution.

        Parameters
        ----------
        parameters
            (M, P).
        generator
            Source of the draws.

        Returns
        -------
        Tensor
            (M,) int64 symbols, or (M, D).
        """
        raise NotImplementedError

    def mean_and_variance(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each number of a position; of a symbol those of its one-hot code.

        Parameters
        ----------
        parameters
            (..., P).

        Returns
        -------
        tuple of Tensor
            (..., outputs) each; of what is 0 or 1 the mean is its probability.
        """
        p = self.probability(parameters)
        return p, p * (1 - p)

    def probability(self, parameters: Tensor) -> Tensor:
        """Probability of each symbol, or that each number is 1.

        Parameters
        ----------
        parameters
            (..., P).

        Returns
        -------
        Tensor
            (..., outputs).
        """
        raise NotImplementedError


class Categorical(Head):
    """One of `outputs` symbols, by a softmax over linear logits."""

    def log_prob(self, parameters: Tensor, y: Tensor) -> Tensor:
        """As `Head.log_prob`; y (B, T) int64."""
        rows = parameters.flatten(0, -2)
        target = y.expand(parameters.shape[:-1]).reshape(-1)
        return -F.cross_entropy(rows, target, reduction="none").view(parameters.shape[:-1])

    def sample(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As `Head.sample`; (M,) int64."""
        return torch.multinomial(parameters.softmax(-1), 1, generator=generator)[:, 0]

    def probability(self, parameters: Tensor) -> Tensor:
        """As `Head.probability`."""
        return parameters.softmax(-1)


class Bernoullis(Head):
    """`outputs` independent Bernoullis given the state: notes that sound or not."""

    def log_prob(self, parameters: Tensor, y: Tensor) -> Tensor:
        """As `Head.log_prob`; y (B, T, D) of 0 and 1."""
        return (y * parameters - F.softplus(parameters)).sum(-1)

    def sample(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As `Head.sample`; (M, D) of 0 and 1."""
        return torch.bernoulli(parameters.sigmoid(), generator=generator)

    def probability(self, parameters: Tensor) -> Tensor:
        """As `Head.probability`."""
        return parameters.sigmoid()


class BernoulliMixture(Head):
    """A mixture of `MIXTURE` products of Bernoullis behind a hidden layer: notes that go together.

    Parameters
    ----------
    features, outputs
        As for `Head`.

    Notes
    -----
    At the start a note sounds with a share of about `RARE`. From one half on, all components would first have
    to silence most notes, and the one that does so fastest would take every chord for good.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__(features, outputs)
        last = nn.Linear(HIDDEN, MIXTURE * (outputs + 1))
        with torch.no_grad():
            last.bias[MIXTURE:] += math.log(RARE / (1 - RARE))
        self.read = nn.Sequential(nn.Linear(features, HIDDEN), nn.GELU(), last)

    def _parts(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """ln weights (..., M) and logits (..., M, D)."""
        weights, logits = parameters.split([MIXTURE, MIXTURE * self.outputs], -1)
        return weights.log_softmax(-1), logits.unflatten(-1, (MIXTURE, self.outputs))

    def log_prob(self, parameters: Tensor, y: Tensor) -> Tensor:
        """As `Head.log_prob`; y (B, T, D) of 0 and 1."""
        weights, logits = self._parts(parameters)
        sounding = torch.einsum("sbtmd,btd->sbtm", logits, y)
        return torch.logsumexp(weights + sounding - F.softplus(logits).sum(-1), -1)

    def sample(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As `Head.sample`; (M, D) of 0 and 1."""
        weights, logits = self._parts(parameters)
        part = torch.multinomial(weights.exp(), 1, generator=generator)[:, 0]
        chosen = logits[torch.arange(len(part), device=part.device), part]
        return torch.bernoulli(chosen.sigmoid(), generator=generator)

    def probability(self, parameters: Tensor) -> Tensor:
        """As `Head.probability`, of each number for itself."""
        weights, logits = self._parts(parameters)
        return (weights.exp()[..., None] * logits.sigmoid()).sum(-2)


class Gaussian(Head):
    """`outputs` independent Gaussians given the state, each with its own mean and sd.

    Parameters
    ----------
    features, outputs
        As for `Head`.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__(features, 2 * outputs)
        self.outputs = outputs

    def mean_and_scale(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Means and sds of the next position.

        Parameters
        ----------
        parameters
            (..., 2 D).

        Returns
        -------
        tuple of Tensor
            (..., D) each.
        """
        mean, raw = parameters.split(self.outputs, -1)
        return mean, F.softplus(raw) + SCALE_FLOOR

    def log_prob(self, parameters: Tensor, y: Tensor) -> Tensor:
        """As `Head.log_prob`; y (B, T, D) real."""
        mean, scale = self.mean_and_scale(parameters)
        error = (y - mean) / scale
        return (-0.5 * error * error - scale.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    def sample(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As `Head.sample`; (M, D) real."""
        mean, scale = self.mean_and_scale(parameters)
        noise = torch.randn(mean.shape, dtype=mean.dtype, device=mean.device, generator=generator)
        return mean + scale * noise

    def mean_and_variance(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """As `Head.mean_and_variance`."""
        mean, scale = self.mean_and_scale(parameters)
        return mean, scale.square()


def make_head(kind: HeadKind, features: int, outputs: int) -> Head:
    """A head by its name.

    Parameters
    ----------
    kind
        One of `HEADS`.
    features, outputs
        As for `Head`.

    Returns
    -------
    Head
        With fresh weights.

    Raises
    ------
    ValueError
        For a name that is none.
    """
    kinds: dict[str, type[Head]] = {
        "categorical": Categorical,
        "bernoulli": Bernoullis,
        "mixture": BernoulliMixture,
        "gaussian": Gaussian,
    }
    if kind not in kinds:
        raise ValueError(f"head is one of {', '.join(HEADS)}, not {kind!r}")
    return kinds[kind](features, outputs)
