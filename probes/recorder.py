"""Recorder: takes per-neuron statistics from a training loop and writes them from a background thread.

The training thread copies arrays into a buffer and goes on. A background thread takes what is complete every
5 s, 256 steps or 64 MB, whichever is first, so that a kill loses no more than that; the loop waits only when
the buffer is full while the previous one is still being written. numpy in; torch is never imported.
"""

from __future__ import annotations

import atexit
import threading
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from probes import manifest, rows
from probes.blocks import CODEC
from probes.maintenance import reopen
from probes.manifest import FINAL_STATUSES, Lock, RunError
from probes.schedule import Schedule
from probes.schema import BLOCK_STEPS, STATISTICS
from probes.writer import Batch, Chunk, Writer

ROW_BYTES = 64  # what a row of scalars or events counts against the buffer's bound
HEARTBEAT_SECONDS = 5.0
"""How often a run that records nothing still says that it lives; readers allow 30 s."""


class RecorderError(RuntimeError):
    """What was recorded could not be written; the message says why and how much is at stake."""


@dataclass(frozen=True)
class Settings:
    """How a recorder buffers and what it does when it cannot.

    flush_seconds, flush_steps, flush_bytes: the most that a kill can cost. when_full: "wait" for the disk, or
    "drop" the newest rows and count them in the manifest. strict: a write that fails raises RecorderError in the
    training thread; False warns once, tries again and counts what is lost. every, geometric: `Schedule`.
    """

    flush_seconds: float = 5.0
    flush_steps: int = BLOCK_STEPS
    flush_bytes: int = 64 * 2**20
    when_full: Literal["wait", "drop"] = "wait"
    strict: bool = True
    every: int = 1
    geometric: float | None = None

    def __post_init__(self) -> None:
        if self.when_full not in ("wait", "drop"):
            raise ValueError(f'when_full is {self.when_full!r}; it must be "wait" or "drop"')
        for name in ("flush_seconds", "flush_steps", "flush_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be positive")


class Recorder:
    """Writes one run. Use it as a context manager, or call `close`.

    path: folder of the run, made if missing; it must not hold a run already (see `resume`).
    layers: `{"name": str, "neurons": int, "latent_dim": 1, "prior": "standard"}` each, in order of depth.
    config: resolved configuration, JSON-like; `config["seed"]` sets runs apart within their group.
    precision: "full" is lossless, "10bit" rounds mantissas (relative error at most 2^-11) for half the bytes.
    options: fields of `Settings`.

    Raises ValueError for bad arguments, RunError when the folder holds a run or another recorder writes it.
    """

    def __init__(
        self,
        path: str | Path,
        layers: Sequence[Mapping[str, Any]],
        config: Mapping[str, Any] | None = None,
        precision: Literal["full", "10bit"] = "full",
        flush_seconds: float = 5.0,
        *,
        name: str | None = None,
        **options: Any,
    ) -> None:
        settings = Settings(flush_seconds, **options)
        schedule = Schedule(settings.every, settings.geometric)
        checked = manifest.check_layers([dict(layer) for layer in layers])
        if precision not in CODEC:
            raise ValueError(f"precision is {precision!r}; it must be one of {list(CODEC)}")
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder)
        try:
            if (folder / manifest.FILE).exists():
                raise RunError(
                    f"{folder} holds a run already: continue it with Recorder.resume(path, step), or name another folder"
                )
            state = manifest.new(name or folder.resolve().name, checked, dict(config or {}), precision)
            state["segments"].append({"started": manifest.now(), "resumed_from": None})
            manifest.write(folder, state)
        except BaseException:
            lock.release()
            raise
        self._start(Writer(folder, state), lock, settings, schedule, after=-1)

    @classmethod
    def resume(cls, path: str | Path, step: int, **options: Any) -> Self:
        """Continue the run at `path` after its checkpoint of `step`: that step is kept, what lies after it is set aside.

        Rows after `step` move to `superseded/`; layers, config and precision are the run's own; options are fields of
        `Settings`. Raises RunError when there is no run, another recorder writes it, or its format is newer.
        """
        settings = Settings(**options)
        schedule = Schedule(settings.every, settings.geometric)
        folder = Path(path)
        if not (folder / manifest.FILE).exists():
            raise RunError(f"{folder} holds no run to resume: there is no {manifest.FILE} in it")
        lock = Lock(folder)
        try:
            writer = reopen(folder, int(step))
        except BaseException:
            lock.release()
            raise
        self = cls.__new__(cls)
        self._start(writer, lock, settings, schedule, after=int(step))
        return self

    def _start(self, writer: Writer, lock: Lock, settings: Settings, schedule: Schedule, after: int) -> None:
        self.path = writer.folder
        self.layers: list[dict[str, Any]] = writer.state["layers"]
        self.settings = settings
        self._index = {layer["name"]: index for index, layer in enumerate(self.layers)}
        self._writer, self._lock, self._schedule = writer, lock, schedule
        self._began = time.monotonic() - writer.state["elapsed"]

        self._first: int | None = None  # first step of this segment
        self._last = [after] * len(self.layers)  # newest step of each layer
        self._seen = after  # newest step of any layer
        self._complete = after  # newest step that no layer can add to
        self._held: dict[int, Chunk] = {}  # newest step of each layer where the schedule passes it over

        self._wake = threading.Condition()  # guards all below
        self._buffer = Batch()
        self._sizes = [0] * len(self.layers)  # buffered steps of each layer
        self._bytes = 0
        self._oldest: float | None = None  # when the oldest buffered row came
        self._asked = self._done = 0  # flushes asked for and done
        self._busy = self._failing = self._closing = self._closed = self._warned = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=f"recorder {self.path.name}", daemon=True)
        self._thread.start()
        atexit.register(self._close_at_exit)

    # ---- what the training loop calls

    @property
    def dropped(self) -> dict[str, int]:
        """Steps and plain rows that were not kept, by choice (`when_full="drop"`) or because writing failed."""
        return dict(self._writer.state["dropped"])

    def due(self, step: int) -> bool:
        """Whether the schedule keeps this step: ask before computing statistics."""
        return self._first in (None, step) or self._schedule.due(step)

    def record(self, step: int, layer: int | str, **statistics: Any) -> None:
        """Statistics of every neuron of a layer at one step: name=array (N,), or (N, K) for K latent dimensions.

        Arrays are copied as float32; (N, K) is reduced over K as the registry says (sums for kl and information,
        means for the rest). Record all layers of a step before the next step. Raises ValueError for an unknown
        layer or statistic, a wrong width, a step that does not increase; nothing is then recorded of the call.
        """
        single = {name: np.asarray(values)[None] for name, values in statistics.items()}
        self.record_block([step], layer, single)

    def record_block(self, steps: Sequence[int] | np.ndarray, layer: int | str, statistics: Mapping[str, Any]) -> None:
        """Statistics of a layer at T increasing steps at once: name -> (T, N) or (T, N, K). See `record`.

        All layers record a block before the next block begins; layers may differ in their steps within it.
        """
        index = self._layer(layer)
        numbers = self._steps(steps, index)
        columns = {name: self._values(name, values, numbers.size, index) for name, values in statistics.items()}
        if not columns:
            raise ValueError(f"no statistic given for layer {self.layers[index]['name']!r} at step {numbers[0]}")
        chunk = Chunk(index, numbers, columns)
        with self._wake:
            self._check_open()
            if self._first is None:
                self._first = int(numbers[0])
            kept = self._schedule.mask(numbers) | (numbers == self._first)
            if numbers[0] > self._seen:
                self._complete = self._seen
            self._seen = max(self._seen, int(numbers[-1]))
            self._last[index] = int(numbers[-1])
            self._held.pop(index, None)
            if not kept[-1]:
                self._held[index] = chunk.select(slice(-1, None))
            if kept.any():
                self._add_chunk(chunk if kept.all() else chunk.select(kept))
            if min(self._last) == self._seen:
                self._complete = self._seen

    def scalar(self, step: int, name: str, value: float, split: str = "train", epoch: float | None = None) -> None:
        """One number of the whole run at a step, such as `("nll", split="validation")`."""
        row = (int(step), None if epoch is None else float(epoch), time.monotonic() - self._began, split, name, float(value))
        self._add_rows("scalars", [row])

    def event(
        self,
        step: int,
        kind: str,
        layer: int | str | None = None,
        neuron: int | Iterable[int] | None = None,
        value: float | Iterable[float] | None = None,
        text: str = "",
    ) -> None:
        """Something that happened: an intervention, a phase. neuron None means the whole layer, layer None the whole run.

        `neuron` may be several, `value` one number for all or one each.
        """
        index = None if layer is None else self._layer(layer)
        neurons = [None] if neuron is None else np.atleast_1d(np.asarray(neuron)).tolist()
        values = [None] * len(neurons) if value is None else np.broadcast_to(np.asarray(value, float), len(neurons)).tolist()
        if index is not None and any(n is not None and not 0 <= n < self.layers[index]["neurons"] for n in neurons):
            raise ValueError(
                f"event {kind!r}: layer {self.layers[index]['name']!r} has {self.layers[index]['neurons']} neurons, got {neurons}"
            )
        self._add_rows("events", [(int(step), index, kind, *pair, text) for pair in zip(neurons, values, strict=True)])

    def probe(self, step: int, layer: int | str, mu: Any, sigma: Any) -> None:
        """Posterior of every neuron for every input of the fixed probe batch: mu, sigma (inputs, N)."""
        index = self._layer(layer)
        mean, deviation = np.asarray(mu, np.float32), np.asarray(sigma, np.float32)
        neurons = self.layers[index]["neurons"]
        if mean.ndim != 2 or mean.shape[1] != neurons or mean.shape != deviation.shape:
            name, shapes = self.layers[index]["name"], f"mu {mean.shape} and sigma {deviation.shape}"
            raise ValueError(f"probe of layer {name!r}: {shapes} must both be (inputs, {neurons})")
        inputs = mean.shape[0]
        arrays = [
            np.full(mean.size, int(step)),
            np.full(mean.size, index, np.int16),
            np.repeat(np.arange(neurons, dtype=np.int32), inputs),
            np.tile(np.arange(inputs, dtype=np.int32), neurons),
            np.ascontiguousarray(mean.T).ravel(),
            np.ascontiguousarray(deviation.T).ravel(),
        ]
        self._add_rows("probe", pa.Table.from_arrays([pa.array(a) for a in arrays], schema=rows.SCHEMAS["probe"]))

    def evaluation(self, step: int, split: str, layer: int | str, **statistics: Any) -> None:
        """Statistics pooled over a whole split: name=array (N,) or (N, K), as in `record`."""
        index = self._layer(layer)
        neurons = self.layers[index]["neurons"]
        values = {name: self._values(name, np.asarray(array)[None], 1, index)[0] for name, array in statistics.items()}
        keys = {
            "step": pa.array(np.full(neurons, int(step))),
            "split": pa.array([split] * neurons),
            "layer": pa.array(np.full(neurons, index, np.int16)),
            "neuron": pa.array(np.arange(neurons, dtype=np.int32)),
        }
        table = pa.table(keys | {name: pa.array(array) for name, array in values.items()})
        self._add_rows("evaluation", table)

    def predictions(self, step: int, frame: pd.DataFrame) -> None:
        """Predictions of the probe batch at a step; the frame's columns (input, horizon, y, mean, ...) are stored as they are."""
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        if "step" in table.column_names:
            raise ValueError("predictions: the frame has a column `step`; the step is the first argument")
        table = table.add_column(0, rows.SCHEMAS["predictions"].field("step"), pa.array(np.full(table.num_rows, int(step))))
        self._add_rows("predictions", table)

    def flush(self) -> None:
        """Return when everything recorded so far is on disk (call it before a checkpoint). Raises RecorderError."""
        with self._wake:
            self._check_open()
            self._complete = self._seen
            self._asked += 1
            target = self._asked
            self._wake.notify_all()
            self._wake.wait_for(lambda: self._done >= target or self._error is not None)
            self._raise_error()

    def close(self, status: str = "finished") -> None:
        """Write what is left, fold the last block, set the status ("finished", "interrupted", "crashed"), release the run."""
        if status not in FINAL_STATUSES:
            raise ValueError(f"status is {status!r}; it must be one of {FINAL_STATUSES}")
        with self._wake:
            if self._closed:
                return
            for chunk in self._held.values():  # the last step is always there
                self._add_chunk(chunk)
            self._held.clear()
            self._complete = self._seen
            self._closing = True
            self._wake.notify_all()
        self._thread.join()
        self._closed = True
        atexit.unregister(self._close_at_exit)
        try:
            self._writer.submit(self._take())
            self._writer.finish(status)
        except OSError as error:
            self._error = error
        finally:
            self._lock.release()
        self._raise_error()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.close("interrupted" if issubclass(kind, (KeyboardInterrupt, SystemExit)) else "crashed")

    # ---- checks, all before anything changes

    def _check_open(self) -> None:
        if self._closing:
            raise RecorderError(f"the recorder of {self.path} is closed: use Recorder.resume(path, step) to go on")
        self._raise_error()

    def _layer(self, layer: int | str) -> int:
        index = self._index.get(layer, -1) if isinstance(layer, str) else int(layer)
        if not 0 <= index < len(self.layers):
            raise ValueError(f"unknown layer {layer!r}; the run has {list(self._index)} (or 0 to {len(self.layers) - 1})")
        return index

    def _steps(self, steps: Sequence[int] | np.ndarray, index: int) -> np.ndarray:
        given = np.asarray(steps)
        if given.ndim != 1 or not given.size or given.dtype.kind not in "iu":
            raise ValueError(f"steps must be a non-empty sequence of integers, got {given.dtype} of shape {given.shape}")
        numbers = given.astype(np.int64)
        name = self.layers[index]["name"]
        if numbers[0] < 0:
            raise ValueError(f"step {numbers[0]} of layer {name!r} is negative; steps count from 0")
        before = np.concatenate([[self._last[index]], numbers[:-1]])
        if (numbers <= before).any():
            at = int(np.argmax(numbers <= before))
            raise ValueError(f"step {numbers[at]} of layer {name!r} does not increase: the step before it is {before[at]}")
        if numbers[0] <= self._complete:
            late = f"step {numbers[0]} of layer {name!r} comes too late: step {self._complete} is complete"
            raise ValueError(f"{late}; record all layers of a step before the next step")
        return numbers

    def _values(self, name: str, values: Any, count: int, index: int) -> np.ndarray:
        """(T, N) float32 copy of one statistic, reduced over latent dimensions."""
        statistic = STATISTICS.get(name)
        layer = self.layers[index]
        if statistic is None or not statistic.stored:
            known = ", ".join(n for n, s in STATISTICS.items() if s.stored)
            reason = "unknown statistic" if statistic is None else "derived on reading, not stored:"
            raise ValueError(f"{reason} {name!r}; the log stores {known}")
        try:
            with np.errstate(over="ignore"):
                array = np.array(values, np.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{name} of layer {layer['name']!r} is not an array of numbers: {error}") from error
        wide = (count, layer["neurons"], layer["latent_dim"])
        if array.shape == wide:
            array = array.sum(axis=2) if statistic.over_dimensions == "sum" else array.mean(axis=2)
        if array.shape != wide[:2]:
            raise ValueError(
                f"{name} of layer {layer['name']!r} has shape {array.shape[1:]}; it must be {wide[1:2]} or {wide[1:]}"
            )
        return array

    # ---- the buffer

    def _add_chunk(self, chunk: Chunk) -> None:
        """Buffer a chunk; the caller holds `_wake`."""
        if self._make_room():
            self._buffer.chunks.append(chunk)
            self._sizes[chunk.layer] += chunk.steps.size
            self._note(chunk.nbytes)
        else:
            self._writer.state["dropped"]["steps"] += chunk.steps.size

    def _add_rows(self, name: str, new: pa.Table | list[tuple[Any, ...]]) -> None:
        with self._wake:
            self._check_open()
            if self._make_room():
                self._buffer.rows.setdefault(name, []).append(new)
                self._note(new.nbytes if isinstance(new, pa.Table) else ROW_BYTES * len(new))
            else:
                self._writer.state["dropped"]["rows"] += len(new)

    def _full(self) -> bool:
        return self._bytes >= self.settings.flush_bytes or max(self._sizes) >= self.settings.flush_steps

    def _note(self, nbytes: int) -> None:
        self._bytes += nbytes
        if self._oldest is None:
            self._oldest = time.monotonic()
            self._wake.notify_all()  # the background thread starts its clock
        elif self._full():
            self._wake.notify_all()

    def _make_room(self) -> bool:
        """Wait while one batch is full and the other not yet written; False when the new rows are to be dropped instead."""
        while self._full() and (self._busy or self._failing or self._has_complete()):
            if self._failing or (self._busy and self.settings.when_full == "drop"):
                return False
            self._wake.wait()
            self._raise_error()
        return True

    def _take(self) -> Batch:
        """Take what is complete out of the buffer; a step that some layer may still add to stays."""
        ready = [chunk for chunk in self._buffer.chunks if chunk.steps[-1] <= self._complete]
        rest = [chunk for chunk in self._buffer.chunks if chunk.steps[-1] > self._complete]
        batch = Batch(ready, self._buffer.rows)
        self._buffer = Batch(rest)
        self._sizes = [sum(chunk.steps.size for chunk in rest if chunk.layer == index) for index in range(len(self.layers))]
        self._bytes = sum(chunk.nbytes for chunk in rest)
        self._oldest = time.monotonic() if rest else None
        return batch

    # ---- the background thread

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wait_for_work()
                if self._closing:
                    return
                asked, batch, self._busy = self._asked, self._take(), True
                self._wake.notify_all()  # there is room again
            error: Exception | None = None
            try:
                self._writer.submit(batch)
                self._writer.run()
            except (OSError, pa.ArrowException, ValueError, MemoryError) as problem:
                error = problem
            with self._wake:
                self._busy, self._failing = False, error is not None
                self._error, self._done = error, asked
                self._wake.notify_all()

    def _ready(self) -> bool:
        """Whether a flush is due for other reasons than time."""
        return self._asked > self._done or (self._full() and not self._failing and self._has_complete())

    def _has_complete(self) -> bool:
        return bool(self._buffer.rows) or any(chunk.steps[-1] <= self._complete for chunk in self._buffer.chunks)

    def _wait_for_work(self) -> None:
        """Until a flush or a heartbeat is due, by the monotonic clock: the wall clock may jump."""
        heartbeat = time.monotonic() + HEARTBEAT_SECONDS
        while not (self._closing or self._ready()):
            oldest = heartbeat if self._oldest is None else self._oldest + self.settings.flush_seconds
            left = min(heartbeat, oldest) - time.monotonic()
            if left <= 0:
                return
            self._wake.wait(left)

    def _raise_error(self) -> None:
        """Hand a failure of the background thread to the training thread, once."""
        if not self._closing and not self._thread.is_alive():
            raise RecorderError(f"the writer of {self.path} has died; what was recorded since its last flush is lost")
        if self._error is None:
            return
        error, self._error = self._error, None
        message = f"cannot write {self.path}: {error}. The rows are kept in memory and tried again at the next flush"
        if self.settings.strict:
            raise RecorderError(message) from error
        if not self._warned:
            self._warned = True
            warnings.warn(f"{message}; when the buffer is full new rows are dropped and counted", RuntimeWarning, stacklevel=4)

    def _close_at_exit(self) -> None:
        """A script that ends without `close`: keep what was recorded and say that the run did not end as meant."""
        self.close("interrupted")
