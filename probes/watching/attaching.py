"""`watch(model, folder)`: record anybody's variational network without changing it.

Until the first `step` every module's output is looked at; what holds a posterior is then settled, logged and
stored, and hooks stay on those modules alone. What a forward pass shows is copied or summed there and then,
on the device; a batch of steps at a time moves to the log.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self, SupportsFloat

import torch
from numpy.typing import NDArray
from torch import nn

from probes.alerts import Alert
from probes.errors import RunError, writing
from probes.forks import forget_in_children
from probes.inputs import Inputs, as_inputs
from probes.log import manifest
from probes.log.arguments import whole_number
from probes.log.config import stated
from probes.recorder import Precision, Recorder, RecorderError, Settings
from probes.run_reader import FinalStatus
from probes.spool import Spool
from probes.storage import is_store, local_folder, open_folder
from probes.watching.callers import Receiver
from probes.watching.family_pools import Summed
from probes.watching.finding import Finder, Seen, WatchError
from probes.watching.gathering import Unread
from probes.watching.hooks import EVALUATED
from probes.watching.in_the_loop import InTheLoop, OnAlert
from probes.watching.observing import RECEIVERS
from probes.watching.opening import NOTHING, Opening, RunSettings
from probes.watching.pooling import Reading
from probes.watching.posterior_source import FoundLayer
from probes.watching.probe_runs import ProbeRuns
from probes.watching.processes import Processes
from probes.watching.processes import Which as Which
from probes.watching.ranked_buffer import RankedBuffer
from probes.watching.ranks import RanksLostError, is_together
from probes.watching.sequences import ProbeSequence
from probes.watching.shares import ShareSpec, stated_shares
from probes.watching.stated import PartSpec, PriorSpec
from probes.watching.statistics_buffer import BUFFERED_STEPS, Mirror, StatisticsBuffer
from probes.watching.step_sums import StepSums

logger = logging.getLogger("probes.watch")

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
    last: bool = True,
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
    no_grad, on_alert, inputs, ranks, shares, flush_steps, last
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
        last=last,
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
    last
        False: with `every` above 1 the last step is recorded only if its turn has come. Our hooks are then
        off the model between recorded steps, which then cost nothing where a layer is called many times a
        step; but not in a distributed job, nor with a code book, each step of which counts.

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
        last: bool = True,
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
        Settings(max_gb=max_gb)
        stated(config)  # what the recorder would refuse later, after the first step
        self.model, self.every, self._keeps_last = model, every, last
        self.folder = Path(folder) if is_store(folder) else local_folder(folder)
        self.found: list[FoundLayer] = []
        self.trained = False
        self._inputs = None if inputs is None else as_inputs(inputs)
        stated_by_user = stated_shares(shares)
        self._processes = Processes(str(folder), ranks)
        self._buffer = (
            RankedBuffer(self.folder, strict, mirror, flush_steps=flush_steps)
            if self._processes.are_to_meet
            else StatisticsBuffer(self.folder, strict, mirror)
        )
        self._sums = StepSums(self._buffer)
        self._loop = InTheLoop(self._buffer, on_alert)
        self._receiver = Receiver(model, self._observe)
        self._finder: Finder | None = None
        self._probes: ProbeRuns | None = None
        self._sequence: ProbeSequence | None = None
        self._opening: Opening | None = None
        self._closed = False
        self._passed_over: dict[str, int] = {}  # forward passes not looked at, up to the last recorded step
        if resume is not None:  # here, not at the first step
            whole_number(resume, "resume, the last step to keep,", least=-1)
        self._calls, self._step = 0, -1 if resume is None else resume
        # the last step and its own, if it was not due
        self._last: tuple[int, dict[str, Summed], list[Seen]] | None = None
        if not self._processes.writes and not self._processes.are_to_meet:
            logger.info("rank %d does not record: rank 0 does", self._processes.number)
            return
        begun = False
        if not self._processes.writes:
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
        several = self._processes.are_several
        self._finder = Finder(
            model, self._receive, parts, skip, dict(priors or {}), hooks, no_grad, several, self._due
        )
        if begun and not hooks and not several:
            layers = manifest.read(open_folder(self.folder))["layers"]
            self._finder.expected = frozenset(layer["name"] for layer in layers)
        self._probes = ProbeRuns(model, self._finder, self._buffer)
        self._opening = Opening(
            model,
            self._finder,
            self._buffer,
            self._sums,
            self._processes,
            RunSettings(dict(config or {}), every, resume, precision, name, max_gb),
            stated_by_user,
            alike,
            self._detach,
        )
        RECEIVERS.append(self._receiver)

    def __repr__(self) -> str:
        """Where it records, and a line for each layer: what it was read from, as what, under which prior."""
        layers = [
            f"  {layer['name']}: read from {layer['source']} as {layer['read'].removeprefix('as ')}; prior"
            f" {layer['prior']}"
            for layer in self.found
        ]
        if not layers:
            settled = self._opening is not None and self._opening.settled is not None
            layers = ["  nothing found" if settled else "  what is found is known after the first step"]
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
        opening = self._opening
        if self._finder is None or opening is None:
            return
        self._check_open()
        step = whole_number(step, "step")
        if step <= self._step:
            raise ValueError(
                f"step {step} does not increase: the step before it is {self._step}. Count over the whole"
                " training"
            )
        self._finder.end_step()
        if self._processes.are_to_meet and not self._meet():
            return
        waits = self._finder.waits if opening.settled is None else None
        if opening.settled is None and waits is None:
            opening.settle(self.trained)
        if not opening.is_open and self._open(opening):
            self._calls = 0  # the first step that there is something of is due
        if self._opening is None:  # other processes were lost
            return
        for changed, why in self._finder.look_again().items():
            self._sums.fail(changed, why)
            if isinstance(self._buffer, RankedBuffer):
                self._buffer.leave_out(changed, step)
        for name, value in scalars.items():
            self.scalar(step, name, value, split, epoch)
        if waits is not None and self._processes.ranks is not None and opening.is_open:
            self._last = None
            if self._due():
                self._buffer.add(step, {})  # others have something of it
        elif waits is not None and self._due() and self._processes.writes:
            self._buffer.failed(RuntimeError(f"step {step}: nothing to record yet: {waits}"), 1, "waits")
        elif opening.settled is not None and not self.found:
            self._buffer.failed(WatchError(NOTHING), 1, NOTHING)
        elif waits is None and self._due():
            self._last = None
            self._add(step)
        elif waits is None:
            taken = self._sums.take_sums()
            self._last = (step, taken, self._sums.held) if self._keeps_last else None
        self._sums.let_go()
        self._step, self._calls = step, self._calls + 1
        self._rest_until_due()
        if self._probes is not None and self.found and self._processes.writes:
            self._probes.run_sequence(step)

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
        second back, or after `flush`, and the first time, the last itself. From memory; no file is read.

        Parameters
        ----------
        layer
            Its name, as in `found`.

        Returns
        -------
        dict
            Name of the registry -> array (N,): what is stored, what derives from it (`contraction`), and
            `regime`, codes of `schema.REGIMES`. None before the first recorded step (of several processes:
            the first `flush_steps` of them).

        Raises
        ------
        KeyError
            For a layer that is not recorded.
        """
        found = self._loop.last(layer)
        if found is None and not isinstance(self._buffer, RankedBuffer):  # which flush together
            self._buffer.flush()
            found = self._loop.last(layer)
        return found

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
            opening = self._opening
            never = opening is not None and opening.settled is None and not opening.is_open
            if opening is not None and never and self._step >= 0 and not self._buffer.strict:
                opening.open_without_layers(self._finder.waits)
                if self._processes.writes:
                    self._loop.begin(opening.layers, opening.config, opening.resume)
            if self._last is not None:
                self._add_last(*self._last)
            if self._probes is not None and self.found and status != "crashed" and self._processes.writes:
                self._probes.run_sequence(self._step, last=True)
                if self._inputs is not None:
                    inputs = self._inputs
                    self._probes.run_inputs_safely(lambda: self.probe(inputs))
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
        if self._probes is not None:
            self._probes.run_inputs(inputs, self._step, self.found)

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
        if self._probes is not None:
            self._probes.sequence = self._sequence

    def _close_at_exit(self) -> None:
        """A script that ends without `close`: keep what was recorded and say that it did not end as meant."""
        self._inputs = None
        self.close("interrupted")

    def forget(self) -> None:
        """In a forked child: see nothing and say nothing, as ranks beyond the first do."""
        self._detach()
        self._finder = self._opening = self._probes = None
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

    def _rest_until_due(self) -> None:
        """Take our hooks off the model, or put them back, where only steps that are due are looked at."""
        if self._keeps_last or self._finder is None or self._processes.ranks is not None:
            return
        if self._due() or any(pool.every_step for pool in self._sums.pools.values()):
            self._finder.wake()
        else:
            self._finder.rest()

    def _observe(self, name: str, reading: Reading, why_not: str | None) -> None:
        """From `probes.observe`."""
        if self._finder is not None and not self._finder.observe(name, reading, why_not):
            error = RuntimeError(
                f"observe({name!r}) came after the first step, when the layers of a run are fixed"
            )
            self._buffer.failed(error, 1, f"observe {name}")

    def _receive(self, name: str, reading: Reading | Unread | Exception) -> None:
        """From the hooks, once the layers are settled."""
        if self._probes is not None and self._probes.takes(name, reading):
            return
        due = self._due()
        if due or self._keeps_last or self._sums.pools[name].every_step:
            self._sums.receive(name, reading, due)

    def _add(self, step: int) -> None:
        seen = self._sums.take()
        self._look_for_what_is_missing(step, seen)
        self._buffer.add(step, seen)

    def _add_last(self, step: int, moments: Mapping[str, Summed], held: Sequence[Seen]) -> None:
        """The last step, which was not due and is there nevertheless."""
        self._sums.give_back(moments, held)
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

    def _open(self, opening: Opening) -> bool:
        """Open the run, once its layers are settled; whether it is open."""
        try:
            if not opening.open():
                return False
        except RanksLostError as error:
            self._leave(error)
            return False
        except (RuntimeError, ValueError, OSError):
            self._closed = True
            self._detach()
            raise
        self.found = opening.found
        if self._probes is not None:
            self._probes.alone = opening.alone
        alone = not isinstance(self._buffer, RankedBuffer)  # other processes may have other layers
        if self._finder is not None and alone:
            self._say_which_priors_fit_nothing(self._finder.unmatched_priors)
        if self._processes.writes:
            self._loop.begin(opening.layers, opening.config, opening.resume)
        atexit.register(self._close_at_exit)  # after the recorder's own, so that it runs before that
        opening.say_what_no_process_has()
        return True

    def _say_which_priors_fit_nothing(self, patterns: Sequence[str]) -> None:
        names = [one["name"] for one in self.found]
        if patterns and names:
            self._buffer.warn("priors", f"priors: no layer is called {patterns}; the layers are {names}")

    def _meet(self) -> bool:
        """At the first step: find the other processes; whether this one is to record."""
        try:
            self._processes.meet()
        except RanksLostError as error:
            self._leave(error)
            return False
        alone, writes = self._processes.ranks is None, self._processes.writes
        if alone and writes and is_together():
            self._buffer.warn("alone", ALONE)
        if alone and not writes:
            self.forget()
        return writes or not alone

    def _leave(self, error: RanksLostError) -> None:
        """The other processes do not answer before the run is open: there is none, and training goes on."""
        assert isinstance(self._buffer, RankedBuffer)  # of several processes
        self._detach()
        self._finder = self._opening = self._probes = None
        self._buffer.leave(str(error), [])

    def _detach(self) -> None:
        if self._finder is not None:
            self._finder.detach()
        if self._receiver in RECEIVERS:
            RECEIVERS.remove(self._receiver)

    def _check_open(self) -> None:
        if self._closed:
            raise RecorderError(f"the watch of {self.folder} is closed")
