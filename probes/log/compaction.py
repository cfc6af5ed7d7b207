"""Compaction: small segments of one folder become larger ones, and a full block its pyramid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from probes.log.blocks import (
    ColumnBlock,
    buckets,
    column_rank,
    concatenate,
    is_grid,
    neuron_groups,
    pyramid_name,
    write_column_blocks,
    write_layers,
)
from probes.log.grid import GridFile
from probes.log.rows import join, read_whole, write_rows
from probes.log.segments import Segment
from probes.schema import BLOCK_STEPS, PYRAMID, ROW_GROUP_NEURONS
from probes.storage import Storage

Visit = Callable[[int, ColumnBlock], None]
"""Is shown the (first neuron, block) of each row group that a compaction passes on."""

FAN_IN = 16
"""So many segments of one size are compacted early: a slow run's tail stays below 2 x 16 files, a row is
rewritten at most thrice.
"""
FULL_ROWS = 65_536
"""Recorded steps (`layers/`) or rows that a full file of a plain table covers: its rows are few and read
together.
"""

CACHE_BYTES = 64 * 2**20
"""So much of the block that is filling stays in memory, so that compacting it reads nothing; of a larger one
nothing does.
"""


@dataclass(frozen=True)
class CachedSegment:
    """The layers of a segment, in memory: read like its `GridFile`."""

    blocks: list[ColumnBlock]

    @property
    def layers(self) -> list[int]:
        return [block.layer for block in self.blocks]

    @property
    def columns(self) -> list[str]:
        return sorted({name for block in self.blocks for name in block.columns}, key=column_rank)

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for block in self.blocks for column in block.columns.values())

    def may_lack(self, column: str) -> bool:
        return any(column not in block.columns or column in block.present for block in self.blocks)

    def block(self, layer: int, group: int) -> ColumnBlock:
        """The neurons of a row group."""
        (whole,) = (block for block in self.blocks if block.layer == layer)
        rows = slice(group * ROW_GROUP_NEURONS, (group + 1) * ROW_GROUP_NEURONS)
        return ColumnBlock(
            layer, whole.steps, {name: column[rows] for name, column in whole.columns.items()}, whole.present
        )

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class _TailFile:
    """A file of a compactor's tail, the steps (rows) it holds, and its content while there is room for it."""

    segment: Segment
    size: int
    cached: CachedSegment | None = None


class Compactor:
    """The tail of one folder: the files that this writer has added and that are not yet part of a full
    one.
    """

    def __init__(self, storage: Storage, name: str, precision: str, widths: list[int]) -> None:
        self.name = name
        self.full = BLOCK_STEPS if is_grid(name) else FULL_ROWS
        self._storage = storage
        self._precision = precision
        self._widths = widths
        self._tail: list[_TailFile] = []
        self._obsolete: list[str] = []

    def add(self, segment: Segment, size: int, blocks: list[ColumnBlock] | None = None) -> None:
        """Note a file just written, of `size` steps (rows); its blocks, where given, are cached while there
        is room.
        """
        self._append(_TailFile(segment, size, None if blocks is None else CachedSegment(blocks)))

    @property
    def empty(self) -> bool:
        return not self._tail

    def compact(self) -> None:
        """Compact what is due: all when it makes a full file, else the newest 16 of one size."""
        number = due([file.size for file in self._tail], self.full)
        if number:
            self._compact(number, None)

    def compact_all(self, visit: Visit | None = None) -> Segment:
        """Compact the whole tail (at least one file) into the segment returned."""
        return self._compact(len(self._tail), visit)

    def take_obsolete(self) -> list[str]:
        """Paths of the files that were compacted since the last call: now to be deleted."""
        obsolete, self._obsolete = self._obsolete, []
        return obsolete

    def _append(self, file: _TailFile) -> None:
        self._tail.append(file)
        if sum(file.cached.nbytes for file in self._tail if file.cached) > CACHE_BYTES:
            self._tail = [_TailFile(file.segment, file.size) for file in self._tail]

    def _compact(self, number: int, visit: Visit | None) -> Segment:
        files = self._tail[-number:]
        segments = [file.segment for file in files]
        cached = {file.segment: file.cached for file in files if file.cached}
        compacted = compact_segments(
            self._storage, self.name, segments, self._precision, self._widths, visit, cached
        )
        self._obsolete += [f"{self.name}/{segment.name}" for segment in segments if segment != compacted]
        del self._tail[-number:]
        size = sum(file.size for file in files)
        if size + sum(file.size for file in self._tail) >= self.full:
            self._tail.clear()
        else:
            whole = _joined(list(cached.values())) if len(cached) == len(segments) else None
            self._append(_TailFile(compacted, size, whole))
        return compacted


def due(sizes: list[int], full: int) -> int:
    """How many of the newest files to compact now, 0 for none. sizes: oldest first."""
    if sum(sizes) >= full:
        return len(sizes)
    limit = FAN_IN
    while limit < full:
        number = next((i for i, size in enumerate(reversed(sizes)) if size >= limit), len(sizes))
        if number >= FAN_IN:
            return number
        limit *= FAN_IN
    return 0


def compact_segments(
    storage: Storage,
    name: str,
    segments: list[Segment],
    precision: str,
    widths: list[int],
    visit: Visit | None = None,
    cached: Mapping[Segment, CachedSegment] = MappingProxyType({}),
) -> Segment:
    """Write consecutive segments of the folder `name` as one and return it; the caller deletes the old files.

    A single segment is not rewritten, only shown to `visit`. What is in `cached` is not read.
    """
    compacted = Segment(segments[0].first, segments[-1].last)
    paths = [f"{name}/{segment.name}" for segment in segments]
    target = f"{name}/{compacted.name}"
    if not is_grid(name):
        if len(segments) > 1:
            write_rows(storage, target, join([read_whole(storage, path) for path in paths]), precision)
        return compacted
    files = [
        cached[segment] if segment in cached else GridFile(storage, path, widths)
        for segment, path in zip(segments, paths, strict=True)
    ]
    try:
        merged = _merged(files, widths, visit)
        if len(files) > 1:
            names = sorted({column for file in files for column in file.columns}, key=column_rank)
            nullable = {column for column in names if any(file.may_lack(column) for file in files)}
            write_column_blocks(storage, target, merged, names, nullable, precision)
        elif visit:
            for _ in merged:
                pass
    finally:
        for file in files:
            file.close()
    return compacted


def _joined(segments: list[CachedSegment]) -> CachedSegment:
    """Consecutive segments as one."""
    layers = sorted({layer for segment in segments for layer in segment.layers})
    return CachedSegment(
        [
            concatenate([block for segment in segments for block in segment.blocks if block.layer == layer])
            for layer in layers
        ]
    )


def _merged(
    files: Sequence[GridFile | CachedSegment], widths: list[int], visit: Visit | None
) -> Iterator[tuple[int, ColumnBlock]]:
    """(first neuron, block) of every row group of every layer, the files' steps one after the other."""
    for layer in sorted({layer for file in files for layer in file.layers}):
        for group, (start, _) in enumerate(neuron_groups(widths[layer])):
            block = concatenate([file.block(layer, group) for file in files if layer in file.layers])
            if visit:
                visit(start, block)
            yield start, block


class PyramidBuilder:
    """Collects the buckets of one block while its row groups pass, and writes a segment for each level."""

    def __init__(self, widths: Sequence[int] = PYRAMID) -> None:
        self._groups: dict[int, dict[int, list[ColumnBlock]]] = {width: {} for width in widths}

    def visit(self, first_neuron: int, block: ColumnBlock) -> None:
        for width, layers in self._groups.items():
            layers.setdefault(block.layer, []).append(buckets(block, width))

    def write(self, storage: Storage, segment: Segment, precision: str) -> dict[str, int]:
        """Write `pyramid/WIDTH/SEGMENT` for each level; returns each folder's name and the buckets written to
        it.
        """
        sizes = {}
        for width, layers in self._groups.items():
            name = pyramid_name(width)
            blocks = [stack_neurons(groups) for _, groups in sorted(layers.items())]
            write_layers(storage, f"{name}/{segment.name}", blocks, precision)
            sizes[name] = max(block.steps.size for block in blocks)
        return sizes


def stack_neurons(groups: list[ColumnBlock]) -> ColumnBlock:
    """The row groups of a layer as one block."""
    first = groups[0]
    if len(groups) == 1:
        return first
    columns = {name: np.concatenate([block.columns[name] for block in groups]) for name in first.columns}
    return ColumnBlock(first.layer, first.steps, columns, first.present)
