"""The disk side of a recorder: batches of buffered rows become parts, full blocks, summaries and the
manifest.

Synchronous and single-threaded; `recorder.Recorder` calls it from its background thread. Every write is a
task of its own that is forgotten when done, so a write that failed (disk full) is tried again and nothing
doubles.

Plain rows are written before the statistics of their steps. `neurons/` is the truth; `layers/` and `pyramid/`
are derived from it, and a reader computes what is not there yet. What was folded is deleted one batch later,
when no reader can still be listing it.
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
from probes.log.blocks import REGIME, Slab, column_rank, concatenate, round_mantissa, write_layers
from probes.log.folding import PyramidBuilder, Shelf, pyramid_name
from probes.log.parts import Part
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
        self._shelves: dict[str, Shelf] = {}
        self._block_left = BLOCK_STEPS  # recorded steps that the block which is filling still takes
        self._tasks: deque[Callable[[], None]] = deque()

    def submit(self, batch: Batch) -> None:
        """Queue a batch; `run` writes it."""
        for name, pieces in batch.rows.items():
            self._tasks.append(partial(self._write_rows, name, rows.gather(name, pieces)))
            self._tasks.append(partial(self._fold, name))
        slabs = [self._slab(layer, chunks) for layer, chunks in sorted(_by_layer(batch.chunks).items())]
        while slabs:
            steps = np.unique(np.concatenate([slab.steps for slab in slabs]))[: self._block_left]
            first, last = int(steps[0]), int(steps[-1])
            piece = [part for slab in slabs if (part := slab.between(first, last)).steps.size]
            self._tasks.append(partial(self._write_neurons, Part(first, last), steps.size, piece))
            self._tasks.append(partial(self._write_layers, Part(first, last), steps.size, piece))
            self._tasks.append(partial(self._fold, "layers"))
            self._block_left -= steps.size
            if self._block_left:
                self._tasks.append(partial(self._fold, "neurons"))
            else:
                self._close_block()
            slabs = [slab.between(last + 1, int(slab.steps[-1])) for slab in slabs if slab.steps[-1] > last]

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
        self.run()  # what the first folded is deleted by the second

    def _shelf(self, name: str) -> Shelf:
        if name not in self._shelves:
            self._shelves[name] = Shelf(self.folder, name, self._precision, self._widths)
        return self._shelves[name]

    def _slab(self, layer: int, chunks: list[Chunk]) -> Slab:
        """Chunks of a layer as one slab, rounded if so chosen, with the regime of every row."""
        pieces = [
            Slab(layer, chunk.steps, {n: values.T for n, values in chunk.columns.items()}) for chunk in chunks
        ]
        slab = concatenate(pieces)
        columns = {name: np.ascontiguousarray(values) for name, values in slab.columns.items()}
        if self._precision == "10bit":
            columns = {name: round_mantissa(values) for name, values in columns.items()}
        taken = {n: np.broadcast_to(mask, columns[n].shape) for n, mask in slab.present.items()}
        columns[REGIME] = regimes.codes(columns, taken, latent_dim=self.state["layers"][layer]["latent_dim"])
        return Slab(layer, slab.steps, columns, slab.present)

    def _write_neurons(self, part: Part, size: int, slabs: list[Slab]) -> None:
        write_layers(self.folder / "neurons" / part.name, slabs, self._precision)
        self._shelf("neurons").add(part, size, slabs)
        known = self.state["statistics"]
        names = {name for slab in slabs for name in slab.columns if name != REGIME}
        self.state["statistics"] = sorted(names.union(known), key=column_rank)
        steps = self.state["steps"]
        first = part.first if steps["first"] is None else steps["first"]
        self.state["steps"] = {"count": steps["count"] + size, "first": first, "last": part.last}

    def _write_layers(self, part: Part, size: int, slabs: list[Slab]) -> None:
        table = summarise(slabs)
        if self._precision == "10bit":
            table = rows.rounded(table)
        rows.write_rows(self.folder / "layers" / part.name, table, self._precision)
        self._shelf("layers").add(part, size)
        manifest.note_layers(self.state, table)

    def _write_rows(self, name: str, table: pa.Table) -> None:
        first = self._next_rows.get(name, 0)
        part = Part(first, first + table.num_rows - 1)
        if self._precision == "10bit" and name in rows.ROUNDED:
            table = rows.rounded(table)
        rows.write_rows(self.folder / name / part.name, table, self._precision)
        self._next_rows[name] = part.last + 1
        self._shelf(name).add(part, table.num_rows)
        if name == "scalars":
            manifest.note_scalars(self.state, table)

    def _fold(self, name: str) -> None:
        self._shelf(name).fold()

    def _fold_the_rest(self) -> None:
        for name, shelf in self._shelves.items():
            if name != "neurons" and not shelf.empty:
                shelf.fold_all()

    def _close_block(self) -> None:
        """Queue: fold the parts of the block into one file, add its buckets to the pyramid, begin the next
        block.
        """
        self._tasks += [
            self._fold_block,
            self._write_pyramid,
            *(partial(self._fold, pyramid_name(width)) for width in PYRAMID),
        ]
        self._block_left = BLOCK_STEPS

    def _fold_block(self) -> None:
        builder = PyramidBuilder()
        part = self._shelf("neurons").fold_all(builder.visit)
        self._block = part, builder

    def _write_pyramid(self) -> None:
        part, builder = self._block
        for name, size in builder.write(self.folder, part, self._precision).items():
            self._shelf(name).add(part, size)


def _by_layer(chunks: list[Chunk]) -> dict[int, list[Chunk]]:
    groups: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        groups.setdefault(chunk.layer, []).append(chunk)
    return groups
