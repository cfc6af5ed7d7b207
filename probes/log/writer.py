"""The disk side of a recorder: batches of buffered rows become segments, full blocks, summaries and the
manifest.

Synchronous and single-threaded; `background.Background` calls it from its thread. Every write is a task of
its own that is forgotten when done, so a write that failed (disk full) is tried again and nothing doubles.

Plain rows are written before the statistics of their steps. `neurons/` is the truth; `layers/` and `pyramid/`
are derived from it, and a reader computes what is not there yet. What was compacted is deleted one batch
later, when no reader can still be listing it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from probes import regimes
from probes.errors import obstacle
from probes.log import columns, manifest, neuron_summary, rows
from probes.log.blocks import (
    CODES,
    KEPT_MANTISSA_BITS,
    ColumnBlock,
    column_rank,
    concatenate,
    is_grid,
    pyramid_name,
    round_mantissa,
    write_layers,
)
from probes.log.compaction import Compactor, PyramidBuilder
from probes.log.row_regimes import RowRegimes
from probes.log.segments import Segment
from probes.log.summaries import summarise
from probes.schema import BLOCK_STEPS, PYRAMID
from probes.settling import Settling
from probes.storage import Folder, open_folder

logger = logging.getLogger("probes.recorder")


@dataclass(frozen=True)
class Chunk:
    """Statistics of one layer at T steps, as they were handed over: columns name -> (T, N) float32, whole
    name -> (T,) float32 of the layer itself.
    """

    layer: int
    steps: np.ndarray
    columns: dict[str, np.ndarray]
    whole: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in (*self.columns.values(), *self.whole.values()))

    def select(self, which: slice | np.ndarray) -> Chunk:
        """The chunk of some of its steps."""
        columns, whole = (
            {name: column[which] for name, column in each.items()} for each in (self.columns, self.whole)
        )
        return Chunk(self.layer, self.steps[which], columns, whole)


@dataclass
class Batch:
    """What is written at once: chunks in order of step, and plain rows (tables, or tuples as in
    `rows.SCHEMAS`).
    """

    chunks: list[Chunk] = field(default_factory=list)
    rows: dict[str, list[pa.Table | list[tuple[Any, ...]]]] = field(default_factory=dict)


class Writer:
    """Writes the batches of one writing session of a run. Needs the run's lock to be held.

    folder: the run. state: its manifest, kept up to date here. next_rows: the first free row number of each
    plain table. settling: how each layer's neurons stood after the last row kept. predicted: the columns of
    `predictions/`, where it has any. newest: the last step submitted, -1 for none.
    """

    def __init__(
        self,
        folder: Folder,
        state: dict[str, Any],
        next_rows: dict[str, int] | None = None,
        settling: dict[int, Settling] | None = None,
        predicted: pa.Schema | None = None,
    ) -> None:
        self.storage = open_folder(folder)
        self.state = state
        self._widths = [layer["neurons"] for layer in state["layers"]]
        self._precision = state["precision"]
        self.predicted = predicted
        self._next_rows = dict(next_rows or {})
        stood = settling or {}
        rounding = 2.0**-KEPT_MANTISSA_BITS / 2 if self._precision == "10bit" else regimes.ROUNDING
        self._regimes = [
            RowRegimes(layer, stood.get(index), rounding) for index, layer in enumerate(state["layers"])
        ]
        self._compactors: dict[str, Compactor] = {}
        self._block_left = BLOCK_STEPS  # recorded steps that the block which is filling still takes
        self._tasks: deque[Callable[[], None]] = deque()
        self._obsolete: deque[str] = deque()
        last = state["steps"]["last"]
        self.newest: int = -1 if last is None else last

    @property
    def folder(self) -> str:
        """The run's folder, for messages."""
        return self.storage.root

    def submit(self, batch: Batch) -> None:
        """Queue a batch; `run` writes it."""
        for name, added in batch.rows.items():
            for part in rows.parts(name, added):
                self._tasks.append(partial(self._write_rows, name, part))
                self._tasks.append(partial(self._compact, name))
        waiting = [self._column_block(layer, chunks) for layer, chunks in _by_layer(batch.chunks)]
        while waiting:
            steps = np.unique(np.concatenate([block.steps for block in waiting]))[: self._block_left]
            first, last = int(steps[0]), int(steps[-1])
            segment = Segment(first, last)
            cut = [block.between(first, last) for block in waiting]
            blocks = [block for block in cut if block.steps.size]
            self._tasks.append(partial(self._write_neurons, segment, steps.size, blocks))
            self._tasks.append(partial(self._write_layers, segment, steps.size, blocks))
            self._tasks.append(partial(self._compact, "layers"))
            self.newest = last
            self._block_left -= steps.size
            if self._block_left:
                self._tasks.append(partial(self._compact, "neurons"))
            else:
                self._close_block()
            waiting = [
                block.between(last + 1, int(block.steps[-1])) for block in waiting if block.steps[-1] > last
            ]

    def run(self) -> None:
        """Do what is queued, then write the manifest. Raises OSError at the first write that fails; call
        again to go on.
        """
        for compactor in self._compactors.values():
            self._obsolete += compactor.take_obsolete()  # kept where the run fails
        while self._tasks:
            self._tasks[0]()
            self._tasks.popleft()
        manifest.write(self.storage, self.state)
        while self._obsolete:
            self.storage.delete(self._obsolete[0])
            self._obsolete.popleft()

    def finish(self, status: str) -> None:
        """Compact what is left, write the last segments of the pyramid and the final status, then the
        summary of the neurons.
        """
        if self._block_left < BLOCK_STEPS:
            self._close_block()
        self._tasks += [self._compact_the_rest, self._write_columns]
        self.state["status"] = status
        self.run()
        self.run()  # what the first compacted is deleted by the second
        try:
            neuron_summary.write(self.storage, self.state)
        except (OSError, ValueError, MemoryError, pa.ArrowException) as error:  # all that counts is written
            text = "%s: %s is not written (%s); `python -m probes compact` does it"
            logger.warning(text, self.folder, neuron_summary.FILE, obstacle(error))

    def _compactor(self, name: str) -> Compactor:
        if name not in self._compactors:
            self._compactors[name] = Compactor(self.storage, name, self._precision, self._widths)
        return self._compactors[name]

    def _column_block(self, layer: int, chunks: list[Chunk]) -> ColumnBlock:
        """Chunks of a layer as one block, rounded if so chosen, with the regimes of every row."""
        block = concatenate(
            [
                ColumnBlock(
                    layer, chunk.steps, {n: values.T for n, values in chunk.columns.items()}, {}, chunk.whole
                )
                for chunk in chunks
            ]
        )
        columns = {name: np.ascontiguousarray(values) for name, values in block.columns.items()}
        if self._precision == "10bit":
            columns = {name: round_mantissa(values) for name, values in columns.items()}
        return self._regimes[layer].with_codes(
            ColumnBlock(layer, block.steps, columns, block.present, block.whole)
        )

    def _write_neurons(self, segment: Segment, size: int, blocks: list[ColumnBlock]) -> None:
        write_layers(self.storage, f"neurons/{segment.name}", blocks, self._precision)
        self._compactor("neurons").add(segment, size, blocks)
        known = self.state["statistics"]
        names = {name for block in blocks for name in block.columns if name not in CODES}
        self.state["statistics"] = sorted(names.union(known), key=column_rank)
        steps = self.state["steps"]
        first = segment.first if steps["first"] is None else steps["first"]
        self.state["steps"] = {"count": steps["count"] + size, "first": first, "last": segment.last}

    def _write_layers(self, segment: Segment, size: int, blocks: list[ColumnBlock]) -> None:
        table = summarise(blocks)
        if self._precision == "10bit":
            table = rows.rounded(table)
        rows.write_rows(self.storage, f"layers/{segment.name}", table, self._precision)
        self._compactor("layers").add(segment, size)
        manifest.note_layers(self.state, table)

    def _write_rows(self, name: str, table: pa.Table) -> None:
        first = self._next_rows.get(name, 0)
        segment = Segment(first, first + table.num_rows - 1)
        if self._precision == "10bit" and name in rows.ROUNDED:
            table = rows.rounded(table)
        rows.write_rows(self.storage, f"{name}/{segment.name}", table, self._precision)
        self._next_rows[name] = segment.last + 1
        self._compactor(name).add(segment, table.num_rows)
        if name == "scalars":
            manifest.note_scalars(self.state, table)

    def _compact(self, name: str) -> None:
        self._compactor(name).compact()

    def _compact_the_rest(self) -> None:
        for name, compactor in self._compactors.items():
            if name != "neurons" and not compactor.empty:
                compactor.compact_all()

    def _write_columns(self) -> None:
        for name in filter(is_grid, self._compactors):
            columns.write(self.storage, name, self._precision)

    def _close_block(self) -> None:
        """Queue: compact the segments of the block into one, add its buckets to the pyramid, begin the next
        block.
        """
        self._tasks += [
            self._compact_block,
            self._write_pyramid,
            *(partial(self._compact, pyramid_name(width)) for width in PYRAMID),
        ]
        self._block_left = BLOCK_STEPS

    def _compact_block(self) -> None:
        builder = PyramidBuilder()
        segment = self._compactor("neurons").compact_all(builder.visit)
        self._full_block = segment, builder

    def _write_pyramid(self) -> None:
        segment, builder = self._full_block
        for name, size in builder.write(self.storage, segment, self._precision).items():
            self._compactor(name).add(segment, size)


def _by_layer(chunks: list[Chunk]) -> list[tuple[int, list[Chunk]]]:
    """(layer, its chunks), in order of layer."""
    groups: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        groups.setdefault(chunk.layer, []).append(chunk)
    return sorted(groups.items())
