"""Recorder: takes per-neuron statistics from a training loop and writes them from a background thread.

The training thread copies arrays into a buffer and goes on. A background thread takes what is complete every
5 s, 256 steps or 64 MB, whichever is first, so that a kill loses no more than that; the loop waits only when
the buffer is full while the previous one is still being written. numpy in; torch is never imported.
"""

from __future__ import annotations

import atexit
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, SupportsFloat

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike

from probes.errors import RunError, writing
from probes.forks import forget_in_children
from probes.log import manifest, rows
from probes.log.background import FLUSH_BYTES, Background, RecorderError, Settings
from probes.log.blocks import CODEC
from probes.log.maintenance import reopen
from probes.log.manifest import FINAL_STATUSES
from probes.log.schedule import Schedule
from probes.log.writer import Chunk, Writer
from probes.run_reader import FinalStatus, LayerInfo
from probes.schema import BLOCK_STEPS, FORCES, STATISTICS
from probes.storage import local_folder
from probes.storage.lock import Lock

__all__ = ["Precision", "Recorder", "RecorderError", "Settings"]

Precision = Literal["full", "10bit"]
"""How exactly numbers are stored."""


class Recorder:
    """Writes one run. Use it as a context manager, or call `close`; what is neither is closed as interrupted
    when the interpreter ends. It belongs to the process that made it: a forked child's copy is closed.

    Parameters
    ----------
    path
        Folder of the run, made if missing; it must not hold a run already (see `resume`).
    layers
        `{"name": str, "neurons": int, "latent_dim": 1, "prior": "standard"}` each, in order of depth.
    config
        Resolved configuration, JSON-like; `config["seed"]` sets runs apart within their group.
    precision
        "full" is lossless, "10bit" rounds mantissas (relative error at most 2^-11) for half the bytes.
    flush_seconds
        The most seconds of recording that a kill can cost.
    name
        The run's name; that of its folder by default.
    flush_steps, flush_bytes, when_full, strict, every, geometric
        Fields of `Settings`.

    Raises
    ------
    ValueError
        For bad arguments.
    RunError
        When the folder holds a run, is no folder of this machine, or another recorder writes it.
    WriteError
        When it cannot be written: a `RunError` and an `OSError` that names the remedy.
    """

    def __init__(
        self,
        path: str | Path,
        layers: Sequence[Mapping[str, object]],
        config: Mapping[str, Any] | None = None,
        precision: Precision = "full",
        flush_seconds: float = 5.0,
        *,
        name: str | None = None,
        flush_steps: int = BLOCK_STEPS,
        flush_bytes: int = FLUSH_BYTES,
        when_full: Literal["wait", "drop"] = "wait",
        strict: bool = True,
        every: int = 1,
        geometric: float | None = None,
    ) -> None:
        settings = Settings(flush_seconds, flush_steps, flush_bytes, when_full, strict, every, geometric)
        schedule = Schedule(settings.every, settings.geometric)
        checked = manifest.check_layers([dict(layer) for layer in layers])
        if precision not in CODEC:
            raise ValueError(f"precision is {precision!r}; it must be one of {list(CODEC)}")
        folder = local_folder(path)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder)
        with _begun(lock, folder):
            state = manifest.new(name or folder.resolve().name, checked, dict(config or {}), precision)
            state["segments"].append(manifest.session(None, {}))
            if not manifest.create(folder, state):
                raise RunError(
                    f"{folder} holds a run already: continue it with Recorder.resume(path, step), or name"
                    " another folder"
                )
        self._start(Writer(folder, state), lock, settings, schedule, after=-1)

    @classmethod
    def resume(
        cls,
        path: str | Path,
        step: int,
        *,
        flush_seconds: float = 5.0,
        flush_steps: int = BLOCK_STEPS,
        flush_bytes: int = FLUSH_BYTES,
        when_full: Literal["wait", "drop"] = "wait",
        strict: bool = True,
        every: int = 1,
        geometric: float | None = None,
    ) -> Self:
        """Continue a run after its checkpoint: that step is kept, what lies after it is set aside.

        Parameters
        ----------
        path
            Folder of the run. Layers, config and precision are the run's own.
        step
            Step of the checkpoint; rows after it move to `superseded/`.
        flush_seconds, flush_steps, flush_bytes, when_full, strict, every, geometric
            Fields of `Settings`.

        Returns
        -------
        Recorder
            Of a new writing session of the run.

        Raises
        ------
        RunError
            When there is no run, another recorder writes it, or its format is newer.
        WriteError
            When it cannot be written.
        """
        settings = Settings(flush_seconds, flush_steps, flush_bytes, when_full, strict, every, geometric)
        schedule = Schedule(settings.every, settings.geometric)
        folder = local_folder(path)
        if not (folder / manifest.FILE).exists():
            raise RunError(f"{folder} holds no run to resume: there is no {manifest.FILE} in it")
        lock = Lock(folder)
        with _begun(lock, folder):
            writer = reopen(folder, int(step))
        self = cls.__new__(cls)
        self._start(writer, lock, settings, schedule, after=int(step))
        return self

    def _start(self, writer: Writer, lock: Lock, settings: Settings, schedule: Schedule, after: int) -> None:
        self.path = Path(writer.folder)
        self.layers: list[LayerInfo] = writer.state["layers"]
        self.settings = settings
        self._index = {layer["name"]: index for index, layer in enumerate(self.layers)}
        self._writer, self._lock, self._schedule = writer, lock, schedule
        self._began = time.monotonic() - writer.state["elapsed"]

        self._first: int | None = None  # first step of this writing session
        self._last = [after] * len(self.layers)  # newest step of each layer
        self._seen = after  # newest step of any layer
        self._held: dict[int, Chunk] = {}  # newest step of each layer where the schedule passes it over

        self._background = Background(writer, settings, complete=after)
        self._closed = False
        atexit.register(self._close_at_exit)
        forget_in_children(self)

    # ---- what the training loop calls

    @property
    def dropped(self) -> dict[str, int]:
        """Steps and plain rows that are missing, by choice (`when_full="drop"`) or because writing failed."""
        return dict(self._writer.state["dropped"])

    def due(self, step: int) -> bool:
        """Whether the schedule keeps a step: ask before computing statistics.

        Parameters
        ----------
        step
            The step.
        """
        return self._first in (None, step) or self._schedule.due(step)

    def record(self, step: int, layer: int | str, **statistics: ArrayLike) -> None:
        """Record statistics of every neuron of a layer at one step, all layers before the next step.

        Parameters
        ----------
        step
            Greater than the layer's last.
        layer
            Name or index.
        **statistics
            name=array (N,), or (N, K) for K latent dimensions, which is reduced over K as the registry says
            (sums for kl and information, means for the rest). Copied, as float32.

        Raises
        ------
        ValueError
            For an unknown layer or statistic, a wrong width, a step that does not increase; nothing of the
            call is then recorded.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        single = {name: np.asarray(values)[None] for name, values in statistics.items()}
        self.record_block([step], layer, single)

    def record_block(
        self, steps: Sequence[int] | np.ndarray, layer: int | str, statistics: Mapping[str, ArrayLike]
    ) -> None:
        """`record` of many steps of a layer at once.

        Parameters
        ----------
        steps
            (T,), increasing. All layers record a block before the next block begins; they may differ in their
            steps within it.
        layer
            Name or index.
        statistics
            name -> (T, N) or (T, N, K).

        Raises
        ------
        ValueError, RecorderError
            As `record`.
        """
        index = self._layer(layer)
        numbers = self._steps(steps, index)
        columns = {
            name: self._values(name, values, numbers.size, index) for name, values in statistics.items()
        }
        if not columns:
            raise ValueError(
                f"no statistic given for layer {self.layers[index]['name']!r} at step {numbers[0]}"
            )
        chunk = Chunk(index, numbers, columns)
        with self._background.wake:
            self._background.check_open()
            if self._first is None:
                self._first = int(numbers[0])
            kept = self._schedule.mask(numbers) | (numbers == self._first)
            if numbers[0] > self._seen:
                self._background.complete = self._seen
            self._seen = max(self._seen, int(numbers[-1]))
            self._last[index] = int(numbers[-1])
            self._held.pop(index, None)
            if not kept[-1]:
                self._held[index] = chunk.select(slice(-1, None))
            if kept.any():
                self._background.add_chunk(chunk if kept.all() else chunk.select(kept))
            if min(self._last) == self._seen:
                self._background.complete = self._seen

    def scalar(
        self,
        step: int,
        name: str,
        value: SupportsFloat,
        split: str = "train",
        epoch: float | None = None,
    ) -> None:
        """Record one number of the whole run.

        Parameters
        ----------
        step, name, value
            Such as `(step, "nll", 1.3)`.
        split
            What it was measured on: "train", "validation", ...
        epoch
            Where in the data the step lies, if that has a meaning.

        Raises
        ------
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        row = (
            int(step),
            None if epoch is None else float(epoch),
            time.monotonic() - self._began,
            split,
            name,
            float(value),
        )
        self._background.add_rows("scalars", [row])

    def event(
        self,
        step: int,
        kind: str,
        layer: int | str | None = None,
        neuron: int | Iterable[int] | None = None,
        value: float | Iterable[float] | None = None,
        text: str = "",
    ) -> None:
        """Record something that happened: an intervention, a phase.

        Parameters
        ----------
        step, kind
            When, and what: a short name.
        layer
            Name or index; None means the whole run.
        neuron
            One or several; None means the whole layer.
        value
            One number for all neurons, or one each.
        text
            What a reader should know.

        Raises
        ------
        ValueError
            For a layer or neuron that the run does not have.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        index = None if layer is None else self._layer(layer)
        neurons = [None] if neuron is None else np.atleast_1d(np.asarray(neuron)).tolist()
        values = (
            [None] * len(neurons)
            if value is None
            else np.broadcast_to(np.asarray(value, float), len(neurons)).tolist()
        )
        if index is not None and any(
            n is not None and not 0 <= n < self.layers[index]["neurons"] for n in neurons
        ):
            raise ValueError(
                f"event {kind!r}: layer {self.layers[index]['name']!r} has {self.layers[index]['neurons']}"
                f" neurons, got {neurons}"
            )
        self._background.add_rows(
            "events", [(int(step), index, kind, *pair, text) for pair in zip(neurons, values, strict=True)]
        )

    def probe(self, step: int, layer: int | str, mu: ArrayLike, sigma: ArrayLike) -> None:
        """Record the posterior of every neuron for every input of the fixed probe batch.

        Parameters
        ----------
        step
            The step.
        layer
            Name or index.
        mu, sigma
            (inputs, N): means and standard deviations.

        Raises
        ------
        ValueError
            For an unknown layer or other shapes.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        index = self._layer(layer)
        mean, deviation = np.array(mu, np.float32), np.array(sigma, np.float32)
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
        self._background.add_rows(
            "probe", pa.Table.from_arrays([pa.array(a) for a in arrays], schema=rows.SCHEMAS["probe"])
        )

    def forces(self, step: int, layer: int | str, term: str, **forces: ArrayLike) -> None:
        """Record how one term of the loss pulls at every neuron.

        Parameters
        ----------
        step
            The step.
        layer
            Name or index.
        term
            "nll", "kl", ... (`schema.FORCE_TERMS`).
        **forces
            Each of `schema.FORCES`, (N,).

        Raises
        ------
        ValueError
            For an unknown layer, a missing force or another shape.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        index = self._layer(layer)
        name, neurons = self.layers[index]["name"], self.layers[index]["neurons"]
        if set(forces) != set(FORCES):
            raise ValueError(f"forces of layer {name!r}: {sorted(forces)} given, {list(FORCES)} are needed")
        values = {key: np.array(forces[key], np.float32) for key in FORCES}
        wrong = [f"{key} {array.shape}" for key, array in values.items() if array.shape != (neurons,)]
        if wrong:
            raise ValueError(f"forces of layer {name!r}: {', '.join(wrong)} must be ({neurons},)")
        keys = [
            np.full(neurons, int(step)),
            np.full(neurons, index, np.int16),
            np.arange(neurons, dtype=np.int32),
            np.full(neurons, term),
        ]
        arrays = [pa.array(array) for array in (*keys, *values.values())]
        self._background.add_rows("forces", pa.Table.from_arrays(arrays, schema=rows.SCHEMAS["forces"]))

    def evaluation(self, step: int, split: str, layer: int | str, **statistics: ArrayLike) -> None:
        """Record statistics pooled over a whole split.

        Parameters
        ----------
        step, split
            When, and of what.
        layer
            Name or index.
        **statistics
            name=array (N,) or (N, K), as in `record`.

        Raises
        ------
        ValueError, RecorderError
            As `record`.
        """
        index = self._layer(layer)
        neurons = self.layers[index]["neurons"]
        values = {
            name: self._values(name, np.asarray(array)[None], 1, index)[0]
            for name, array in statistics.items()
        }
        keys = {
            "step": pa.array(np.full(neurons, int(step))),
            "split": pa.array([split] * neurons),
            "layer": pa.array(np.full(neurons, index, np.int16)),
            "neuron": pa.array(np.arange(neurons, dtype=np.int32)),
        }
        table = pa.table(keys | {name: pa.array(array) for name, array in values.items()})
        self._background.add_rows("evaluation", table)

    def predictions(self, step: int, frame: pd.DataFrame) -> None:
        """Record predictions of the probe batch.

        Parameters
        ----------
        step
            The step.
        frame
            Columns input, horizon, y, mean, ...; they are stored as they are.

        Raises
        ------
        ValueError
            When the frame has a column `step`.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        if "step" in table.column_names:
            raise ValueError("predictions: the frame has a column `step`; the step is the first argument")
        table = table.add_column(
            0, rows.SCHEMAS["predictions"].field("step"), pa.array(np.full(table.num_rows, int(step)))
        )
        self._background.add_rows("predictions", table)

    def flush(self) -> None:
        """Return when everything recorded so far is on disk: call it before a checkpoint.

        Raises
        ------
        RecorderError
            When the recorder is closed, or writing has failed.
        """
        with self._background.wake:
            self._background.check_open()
            self._background.complete = self._seen
            self._background.flush()

    def close(self, status: FinalStatus = "finished") -> None:
        """Write what is left, compact the last block, set the status and release the run.

        A second call does nothing.

        Parameters
        ----------
        status
            "finished", "interrupted" or "crashed".

        Raises
        ------
        ValueError
            For another status.
        RecorderError
            When the rest cannot be written (`strict`).
        """
        if status not in FINAL_STATUSES:
            raise ValueError(f"status is {status!r}; it must be one of {FINAL_STATUSES}")
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self._close_at_exit)
        try:
            for chunk in self._held.values():  # the last step is always there
                self._background.add_chunk(chunk)
            self._background.complete = self._seen
            self._background.close(status)
        finally:
            self._lock.release()

    def _close_at_exit(self) -> None:
        """A script that ends without `close`: keep what was recorded and say that the run did not end as
        meant.
        """
        try:
            self.close("interrupted")
        except RecorderError as error:  # there is nobody left to raise it to
            warnings.warn(str(error), RuntimeWarning, stacklevel=1)

    def forget(self) -> None:
        """In a forked child: be closed, without a word to the parent's run."""
        self._closed = True
        atexit.unregister(self._close_at_exit)
        self._background.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(manifest.final_status(kind))

    # ---- checks, all before anything changes

    def _layer(self, layer: int | str) -> int:
        index = self._index.get(layer, -1) if isinstance(layer, str) else int(layer)
        if not 0 <= index < len(self.layers):
            raise ValueError(
                f"unknown layer {layer!r}; the run has {list(self._index)} (or 0 to {len(self.layers) - 1})"
            )
        return index

    def _steps(self, steps: Sequence[int] | np.ndarray, index: int) -> np.ndarray:
        given = np.asarray(steps)
        if given.ndim != 1 or not given.size or given.dtype.kind not in "iu":
            raise ValueError(
                f"steps must be a non-empty sequence of integers, got {given.dtype} of shape {given.shape}"
            )
        numbers = given.astype(np.int64)
        name = self.layers[index]["name"]
        if numbers[0] < 0:
            raise ValueError(f"step {numbers[0]} of layer {name!r} is negative; steps count from 0")
        before = np.concatenate([[self._last[index]], numbers[:-1]])
        if (numbers <= before).any():
            at = int(np.argmax(numbers <= before))
            raise ValueError(
                f"step {numbers[at]} of layer {name!r} does not increase: the step before it is {before[at]}"
            )
        if numbers[0] <= self._background.complete:
            late = (
                f"step {numbers[0]} of layer {name!r} comes too late: step {self._background.complete} is"
                " complete"
            )
            raise ValueError(f"{late}; record all layers of a step before the next step")
        return numbers

    def _values(self, name: str, values: ArrayLike, count: int, index: int) -> np.ndarray:
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
            raise ValueError(
                f"{name} of layer {layer['name']!r} is not an array of numbers: {error}"
            ) from error
        wide = (count, layer["neurons"], layer["latent_dim"])
        if array.shape == wide:
            array = array.sum(axis=2) if statistic.over_dimensions == "sum" else array.mean(axis=2)
        if array.shape != wide[:2]:
            raise ValueError(
                f"{name} of layer {layer['name']!r} has shape {array.shape[1:]}; it must be {wide[1:2]} or"
                f" {wide[1:]}"
            )
        return array


@contextmanager
def _begun(lock: Lock, folder: Path) -> Iterator[None]:
    """What is done under the lock before there is a recorder: the lock is let go where it fails."""
    try:
        with writing(folder):
            yield
    except BaseException:
        lock.release()
        raise
