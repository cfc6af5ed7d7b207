"""How many independent inputs the positions of sequences are worth, for the variance of a neuron's mean.

Positions of one sequence depend on each other, so that B T of them tell less than B T inputs would. Two ways
of counting, of which the smaller is taken. By memory: a course of lag-1 correlation ρ is worth B T / (1 + 2
Σ_k (1 − k/T) ρ^2k), the number for squares of a first-order autoregression. By sequences: the number whose
chi-squared distribution varies as the sequences' own sums of squares do (Satterthwaite 1946), times (B − 3)/B
for a variance in the denominator; it sees a memory of any shape, and needs several sequences.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from probes.schema import FEWEST_ROWS

BASE = 16  # sequences that a mean near the values' own is taken from: float32 holds what moves around it
TINY = 1e-30
LEAST_SEQUENCES = 5  # that the second way needs: its denominator has B - 1 degrees of freedom


class _Piece(NamedTuple):
    """Of R sequences the sums (5, R, N, K) of x, its squares, products of neighbours, x that has a
    predecessor, x that has a successor; positions and pairs (2, R); the first and the last x (R, N, K), and
    which are there.
    """

    sums: Tensor
    lengths: Tensor
    first: tuple[Tensor, Tensor]
    last: tuple[Tensor, Tensor]


class EffectiveRows:
    """Counts over updates of sequences: the same number however they are batched."""

    def __init__(self) -> None:
        self._base: Tensor | None = None
        self._pieces: list[_Piece] = []

    @torch.no_grad()
    def update(self, mean: Tensor, mask: Tensor | None = None, draws: int = 1) -> EffectiveRows:
        """Add R sequences of T positions.

        Parameters
        ----------
        mean
            (R, T, N, K), means of the neurons' posteriors or beliefs.
        mask
            (R, T) bool: False leaves a position out, whatever it holds.
        draws
            Rows that are draws of one sequence, next to each other: counted once.

        Returns
        -------
        EffectiveRows
            Itself.
        """
        self._pieces.append(self._piece(mean[::draws], None if mask is None else mask[::draws]))
        return self

    @torch.no_grad()
    def extend(self, mean: Tensor, mask: Tensor | None = None) -> EffectiveRows:
        """Add the next T positions of the R sequences of the call before; new sequences, where it had not R.

        Parameters
        ----------
        mean, mask
            As of `update`.

        Returns
        -------
        EffectiveRows
            Itself: the same number as one `update` with all positions.
        """
        piece = self._piece(mean, mask)
        if self._pieces and len(self._pieces[-1].last[1]) == len(mean):
            before = self._pieces.pop()
            (earlier, was), (later, there) = before.last, piece.first
            pair = was * there
            joint = pair[:, None, None]
            piece.sums[2:] += torch.stack([earlier * later * joint, later * joint, earlier * joint])
            piece.lengths[1] += pair
            piece = _Piece(before.sums + piece.sums, before.lengths + piece.lengths, before.first, piece.last)
        self._pieces.append(piece)
        return self

    def _piece(self, mean: Tensor, mask: Tensor | None) -> _Piece:
        """Sums around one base."""
        x = mean.detach().transpose(0, 1).float()  # time first, as it mostly lies in memory
        there = x.new_ones(x.shape[:2]) if mask is None else mask.T.float()
        pairs = there[1:] * there[:-1]
        if self._base is None:
            self._base = (x[:, :BASE] * there[:, :BASE, None, None]).nan_to_num().sum((0, 1))
            self._base /= there[:, :BASE].sum().clamp_min(1)
        x = x - self._base
        if mask is not None:
            x = torch.where(there[..., None, None] > 0, x, 0.0)
        product = (x[1:] * x[:-1]).sum(0)
        if mask is None:
            total = x.sum(0)
            later, earlier = total - x[0], total - x[-1]
        else:
            joint = pairs[..., None, None]
            total, later, earlier = x.sum(0), (x[1:] * joint).sum(0), (x[:-1] * joint).sum(0)
        ends = [(x[at].clone(), there[at]) for at in (0, -1)]
        sums = torch.stack([total, x.square_().sum(0), product, later, earlier])
        return _Piece(sums, torch.stack([there.sum(0), pairs.sum(0)]), *ends)

    def result(self) -> Tensor:
        """The number of each neuron, a mean over its dimensions.

        Returns
        -------
        Tensor
            (N,), from about the number of sequences to that of their positions.

        Raises
        ------
        ValueError
            Before the first update.
        """
        if not self._pieces:
            raise ValueError("no sequences yet: update first")
        total, square, product, later, earlier = torch.cat([piece.sums for piece in self._pieces], 1)
        length, pairs = torch.cat([piece.lengths for piece in self._pieces], 1)
        count, sequences = length.sum().clamp_min(1), (length > 0).sum()
        mu = total.sum(0) / count
        n, m = length[:, None, None], pairs[:, None, None]
        squares = square - 2 * mu * total + n * mu * mu  # of each sequence
        lagged = (product - mu * (later + earlier) + m * mu * mu).sum(0) / pairs.sum().clamp_min(1)
        variance = squares.sum(0) / count
        rho2 = (lagged / variance.clamp_min(TINY)).square().clamp_max(1 - 1e-6)
        number = count / _worth(rho2, count / sequences.clamp_min(1))
        spread = (squares - n * variance).square().sum(0) / count / count
        few = sequences < LEAST_SEQUENCES
        own = 2 * variance.square() / spread.clamp_min(TINY) * (sequences - 3) / sequences.clamp_min(1)
        number = torch.where(few, number, torch.minimum(number, own))
        # of what does not move, or of single positions, nothing is known but their number
        known = (variance > 0) & (pairs.sum() > 0)
        return torch.where(known, number.clamp_min(FEWEST_ROWS), count).minimum(count).mean(-1)


def _worth(a: Tensor, length: Tensor) -> Tensor:
    """Positions that one independent input is worth, 1 + 2 Σ_{k<T} (1 − k/T) a^k, T = `length`."""
    return 1 + 2 * (a / (1 - a) - a * (1 - a**length) / (length * (1 - a) ** 2))
