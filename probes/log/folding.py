"""Small parts become larger ones: folding of one folder of a run, and the pyramid of a full block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from probes.log.blocks import (
    Slab,
    buckets,
    column_rank,
    concatenate,
    neuron_groups,
    write_layers,
    write_slabs,
)
from probes.log.grid import GridFile
from probes.log.opening import LOCAL
from probes.log.parts import Part
from probes.log.rows import join, read_whole, write_rows
from probes.schema import BLOCK_STEPS, PYRAMID, ROW_GROUP_NEURONS

FAN_IN = 16
"""So many parts of one size are folded early: a slow run's tail stays below 2 x 16 files, a row is rewritten
at most thrice.
"""
FULL_ROWS = 65_536
"""Recorded steps (`layers/`) or rows that a full file of a plain table covers: its rows are few and read
together.
"""

KEPT_BYTES = 64 * 2**20
"""So much of the block that is filling stays in memory, so that folding it reads nothing; of a larger one
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

    slabs: list[Slab]

    @property
    def layers(self) -> list[int]:
        return [slab.layer for slab in self.slabs]

    @property
    def columns(self) -> list[str]:
        return sorted({name for slab in self.slabs for name in slab.columns}, key=column_rank)

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for slab in self.slabs for column in slab.columns.values())

    def may_lack(self, column: str) -> bool:
        return any(column not in slab.columns or column in slab.present for slab in self.slabs)

    def slab(self, layer: int, group: int) -> Slab:
        """The neurons of a row group."""
        (whole,) = (slab for slab in self.slabs if slab.layer == layer)
        rows = slice(group * ROW_GROUP_NEURONS, (group + 1) * ROW_GROUP_NEURONS)
        return Slab(
            layer, whole.steps, {name: column[rows] for name, column in whole.columns.items()}, whole.present
        )

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class _Piece:
    """A file of a shelf, the steps (rows) it holds, and what is kept of it."""

    part: Part
    size: int
    kept: Kept | None = None


class Shelf:
    """The files that this writer has added to one folder and that are not yet part of a full file."""

    def __init__(self, root: Path, name: str, precision: str, widths: list[int]) -> None:
        self.name = name
        self.folder = root / name
        self.full = BLOCK_STEPS if is_grid(name) else FULL_ROWS
        self._precision = precision
        self._widths = widths
        self._tail: list[_Piece] = []
        self._garbage: list[Path] = []

    def add(self, part: Part, size: int, slabs: list[Slab] | None = None) -> None:
        """Note a file just written, of `size` steps (rows); its slabs, where given, are kept while there is
        room.
        """
        self._append(_Piece(part, size, None if slabs is None else Kept(slabs)))

    @property
    def empty(self) -> bool:
        return not self._tail

    def fold(self) -> None:
        """Fold what is due: all when it makes a full file, else the newest 16 of one size."""
        number = due([piece.size for piece in self._tail], self.full)
        if number:
            self._fold(number, None)

    def fold_all(self, visit: Callable[[int, Slab], None] | None = None) -> Part:
        """Fold what is there (at least one file) into the file returned; `visit` sees every (first neuron,
        slab).
        """
        return self._fold(len(self._tail), visit)

    def _append(self, piece: _Piece) -> None:
        self._tail.append(piece)
        if sum(piece.kept.nbytes for piece in self._tail if piece.kept) > KEPT_BYTES:
            self._tail = [_Piece(piece.part, piece.size) for piece in self._tail]

    def _fold(self, number: int, visit: Callable[[int, Slab], None] | None) -> Part:
        group = self._tail[-number:]
        parts = [piece.part for piece in group]
        kept = {piece.part: piece.kept for piece in group if piece.kept}
        folded = fold_parts(self.folder, parts, self._precision, self._widths, visit, kept)
        self._garbage += [self.folder / part.name for part in parts if part != folded]
        del self._tail[-number:]
        size = sum(piece.size for piece in group)
        if size + sum(piece.size for piece in self._tail) >= self.full:
            self._tail.clear()
        else:
            self._append(
                _Piece(folded, size, _joined(list(kept.values())) if len(kept) == len(parts) else None)
            )
        return folded

    def take_garbage(self) -> list[Path]:
        """Files that were folded since the last call: now to be deleted."""
        garbage, self._garbage = self._garbage, []
        return garbage


def due(sizes: list[int], full: int) -> int:
    """How many of the newest files to fold now, 0 for none. sizes: oldest first."""
    if sum(sizes) >= full:
        return len(sizes)
    limit = FAN_IN
    while limit < full:
        number = next((i for i, size in enumerate(reversed(sizes)) if size >= limit), len(sizes))
        if number >= FAN_IN:
            return number
        limit *= FAN_IN
    return 0


def fold_parts(
    folder: Path,
    parts: list[Part],
    precision: str,
    widths: list[int],
    visit: Callable[[int, Slab], None] | None = None,
    kept: Mapping[Part, Kept] = MappingProxyType({}),
) -> Part:
    """Write consecutive parts as one and return it; the old files are left for the caller to delete.

    `visit` sees each (first neuron, slab) that passes. One part alone is not rewritten. What is in `kept` is
    not read.
    """
    folded = Part(parts[0].first, parts[-1].last)
    if not is_grid(folder.name if folder.name == "neurons" else f"{folder.parent.name}/{folder.name}"):
        if len(parts) > 1:
            write_rows(
                folder / folded.name, join([read_whole(folder / part.name) for part in parts]), precision
            )
        return folded
    files = [
        kept[part] if part in kept else GridFile(LOCAL, str(folder / part.name), widths) for part in parts
    ]
    try:
        passing = _merged(files, widths, visit)
        if len(files) > 1:
            names = sorted({name for file in files for name in file.columns}, key=column_rank)
            nullable = {name for name in names if any(file.may_lack(name) for file in files)}
            write_slabs(folder / folded.name, passing, names, nullable, precision)
        elif visit:
            for _ in passing:
                pass
    finally:
        for file in files:
            file.close()
    return folded


def _joined(pieces: list[Kept]) -> Kept:
    """Consecutive parts as one."""
    layers = sorted({layer for piece in pieces for layer in piece.layers})
    return Kept(
        [
            concatenate([slab for piece in pieces for slab in piece.slabs if slab.layer == layer])
            for layer in layers
        ]
    )


def _merged(
    files: Sequence[GridFile | Kept], widths: list[int], visit: Callable[[int, Slab], None] | None
) -> Iterator[tuple[int, Slab]]:
    """(first neuron, slab) of every row group of every layer, the files' steps one after the other."""
    for layer in sorted({layer for file in files for layer in file.layers}):
        for group, (start, _) in enumerate(neuron_groups(widths[layer])):
            slab = concatenate([file.slab(layer, group) for file in files if layer in file.layers])
            if visit:
                visit(start, slab)
            yield start, slab


class PyramidBuilder:
    """Collects the buckets of one block while its row groups pass, and writes a part for each level."""

    def __init__(self, widths: Sequence[int] = PYRAMID) -> None:
        self._groups: dict[int, dict[int, list[Slab]]] = {width: {} for width in widths}

    def visit(self, first_neuron: int, slab: Slab) -> None:
        for width, layers in self._groups.items():
            layers.setdefault(slab.layer, []).append(buckets(slab, width))

    def write(self, root: Path, part: Part, precision: str) -> dict[str, int]:
        """Write `pyramid/WIDTH/part` for each level; returns the steps (buckets) of each folder's new
        part.
        """
        sizes = {}
        for width, layers in self._groups.items():
            slabs = [stack_neurons(groups) for _, groups in sorted(layers.items())]
            write_layers(root / pyramid_name(width) / part.name, slabs, precision)
            sizes[pyramid_name(width)] = max(slab.steps.size for slab in slabs)
        return sizes


def stack_neurons(groups: list[Slab]) -> Slab:
    """The row groups of a layer as one slab."""
    first = groups[0]
    if len(groups) == 1:
        return first
    columns = {name: np.concatenate([slab.columns[name] for slab in groups]) for name in first.columns}
    return Slab(first.layer, first.steps, columns, first.present)
