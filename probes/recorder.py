"""Recorder: takes per-neuron statistics from a training loop and writes them from a background thread.

The training thread copies arrays into a buffer and goes on. A background thread takes what is complete every
5 s, 256 steps or 64 MB, whichever is first, so that a kill loses no more than that; the loop waits only when
the buffer is full while the previous one is still being written. numpy in; torch is never imported.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, SupportsFloat, SupportsIndex

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike

from probes.errors import RunError, writing
from probes.families import family_of
from probes.families.gaussian import Gaussian
from probes.forks import forget_in_children
from probes.log import arguments, manifest, rows
from probes.log.answers import answer_tables
from probes.log.background import FLUSH_BYTES, Background, RecorderError, Settings
from probes.log.blocks import CODEC
from probes.log.budget import GB, Budget
from probes.log.limits import LARGEST
from probes.log.maintenance import reopen
from probes.log.manifest import FINAL_STATUSES
from probes.log.origin_scores import origin_table
from probes.log.posterior_rows import class_table, parameter_table, sequence_tables
from probes.log.schedule import Schedule
from probes.log.writer import Chunk, Writer
from probes.run_reader import FinalStatus, LayerInfo
from probes.schema import BLOCK_STEPS, FORCES, LAYER_STATISTICS, SEQUENCE, STATISTICS
from probes.storage import is_store, local_folder
from probes.storage.lock import Lock

if TYPE_CHECKING:
    from probes.spool import Spool

__all__ = ["Precision", "Recorder", "RecorderError", "Settings"]

Precision = Literal["full", "10bit"]
"""How exactly numbers are stored."""


logger = logging.getLogger("probes.recorder")

BUDGET_EVENT = "budget"
"""Kind of the events that say what `max_gb` does."""


class Recorder:
    """Writes one run. Use it as a context manager, or call `close`; what is neither is closed as interrupted
    when the interpreter ends. It belongs to the process that made it: a forked child's copy is closed.

    Parameters
    ----------
    path
        Folder of the run, made if missing; it must not hold a run already (see `resume`). Or the URL of an
        object store (`s3://bucket/run`, with the extra `store`): it is then written to a folder of this
        machine, and mirrored to the store by a process of its own (docs/scale.md).
    layers
        `{"name": str, "neurons": int, "latent_dim": 1, "prior": "standard"}` each, in order of depth.
    config
        Resolved configuration: a dict of what JSON has; of anything else its text is kept, of large arrays
        their shape. `config["seed"]` sets runs apart within their group.
    precision
        "full" is lossless, "10bit" rounds mantissas (relative error at most 2^-11) for half the bytes.
    flush_seconds
        The most seconds of recording that a kill can cost.
    name
        The run's name; that of its folder by default.
    flush_steps, flush_bytes, when_full, strict, every, geometric, max_gb
        Fields of `Settings`.

    Raises
    ------
    ValueError
        For bad arguments, and whatever readers would refuse: it is said before training.
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
        max_gb: float | None = None,
    ) -> None:
        settings = Settings(
            flush_seconds, flush_steps, flush_bytes, when_full, strict, every, geometric, max_gb
        )
        schedule = Schedule(settings.every, settings.geometric)
        if precision not in CODEC:
            raise ValueError(f"precision is {precision!r}; it must be one of {list(CODEC)}")
        spool = _spool(path)
        folder = local_folder(path) if spool is None else spool.folder
        # unlike `Path.resolve` it bears links that lead round in a circle
        real_name = os.path.basename(os.path.realpath(folder) if spool is None else spool.url)
        own_name = real_name if name is None else arguments.text(name, "name", empty=True)
        checked = manifest.check_layers([manifest.plain(dict(layer), "a layer") for layer in layers], config)
        state = manifest.new(own_name or real_name, checked, config, precision)
        if spool is not None:
            spool.refuse_second()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder)
        with _begun(lock, folder):
            state["segments"].append(manifest.session(None, {}))
            if not manifest.create(folder, state):
                raise RunError(
                    f"{folder} holds a run already: continue it with Recorder.resume(path, step), or name"
                    " another folder"
                )
        self._start(Writer(folder, state), lock, spool, settings, schedule, after=-1)

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
        max_gb: float | None = None,
    ) -> Self:
        """Continue a run after its checkpoint: that step is kept, what lies after it is set aside.

        Parameters
        ----------
        path
            Folder of the run, or its URL. Layers, config and precision are the run's own.
        step
            Step of the checkpoint; rows after it move to `superseded/`.
        flush_seconds, flush_steps, flush_bytes, when_full, strict, every, geometric, max_gb
            Fields of `Settings`.

        Returns
        -------
        Recorder
            Of a new writing session of the run.

        Raises
        ------
        ValueError
            For a step that is no integer of at least -1, which keeps nothing.
        RunError
            When there is no run, another recorder writes it, or its format is newer.
        WriteError
            When it cannot be written.
        """
        settings = Settings(
            flush_seconds, flush_steps, flush_bytes, when_full, strict, every, geometric, max_gb
        )
        schedule = Schedule(settings.every, settings.geometric)
        kept = arguments.whole_number(step, "resume: step", least=-1)
        spool = _spool(path)
        folder = local_folder(path) if spool is None else spool.folder
        if spool is not None:
            spool.fetch()
        if not (folder / manifest.FILE).exists():
            raise RunError(f"{folder} holds no run to resume: there is no {manifest.FILE} in it")
        lock = Lock(folder)
        with _begun(lock, folder):
            writer = reopen(folder, kept)
        self = cls.__new__(cls)
        self._start(writer, lock, spool, settings, schedule, after=kept)
        return self

    def _start(
        self,
        writer: Writer,
        lock: Lock,
        spool: Spool | None,
        settings: Settings,
        schedule: Schedule,
        after: int,
    ) -> None:
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
        self._turn = threading.RLock()  # of threads that record, also while one waits for room

        self._background = Background(writer, settings, complete=after)
        self._predicted = writer.predicted
        self._budget: Budget | None = None
        if settings.max_gb is not None:
            self._budget = Budget(settings.max_gb * GB, settings.every, writer.storage, writer.state)
        self._spool = spool
        if spool is not None:
            spool.begin()
        self._closed = False
        atexit.register(self._close_at_exit)
        forget_in_children(self)

    # ---- what the training loop calls

    @property
    def dropped(self) -> dict[str, int]:
        """Steps and plain rows that are missing, by choice (`when_full="drop"`) or because writing failed."""
        return dict(self._writer.state["dropped"])

    def due(self, step: int) -> bool:
        """Whether the schedule, and the budget, keep a step: ask before computing statistics.

        Parameters
        ----------
        step
            The step.
        """
        if self._first in (None, step):
            return True
        return self._schedule.due(step) and (self._budget is None or self._budget.due(step))

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
            (sums for kl and information, means for the rest). Copied, as float32. name=number of the whole
            layer, beside them: one of `schema.LAYER_STATISTICS`.

        Raises
        ------
        ValueError
            For an unknown layer or statistic, a wrong width, a step that does not increase; nothing of the
            call is then recorded.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        index = self._layer(layer)
        number = self._step(step, index)
        columns, whole = self._split(statistics, None, index)
        self._add(np.array([number]), index, columns, whole)

    def record_block(
        self, steps: Sequence[int] | np.ndarray, layer: int | str, statistics: Mapping[str, ArrayLike]
    ) -> None:
        """`record` of many steps of a layer at once.

        Parameters
        ----------
        steps
            (T,), increasing. All layers record a block before the next block begins, which is the first that
            begins after all recorded steps; they may differ in their steps within it.
        layer
            Name or index.
        statistics
            name -> (T, N) or (T, N, K); of the whole layer name -> (T,).

        Raises
        ------
        ValueError, RecorderError
            As `record`.
        """
        index = self._layer(layer)
        numbers = self._steps(steps, index)
        columns, whole = self._split(statistics, numbers.size, index)
        self._add(numbers, index, columns, whole)

    def _add(
        self, numbers: np.ndarray, index: int, columns: dict[str, np.ndarray], whole: dict[str, np.ndarray]
    ) -> None:
        """Buffer what is checked but for its steps: (T,), columns (T, N), and of the whole layer (T,)."""
        if not columns:
            raise ValueError(
                f"no statistic given for layer {self.layers[index]['name']!r} at step {numbers[0]}"
            )
        chunk = Chunk(index, numbers, columns, whole)
        with self._turn, self._background.wake:
            self._background.check_open()
            self._check_order(numbers, index)
            if self._first is None:
                self._first = int(numbers[0])
            if numbers[0] > self._seen:
                self._background.complete = self._seen
                self._review(int(numbers[0]))
            kept = self._schedule.mask(numbers) | (numbers == self._first)
            if self._budget is not None and kept.any():
                kept[kept] = self._budget.mask(index, numbers[kept])
                if kept.any():
                    self._budget.note(index, numbers[kept], list(columns))
            self._seen = max(self._seen, int(numbers[-1]))
            self._last[index] = int(numbers[-1])
            self._held.pop(index, None)
            if not kept[-1]:
                self._held[index] = chunk.select(slice(-1, None))
            if kept.any():
                self._background.add_chunk(chunk if kept.all() else chunk.select(kept))
            if min(self._last) == self._seen:
                self._background.complete = self._seen
            self._background.tell()

    def _review(self, step: int) -> None:
        """Let the budget look ahead before a new step, and say what it has to say in the run and to the
        user.
        """
        for said in () if self._budget is None else self._budget.review(step):
            logger.warning("%s: %s", self.path, said)
            self.event(step, BUDGET_EVENT, text=said)

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
            Such as `(step, "nll", 1.3)`; a number of any kind, also an array or tensor of one element.
        split
            What it was measured on: "train", "validation", ...
        epoch
            Where in the data the step lies, if that has a meaning.

        Raises
        ------
        ValueError
            For a step that is no integer from 0 to 2^53, a name or split that is no text or empty, a value
            that is not one number.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        called = arguments.text(name, "a scalar's name")
        of = f"scalar {called!r}"
        row = (
            arguments.whole_number(step, f"{of}: step"),
            None if epoch is None else arguments.number(epoch, f"{of}: epoch"),
            time.monotonic() - self._began,
            arguments.text(split, f"{of}: split"),
            called,
            arguments.number(value, of),
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
            For a layer or neuron that the run does not have, and for a step, text or value that is none.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        called = arguments.text(kind, "an event's kind")
        of = f"event {called!r}"
        number = arguments.whole_number(step, f"{of}: step")
        said = arguments.long_text(text, f"{of}: text")
        index = None if layer is None else self._layer(layer)
        neurons = [None] if neuron is None else self._neurons(neuron, index, of)
        values = [None] if value is None else [arguments.number(v, f"{of}: value") for v in _each(value)]
        if len(values) not in (1, len(neurons)):
            raise ValueError(
                f"{of}: {len(values)} values for {len(neurons)} neurons; give one for all, or one each"
            )
        pairs = zip(neurons, values if len(values) > 1 else values * len(neurons), strict=True)
        self._background.add_rows("events", [(number, index, called, *pair, said) for pair in pairs])

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
            For an unknown layer, other shapes, or a step that is no integer from 0 to 2^53.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        index = self._layer(layer)
        number = self._step(step, index)
        if not isinstance(family := family_of(self.layers[index]), Gaussian):
            name, names = self.layers[index]["name"], ", ".join(family.parameters)
            raise ValueError(
                f"probe of layer {name!r}: it is {family.label}, without mu and sigma;"
                f" parameters(step, layer, ...) takes {names or 'what a family has, of a code book nothing'}"
            )
        mean = arguments.array(mu, f"probe of layer {self.layers[index]['name']!r}: mu")
        deviation = arguments.array(sigma, f"probe of layer {self.layers[index]['name']!r}: sigma")
        neurons = self.layers[index]["neurons"]
        if mean.ndim != 2 or mean.shape[1] != neurons or mean.shape != deviation.shape:
            name, shapes = self.layers[index]["name"], f"mu {mean.shape} and sigma {deviation.shape}"
            raise ValueError(f"probe of layer {name!r}: {shapes} must both be (inputs, {neurons})")
        inputs = mean.shape[0]
        arrays = [
            np.full(mean.size, number),
            np.full(mean.size, index, np.int16),
            np.repeat(np.arange(neurons, dtype=np.int32), inputs),
            np.tile(np.arange(inputs, dtype=np.int32), neurons),
            np.ascontiguousarray(mean.T).ravel(),
            np.ascontiguousarray(deviation.T).ravel(),
        ]
        self._background.add_rows(
            "probe", pa.Table.from_arrays([pa.array(a) for a in arrays], schema=rows.SCHEMAS["probe"])
        )

    def parameters(self, step: int, layer: int | str, **parameters: ArrayLike) -> None:
        """Record the posterior of every neuron for every input of the fixed probe batch, of families that are
        no Gaussian.

        Parameters
        ----------
        step
            The step.
        layer
            Name or index.
        **parameters
            Each of the family's names (`families.Family.parameters`), such as probability=: (inputs, N), or
            (inputs, N, C) of C classes or components. That of a Bernoulli is of class 1.

        Raises
        ------
        ValueError
            For an unknown layer, a Gaussian one (see `probe`), names that are not those of its family, other
            shapes or classes than the layer has, values that no posterior of the family has, or a step that
            is no integer from 0 to 2^53.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        index = self._layer(layer)
        number = self._step(step, index)
        self._background.add_rows(
            "parameters", parameter_table(number, index, self.layers[index], parameters)
        )

    def classes(self, step: int, layer: int | str, usage: ArrayLike) -> None:
        """Record how every neuron shares itself out over its classes, averaged over the batch.

        Parameters
        ----------
        step
            The step.
        layer
            Name or index, of a layer whose family has classes (`families.others.OF_CLASSES`).
        usage
            (N, C): shares that sum to 1 over the C classes.

        Raises
        ------
        ValueError
            For an unknown layer or one without classes, another shape or number of classes, shares that are
            negative or do not sum to 1, or a step that is no integer from 0 to 2^53.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        index = self._layer(layer)
        number = self._step(step, index)
        self._background.add_rows("classes", class_table(number, index, self.layers[index], usage))

    def inputs(self, step: int, inputs: Sequence[tuple[str, str]]) -> None:
        """Record what the inputs of the probe batch are.

        Parameters
        ----------
        step
            The step.
        inputs
            Kind ("image", "text", "row", "position") and content (a PNG as base64, a text, numbers as JSON)
            of each.

        Raises
        ------
        ValueError
            For a kind or content that is no text, or a step that is no integer from 0 to 2^53.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        number = arguments.whole_number(step, "inputs: step")
        added: list[tuple[Any, ...]] = [
            (
                number,
                index,
                arguments.text(kind, f"input {index}: kind"),
                arguments.text(content, f"input {index}: content", empty=True),
            )
            for index, (kind, content) in enumerate(inputs)
        ]
        if added:
            self._background.add_rows("inputs", added)

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
            For an unknown layer, a missing force, another shape, a term that is no text.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        index = self._layer(layer)
        name, neurons = self.layers[index]["name"], self.layers[index]["neurons"]
        number = self._step(step, index)
        called = arguments.text(term, f"forces of layer {name!r}: the term")
        if set(forces) != set(FORCES):
            raise ValueError(f"forces of layer {name!r}: {sorted(forces)} given, {list(FORCES)} are needed")
        values = {key: arguments.array(forces[key], f"{key} of layer {name!r}") for key in FORCES}
        wrong = [f"{key} {array.shape}" for key, array in values.items() if array.shape != (neurons,)]
        if wrong:
            raise ValueError(f"forces of layer {name!r}: {', '.join(wrong)} must be ({neurons},)")
        keys = [
            np.full(neurons, number),
            np.full(neurons, index, np.int16),
            np.arange(neurons, dtype=np.int32),
            np.full(neurons, called),
        ]
        arrays = [pa.array(array) for array in (*keys, *values.values())]
        self._background.add_rows("forces", pa.Table.from_arrays(arrays, schema=rows.SCHEMAS["forces"]))

    def sequence(
        self,
        step: int,
        layer: int | str,
        m: ArrayLike,
        V: ArrayLike,
        mu: ArrayLike,
        sigma: ArrayLike,
        kl: ArrayLike,
    ) -> None:
        """Record what every neuron believes at every position of the fixed probe sequence.

        Parameters
        ----------
        step
            The step.
        layer
            Name or index.
        m, V
            (T, N): mean and variance of the belief at each position, given the layer's input.
        mu, sigma
            (T, N): of one draw, mean and standard deviation of z_t given z_{t-1}.
        kl
            (T, N) nats: what the position costs, expected over the draws of the past.

        Raises
        ------
        ValueError
            For an unknown layer, other shapes, or a step that is no integer from 0 to 2^53.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).

        Notes
        -----
        What stands at the positions is recorded by `inputs`.
        """
        index = self._layer(layer)
        number = self._step(step, index)
        name, neurons = self.layers[index]["name"], self.layers[index]["neurons"]
        given = dict(zip(SEQUENCE, (m, V, mu, sigma, kl), strict=True))
        values = {key: arguments.array(value, f"{key} of layer {name!r}") for key, value in given.items()}
        positions = next((len(array) for array in values.values() if array.ndim == 2), 0)
        wrong = [
            f"{key} {array.shape}" for key, array in values.items() if array.shape != (positions, neurons)
        ]
        if wrong:
            raise ValueError(f"sequence of layer {name!r}: {', '.join(wrong)} must be (positions, {neurons})")
        arrays = [
            np.full(positions * neurons, number),
            np.full(positions * neurons, index, np.int16),
            np.repeat(np.arange(neurons, dtype=np.int32), positions),
            np.tile(np.arange(positions, dtype=np.int32), neurons),
            *(np.ascontiguousarray(array.T).ravel() for array in values.values()),
        ]
        self._background.add_rows(
            "sequence", pa.Table.from_arrays([pa.array(a) for a in arrays], schema=rows.SCHEMAS["sequence"])
        )

    def sequence_parameters(
        self, step: int, layer: int | str, kl: ArrayLike, **parameters: ArrayLike
    ) -> None:
        """Record the posterior of every neuron at every position of the fixed probe sequence, of families
        that are no Gaussian.

        Parameters
        ----------
        step
            The step.
        layer
            Name or index.
        kl
            (T, N) nats: what each position costs; NaN where no prior is known.
        **parameters
            Each of the family's names (`families.Family.parameters`), such as probability=: (T, N), or (T, N,
            C) of C classes or components. That of a Bernoulli is of class 1.

        Raises
        ------
        ValueError
            For an unknown layer, a Gaussian one, names that are not those of its family, other shapes or
            classes than the layer has, values that no posterior of the family has, or a step that is no
            integer from 0 to 2^53.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).

        Notes
        -----
        Read back by `Run.sequence`, where m and V are mean and variance (null of classes), and by
        `Run.sequence_parameters`. What stands at the positions is recorded by `inputs`.
        """
        index = self._layer(layer)
        if isinstance(family := family_of(self.layers[index]), Gaussian):
            name = self.layers[index]["name"]
            raise ValueError(
                f"sequence_parameters of layer {name!r}: it is {family.label};"
                " sequence(step, layer, m, V, mu, sigma, kl) takes what it believes"
            )
        number = self._step(step, index)
        beliefs, posteriors = sequence_tables(number, index, self.layers[index], kl, parameters)
        self._background.add_rows("sequence", beliefs)
        self._background.add_rows("sequence_parameters", posteriors)

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
        number = self._step(step, index)
        part = arguments.text(split, f"evaluation of layer {self.layers[index]['name']!r}: split")
        if not statistics:
            raise ValueError(f"no statistic given for layer {self.layers[index]['name']!r} at step {number}")
        values = {name: self._values(name, given, None, index)[0] for name, given in statistics.items()}
        keys = {
            "step": pa.array(np.full(neurons, number)),
            "split": pa.array([part] * neurons),
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
            Columns input, horizon, y, mean, ...: numbers, texts and bools, each of one kind throughout the
            run.

        Raises
        ------
        ValueError
            When the frame has a column `step`, or one of another kind: dates, lists, or texts where the run
            has numbers.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        number = arguments.whole_number(step, "predictions: step")
        if "step" in frame.columns:
            raise ValueError("predictions: the frame has a column `step`; the step is the first argument")
        with self._turn:
            table, self._predicted = rows.prediction_table(number, frame, self._predicted)
        self._background.add_rows("predictions", table)

    def class_probabilities(
        self,
        step: int,
        probability: ArrayLike,
        y: ArrayLike,
        split: str = "validation",
        *,
        conditional_entropy: ArrayLike | None = None,
    ) -> None:
        """Record a classifier's answers to a split: bins of all of them, up to 512 one by one.

        Parameters
        ----------
        step
            The step.
        probability
            (n, C): the predictive probability of each class, the mean over draws where there are several.
        y
            (n,): the right classes, integers from 0 to C - 1.
        split
            What was predicted, its examples in the same order at every step.
        conditional_entropy
            (n,), nats: the entropy of a draw's probabilities, averaged over draws; what the entropy of their
            mean is above it comes from the neurons' own uncertainty.

        Raises
        ------
        ValueError
            For other shapes, no examples, a row that is no distribution, a class that is none.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        number = arguments.whole_number(step, "class_probabilities: step")
        called = arguments.text(split, "class_probabilities: split")
        bins, points = answer_tables(number, called, probability, y, conditional_entropy)
        self._background.add_rows("reliability", bins)
        self._background.add_rows("answers", points)

    def origin_scores(
        self, step: int, split: str, origin: ArrayLike, target: ArrayLike, span: int, **scores: ArrayLike
    ) -> None:
        """Record the scores of each origin of a split, by which two runs are compared.

        Parameters
        ----------
        step
            The step.
        split
            What was scored, all of it.
        origin
            (n,) positions in time of the first target, integers; of rows without time their numbers.
        target
            (n,) mean of an origin's targets, or the class: two runs are compared where it is the same.
        span
            Positions that an origin's targets cover, the horizon; 0 where origins are independent.
        **scores
            name=(n,), each the mean over all series of an origin, under the names of `schema.SCORES`.

        Raises
        ------
        ValueError
            For other shapes, origins that repeat or are no integers, no score, one named like a column.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        number = arguments.whole_number(step, "origin_scores: step")
        called = arguments.text(split, "origin_scores: split")
        covered = arguments.whole_number(span, "origin_scores: span", most=2**31 - 1)
        table = origin_table(number, called, origin, target, covered, scores)
        self._background.add_rows("origin_scores", table)

    def flush(self) -> None:
        """Return when everything recorded so far is on disk: call it before a checkpoint.

        Raises
        ------
        RecorderError
            When the recorder is closed, or writing has failed.
        """
        with self._turn, self._background.wake:
            self._background.check_open()
            self._background.complete = self._seen
            self._background.flush()

    def close(self, status: FinalStatus = "finished") -> None:
        """Write what is left, compact the last block, set the status and release the run.

        A second call does nothing, unless the first was broken off (Ctrl-C): it then writes what is left.

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
        with self._turn:
            if self._closed:
                return
            try:
                self._background.close(status, list(self._held.values()))  # the last step is always there
            except Exception:
                self._leave()
                raise
            self._leave()  # not where it was broken off: the next call, or the interpreter's end, goes on
        if self._spool is not None:
            self._spool.finish()

    def _leave(self) -> None:
        """Be closed, and let the next writer in."""
        self._closed = True
        atexit.unregister(self._close_at_exit)
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
        self._turn = threading.RLock()  # it may have been held by a thread of the parent
        self._background.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(manifest.final_status(kind))

    # ---- checks, all before anything changes

    def _layer(self, layer: int | str) -> int:
        if isinstance(layer, str):
            index = self._index.get(layer, -1)
        else:
            index = arguments.whole_number(layer, "layer", least=-1)
        if not 0 <= index < len(self.layers):
            raise ValueError(
                f"unknown layer {layer!r}; the run has {list(self._index)} (or 0 to {len(self.layers) - 1})"
            )
        return index

    def _step(self, step: int, index: int) -> int:
        return arguments.whole_number(step, f"step of layer {self.layers[index]['name']!r}")

    def _steps(self, steps: Sequence[int] | np.ndarray, index: int) -> np.ndarray:
        given = np.asarray(steps)
        if given.ndim != 1 or not given.size or given.dtype.kind not in "iuO":
            raise ValueError(
                f"steps must be a non-empty sequence of integers, got {given.dtype} of shape {given.shape}"
            )
        if given.dtype.kind == "O" or given.min() < 0 or given.max() > LARGEST:
            given = np.array([self._step(step, index) for step in given.tolist()])
        return given.astype(np.int64)

    def _check_order(self, numbers: np.ndarray, index: int) -> None:
        name = self.layers[index]["name"]
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

    def _neurons(
        self, neuron: SupportsIndex | Iterable[SupportsIndex], index: int | None, of: str
    ) -> list[int]:
        if index is None:
            raise ValueError(f"{of}: names neuron {arguments.shown(neuron)} and no layer; give layer= too")
        found = [arguments.whole_number(n, f"{of}: neuron") for n in _each(neuron)]
        width = self.layers[index]["neurons"]
        if any(n >= width for n in found):
            raise ValueError(
                f"{of}: layer {self.layers[index]['name']!r} has {width} neurons, got {found[:20]}"
            )
        return found

    def _split(
        self, statistics: Mapping[str, ArrayLike], count: int | None, index: int
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Columns (T, N) of the neurons, and numbers (T,) of the whole layer, which have one axis less; count
        as of `_values`.
        """
        columns, whole = {}, {}
        for name, values in statistics.items():
            if name in LAYER_STATISTICS and np.ndim(values) == (0 if count is None else 1):
                whole[name] = self._whole(name, values, count, index)
            elif name in LAYER_STATISTICS and name not in STATISTICS:
                wanted = "one number" if count is None else f"({count},)"
                raise ValueError(
                    f"{name} of layer {self.layers[index]['name']!r} has shape {np.shape(values)}; it is of"
                    f" the whole layer and must be {wanted}"
                )
            else:
                columns[name] = self._values(name, values, count, index)
        return columns, whole

    def _whole(self, name: str, values: ArrayLike, count: int | None, index: int) -> np.ndarray:
        """(T,) float32 copy of a number of the whole layer."""
        array = np.atleast_1d(arguments.array(values, f"{name} of layer {self.layers[index]['name']!r}"))
        if count is not None and array.shape != (count,):
            raise ValueError(
                f"{name} of layer {self.layers[index]['name']!r} has shape {array.shape}; it must be"
                f" ({count},)"
            )
        return array

    def _values(self, name: str, values: ArrayLike, count: int | None, index: int) -> np.ndarray:
        """(T, N) float32 copy of one statistic, reduced over latent dimensions; count is T, or None for
        values of one step without an axis of steps.
        """
        statistic = STATISTICS.get(name)
        layer = self.layers[index]
        if statistic is None or not statistic.stored:
            known = ", ".join([*(n for n, s in STATISTICS.items() if s.stored), *LAYER_STATISTICS])
            reason = "unknown statistic" if statistic is None else "derived on reading, not stored:"
            raise ValueError(f"{reason} {name!r}; the log stores {known}")
        array = arguments.array(values, f"{name} of layer {layer['name']!r}")
        if count is None:
            array, count = array[None], 1
        wide = (count, layer["neurons"], layer["latent_dim"])
        if array.shape == wide:
            array = array.sum(axis=2) if statistic.over_dimensions == "sum" else array.mean(axis=2)
        if array.shape != wide[:2]:
            raise ValueError(
                f"{name} of layer {layer['name']!r} has shape {array.shape[1:]}; it must be {wide[1:2]} or"
                f" {wide[1:]}"
            )
        return array


def _spool(path: str | Path) -> Spool | None:
    """What a run that is to lie in a store is written to; None for a folder."""
    if not is_store(path):
        return None
    from probes.spool import Spool

    return Spool(str(path))


def _each(value: object) -> list[Any]:
    """The elements of an array, a tensor or another iterable; a single thing as a list of it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]


@contextmanager
def _begun(lock: Lock, folder: Path) -> Iterator[None]:
    """What is done under the lock before there is a recorder: the lock is let go where it fails."""
    try:
        with writing(folder):
            yield
    except BaseException:
        lock.release()
        raise
