"""Pairs of a whole split, whose windows overlap: blocks of time are independent, not pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from probes.persistence.slope_intervals import slopes
from probes.persistence.sums import check_count, check_ids, matrices, relative_scores, row_sum


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
        check_count("n_series", n_series, "series")
        check_count("n_blocks", n_blocks, "block of time")
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
        y, x = matrices(current, previous)
        check_ids("series", series, self.n_series, len(x))
        if block is None:
            raise ValueError(f"pairs of {self.n_blocks} blocks of time need their block ids, one a pair")
        check_ids("block", block, self.n_blocks, len(x))
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
        scores, shares = relative_scores(work, *work.sum(1)).square().sum(1)
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
