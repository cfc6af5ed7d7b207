"""Pairs of a training batch, which are independent of each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from probes.persistence.slope_intervals import slopes
from probes.persistence.sums import base_of, check_count, check_ids, matrices, relative_scores
from probes.precision import unrounded


class Pairs:
    """Pairs (x, y) of one training batch, each (P, N, K): the same slopes however they are cut into updates.

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
    The interval takes pairs for independent of each other, as those of random origins nearly are. Pairs of a
    whole split are not: `BlockPairs`.

    A residual needs the slope, and a slope over several updates is known after the last: the pairs are kept,
    as float32 around a base near their mean, so that a mean of 1e3 does not swallow a spread of 1e-3. Nothing
    synchronises the device.
    """

    def __init__(self, n_series: int = 1) -> None:
        check_count("n_series", n_series, "series")
        self.n_series = n_series
        self._shape = torch.Size()
        self._parts: list[_Part] = []

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
            (P,) bool: False leaves a pair out, whatever it holds.

        Returns
        -------
        Pairs
            Itself.

        Raises
        ------
        ValueError
            Where the shapes do not belong together, or ids are missing though there are several series.
        """
        values = torch.stack([value.float() for value in matrices(current, previous)])
        if mask is not None:
            values = torch.where(mask[:, None], values, 0.0)
        with unrounded(values.device):
            base = torch.stack([base_of(value, mask) for value in values])
        self.add(current.shape[1:], base, _masked(values - base[:, None], mask), series, mask)
        return self

    def add(
        self,
        shape: torch.Size,
        base: Tensor,
        values: Tensor,
        series: Tensor | None,
        mask: Tensor | None = None,
        scratch: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`update` with values that are centred already, which it keeps and changes.

        Parameters
        ----------
        shape
            (N, K).
        base
            (2, N K), or (1, N K) where both have one: near their means.
        values
            (2, P, N K): both without it, 0 where masked.
        series, mask
            As for `update`.
        scratch
            Memory as large as `values`, to be written over.

        Returns
        -------
        tuple of Tensor
            Mean of both without the first base, and their sum of squares around it, (N K,) each.

        Raises
        ------
        ValueError
            Where ids are missing or not one a pair.
        """
        check_ids("series", series, self.n_series, values.shape[1])
        self._shape = shape
        series = None if self.n_series == 1 else series
        part = _summed(shape, base, values, series, mask, self.n_series, scratch)
        self._parts.append(part)
        share = (part.count / (2 * part.count.sum()).clamp_min(1))[:, None]
        mean = (part.level * share).sum((0, 1))
        deviation = part.level - mean
        return mean, part.squares.sum(0) + (deviation * deviation * part.count[:, None]).sum((0, 1))

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
        if other._parts:
            self._shape = other._shape
            self._parts += other._parts
        return self

    @torch.no_grad()
    def sufficient_statistics(self) -> dict[str, Tensor]:
        """What the slopes depend on; stacked over steps they are what `slopes` takes.

        Returns
        -------
        dict
            Name -> (N, K), (N,) or ().

        Raises
        ------
        ValueError
            Before the first update.
        """
        if not self._parts:
            raise ValueError("no pairs yet: update first")
        if len(self._parts) > 1:
            self._parts = [_joined(self._shape, self._parts)]
        part = self._parts[0]
        by_dimension = {
            "xx": part.squares[1],
            "xy": part.xy,
            "yy": part.squares[0],
            "level": (part.base[-1] + part.level[1]).abs().amax(0),
        }
        return {name: value.reshape(self._shape) for name, value in by_dimension.items()} | {
            "scores": part.relative[0],
            "shares": part.relative[1],
            "pairs": part.count.sum(),
            "groups": part.count.count_nonzero(),
        }

    @torch.no_grad()
    def poolable(self) -> dict[str, Tensor]:
        """Sums of these pairs alone, for a pool over several processes (`probes.watching.rank_sums`); of one
        series.

        Returns
        -------
        dict
            Name -> float64, of predecessors x, values y, and of a pair's u = Σ_k x_k y_k and w = Σ_k x_k².
            `pairs` (); means `x`, `y` (N, K); around these sums over pairs: `pair_xx`, `pair_xy`, `pair_yy`,
            `pair_ux`, `pair_uy`, `pair_wx`, `pair_wy` (N, K), `pair_uu`, `pair_uw`, `pair_ww` (N,).

        Raises
        ------
        ValueError
            Before the first update, and of several series.
        """
        if not self._parts:
            raise ValueError("no pairs yet: update first")
        if self.n_series > 1:
            raise ValueError(f"pairs of {self.n_series} series are pooled where all of them are")
        if len(self._parts) > 1:
            self._parts = [_joined(self._shape, self._parts)]
        part = self._parts[0]
        wide = part.rows.float if part.rows.device.type == "mps" else part.rows.double
        y, x = wide().unflatten(2, self._shape)
        u, w = (x * y).sum(2), (x * x).sum(2)
        mean = part.base.to(x) + part.level[:, 0].to(x)
        of_pairs = {"uu": u * u, "uw": u * w, "ww": w * w, "xx": x * x, "xy": x * y, "yy": y * y}
        u, w = u[..., None], w[..., None]
        of_pairs |= {"ux": u * x, "uy": u * y, "wx": w * x, "wy": w * y}
        means = {"y": mean[0].reshape(self._shape), "x": mean[-1].reshape(self._shape)}
        sums = {f"pair_{name}": value.sum(0) for name, value in of_pairs.items()}
        return {"pairs": part.count.sum().to(x)} | means | sums

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


@dataclass
class _Part:
    """Pairs and their sums; of values, then of predecessors, where there are two.

    The pairs are base (2 or 1, F) + level (2, S, F) + rows (2, P, F), apart, since differences of large means
    drown in their rounding. Sums of the rows' squares (2, F) and products (F,); of the squared relative
    scores and shares of pairs (2, N).
    """

    base: Tensor
    level: Tensor
    rows: Tensor
    series: Tensor | None
    mask: Tensor | None
    count: Tensor
    squares: Tensor
    xy: Tensor
    relative: Tensor

    def around(self, base: Tensor) -> Tensor:
        """The pairs without a base of another part."""
        level = self.level if self.series is None else self.level.index_select(1, self.series)
        return self.rows + level + (self.base - base)[:, None]

    def pair_mask(self) -> Tensor:
        if self.mask is not None:
            return self.mask.bool()
        return torch.ones(self.rows.shape[1], dtype=torch.bool, device=self.rows.device)


def _summed(
    shape: torch.Size,
    base: Tensor,
    rows: Tensor,
    series: Tensor | None,
    mask: Tensor | None,
    n_series: int,
    scratch: Tensor | None = None,
) -> _Part:
    """Pairs, (2, P, F) around a base, with their sums; the rows are centred in place, and 0 where masked."""
    if series is None:
        count = rows.new_full((1,), rows.shape[1]) if mask is None else mask.to(rows).sum(0, keepdim=True)
        level = rows.sum(1, keepdim=True)
        level /= max(1, rows.shape[1]) if mask is None else count.clamp_min(1)
        rows -= level
    else:
        ones = rows.new_ones(rows.shape[1]) if mask is None else mask.to(rows)
        count = rows.new_zeros(n_series).index_add_(0, series, ones)
        level = rows.new_zeros(2, n_series, rows.shape[2]).index_add_(1, series, rows)
        level /= count.clamp_min(1)[:, None]
        rows -= level.index_select(1, series)
    _masked(rows, mask)
    work = torch.empty_like(rows) if scratch is None else scratch.view(rows.shape)  # stays in the cache
    squares = torch.mul(rows, rows, out=work).sum(1)
    xy = torch.mul(rows[0], rows[1], out=work[0]).sum(0)
    xy_total, xx_total = xy, squares[1]
    if shape[1] > 1:  # a score is of the pair: its dimensions need not be independent
        work = work.unflatten(2, shape).sum(3)
        xy_total, xx_total = xy.reshape(shape).sum(1), xx_total.reshape(shape).sum(1)
    relative = relative_scores(work, xy_total, xx_total)
    return _Part(base, level, rows, series, mask, count, squares, xy, relative.mul_(relative).sum(1))


def _joined(shape: torch.Size, parts: list[_Part]) -> _Part:
    """Pairs of several updates as one."""
    base = parts[0].base
    mask = torch.cat([part.pair_mask() for part in parts])
    rows = _masked(torch.cat([part.around(base) for part in parts], 1), mask)
    ids = [part.series for part in parts if part.series is not None]
    return _summed(shape, base, rows, torch.cat(ids) if ids else None, mask, len(parts[0].count))


def _masked(values: Tensor, mask: Tensor | None) -> Tensor:
    """`values` (2, B, F), 0 from now on where masked."""
    return values if mask is None else values.mul_(mask[:, None])
