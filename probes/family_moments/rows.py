"""Averages over rows that can be pooled: means, and means with their mean squared deviation."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

LARGEST = torch.finfo(torch.float32).max


class Rows:
    """The rows of one batch, of which a mask leaves some out whatever they hold."""

    def __init__(self, count: int, mask: Tensor | None, device: torch.device) -> None:
        self.mask = mask
        self._ones = torch.ones(count, dtype=torch.float32, device=device)
        self.count = wide(self._ones.new_full((), count) if mask is None else mask.sum())

    def __len__(self) -> int:
        return len(self._ones)

    def kept(self, value: Tensor) -> Tensor:
        """`value`, with 0 in the rows that are left out."""
        if self.mask is None:
            return value
        return torch.where(self.mask.reshape(-1, *(1,) * (value.dim() - 1)), value, 0)

    def mean(self, value: Tensor) -> Tensor:
        """Over rows, 0 where there are none; a `value` of one row is that of all."""
        if len(value) == 1 and len(self) > 1:
            return wide(value[0])
        value = self.kept(value)
        flat = value.flatten(1) if value.dim() > 2 else value
        total = self._ones.to(value.dtype) @ flat  # a product with a vector: half of the cost of a sum
        return wide(total).reshape(value.shape[1:]) / self.count.clamp_min(1)

    def centred(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and mean squared deviation over rows."""
        mean = self.mean(value)
        deviation = value - mean
        return mean, self.mean(deviation * deviation)

    def non_finite(self, value: Tensor) -> Tensor:
        """Rows (B, N) that are no number of the log, which holds float32."""
        value = self.kept(value)
        if value.device.type == "cpu" and abs(value.sum().item()) <= LARGEST:
            return wide(torch.zeros(value.shape[1:]))
        return wide(self.kept((~(value.abs() <= LARGEST)).float()).sum(0))


@dataclass
class Pooled:
    """Averages over `count` rows: what is a mean, and what is a mean with its mean squared deviation."""

    count: Tensor
    non_finite: Tensor
    means: dict[str, Tensor]
    centred: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def merged(self, other: Pooled) -> Pooled:
        """Of the rows of both. Raises ValueError where the two hold different numbers."""
        odd = sorted(self.means.keys() ^ other.means.keys() | self.centred.keys() ^ other.centred.keys())
        if odd:
            raise ValueError(
                f"updates with and without {', '.join(odd)} cannot be pooled: give every update the same"
                " arguments"
            )
        count = self.count + other.count
        share = other.count / count.clamp_min(1)
        centred = {}
        for name, (mean, square) in self.centred.items():
            mean_2, square_2 = other.centred[name]
            shift = mean_2 - mean
            centred[name] = (
                mean + share * shift,
                square + share * (square_2 - square) + share * (1 - share) * shift * shift,
            )
        means = {name: value + share * (other.means[name] - value) for name, value in self.means.items()}
        return Pooled(count, self.non_finite + other.non_finite, means, centred)


def wide(value: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return value.double() if value.device.type != "mps" else value.float()
