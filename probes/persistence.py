"""How much of a value is carried from one position of the data to the next: slopes over pairs, on the device.

A pair is a value at position t and its predecessor at t − stride of the same series. The slope of the one on
the other is taken within series (each series' own means removed), otherwise the level of a series would look
like memory. The interval is the slope's own, of least squares with Student's t: exact for Gaussian pairs.
Fisher's transformation belongs to the correlation, whose error at φ near 1 is smaller by sqrt(1 − φ²); put on
the slope it covers 46 % at φ = 0.95.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from probes.diagnostics import student_quantile

# rows that sums are taken around the mean of; the rounding error grows at most B / 16 times by it
BASE_ROWS = 16
# of a mean's size: movement below it is arithmetic, not the neuron's
ROUNDING = 4 * torch.finfo(torch.float32).eps


class Pairs:
    """Pooled sums of pairs (x, y), each (P, N, K): the same slopes however the pairs are cut into updates.

    Parameters
    ----------
    n_series
        Number of series; ids run from 0.

    Raises
    ------
    ValueError
        For fewer than one series.

    Notes
    -----
    Sums are float32, taken around each update's own means and pooled by Chan, Golub & LeVeque (1983), so that
    a mean of 1e3 does not swallow a spread of 1e-3. Nothing synchronises the device.
    """

    def __init__(self, n_series: int = 1) -> None:
        if n_series < 1:
            raise ValueError(f"n_series is {n_series}: pairs belong to at least one series")
        self.n_series = n_series
        self._sums: _Sums | None = None

    @torch.no_grad()
    def update(
        self, current: Tensor, previous: Tensor, series: Tensor | None = None, mask: Tensor | None = None
    ) -> Pairs:
        """Add pairs.

        Parameters
        ----------
        current, previous
            (P, N, K) values and those of their predecessors.
        series
            (P,) int64 ids; None: one series.
        mask
            (P,) bool: False leaves a pair out.

        Returns
        -------
        Pairs
            Itself.

        Raises
        ------
        ValueError
            Where the shapes do not belong together, or ids are missing though there are several series.
        """
        if current.shape != previous.shape or current.dim() != 3:
            raise ValueError(
                f"pairs need two tensors (P, N, K) of one shape, got {tuple(current.shape)} and"
                f" {tuple(previous.shape)}"
            )
        y, x = (value.detach().reshape(len(value), -1).float() for value in (current, previous))
        self.add(current.shape[1:], _without_base(y, mask), _without_base(x, mask), series, mask)
        return self

    def add(
        self,
        shape: torch.Size,
        current: tuple[Tensor, Tensor],
        previous: tuple[Tensor, Tensor],
        series: Tensor | None,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """`update` with values that are centred already, which it overwrites.

        Parameters
        ----------
        shape
            (N, K).
        current, previous
            A base (N K,) near the mean and the rows (P, N K) without it, 0 where masked.
        series, mask
            As for `update`.

        Returns
        -------
        tuple of Tensor
            Sum and sum of squares of the rows of both, (N K,) each.

        Raises
        ------
        ValueError
            Where ids are missing or not one a pair.
        """
        (y_base, y), (x_base, x) = current, previous
        if series is None and self.n_series > 1:
            raise ValueError(f"pairs of {self.n_series} series need their series ids, one a pair")
        if series is not None and series.shape != x.shape[:1]:
            raise ValueError(f"series ids have shape {tuple(series.shape)}, the pairs are {len(x)}")
        ones = x.new_ones(1, len(x)) if mask is None else mask.to(x)[None]
        if series is None or self.n_series == 1:
            # Of one series the means are as near 0 as the base is to them: E[x²] − E[x]² loses no more than a
            # factor P / 16.
            count = ones.sum(1)
            products = torch.empty_like(x)
            x_sum, y_sum = row_sum(ones, x), row_sum(ones, y)
            xx, yy = (row_sum(ones, torch.mul(value, value, out=products)) for value in (x, y))
            xy = row_sum(ones, torch.mul(x, y, out=products))
            divisor = count.clamp_min(1)
            x_rest, y_rest = x_sum / divisor, y_sum / divisor
            x_level, y_level = _Level(x_base, x_rest[None]), _Level(y_base, y_rest[None])
            part = (xx - x_sum * x_rest, xy - x_sum * y_rest, yy - y_sum * y_rest)
        else:
            count = x.new_zeros(self.n_series).index_add_(0, series, ones[0])
            x_level = _Level(x_base, _take_levels(x, count, series, mask))
            y_level = _Level(y_base, _take_levels(y, count, series, mask))
            xy = row_sum(ones, x * y)
            part = (row_sum(ones, x.mul_(x)), xy, row_sum(ones, y.mul_(y)))
        self._pool(_Sums(shape, count, x_level, y_level, *part))
        rest, squares = x_level.rest + y_level.rest, x_level.rest**2 + y_level.rest**2
        return row_sum(count[None], rest), part[0] + part[2] + row_sum(count[None], squares)

    def merge(self, other: Pairs) -> Pairs:
        """Pool with the pairs that another has seen, in place.

        Parameters
        ----------
        other
            Of the same number of series.

        Returns
        -------
        Pairs
            Itself.

        Raises
        ------
        ValueError
            For another number of series.
        """
        if self.n_series != other.n_series:
            raise ValueError(f"cannot pool pairs of {self.n_series} series with pairs of {other.n_series}")
        if other._sums is not None:
            self._pool(other._sums)
        return self

    def _pool(self, part: _Sums) -> None:
        self._sums = part if self._sums is None else self._sums.pooled(part)

    def sufficient_statistics(self) -> dict[str, Tensor]:
        """What the slopes depend on; stacked over steps they are what `slopes` takes.

        Returns
        -------
        dict
            Name -> (N, K) or ().

        Raises
        ------
        ValueError
            Before the first update.
        """
        if self._sums is None:
            raise ValueError("no pairs yet: update first")
        sums = self._sums
        found = {
            "xx": sums.xx,
            "xy": sums.xy,
            "yy": sums.yy,
            "level": (sums.x.base + sums.x.rest).abs().amax(0),
        }
        pairs = sums.count.sum()
        groups = (sums.count > 0).sum()
        return {name: value.reshape(sums.shape) for name, value in found.items()} | {
            "pairs": pairs,
            "groups": groups,
        }

    def result(self) -> dict[str, Tensor]:
        """`slopes(self.sufficient_statistics())`.

        Returns
        -------
        dict
            Name -> (N,).

        Raises
        ------
        ValueError
            Before the first update.
        """
        return slopes(self.sufficient_statistics())


def slopes(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Slope of values on their predecessors, with its interval.

    Parameters
    ----------
    sums
        `Pairs.sufficient_statistics()` of one step, or each stacked over steps: (T, N, K) and (T,).

    Returns
    -------
    dict
        `persistence` φ̂, `persistence_low`, `persistence_high` (95 %), `innovation`, each (..., N), NaN where
        undefined: a mean that does not move (beyond the rounding of its own size), or fewer than one degree
        of freedom, pairs − series − 1.

    Notes
    -----
    For K > 1 the slope is pooled over dimensions (each weighs by its own movement), the innovation is the
    mean over dimensions, and the interval counts the pairs of one dimension: on the safe side where they are
    independent.
    """
    pairs, dimensions = sums["pairs"][..., None], sums["xx"].shape[-1]
    xx, xy, yy = (sums[name].sum(-1) for name in ("xx", "xy", "yy"))
    still = ((ROUNDING * sums["level"]) ** 2).sum(-1) * pairs
    xx = torch.where(xx > still, xx, math.nan)
    freedom = pairs - sums["groups"][..., None] - 1
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
    """Means of each series, base (N K,) + rest (S, N K): apart, since differences of large means drown in
    their rounding.
    """

    base: Tensor
    rest: Tensor

    def minus(self, other: _Level) -> Tensor:
        return (self.base - other.base) + (self.rest - other.rest)


@dataclass
class _Sums:
    """Per series: counts (S,) and the levels of x and y; over all pairs: centred sums of squares and products
    (N K,).
    """

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


def row_sum(weights: Tensor, value: Tensor) -> Tensor:
    """Weighted sum over rows: a matrix product, twice as fast as `sum(0)`.

    Parameters
    ----------
    weights
        (1, B).
    value
        (B, F).

    Returns
    -------
    Tensor
        (F,).
    """
    return torch.mm(weights, value)[0]


def base_of(value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of the first rows, near enough to the mean for sums of squares around it; of all rows that a mask
    leaves, wherever they are.

    Parameters
    ----------
    value
        (B, F), finite where the mask leaves a row out.
    mask
        (B,) bool: False leaves a row out.

    Returns
    -------
    Tensor
        (F,).
    """
    if mask is not None and len(mask) == len(value):
        weights = mask.to(value)[None]
        return row_sum(weights / weights.sum().clamp_min(1), value)
    rows = min(BASE_ROWS, len(value))
    return row_sum(value.new_full((1, rows), 1 / max(rows, 1)), value[:rows])


def _without_base(value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Base (F,) and the rows (P, F) without it; what the mask leaves out is 0."""
    if mask is not None:
        value = torch.where(mask[:, None], value, 0.0)
    base = base_of(value, mask)
    value = value - base
    if mask is not None:
        value *= mask[:, None]
    return base, value


def _take_levels(value: Tensor, count: Tensor, series: Tensor, mask: Tensor | None) -> Tensor:
    """Take the mean of each series out of the rows (P, F), in place; returns the means (S, F).

    In two steps, since the base is gone: the rounding of a mean of 1e3 is more than a spread of 1e-3 bears.
    """
    level = (
        value.new_zeros(len(count), value.shape[1]).index_add_(0, series, value) / count.clamp_min(1)[:, None]
    )
    value -= level.index_select(0, series)
    if mask is not None:
        value *= mask[:, None]
    return level
