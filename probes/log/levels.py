"""Levels of a run: its raw rows and its pyramid, and which of them answers a question of a given size.

Where a level is not written yet (the newest steps of a live run, the last seconds of a killed one), its
buckets are computed from the raw rows, so that every level covers every step.
"""

from __future__ import annotations

import copy

import numpy as np

from probes.log.blocks import CODES, ColumnBlock, buckets, filled, most_severe, pyramid_name
from probes.log.footers import Footers
from probes.log.grid import Level
from probes.log.segments import Segment, uncovered
from probes.schema import PYRAMID
from probes.storage import Listing, Storage

ALL_STEPS = (0, np.iinfo(np.int64).max - 1)
"""The range of all steps."""
MAX_FINER_CELLS = 4_000_000
"""So many cells at most are read to fill an image better: 30 ms."""


class Levels:
    """Raw rows (`raw`) and pyramid of a run; widths: neurons of each layer. footers: of the run's files."""

    def __init__(self, storage: Storage, widths: list[int]) -> None:
        self._storage, self.footers = storage, Footers(storage)
        self.raw = Level(storage, "neurons", widths, self.footers)
        self._levels = {width: Level(storage, pyramid_name(width), widths, self.footers) for width in PYRAMID}

    def refresh(self, listing: Listing | None = None) -> None:
        """List all folders anew, what is derived before the truth: what it lacks is then found in
        `neurons/`. listing: what there is, where it was looked at already.
        """
        found = self._storage.listed() if listing is None else listing
        self.footers.look(found)
        for level in (*self._levels.values(), self.raw):
            level.refresh(found)

    def snapshot(self) -> Levels:
        """The levels as they are listed now, sharing the files that are open: `refresh` of one leaves the
        other as it is, and its own brings no later step. (The last bucket of a pyramid may have been filled
        since.)
        """
        fixed = copy.copy(self)
        fixed.raw = copy.copy(self.raw)
        fixed._levels = {width: copy.copy(level) for width, level in self._levels.items()}
        for level in (fixed.raw, *fixed._levels.values()):
            level.until = self.raw.last
        return fixed

    def uncovered(self, segments: list[Segment]) -> list[tuple[int, int]]:
        """Ranges of steps that `neurons/` holds and the segments of a derived folder do not."""
        return [gap for segment in self.raw.segments for gap in uncovered(segment, segments)]

    def _count(self, width: int, layer: int, recorded: np.ndarray, first: int, last: int) -> int:
        """Columns that a level gives for a layer between two steps; recorded: all its recorded steps."""
        inside = recorded[slice(*np.searchsorted(recorded, [first, last + 1]))]
        if width == 1 or not inside.size:
            return inside.size
        level = self._levels[width]
        count = level.steps(layer, self._bucket_start(level, layer, first), last).size
        for start, end in self.uncovered(level.segments):
            gap = np.searchsorted(inside, [start, end + 1])
            count += -(-int(gap[1] - gap[0]) // width)
        return count

    def _bucket_start(self, level: Level, layer: int, step: int) -> int:
        """First step of the bucket that holds `step`, or `step` itself where the level holds none."""
        starts = level.steps(layer, 0, step)
        return int(starts[-1]) if starts.size else step

    def width_of_at_least(self, layer: int, recorded: np.ndarray, first: int, last: int, points: int) -> int:
        """Steps a bucket of the coarsest level that gives at least `points` columns, else 1; recorded: the
        layer's steps.
        """
        for width in reversed(PYRAMID):
            if self._count(width, layer, recorded, first, last) >= points:
                return width
        return 1

    def width_for(
        self, layer: int, recorded: np.ndarray, first: int, last: int, columns: int, neurons: int
    ) -> int:
        """Steps a bucket of the level that an image of `columns` columns between two steps is made from.

        The finest that fits, the coarsest if none does; the next finer one where the fitting one would leave
        more than half of the columns unused, and the finer cells of so many neurons are quickly read.
        """
        finer = None
        for width in (1, *PYRAMID):
            count = self._count(width, layer, recorded, first, last)
            if count <= columns:
                wasteful = 2 * count <= columns
                return finer[0] if finer and wasteful and finer[1] * neurons <= MAX_FINER_CELLS else width
            finer = (width, count)
        return PYRAMID[-1]

    def read(
        self, width: int, layer: int, neurons: np.ndarray, columns: list[str], first: int, last: int
    ) -> ColumnBlock:
        """A block of a level; where it is not written yet, buckets of the raw rows. Buckets that overlap the
        range are in it.
        """
        if width == 1:
            plain = list(dict.fromkeys(_statistic_of(name) for name in columns))
            block = self.raw.read(layer, neurons, plain, first, last)
            return ColumnBlock(
                layer, block.steps, {name: block.columns[_statistic_of(name)] for name in columns}
            )
        level = self._levels[width]
        blocks = [level.read(layer, neurons, columns, self._bucket_start(level, layer, first), last)]
        plain = list(dict.fromkeys(_statistic_of(name) for name in columns))
        for start, end in self.uncovered(level.segments):
            if end >= first and start <= last:
                raw = self.raw.read(layer, neurons, plain, start, end)
                if raw.steps.size:
                    found = buckets(raw, width)
                    blocks.append(
                        ColumnBlock(layer, found.steps, {name: filled(found, name) for name in columns})
                    )
        return _sorted_by_step(blocks, columns)


def merge(
    values: np.ndarray, starts: np.ndarray, factor: int, reduce: str, taken: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Every `factor` columns of (N, C) as one, with the new starts.

    reduce: "min", "max", "last", "severe" (of raw regimes), or "mean", weighted with the number
    of `taken` steps (at which the statistic is) in each column.
    """
    groups = np.arange(0, starts.size, factor)
    if reduce == "last":
        return values[:, np.append(groups[1:], starts.size) - 1], starts[groups]
    if reduce == "severe":
        return most_severe(values, groups), starts[groups]
    if reduce != "mean":
        function = np.fmin if reduce == "min" else np.fmax
        return function.reduceat(values, groups, axis=1), starts[groups]
    weights = np.diff(np.append(np.searchsorted(taken, starts), taken.size)).astype(np.float64)
    weighted = np.where(weights > 0, values, 0) * weights
    total = np.add.reduceat(weights, groups)
    with np.errstate(invalid="ignore"):
        merged = np.add.reduceat(weighted, groups, axis=1) / total
    return merged.astype(np.float32), starts[groups]


def _statistic_of(column: str) -> str:
    return column.removesuffix("_min").removesuffix("_max")


def bucket_columns(name: str) -> list[str]:
    """Columns of a level that hold a statistic."""
    return [name] if name in CODES else [name, f"{name}_min", f"{name}_max"]


def _sorted_by_step(blocks: list[ColumnBlock], columns: list[str]) -> ColumnBlock:
    """Blocks of one layer, in any order of step, as one."""
    if len(blocks) == 1:
        return blocks[0]
    steps = np.concatenate([block.steps for block in blocks])
    order = np.argsort(steps, kind="stable")
    return ColumnBlock(
        blocks[0].layer,
        steps[order],
        {n: np.concatenate([block.columns[n] for block in blocks], axis=1)[:, order] for n in columns},
    )
