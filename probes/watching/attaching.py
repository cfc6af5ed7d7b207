"""`watch(model, folder)`: record anybody's variational network without changing it.

Until the first `step` every module's output is looked at; what holds a posterior is then settled, logged and
stored, and hooks stay on those modules alone. What a forward pass shows is copied or summed there and then,
on the device; a batch of steps at a time moves to the log.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Literal, Self, SupportsFloat, get_args

import torch
from numpy.typing import NDArray
from torch import nn

from probes.alerts import Alert
from probes.errors import RunError, first_line, writing
from probes.experiments import store
from probes.families.gaussian import GAUSSIAN, GAUSSIAN_UNKNOWN_PRIOR
from probes.forks import forget_in_children
from probes.inputs import Inputs, as_inputs, run_model
from probes.inputs import stored as stored_inputs
from probes.log import manifest
from probes.log.arguments import whole_number
from probes.log.config import stated
from probes.recorder import Precision, Recorder, RecorderError, Settings
from probes.run_reader import FinalStatus, LayerInfo
from probes.spool import Spool
from probes.storage import is_store, local_folder
from probes.watching.candidates import Candidate
from probes.watching.decoding import decoded_layers
from probes.watching.family_pools import BY_MOMENTS, AnyPool, CodePool, FamilyPool, Summed
from probes.watching.family_readings import AnyObserved, FamilyObserved
from probes.watching.finding import Finder, Seen, WatchError
from probes.watching.hooks import EVALUATED, CompiledError
from probes.watching.in_the_loop import InTheLoop, OnAlert
from probes.watching.observing import RECEIVERS
from probes.watching.pooling import Pool, Reading
from probes.watching.posterior_source import FoundLayer
from probes.watching.probing import of_inputs, parameters_of_inputs, untouched
from probes.watching.ranked_buffer import RankedBuffer
from probes.watching.ranks import Meeting, Ranks, RanksLostError, is_together
from probes.watching.sequence_paths import code_path_of, family_path_of, path_of
from probes.watching.sequences import ProbeSequence
from probes.watching.shares import (
    TOGETHER,
    Evidence,
    Shared,
    ShareSpec,
    layers_of_all,
    runs_together,
    stated_share,
    stated_shares,
)
from probes.watching.stated import PartError, PartSpec, PriorSpec
from probes.watching.statistics_buffer import BUFFERED_STEPS, Mirror, StatisticsBuffer
from probes.watching.tensors import NotReadable

logger = logging.getLogger("probes.watch")

HELD_BYTES = 16e6  # of a step that is recorded only if it is the last; beyond, its sums are kept instead
INSEPARABLE = ("codes", "samples", "gaussian_full")  # families of which parts do not make a layer
NOTHING = "nothing is recorded of the model but the numbers that are handed over"
UNSETTLED = (
    "what was seen could not be put together ({kind}: {said}), a fault of this package. Name the layers"
    " by hand, parts={{...}}, or call probes.observe(name, mu, sigma) in the forward pass"
)
RANK, WORLD_SIZE = "RANK", "WORLD_SIZE"  # where torchrun and its like put a process's number, and of how many
Which = Literal["all", "first"]
RANKS = get_args(Which)
ALONE = (
    "other processes of this training do not watch: rank 0 records its own share of each batch. Call"
    " probes.watch and the same methods on every rank, or say ranks='first'"
)


def watch(
    model: nn.Module,
    folder: str | Path,
    every: int = 1,
    *,
    parts: Mapping[str, PartSpec] | None = None,
    skip: Sequence[str] = (),
    priors: Mapping[str, PriorSpec] | None = None,
    hooks: bool = True,
    config: Mapping[str, Any] | None = None,
    mirror: Mirror | None = None,
    strict: bool = False,
    resume: int | None = None,
    precision: Precision = "full",
    name: str | None = None,
    max_gb: float | None = None,
    no_grad: bool = False,
    on_alert: OnAlert | None = None,
    inputs: Any = None,
    ranks: Which = "all",
    shares: Mapping[str, ShareSpec] | None = None,
    flush_steps: int = BUFFERED_STEPS,
) -> Recording:
    """Record the posteriors of `model` into a new run; call `.step(step, loss=loss)` once an optimiser step.

    Parameters
    ----------
    model
        In training mode; forwards while `model.training` is False are not recorded.
    folder
        Folder of the run, made if missing; or the URL of an object store, as for `Recorder`.
    every
        Every so many calls of `step` are recorded, and the first and the last one.
    parts, skip, priors, hooks, config, mirror, strict, resume, precision, name, max_gb
        As for `Recording`, which describes them.
    no_grad, on_alert, inputs, ranks, shares, flush_steps
        As for `Recording`, which describes them.

    Returns
    -------
    Recording
        Use it as a context manager, or call `close`. Where its first `step` after a forward pass finds no
        posterior that can be read, a warning lists what was looked at and what to write, numbers alone are
        recorded, and training goes on.

    Raises
    ------
    RunError
        When the folder holds a run.
    CompiledError
        For a compiled model.
    PartError
        For parts that are not there.
    """
    return Recording(
        model,
        folder,
        every,
        parts=parts,
        skip=skip,
        priors=priors,
        hooks=hooks,
        config=config,
        mirror=mirror,
        strict=strict,
        resume=resume,
        precision=precision,
        name=name,
        max_gb=max_gb,
        no_grad=no_grad,
        on_alert=on_alert,
        inputs=inputs,
        ranks=ranks,
        shares=shares,
        flush_steps=flush_steps,
    )


class Recording:
    """An open watch; made by `probes.watch`.

    In a distributed job every process makes one, with the same arguments, and calls the same methods of it;
    rank 0 writes one run, of the rows of all. Of a DistributedDataParallel its module is watched.

    Parameters
    ----------
    model, folder, every
        As for `probes.watch`.
    parts
        What to read and how, by hand (`probes.watching.stated`); nothing else is looked for.
    skip
        Patterns of module paths, and of a Pyro guide's sites, to leave alone.
    priors
        {pattern of layer names: (mean, sd)} where the prior is not Normal(0, 1); statistics are then in its
        units. Or a function (module, output) -> (mu, sigma), or a Gaussian distribution, called at each
        forward pass, of a prior that varies from row to row.
    hooks
        False leaves the model alone and records what `probes.observe` hands over.
    config
        Stored with the run.
    mirror
        Function (name, value, step) that gets every scalar and each layer's summary too (kl, information,
        contraction, active share), such as `SummaryWriter.add_scalar`.
    strict
        A disk that fails, or a model of which nothing can be recorded, raises in the training loop; False
        warns once, goes on and counts (`lost`).
    resume
        The last step to keep of a run that is there already.
    precision, name, max_gb
        As for `probes.Recorder`.
    no_grad
        True records forward passes under torch.no_grad and inference_mode too, where training needs no
        gradients; False takes them for targets, samples and predictions, which are not trained on.
    on_alert
        Function that gets each new alert (`probes.alerts.Alert`), in the thread that calls `step`. It may
        fail: a warning says so, and after three failures in a row it is left alone.
    inputs
        A batch to look at the model with (`probes.Inputs`, or a tensor, a tuple whose first element is the
        input, keyword arguments): at `close` the model is run on it, in eval mode, and what the inputs are is
        stored beside each neuron's posterior of them. At most 256. In a distributed job rank 0 does it.
    ranks
        Of a distributed job: "all", or "first": rank 0 records its own share of each batch, and the others
        need not call anything.
    shares
        Of a distributed job: {pattern of layer names: how the processes share it}. "rows": each has rows of
        its own, "copies": all have the same rows, which count once, "neurons": each has some of the neurons,
        in the order of ranks; or of this process (whose rows, which part of the neurons), two numbers from 0.
        Without it placements of DTensor, the same numbers, and different inputs tell; where nothing does,
        rows of its own are assumed, and said.
    flush_steps
        Of a distributed job: recorded steps that wait on each process until they are added up, all at once.

    Attributes
    ----------
    found
        After the first step, one dict a layer (`probes.FoundLayer`): name, source, how it is read, prior,
        why.
    trained
        Set it before the first step where the model is trained already: a neuron that is at its prior in the
        first record is then dead, not "at prior".

    Raises
    ------
    TypeError
        For a model that is no torch module.
    ValueError
        For an `every` or `flush_steps` below 1, other `ranks` or `shares`, a bad `max_gb`, a config that
        cannot be stored.
    RunError, CompiledError, PartError
        As `probes.watch`.
    """

    def __init__(
        self,
        model: nn.Module,
        folder: str | Path,
        every: int = 1,
        *,
        parts: Mapping[str, PartSpec] | None = None,
        skip: Sequence[str] = (),
        priors: Mapping[str, PriorSpec] | None = None,
        hooks: bool = True,
        config: Mapping[str, Any] | None = None,
        mirror: Mirror | None = None,
        strict: bool = False,
        resume: int | None = None,
        precision: Precision = "full",
        name: str | None = None,
        max_gb: float | None = None,
        no_grad: bool = False,
        on_alert: OnAlert | None = None,
        inputs: Any = None,
        ranks: Which = "all",
        shares: Mapping[str, ShareSpec] | None = None,
        flush_steps: int = BUFFERED_STEPS,
    ) -> None:
        alike: list[int] = []
        if isinstance(model, nn.parallel.DistributedDataParallel):
            alike, model = torch.distributed.get_process_group_ranks(model.process_group), model.module
        if not isinstance(model, nn.Module):
            raise TypeError(f"watch takes a torch.nn.Module, not {type(model).__name__}")
        if every < 1:
            raise ValueError(f"every is {every}; it must be at least 1")
        if flush_steps < 1:
            raise ValueError(f"flush_steps is {flush_steps}; it must be at least 1")
        if ranks not in RANKS:
            raise ValueError(f"ranks is {ranks!r}; it is one of {', '.join(map(repr, RANKS))}")
        Settings(max_gb=max_gb)
        stated(config)  # what the recorder would refuse later, after the first step
        self.model, self.every = model, every
        self.folder = Path(folder) if is_store(folder) else local_folder(folder)
        self.found: list[FoundLayer] = []
        self._config, self._resume = dict(config or {}), resume
        self._precision, self._name, self._max_gb = precision, name, max_gb
        self._inputs = None if inputs is None else as_inputs(inputs)
        self.trained = False
        self._probed: dict[str, list[AnyObserved]] | None = None  # what the probe inputs give, while they run
        self._sequence: ProbeSequence | None = None
        self._sequence_at: int | None = None  # the step at which it was looked at last
        self._alike, self._shares = alike, stated_shares(shares)
        self._alone = ""  # why the model is not run by one process alone
        self._evidence: list[Evidence] = []  # of each layer
        self._nothing: WatchError | None = None  # why this process, one of several, has no layer
        rank, several = _rank()
        self._writes = rank == 0
        self._meeting = (
            Meeting(str(folder)) if several and ranks == "all" else None
        )  # None: it was, or is not
        self._buffer = (
            StatisticsBuffer(self.folder, strict, mirror)
            if self._meeting is None
            else RankedBuffer(self.folder, strict, mirror, flush_steps=flush_steps)
        )
        self._ranks: Ranks | None = None
        self._opened = False
        self._layers: list[LayerInfo] = []  # of this process
        self._refused: list[str] = []
        self._loop = InTheLoop(self._buffer, on_alert)
        self._finder: Finder | None = None
        self._settled = self._closed = False
        self._passed_over: dict[str, int] = {}  # forward passes not looked at, up to the last recorded step
        self._calls, self._step = 0, -1 if resume is None else resume
        self._pools: dict[str, AnyPool] = {}  # of each layer
        self._lock = Lock()
        # of a step that is not due: not read, kept in case it is the last
        self._held: list[Seen] = []
        self._held_bytes = 0
        # the last step and its own, if it was not due
        self._last: tuple[int, dict[str, Summed], list[Seen]] | None = None
        if not self._writes and self._meeting is None:
            logger.info("rank %d does not record: rank 0 does", rank)
            return
        begun = False
        if not self._writes:
            pass
        elif not is_store(folder):
            with writing(self.folder):
                begun = (self.folder / manifest.FILE).exists()
        elif resume is None:
            Spool(str(folder)).refuse_second()
        if begun and resume is None:
            raise RunError(
                f"{folder} holds a run already: name another folder, or continue it with resume=<last step to"
                " keep>"
            )
        forget_in_children(self)
        self._finder = Finder(model, self._receive, parts, skip, dict(priors or {}), hooks, no_grad, several)
        RECEIVERS.append(self._observe)

    def __repr__(self) -> str:
        """Where it records, and a line for each layer: what it was read from, as what, under which prior."""
        layers = [
            f"  {layer['name']}: read from {layer['source']} as {layer['read'].removeprefix('as ')}; prior"
            f" {layer['prior']}"
            for layer in self.found
        ]
        if not layers:
            layers = ["  nothing found" if self._settled else "  what is found is known after the first step"]
        return "\n".join([f"Recording of {self.folder}", *layers])

    @property
    def recorder(self) -> Recorder | None:
        """The run's recorder, from the first step on."""
        return self._buffer.recorder

    @property
    def lost(self) -> int:
        """Everything that was to be recorded and was not, in steps, batches (where a step has others) and
        numbers: what could not be read or written, and steps before the first forward pass in training.
        """
        return self._buffer.lost

    def step(
        self, step: int, *, epoch: float | None = None, split: str = "train", **scalars: SupportsFloat
    ) -> None:
        """End of an optimiser step: what was seen since the last call, over all forwards, is its statistics.

        Parameters
        ----------
        step
            Counts over the whole training, not within an epoch.
        epoch, split
            Stored with the scalars.
        **scalars
            Numbers of the step, such as loss=loss; tensors of one element are read later, so that the device
            is not waited for. What is not one number is left out: a warning names it, `lost` counts it, and
            with `strict` it raises.

        Raises
        ------
        ValueError
            For a step that is no integer from 0 to 2^53, or does not increase.
        WatchError
            With `strict`, at the first call after a forward pass, when no posterior was found.
        RecorderError
            When the watch is closed.
        """
        if self._finder is None:
            return
        self._check_open()
        step = whole_number(step, "step")
        if step <= self._step:
            raise ValueError(
                f"step {step} does not increase: the step before it is {self._step}. Count over the whole"
                " training"
            )
        self._finder.read_what_is_not_called()
        if self._meeting is not None and not self._meet():
            return
        waits = None if self._settled else self._finder.waits
        if not self._settled and waits is None:
            self._settle()
        if not self._opened and self._open():
            self._calls = 0  # the first step that there is something of is due
        self._finder.reset()
        for name, value in scalars.items():
            self.scalar(step, name, value, split, epoch)
        if waits is not None and self._ranks is not None and self._opened:
            self._last = None
            if self._due():
                self._buffer.add(step, {})  # others have something of it
        elif waits is not None and self._due() and self._writes:
            self._buffer.failed(RuntimeError(f"step {step}: nothing to record yet: {waits}"), 1, "waits")
        elif self._settled and not self.found:
            self._buffer.failed(WatchError(NOTHING), 1, NOTHING)
        elif waits is None and self._due():
            self._last = None
            self._add(step)
        elif waits is None:
            self._last = step, self._take_sums(), self._held
        self._held, self._held_bytes = [], 0
        self._step, self._calls = step, self._calls + 1
        due = self._sequence_at is None or step >= 2 * self._sequence_at
        if due and self._sequence is not None and self.found and self._writes:
            self._look_at_sequence(self._sequence)

    def paused(self) -> AbstractContextManager[None]:
        """Forward passes in a `with` block of it are not recorded: those of a second network, say.

        Returns
        -------
        context manager
            Blocks may stand in each other.
        """
        return self._finder.paused() if self._finder is not None else nullcontext()

    def scalar(
        self,
        step: int,
        name: str,
        value: SupportsFloat,
        split: str = "train",
        epoch: float | None = None,
    ) -> None:
        """One number at a step, such as a validation loss.

        Parameters
        ----------
        step
            The step.
        name
            What the number is called.
        value
            A number; a tensor of one element is read later.
        split
            Part of the data that it is of, such as "validation".
        epoch
            Epoch of the step, may be fractional.

        Raises
        ------
        RecorderError
            When the watch is closed.
        """
        if self._finder is not None:
            self._check_open()
            self._buffer.scalar(step, name, value, split, epoch)

    def last(self, layer: str) -> dict[str, NDArray[Any]] | None:
        """Statistics of the last step that was derived: the last recorded one, up to 64 recorded steps or a
        second back, or after `flush` the last itself. From memory; no file is read.

        Parameters
        ----------
        layer
            Its name, as in `found`.

        Returns
        -------
        dict
            Name of the registry -> array (N,): what is stored, what derives from it (`contraction`), and
            `regime`, codes of `schema.REGIMES`. None before anything was derived.

        Raises
        ------
        KeyError
            For a layer that is not recorded.
        """
        return self._loop.last(layer)

    def alerts(self) -> list[Alert]:
        """Alerts since the last call, by the rules of `probes.alerts` on what was derived so far (as `last`).

        Returns
        -------
        list of Alert
            In order of step. `where` names the layer; `step`, `kind`, `count`, `text` and `advice` say when,
            what, how many neurons, and what to do. The first call reads the log once, later ones no file.
        """
        return self._loop.alerts()

    def flush(self) -> None:
        """Hand what is buffered to the recorder; its writer stores it within 5 s."""
        self._buffer.flush()

    def close(self, status: FinalStatus = "finished") -> None:
        """Remove our hooks, write what is left, close the run.

        Parameters
        ----------
        status
            "finished", "interrupted" or "crashed".
        """
        if self._closed or self._finder is None:
            return
        self._closed = True
        atexit.unregister(self._close_at_exit)
        try:
            if not (self._settled or self._opened) and self._step >= 0 and not self._buffer.strict:
                self._settle(waited=self._finder.waits)
                if self._writes:
                    self._begin(self._layers, self.found)
            if self._last is not None:
                self._add_last(*self._last)
            if self.found and status != "crashed" and self._writes:
                if self._sequence is not None and self._sequence_at != self._step:
                    self._look_at_sequence(self._sequence)
                if self._inputs is not None:
                    self._probe_safely(self._inputs)
        finally:
            self._detach()
            self._buffer.close(status)
            self._loop.finish()

    def listening(self) -> AbstractContextManager[None]:
        """Forward passes in a `with` block of it are recorded in eval mode and without gradients too.

        Returns
        -------
        context manager
            Blocks may stand in each other.
        """
        return self._finder.listening() if self._finder is not None else nullcontext()

    def probe(self, inputs: Inputs) -> None:
        """Run the model on inputs, in the mode that it is in, and store their posteriors and what they are.

        Parameters
        ----------
        inputs
            From `probes.inputs.as_inputs`.

        Raises
        ------
        ValueError
            For inputs that cannot be stored; and what the model raises.
        """
        if self._finder is None:
            return
        self._probed = {}
        try:
            with self._finder.listening():
                run_model(self.model, inputs.batch, inputs.call)
        finally:
            found, self._probed = self._probed, None
            self._finder.reset()
        self._buffer.flush()
        if (recorder := self._buffer.recorder) is not None:
            positions = self._sequence.stored() if self._sequence is not None else []
            recorder.inputs(self._step, [*stored_inputs(inputs), *positions])
            for name, observed in found.items():
                count = len(inputs.shown)
                if (parameters := parameters_of_inputs(observed, count)) is not None:
                    recorder.parameters(self._step, name, **parameters)
                elif (posteriors := of_inputs(observed, count)) is not None:
                    recorder.probe(self._step, name, *posteriors)
            if inputs.decoder is not None:
                contents = decoded_layers(inputs, self.found, found)
                kept = {"experiment": store.DECODED, "step": self._step}
                store.save(recorder.path, store.DECODED, {"contents": contents}, kept)

    def sequence(self, *, tokens: Any, inputs: Any) -> None:
        """Hand over a sequence on which the model is looked at, in eval mode and without gradients, as it is
        trained: at the first recorded step, whenever the step has doubled, and at the end.

        Parameters
        ----------
        tokens
            What stands at the T positions: texts, or numbers (T,) or (T, D).
        inputs
            How the model is run on them. A tensor, a tuple whose first element is the input, or keyword
            arguments: what it is called with, a batch of one sequence. A function (model) -> runs it, such as
            step by step. Or a list of T inputs, run one after the other: the prefixes of the sequence, for a
            model that has one posterior a sequence.

        Raises
        ------
        ValueError
            For tokens that are neither texts nor numbers, fewer than 2 or more than 4,096 of them, a list of
            another length; or when a sequence was handed over before.

        Notes
        -----
        Stored are, of each neuron at each position, the posterior's mean and standard deviation (averaged
        over its latent dimensions), and the KL under the prior that is known, else null (`Run.sequence`); of
        families that are no Gaussian their parameters, such as the probability of each class
        (`Run.sequence_parameters`); of a code book which code was picked at each position, as m = 1 of it and
        0 of the others.
        Where the model cannot be run on it, or does not give a posterior for each position, a warning says
        so, `lost` counts it, and training goes on.
        """
        if self._sequence is not None:
            raise ValueError("a sequence was handed over before: a run has one")
        self._sequence = ProbeSequence.of(tokens, inputs)

    def _look_at_sequence(self, sequence: ProbeSequence) -> None:
        """Store the posteriors at each of its positions, at the present step."""
        assert self._finder is not None  # the callers looked
        first, self._sequence_at = self._sequence_at is None, self._step
        if self._alone:
            self._buffer.failed(RuntimeError(self._alone.format(what="the sequence is run")), 1, "sequence")
            self._sequence = None
            return
        seen: dict[str, list[AnyObserved]] = {}
        self._probed = seen
        try:
            with untouched(self.model, training=False), self._finder.listening():
                found = sequence.observe(self.model, seen)
            if (recorder := self._buffer.recorder) is not None:
                if first:
                    recorder.inputs(self._step, sequence.stored())
                for layer in recorder.layers:
                    if (observed := found.get(layer["name"])) is not None:
                        known = layer.get("prior") != "unknown"
                        if isinstance(observed, FamilyObserved) and observed.family == "codes":
                            recorder.sequence(self._step, layer["name"], **code_path_of(observed))
                        elif isinstance(observed, FamilyObserved):
                            path = family_path_of(observed, known)
                            recorder.sequence_parameters(self._step, layer["name"], **path)
                        else:
                            recorder.sequence(self._step, layer["name"], **path_of(observed, known))
        except Exception as error:  # noqa: BLE001 - training goes on
            self._buffer.failed(RuntimeError(f"sequence: {first_line(error)}"), 1, "sequence")
        finally:
            self._probed = None
            self._finder.reset()

    def _probe_safely(self, inputs: Inputs) -> None:
        if self._alone:
            self._buffer.failed(RuntimeError(self._alone.format(what="inputs= are run")), 1, "inputs")
            return
        try:
            with untouched(self.model, training=False):
                self.probe(inputs)
        except Exception as error:  # noqa: BLE001 - the run is closed all the same
            self._buffer.failed(RuntimeError(f"inputs: {first_line(error)}"), 1, "inputs")

    def _close_at_exit(self) -> None:
        """A script that ends without `close`: keep what was recorded and say that it did not end as meant."""
        self._inputs = None
        self.close("interrupted")

    def forget(self) -> None:
        """In a forked child: see nothing and say nothing, as ranks beyond the first do."""
        self._detach()
        self._finder = None
        atexit.unregister(self._close_at_exit)
        self._buffer.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(manifest.final_status(kind))

    def _due(self) -> bool:
        return self._calls % self.every == 0

    def _observe(self, name: str, reading: Reading, why_not: str | None) -> None:
        """From `probes.observe`."""
        if self._finder is not None and not self._finder.observe(name, reading, why_not):
            error = RuntimeError(
                f"observe({name!r}) came after the first step, when the layers of a run are fixed"
            )
            self._buffer.failed(error, 1, f"observe {name}")

    def _receive(self, name: str, reading: Reading | Exception) -> None:
        """From the hooks, once the layers are settled."""
        if self._probed is not None:
            if isinstance(reading, Reading):
                self._probed.setdefault(name, []).append(reading())
        elif self._due() or self._pools[name].every_step:
            self._pool(name, reading)
        else:
            self._hold(name, reading)

    def _hold(self, name: str, reading: Reading | Exception) -> None:
        """Keep what is needed only if its step is the last one."""
        self._held.append((name, reading))
        self._held_bytes += reading.hold() if isinstance(reading, Reading) else 0
        if self._held_bytes > HELD_BYTES:
            for seen in self._held:
                self._pool(*seen)
            self._held, self._held_bytes = [], 0

    def _pool(self, name: str, reading: Reading | Exception) -> None:
        """Add a batch to its layer's sums, or count it."""
        try:
            if isinstance(reading, Exception):
                raise reading
            with self._lock:  # several threads may run the model
                self._pools[name].add(reading)
        except Exception as error:  # noqa: BLE001 - a batch of another shape, say: training goes on
            self._buffer.failed(ValueError(f"layer {name!r}: {first_line(error)}"), 1, f"layer {name}")

    def _take_sums(self) -> dict[str, Summed]:
        with self._lock:
            taken = {name: pool.take_sums() for name, pool in self._pools.items()}
        return {name: moments for name, moments in taken.items() if moments is not None}

    def _add(self, step: int) -> None:
        with self._lock:
            taken = {name: pool.take() for name, pool in self._pools.items()}
        seen = {name: one for name, one in taken.items() if one is not None}
        self._look_for_what_is_missing(step, seen)
        self._buffer.add(step, seen)

    def _add_last(self, step: int, moments: Mapping[str, Summed], held: Sequence[Seen]) -> None:
        """The last step, which was not due and is there nevertheless."""
        self._take_sums()  # of forward passes after it, which belong to no step
        for name, known in moments.items():
            self._pools[name].give(known)
        for name, reading in held:
            self._pool(name, reading)
        self._add(step)

    def _look_for_what_is_missing(self, step: int, seen: Mapping[str, object]) -> None:
        """A step whose forward passes were all passed over is lost, and said so; so is a layer without its
        hooks.
        """
        assert self._finder is not None  # the caller looked
        before, self._passed_over = self._passed_over, dict(self._finder.passed_over)
        if not seen:
            whys = [why for why, count in self._passed_over.items() if count > before.get(why, 0)]
            if self.model.training and EVALUATED in whys:
                whys.remove(EVALUATED)  # a validation
            if whys:
                error = RuntimeError(f"step {step}: its forward passes were {whys[0]}")
                self._buffer.failed(error, 1, whys[0])
                return
        for name in self._finder.unhooked(seen):
            text = f"step {step}: layer {name!r} is seen no more: its hooks, or its module, were removed"
            self._buffer.failed(RuntimeError(text), 1, f"hooks of {name}")

    def _settle(self, waited: str | None = None) -> None:
        """Decide what is a layer, say so, open the run, take what the first step has shown.

        waited: what the first step waited for until the watch was closed: there is no layer then, and the run
        holds the numbers that were handed over.
        """
        assert self._finder is not None  # the caller looked
        late = self._finder.missing
        chosen: list[Candidate] = []
        refused: list[str] = []
        try:
            chosen = self._finder.settle(self._ranks is not None) if waited is None else []
            refused = [] if waited is None else [f"no posterior was seen: {waited}"]
        except (PartError, CompiledError):
            raise
        except Exception as error:  # noqa: BLE001 - one of ours that was not foreseen: their training goes on
            unsettled = UNSETTLED.format(kind=type(error).__name__, said=first_line(error))
            nothing = error if isinstance(error, WatchError) else WatchError(unsettled)
            self._detach()
            refused = self._finder.left_out if nothing is error else []
            refused = refused or [str(nothing)]
            if self._ranks is None:
                self._say_nothing(nothing)
            else:
                self._nothing = nothing  # others may have some
        self._settled, self._refused = True, refused
        self.found = [candidate.source.describe() for candidate in chosen]
        for candidate, description in zip(chosen, self.found, strict=True):
            neurons, latent_dim = candidate.pool.size
            layer: LayerInfo = {
                **description,
                "neurons": neurons,
                "latent_dim": latent_dim,
                "prior": candidate.kind_of_prior,
                "prior_said": description["prior"],
            }
            source = candidate.source
            if layer["prior"] == "unknown" and layer["family"].startswith(GAUSSIAN.name):
                layer["family"] = GAUSSIAN_UNKNOWN_PRIOR.name
            if source.classes is not None:
                layer["classes"] = source.classes
            if source.map is not None:
                layer["map"] = source.map
            if source.window is not None:
                layer["window"] = source.window
            if layer["family"] in BY_MOMENTS:
                layer["information_by"] = "moments"
            if isinstance(candidate.pool, FamilyPool) and (prior := candidate.pool.prior_parameters()):
                layer["prior_parameters"] = prior
            if self.trained:
                layer["trained"] = True
            self._layers.append(layer)
            self._pools[candidate.source.name] = pool = candidate.pool
            self._evidence.append(
                Evidence(
                    neurons,
                    layer["family"] not in INSEPARABLE,
                    pool.shared,
                    stated_share(self._shares, layer["name"]),
                    candidate.placed,
                    candidate.values,
                    self._finder.batch,
                    self._finder.inside,
                    self._alike,
                )
            )
            if isinstance(pool, CodePool):
                pool.counts_empty_steps = self._ranks is not None
            if not self._writes:
                continue
            sure = "ASSUMED" not in description["why"] and description["origins"].get("prior") != "absent"
            level = logging.INFO if sure else logging.WARNING
            text = "watching %s: %d neurons, %d latent dimensions; read from %s %s; prior %s. Why: %s"
            read = description["read"]
            logger.log(
                level,
                text,
                description["name"],
                neurons,
                latent_dim,
                description["source"],
                read if read.startswith("as ") else f"as {read}",
                description["prior"],
                description["why"],
            )
        for left in self._finder.left_out if chosen and self._writes else ():
            logger.warning("not recorded: %s", left)
        if late and chosen and self._writes:
            logger.warning("not watched, since they have not run before the first step: %s", ", ".join(late))
        for candidate in chosen:
            for failure in candidate.failures:
                self._pool(candidate.source.name, NotReadable(failure))

    def _say_nothing(self, error: WatchError) -> None:
        """No layer is recorded. Raises it when strict."""
        if self._buffer.strict:
            raise error
        self._buffer.warn(NOTHING, f"{NOTHING}: {error}\nTraining goes on.")

    def _open(self) -> bool:
        """Open the run, once this process, or one of several, has settled what its layers are; whether it is
        open.
        """
        if self._ranks is None:
            if self._settled:
                self._begin(self._layers, self.found)
            return self._settled
        try:
            said = self._ranks.agree([self._layers, self.found, self._evidence] if self._settled else None)
        except RanksLostError as error:
            self._leave(error)
            return False
        if not any(said):
            return False
        layers, self.found, shared, refused = layers_of_all(said)
        self._join(self._ranks, layers, shared)
        self._refused = self._refused if not layers else []
        if refused:
            self._refused += refused
            self._nothing = WatchError("\n".join(refused))
            if layers and self._writes:
                self._buffer.warn("shares", f"not recorded: {self._nothing}")
        if any(one.together for one in shared.values()) or runs_together(self.model):
            self._alone = TOGETHER
        if self._writes:
            for layer in layers:
                level = logging.WARNING if layer["origins"]["processes"] == "assumed" else logging.INFO
                logger.log(
                    level, "watching %s on %d processes: %s", layer["name"], self._ranks.size, layer["why"]
                )
            self._begin(layers, self.found, ranks=self._ranks.size)
        else:
            self._opened = True
            atexit.register(self._close_at_exit)
        if not layers and self._nothing is not None:
            self._say_nothing(self._nothing)
        return True

    def _join(self, ranks: Ranks, layers: Sequence[LayerInfo], shared: Mapping[str, Shared]) -> None:
        """From now on what is seen is added to what the others see."""
        assert isinstance(self._buffer, RankedBuffer)  # of several processes
        numbers = sum(one["neurons"] * one["latent_dim"] for one in layers)
        self._buffer.join(ranks, ranks.rank, numbers, shared)

    def _meet(self) -> bool:
        """At the first step: find the other processes; whether this one is to record."""
        assert self._meeting is not None  # the caller looked
        meeting, self._meeting = self._meeting, None
        try:
            self._ranks = meeting.ranks()
        except RanksLostError as error:
            self._leave(error)
            return False
        if self._ranks is None and self._writes and is_together():
            self._buffer.warn("alone", ALONE)
        if self._ranks is None and not self._writes:
            self.forget()
        return self._ranks is not None or self._writes

    def _leave(self, error: RanksLostError) -> None:
        """The other processes do not answer before the run is open: there is none, and training goes on."""
        assert isinstance(self._buffer, RankedBuffer)  # of several processes
        self._detach()
        self._finder = None
        self._buffer.leave(str(error), [])

    def _begin(
        self, layers: Sequence[LayerInfo], found: Sequence[FoundLayer], ranks: int | None = None
    ) -> None:
        """Open the run."""
        watched: dict[str, Any] = {"model": type(self.model).__name__, "every": self.every, "parts": found}
        if ranks is not None:
            watched["ranks"] = ranks
        refused = {"refused": self._refused} if self._refused else {}
        config = {"watch": watched | refused, **self._config}
        try:
            self._buffer.open(
                layers,
                config,
                self._resume,
                precision=self._precision,
                name=self._name,
                max_gb=self._max_gb,
            )
            self._keep_sizes(layers)
        except (RuntimeError, ValueError, OSError):
            self._closed = True
            self._detach()
            raise
        self._opened = True
        self._loop.begin(layers, config, self._resume)
        atexit.register(self._close_at_exit)  # after the recorder's own, so that it runs before that

    def _keep_sizes(self, layers: Sequence[LayerInfo]) -> None:
        """A resumed run has the latent dimensions that it had: where those of this first batch are others, of
        an image of another size say, it is counted, and batches of the run's size are recorded.

        Raises RunError where that cannot be: of several processes, of other families.
        """
        if self._resume is None or self._buffer.recorder is None:
            return
        for layer, there in zip(layers, self._buffer.recorder.layers, strict=True):
            if layer["latent_dim"] == there["latent_dim"]:
                continue
            pool = self._pools.get(layer["name"])
            if self._ranks is not None or type(pool) is not Pool:
                raise self._buffer.other_layers(layers)
            first = f"the first batch has {layer['latent_dim']} latent dimensions"
            why = f"layer {layer['name']!r}: {first}, the run that is resumed has {there['latent_dim']}"
            layer["latent_dim"] = there["latent_dim"]
            self._pools[layer["name"]] = Pool((there["neurons"], there["latent_dim"]), pool.shared)
            self._buffer.failed(ValueError(why), 1, f"layer {layer['name']}")

    def _detach(self) -> None:
        if self._finder is not None:
            self._finder.detach()
        if self._observe in RECEIVERS:
            RECEIVERS.remove(self._observe)

    def _check_open(self) -> None:
        if self._closed:
            raise RecorderError(f"the watch of {self.folder} is closed")


def _rank() -> tuple[int, bool]:
    """This process's number in a distributed job, and whether it is one of several; the launcher's word for
    it where the job has not begun to talk yet.
    """
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size() > 1
    rank, size = (os.environ.get(name, "") for name in (RANK, WORLD_SIZE))
    number = int(rank) if rank.isdecimal() else 0
    return number, number > 0 or (rank.isdecimal() and size.isdecimal() and int(size) > 1)
