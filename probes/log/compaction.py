"""Small parts become larger ones: compacting of one folder of a run, and the pyramid of a full block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from probes.log.blocks import (
    ColumnBlock,
    buckets,
    column_rank,
    concatenate,
    neuron_groups,
    write_column_blocks,
    write_layers,
)
from probes.log.grid import GridFile
from probes.log.opening import LOCAL
from probes.log.rows import join, read_whole, write_rows
from probes.log.segments import Segment
from probes.schema import BLOCK_STEPS, PYRAMID, ROW_GROUP_NEURONS

FAN_IN = 16
"""So many parts of one size are compacted early: a slow run's tail stays below 2 x 16 files, a row is
rewritten at most thrice.
"""
FULL_ROWS = 65_536
"""Recorded steps (`layers/`) or rows that a full file of a plain table covers: its rows are few and read
together.
"""

KEPT_BYTES = 64 * 2**20
"""So much of the block that is filling stays in memory, so that compacting it reads nothing; of a larger one
nothing does.
"""


def is_grid(name: str) -> bool:
    """Whether a folder holds rows (layer, neuron, step) in row groups of 64 neurons."""
    return name == "neurons" or name.startswith("pyramid/")


def pyramid_name(width: int) -> str:
    return f"pyramid/{width}"


@dataclass(frozen=True)
class Kept:
    """The layers of a part, in memory: read like its `GridFile`."""

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
class _Written:
    """A file of a shelf, the steps (rows) it holds, and what is kept of it."""

    segment: Segment
    size: int
    kept: Kept | None = None


class Compactor:
    """The files that this writer has added to one folder and that are not yet part of a full file."""

    def __init__(self, root: Path, name: str, precision: str, widths: list[int]) -> None:
        self.name = name
        self.folder = root / name
        self.full = BLOCK_STEPS if is_grid(name) else FULL_ROWS
        self._precision = precision
        self._widths = widths
        self._tail: list[_Written] = []
        self._garbage: list[Path] = []

    def add(self, segment: Segment, size: int, blocks: list[ColumnBlock] | None = None) -> None:
        """Note a file just written, of `size` steps (rows); its blocks, where given, are kept while there is
        room.
        """
        self._append(_Written(segment, size, None if blocks is None else Kept(blocks)))

    @property
    def empty(self) -> bool:
        return not self._tail

    def compact(self) -> None:
        """Fold what is due: all when it makes a full file, else the newest 16 of one size."""
        number = due([piece.size for piece in self._tail], self.full)
        if number:
            self._compact(number, None)

    def compact_all(self, visit: Callable[[int, ColumnBlock], None] | None = None) -> Segment:
        """Fold what is there (at least one file) into the file returned; `visit` sees every (first neuron,
        block).
        """
        return self._compact(len(self._tail), visit)

    def _append(self, piece: _Written) -> None:
        self._tail.append(piece)
        if sum(piece.kept.nbytes for piece in self._tail if piece.kept) > KEPT_BYTES:
            self._tail = [_Written(piece.segment, piece.size) for piece in self._tail]

    def _compact(self, number: int, visit: Callable[[int, ColumnBlock], None] | None) -> Segment:
        group = self._tail[-number:]
        segments = [piece.segment for piece in group]
        kept = {piece.segment: piece.kept for piece in group if piece.kept}
        compacted = compact_segments(self.folder, segments, self._precision, self._widths, visit, kept)
        self._garbage += [self.folder / segment.name for segment in segments if segment != compacted]
        del self._tail[-number:]
        size = sum(piece.size for piece in group)
        if size + sum(piece.size for piece in self._tail) >= self.full:
            self._tail.clear()
        else:
            self._append(
                _Written(
                    compacted, size, _joined(list(kept.values())) if len(kept) == len(segments) else None
                )
            )
        return compacted

    def take_garbage(self) -> list[Path]:
        """Files that were compacted since the last call: now to be deleted."""
        garbage, self._garbage = self._garbage, []
        return garbage


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
    folder: Path,
    segments: list[Segment],
    precision: str,
    widths: list[int],
    visit: Callable[[int, ColumnBlock], None] | None = None,
    kept: Mapping[Segment, Kept] = MappingProxyType({}),
) -> Segment:
    """Write consecutive parts as one and return it; the old files are left for the caller to delete.

    `visit` sees each (first neuron, block) that passes. One part alone is not rewritten. What is in `kept` is
    not read.
    """
    compacted = Segment(segments[0].first, segments[-1].last)
    if not is_grid(folder.name if folder.name == "neurons" else f"{folder.parent.name}/{folder.name}"):
        if len(segments) > 1:
            write_rows(
                folder / compacted.name,
                join([read_whole(folder / segment.name) for segment in segments]),
                precision,
            )
        return compacted
    files = [
        kept[segment] if segment in kept else GridFile(LOCAL, str(folder / segment.name), widths)
        for segment in segments
    ]
    try:
        passing = _merged(files, widths, visit)
        if len(files) > 1:
            names = sorted({name for file in files for name in file.columns}, key=column_rank)
            nullable = {name for name in names if any(file.may_lack(name) for file in files)}
            write_column_blocks(folder / compacted.name, passing, names, nullable, precision)
        elif visit:
            for _ in passing:
                pass
    finally:
        for file in files:
            file.close()
    return compacted


def _joined(pieces: list[Kept]) -> Kept:
    """Consecutive parts as one."""
    layers = sorted({layer for piece in pieces for layer in piece.layers})
    return Kept(
        [
            concatenate([block for piece in pieces for block in piece.blocks if block.layer == layer])
            for layer in layers
        ]
    )


def _merged(
    files: Sequence[GridFile | Kept], widths: list[int], visit: Callable[[int, ColumnBlock], None] | None
) -> Iterator[tuple[int, ColumnBlock]]:
    """(first neuron, block) of every row group of every layer, the files' steps one after the other."""
    for layer in sorted({layer for file in files for layer in file.layers}):
        for group, (start, _) in enumerate(neuron_groups(widths[layer])):
            block = concatenate([file.block(layer, group) for file in files if layer in file.layers])
            if visit:
                visit(start, block)
            yield start, block


class PyramidBuilder:
    """Collects the buckets of one block while its row groups pass, and writes a part for each level."""

    def __init__(self, widths: Sequence[int] = PYRAMID) -> None:
        self._groups: dict[int, dict[int, list[ColumnBlock]]] = {width: {} for width in widths}

    def visit(self, first_neuron: int, block: ColumnBlock) -> None:
        for width, layers in self._groups.items():
            layers.setdefault(block.layer, []).append(buckets(block, width))

    def write(self, root: Path, segment: Segment, precision: str) -> dict[str, int]:
        """Write `pyramid/WIDTH/part` for each level; returns the steps (buckets) of each folder's new
        part.
        """
        sizes = {}
        for width, layers in self._groups.items():
            blocks = [stack_neurons(groups) for _, groups in sorted(layers.items())]
            write_layers(root / pyramid_name(width) / segment.name, blocks, precision)
            sizes[pyramid_name(width)] = max(block.steps.size for block in blocks)
        return sizes


def stack_neurons(groups: list[ColumnBlock]) -> ColumnBlock:
    """The row groups of a layer as one block."""
    first = groups[0]
    if len(groups) == 1:
        return first
    columns = {name: np.concatenate([block.columns[name] for block in groups]) for name in first.columns}
    return ColumnBlock(first.layer, first.steps, columns, first.present)
