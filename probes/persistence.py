"""How much of a value is carried from one position of the data to the next: slopes over pairs, on the device.

A pair is a value at position t and its predecessor at t − stride of the same series. The slope of the one on
the other is taken within series (each series' own means removed), otherwise the level of a series would look
like memory.

The interval is that of the slope, with errors that hold whatever the noise of each pair (White 1980): the
slope's variance is the sum of its squared scores, x e for predecessor x and residual e. Pairs of a training
batch are scores of their own; those of a whole split overlap, and their scores are summed by blocks of time
(Liang & Zeger 1986).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from probes.diagnostics import student_quantile
from probes.precision import unrounded

# rows that sums are taken around the mean of; the rounding error grows at most B / 16 times by it
BASE_ROWS = 16
# of a mean's size: movement below it is arithmetic, not the neuron's
ROUNDING = 4 * torch.finfo(torch.float32).eps
# pairs or blocks of equal share in the movement that an interval needs; 2 themselves may round down
LEAST_EFFECTIVE = 2 - 1e-4


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
        _check_count("n_series", n_series, "series")
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
        values = torch.stack([value.float() for value in _matrices(current, previous)])
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
        _check_ids("series", series, self.n_series, values.shape[1])
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


class BlockPairs:
    """Pairs (x, y) of a whole split, whose windows overlap and share their time: slopes with an interval that
    takes blocks of time, not pairs, for independent.

    Parameters
    ----------
    n_series
        Number of series; ids run from 0.
    n_blocks
        Number of blocks of time; ids run from 0. A block holds the pairs of all series within, say, two
        horizons.

    Raises
    ------
    ValueError
        For fewer than one series or block.

    Notes
    -----
    Sums are float64 and on the CPU, 16 bytes for each block, series, neuron and dimension: what float32 tells
    from its rounding they hold to 1e-3.
    """

    def __init__(self, n_series: int, n_blocks: int) -> None:
        _check_count("n_series", n_series, "series")
        _check_count("n_blocks", n_blocks, "block of time")
        self.n_series = n_series
        self.n_blocks = n_blocks
        self._shape = torch.Size()
        self._device = torch.device("cpu")
        self._sums: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(
        self,
        current: Tensor,
        previous: Tensor,
        series: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        block: Tensor | None,
    ) -> BlockPairs:
        """Add pairs.

        Parameters
        ----------
        current, previous, series, mask
            As for `Pairs.update`.
        block
            (P,) int64 ids: the block of time of each pair.

        Returns
        -------
        BlockPairs
            Itself.

        Raises
        ------
        ValueError
            Where the shapes do not belong together, or ids are missing, not one a pair, or out of range.
        """
        y, x = _matrices(current, previous)
        _check_ids("series", series, self.n_series, len(x))
        if block is None:
            raise ValueError(f"pairs of {self.n_blocks} blocks of time need their block ids, one a pair")
        _check_ids("block", block, self.n_blocks, len(x))
        series = torch.zeros_like(block) if series is None or self.n_series == 1 else series
        kept = torch.ones_like(block, dtype=torch.bool) if mask is None else mask
        y, x, series, block = (value[kept].cpu() for value in (y, x, series, block))
        for name, ids, most in (("series", series, self.n_series), ("block", block, self.n_blocks)):
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < most:
                raise ValueError(f"{name} ids are 0 to {most - 1}, got {int(ids.min())} to {int(ids.max())}")
        self._shape, self._device = current.shape[1:], current.device
        y, x = y.double(), x.double()
        cell, cells, features = block * self.n_series + series, self.n_blocks * self.n_series, x.shape[1]
        self._add(
            {
                "count": x.new_zeros(cells).index_add_(0, cell, x.new_ones(len(x))),
                "x": x.new_zeros(cells, features).index_add_(0, cell, x),
                "y": x.new_zeros(cells, features).index_add_(0, cell, y),
                "xx": x.new_zeros(self.n_blocks, features).index_add_(0, block, x * x),
                "xy": x.new_zeros(self.n_blocks, features).index_add_(0, block, x * y),
                "yy": (y * y).sum(0),
            }
        )
        return self

    def merge(self, other: BlockPairs) -> BlockPairs:
        """Pool with the pairs that another has seen, in place.

        Parameters
        ----------
        other
            Of the same numbers of series and blocks.

        Returns
        -------
        BlockPairs
            Itself.

        Raises
        ------
        ValueError
            For other numbers.
        """
        mine, its = (self.n_series, self.n_blocks), (other.n_series, other.n_blocks)
        if mine != its:
            raise ValueError(f"cannot pool pairs of {mine} series and blocks with pairs of {its}")
        if other._sums:
            self._shape, self._device = other._shape, other._device
            self._add(other._sums)
        return self

    def _add(self, part: dict[str, Tensor]) -> None:
        self._sums = {name: self._sums[name] + value for name, value in part.items()} if self._sums else part

    def sufficient_statistics(self) -> dict[str, Tensor]:
        """What the slopes depend on, as of `Pairs`, and the number of `blocks` with a pair.

        Returns
        -------
        dict
            Name -> (N, K), (N,) or (), float32 on the pairs' device.

        Raises
        ------
        ValueError
            Before the first update.
        """
        if not self._sums:
            raise ValueError("no pairs yet: update first")
        sums = self._sums
        count = sums["count"].reshape(self.n_blocks, self.n_series)
        x, y = (sums[name].reshape(self.n_blocks, self.n_series, -1) for name in ("x", "y"))
        pairs = count.sum(0)
        x_mean, y_mean = (value.sum(0) / pairs.clamp_min(1)[:, None] for value in (x, y))
        # Σ (x − x̄)(y − ȳ) = Σ x y − x̄ Σ y − ȳ Σ x + n x̄ ȳ of each block, series by series
        xx = sums["xx"] - torch.einsum("bsf,sf->bf", 2 * x - count[:, :, None] * x_mean, x_mean)
        xy = (
            sums["xy"]
            - torch.einsum("bsf,sf->bf", y - count[:, :, None] * y_mean, x_mean)
            - torch.einsum("bsf,sf->bf", x, y_mean)
        )
        yy = sums["yy"] - row_sum(pairs[None], y_mean * y_mean)
        work = torch.stack([value.unflatten(1, self._shape).sum(2) for value in (xy, xx)])
        scores, shares = _relative_scores(work, *work.sum(1)).square().sum(1)
        by_dimension = {"xx": xx.sum(0), "xy": xy.sum(0), "yy": yy, "level": x_mean.abs().amax(0)}
        found = {name: value.reshape(self._shape) for name, value in by_dimension.items()} | {
            "scores": scores,
            "shares": shares,
            "pairs": pairs.sum(),
            "groups": (pairs > 0).sum(),
            "blocks": (count.sum(1) > 0).sum(),
        }
        return {name: value.to(self._device, torch.float32) for name, value in found.items()}

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
        `sufficient_statistics()` of one step, or each stacked over steps: (T, N, K), (T, N) and (T,).

    Returns
    -------
    dict
        `persistence` φ̂, `persistence_low`, `persistence_high` (95 %), `innovation`, each (..., N), NaN where
        undefined: a mean that does not move (beyond the rounding of its own size), or fewer than one residual
        degree of freedom, pairs − series − 1. The interval alone is NaN where it is that of fewer than two
        pairs, or blocks, of equal share in the movement: 1 / Σ a² < 2. Of `BlockPairs` also
        `persistence_blocks`, their number.

    Notes
    -----
    φ̂ ± t sqrt(Σ (score / Σ x²)²), the score of a pair being Σ_k x_k e_k. Pairs: times n / (n − series − 1)
    (HC1, MacKinnon & White 1985), and t has 1 / Σ a² degrees of freedom, a = x² / Σ x² a pair's share of the
    movement: as many as carry the slope (after Satterthwaite 1946). Blocks: times G / (G − 1), and t has
    G − 1.

    For K > 1 the slope is pooled over dimensions (each weighs by its own movement), the innovation is the
    mean over dimensions, and score and share are of the pair: its dimensions need not be independent.
    """
    pairs, dimensions = sums["pairs"][..., None], sums["xx"].shape[-1]
    xx, xy, yy = (sums[name].sum(-1) for name in ("xx", "xy", "yy"))
    still = ((ROUNDING * sums["level"]) ** 2).sum(-1) * pairs
    xx = torch.where(xx > still, xx, math.nan)
    residual = pairs - sums["groups"][..., None] - 1
    residual = torch.where(residual >= 1, residual, math.nan)
    slope = xy / xx + 0 * residual
    effective = 1 / sums["shares"]  # pairs or blocks that carry the slope
    result = {
        "persistence": slope,
        "innovation": (yy - slope * xy).clamp_min(0) / (dimensions * residual),
    }
    if "blocks" in sums:
        blocks = result["persistence_blocks"] = sums["blocks"][..., None].expand_as(slope)
        freedom, correction = blocks - 1, blocks / (blocks - 1)
    else:
        freedom, correction = effective, pairs / residual
    freedom = torch.where(effective >= LEAST_EFFECTIVE, freedom, math.nan)
    half = student_quantile(freedom) * (correction * sums["scores"]).sqrt()
    return result | {"persistence_low": slope - half, "persistence_high": slope + half}


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
    relative = _relative_scores(work, xy_total, xx_total)
    return _Part(base, level, rows, series, mask, count, squares, xy, relative.mul_(relative).sum(1))


def _joined(shape: torch.Size, parts: list[_Part]) -> _Part:
    """Pairs of several updates as one."""
    base = parts[0].base
    mask = torch.cat([part.pair_mask() for part in parts])
    rows = _masked(torch.cat([part.around(base) for part in parts], 1), mask)
    ids = [part.series for part in parts if part.series is not None]
    return _summed(shape, base, rows, torch.cat(ids) if ids else None, mask, len(parts[0].count))


def _relative_scores(work: Tensor, xy: Tensor, xx: Tensor) -> Tensor:
    """Scores x e and squares x² of pairs or blocks, over the sum of squares: the squares of both are numbers
    then, however small the movement.

    `work` (2, P, N), products x y and squares x² whose sums are xy and xx (N,), becomes the result.
    """
    inverse = xx.reciprocal()
    work[0].addcmul_(work[1], xy * inverse, value=-1)
    return work.mul_(inverse)


def _matrices(current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
    """Both (P, N, K) as (P, N K)."""
    if current.shape != previous.shape or current.dim() != 3:
        raise ValueError(
            f"pairs need two tensors (P, N, K) of one shape, got {tuple(current.shape)} and"
            f" {tuple(previous.shape)}"
        )
    y, x = (value.detach().flatten(1) for value in (current, previous))
    return y, x


def _check_count(name: str, number: int, what: str) -> None:
    if number < 1:
        raise ValueError(f"{name} is {number}: pairs belong to at least one {what}")


def _check_ids(name: str, ids: Tensor | None, number: int, pairs: int) -> None:
    if ids is None and number > 1:
        raise ValueError(f"pairs of {number} {name} need their {name} ids, one a pair")
    if ids is not None and ids.shape != (pairs,):
        raise ValueError(f"{name} ids have shape {tuple(ids.shape)}, the pairs are {pairs}")


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


def _masked(values: Tensor, mask: Tensor | None) -> Tensor:
    """`values` (2, B, F), 0 from now on where masked."""
    return values if mask is None else values.mul_(mask[:, None])
