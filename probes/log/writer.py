"""The disk side of a recorder: batches of buffered rows become parts, full blocks, summaries and the
manifest.

Synchronous and single-threaded; `recorder.Recorder` calls it from its background thread. Every write is a
task of its own that is forgotten when done, so a write that failed (disk full) is tried again and nothing
doubles.

Plain rows are written before the statistics of their steps. `neurons/` is the truth; `layers/` and `pyramid/`
are derived from it, and a reader computes what is not there yet. What was compacted is deleted one batch
later, when no reader can still be listing it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from probes import regimes
from probes.log import manifest, rows
from probes.log.blocks import REGIME, ColumnBlock, column_rank, concatenate, round_mantissa, write_layers
from probes.log.compaction import Compactor, PyramidBuilder, pyramid_name
from probes.log.segments import Segment
from probes.log.summaries import summarise
from probes.schema import BLOCK_STEPS, PYRAMID


@dataclass(frozen=True)
class Chunk:
    """Statistics of one layer at T steps, as they were handed over: columns name -> (T, N) float32."""

    layer: int
    steps: np.ndarray
    columns: dict[str, np.ndarray]

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self.columns.values())

    def select(self, which: slice | np.ndarray) -> Chunk:
        """The chunk of some of its steps."""
        return Chunk(
            self.layer, self.steps[which], {name: column[which] for name, column in self.columns.items()}
        )


@dataclass
class Batch:
    """What is written at once: chunks in order of step, and plain rows (tables, or tuples as in
    `rows.SCHEMAS`).
    """

    chunks: list[Chunk] = field(default_factory=list)
    rows: dict[str, list[pa.Table | list[tuple[Any, ...]]]] = field(default_factory=dict)


class Writer:
    """Writes the batches of one segment of a run. Needs the run's lock to be held.

    folder: the run. state: its manifest, kept up to date here. next_rows: the first free row number of each
    plain table.
    """

    def __init__(self, folder: Path, state: dict[str, Any], next_rows: dict[str, int] | None = None) -> None:
        self.folder = folder
        self.state = state
        self._widths = [layer["neurons"] for layer in state["layers"]]
        self._precision = state["precision"]
        self._next_rows = dict(next_rows or {})
        self._shelves: dict[str, Compactor] = {}
        self._block_left = BLOCK_STEPS  # recorded steps that the block which is filling still takes
        self._tasks: deque[Callable[[], None]] = deque()

    def submit(self, batch: Batch) -> None:
        """Queue a batch; `run` writes it."""
        for name, pieces in batch.rows.items():
            self._tasks.append(partial(self._write_rows, name, rows.gather(name, pieces)))
            self._tasks.append(partial(self._compact, name))
        blocks = [self._slab(layer, chunks) for layer, chunks in sorted(_by_layer(batch.chunks).items())]
        while blocks:
            steps = np.unique(np.concatenate([block.steps for block in blocks]))[: self._block_left]
            first, last = int(steps[0]), int(steps[-1])
            piece = [segment for block in blocks if (segment := block.between(first, last)).steps.size]
            self._tasks.append(partial(self._write_neurons, Segment(first, last), steps.size, piece))
            self._tasks.append(partial(self._write_layers, Segment(first, last), steps.size, piece))
            self._tasks.append(partial(self._compact, "layers"))
            self._block_left -= steps.size
            if self._block_left:
                self._tasks.append(partial(self._compact, "neurons"))
            else:
                self._close_block()
            blocks = [
                block.between(last + 1, int(block.steps[-1])) for block in blocks if block.steps[-1] > last
            ]

    def run(self) -> None:
        """Do what is queued, then write the manifest. Raises OSError at the first write that fails; call
        again to go on.
        """
        garbage = [path for shelf in self._shelves.values() for path in shelf.take_garbage()]
        while self._tasks:
            self._tasks[0]()
            self._tasks.popleft()
        manifest.write(self.folder, self.state)
        for path in garbage:
            path.unlink(missing_ok=True)

    def finish(self, status: str) -> None:
        """Fold what is left, write the last pyramid part and the final status."""
        if self._block_left < BLOCK_STEPS:
            self._close_block()
        self._tasks.append(self._fold_the_rest)
        self.state["status"] = status
        self.run()
        self.run()  # what the first compacted is deleted by the second

    def _shelf(self, name: str) -> Compactor:
        if name not in self._shelves:
            self._shelves[name] = Compactor(self.folder, name, self._precision, self._widths)
        return self._shelves[name]

    def _slab(self, layer: int, chunks: list[Chunk]) -> ColumnBlock:
        """Chunks of a layer as one block, rounded if so chosen, with the regime of every row."""
        pieces = [
            ColumnBlock(layer, chunk.steps, {n: values.T for n, values in chunk.columns.items()})
            for chunk in chunks
        ]
        block = concatenate(pieces)
        columns = {name: np.ascontiguousarray(values) for name, values in block.columns.items()}
        if self._precision == "10bit":
            columns = {name: round_mantissa(values) for name, values in columns.items()}
        taken = {n: np.broadcast_to(mask, columns[n].shape) for n, mask in block.present.items()}
        columns[REGIME] = regimes.codes(columns, taken, latent_dim=self.state["layers"][layer]["latent_dim"])
        return ColumnBlock(layer, block.steps, columns, block.present)

    def _write_neurons(self, segment: Segment, size: int, blocks: list[ColumnBlock]) -> None:
        write_layers(self.folder / "neurons" / segment.name, blocks, self._precision)
        self._shelf("neurons").add(segment, size, blocks)
        known = self.state["statistics"]
        names = {name for block in blocks for name in block.columns if name != REGIME}
        self.state["statistics"] = sorted(names.union(known), key=column_rank)
        steps = self.state["steps"]
        first = segment.first if steps["first"] is None else steps["first"]
        self.state["steps"] = {"count": steps["count"] + size, "first": first, "last": segment.last}

    def _write_layers(self, segment: Segment, size: int, blocks: list[ColumnBlock]) -> None:
        table = summarise(blocks)
        if self._precision == "10bit":
            table = rows.rounded(table)
        rows.write_rows(self.folder / "layers" / segment.name, table, self._precision)
        self._shelf("layers").add(segment, size)
        manifest.note_layers(self.state, table)

    def _write_rows(self, name: str, table: pa.Table) -> None:
        first = self._next_rows.get(name, 0)
        segment = Segment(first, first + table.num_rows - 1)
        if self._precision == "10bit" and name in rows.ROUNDED:
            table = rows.rounded(table)
        rows.write_rows(self.folder / name / segment.name, table, self._precision)
        self._next_rows[name] = segment.last + 1
        self._shelf(name).add(segment, table.num_rows)
        if name == "scalars":
            manifest.note_scalars(self.state, table)

    def _compact(self, name: str) -> None:
        self._shelf(name).compact()

    def _fold_the_rest(self) -> None:
        for name, shelf in self._shelves.items():
            if name != "neurons" and not shelf.empty:
                shelf.compact_all()

    def _close_block(self) -> None:
        """Queue: compact the parts of the block into one file, add its buckets to the pyramid, begin the next
        block.
        """
        self._tasks += [
            self._fold_block,
            self._write_pyramid,
            *(partial(self._compact, pyramid_name(width)) for width in PYRAMID),
        ]
        self._block_left = BLOCK_STEPS

    def _fold_block(self) -> None:
        builder = PyramidBuilder()
        segment = self._shelf("neurons").compact_all(builder.visit)
        self._block = segment, builder

    def _write_pyramid(self) -> None:
        segment, builder = self._block
        for name, size in builder.write(self.folder, segment, self._precision).items():
            self._shelf(name).add(segment, size)


def _by_layer(chunks: list[Chunk]) -> dict[int, list[Chunk]]:
    groups: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        groups.setdefault(chunk.layer, []).append(chunk)
    return groups
