"""How much of a value is carried from one position of the data to the next: slopes over pairs, on the device.

A pair is a value at position t and its predecessor at t − stride of the same series. The slope of the one on the
other is taken within series (each series' own means removed), otherwise the level of a series would look like memory.
The interval is the slope's own, of least squares with Student's t: exact for Gaussian pairs. Fisher's transformation
belongs to the correlation, whose error at φ near 1 is smaller by sqrt(1 − φ²); put on the slope it covers 46 % at φ = 0.95.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from probes.diagnostics import student_quantile

BASE_ROWS = 16  # rows whose mean is taken out before the series' own: near enough to leave no large mean
ROUNDING = 4 * torch.finfo(torch.float32).eps  # of a mean's size: movement below it is arithmetic, not the neuron's


class Pairs:
    """Pooled sums of pairs (x, y), each (P, N, K): the same slopes however the pairs are cut into updates.

    `n_series` is the number of series; ids run from 0. Sums are float32, taken around each update's own means and pooled by
    Chan, Golub & LeVeque (1983), so that a mean of 1e3 does not swallow a spread of 1e-3. Nothing synchronises the device.
    """

    def __init__(self, n_series: int = 1) -> None:
        if n_series < 1:
            raise ValueError(f"n_series is {n_series}: pairs belong to at least one series")
        self.n_series = n_series
        self._sums: _Sums | None = None

    @torch.no_grad()
    def update(self, current: Tensor, previous: Tensor, series: Tensor | None = None, mask: Tensor | None = None) -> Pairs:
        """Add pairs: `current`, `previous` (P, N, K), `series` (P,) int64 ids (None: one series), `mask` (P,) bool.

        False in the mask leaves a pair out. Raises ValueError where the shapes do not belong together, or ids are missing
        though there are several series.
        """
        if current.shape != previous.shape or current.dim() != 3:
            raise ValueError(
                f"pairs need two tensors (P, N, K) of one shape, got {tuple(current.shape)} and {tuple(previous.shape)}"
            )
        if series is None and self.n_series > 1:
            raise ValueError(f"pairs of {self.n_series} series need their series ids, one a pair")
        if series is not None and series.shape != current.shape[:1]:
            raise ValueError(f"series ids have shape {tuple(series.shape)}, the pairs are {current.shape[0]}")
        y, x = (value.detach().reshape(len(value), -1).float() for value in (current, previous))
        ones = y.new_ones(len(y)) if mask is None else mask.to(y)
        count = ones.sum()[None] if series is None else ones.new_zeros(self.n_series).index_add_(0, series, ones)
        x_level, x = _within(x, count, series, mask)
        y_level, y = _within(y, count, series, mask)
        self._pool(_Sums(current.shape[1:], count, x_level, y_level, (x * x).sum(0), (x * y).sum(0), (y * y).sum(0)))
        return self

    def merge(self, other: Pairs) -> Pairs:
        """Pool with the pairs that `other` has seen (in place)."""
        if self.n_series != other.n_series:
            raise ValueError(f"cannot pool pairs of {self.n_series} series with pairs of {other.n_series}")
        if other._sums is not None:
            self._pool(other._sums)
        return self

    def _pool(self, part: _Sums) -> None:
        self._sums = part if self._sums is None else self._sums.pooled(part)

    def result(self) -> dict[str, Tensor]:
        """`persistence` φ̂, `persistence_low`, `persistence_high` (95 %), `innovation`, each (N,), NaN where undefined.

        Undefined: a mean that does not move (beyond the rounding of its own size), or fewer than one degree of freedom, pairs −
        series − 1. For K > 1 the slope is pooled over dimensions (each weighs by its own movement), the innovation is the mean
        over dimensions, and the interval counts the pairs of one dimension: on the safe side where they are independent.
        """
        if self._sums is None:
            raise ValueError("no pairs yet: update first")
        sums, dimensions = self._sums, self._sums.shape[1]
        xx, xy, yy = (value.reshape(sums.shape).sum(1) for value in (sums.xx, sums.xy, sums.yy))
        still = (ROUNDING * (sums.x.base + sums.x.rest).abs().amax(0)) ** 2 * sums.count.sum()
        xx = torch.where(xx > still.reshape(sums.shape).sum(1), xx, math.nan)
        freedom = sums.count.sum() - (sums.count > 0).sum() - 1
        freedom = torch.where(freedom >= 1, freedom, math.nan)
        slope = xy / xx + 0 * freedom
        innovation = (yy - slope * xy).clamp_min(0) / (dimensions * freedom)
        half = student_quantile(freedom) * (innovation * dimensions / xx).sqrt()
        return {
            "persistence": slope,
            "persistence_low": slope - half,
            "persistence_high": slope + half,
            "innovation": innovation,
        }


@dataclass
class _Level:
    """Means of each series, base (N K,) + rest (S, N K): apart, since differences of large means drown in their rounding."""

    base: Tensor
    rest: Tensor

    def minus(self, other: _Level) -> Tensor:
        return (self.base - other.base) + (self.rest - other.rest)


@dataclass
class _Sums:
    """Per series: counts (S,) and the levels of x and y; over all pairs: centred sums of squares and products (N K,)."""

    shape: torch.Size
    count: Tensor
    x: _Level
    y: _Level
    xx: Tensor
    xy: Tensor
    yy: Tensor

    def pooled(self, other: _Sums) -> _Sums:
        count = self.count + other.count
        share = (other.count / count.clamp_min(1))[:, None]
        dx, dy = other.x.minus(self.x), other.y.minus(self.y)
        weight = share * self.count[:, None]
        return _Sums(
            self.shape,
            count,
            _Level(self.x.base, self.x.rest + share * dx),
            _Level(self.y.base, self.y.rest + share * dy),
            self.xx + other.xx + (weight * dx * dx).sum(0),
            self.xy + other.xy + (weight * dx * dy).sum(0),
            self.yy + other.yy + (weight * dy * dy).sum(0),
        )


def _within(value: Tensor, count: Tensor, series: Tensor | None, mask: Tensor | None) -> tuple[_Level, Tensor]:
    """Means of each series and the rows (P, F) without them, 0 where masked.

    In two steps: the rounding of a mean of 1e3 is more than a spread of 1e-3 bears; once most of the mean is gone, it is not.
    """
    if mask is not None:
        value = torch.where(mask[:, None], value, 0.0)
    base = value[:BASE_ROWS].mean(0)
    value = value - base
    if mask is not None:
        value *= mask[:, None]
    divisor = count.clamp_min(1)[:, None]
    if series is None:
        level = value.sum(0, keepdim=True) / divisor
        value -= level
    else:
        level = value.new_zeros(len(count), value.shape[1]).index_add_(0, series, value) / divisor
        value -= level.index_select(0, series)
    if mask is not None:
        value *= mask[:, None]
    return _Level(base, level), value
