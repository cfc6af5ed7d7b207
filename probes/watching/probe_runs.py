"""A watched model run on inputs that are not its training's: a fixed batch, or one sequence, and what is kept
of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from probes.errors import first_line
from probes.experiments import store
from probes.inputs import Inputs, run_model
from probes.inputs import stored as stored_inputs
from probes.recorder import Recorder
from probes.watching.decoding import decoded_layers
from probes.watching.family_readings import AnyObserved, FamilyObserved
from probes.watching.finding import Finder
from probes.watching.gathering import Unread
from probes.watching.pooling import Reading
from probes.watching.posterior_source import FoundLayer
from probes.watching.probing import of_inputs, parameters_of_inputs, untouched
from probes.watching.sequence_paths import code_path_of, family_path_of, path_of
from probes.watching.sequences import Posterior, ProbeSequence
from probes.watching.statistics_buffer import StatisticsBuffer


class ProbeRuns:
    """Runs the model, and stores the posteriors that come.

    Parameters
    ----------
    model, finder
        The watched one, and what finds its posteriors.
    buffer
        Has the recorder, and counts what fails.

    Attributes
    ----------
    sequence
        The one that was handed over.
    alone
        Why the model is not run by one process alone; empty where it may be.
    """

    def __init__(self, model: nn.Module, finder: Finder, buffer: StatisticsBuffer) -> None:
        self._model, self._finder, self._buffer = model, finder, buffer
        self._seen: dict[str, list[AnyObserved]] | None = None  # None: no run now
        self.sequence: ProbeSequence | None = None
        self._sequence_at: int | None = None  # the step at which it was looked at last
        self.alone = ""

    def takes(self, name: str, reading: Reading | Unread | Exception) -> bool:
        """Whether a posterior comes from such a run, and is kept here."""
        if self._seen is None:
            return False
        if isinstance(reading, Reading):
            self._seen.setdefault(name, []).append(reading())
        return True

    def run_inputs(self, inputs: Inputs, step: int, layers: Sequence[FoundLayer]) -> None:
        """Run the model on inputs, in the mode that it is in, and store their posteriors and what they are.

        Raises ValueError for inputs that cannot be stored; and what the model raises.
        """
        self._seen = {}
        try:
            with self._finder.probing():
                run_model(self._model, inputs.batch, inputs.call)
        finally:
            found, self._seen = self._seen, None
            self._finder.reset()
        self._buffer.flush()
        if (recorder := self._buffer.recorder) is None:
            return
        positions = self.sequence.stored() if self.sequence is not None else []
        recorder.inputs(step, [*stored_inputs(inputs), *positions])
        for name, observed in found.items():
            count = len(inputs.shown)
            if (parameters := parameters_of_inputs(observed, count)) is not None:
                recorder.parameters(step, name, **parameters)
            elif (posteriors := of_inputs(observed, count)) is not None:
                recorder.probe(step, name, *posteriors)
        if inputs.decoder is not None:
            contents = decoded_layers(inputs, layers, found)
            kept = {"experiment": store.DECODED, "step": step}
            store.save(recorder.path, store.DECODED, {"contents": contents}, kept)

    def run_inputs_safely(self, run: Callable[[], None]) -> None:
        """`run`, which runs the model on inputs, in eval mode and so that nothing is changed; what it raises
        is counted.
        """
        if self.alone:
            self._buffer.failed(RuntimeError(self.alone.format(what="inputs= are run")), 1, "inputs")
            return
        try:
            with untouched(self._model, training=False):
                run()
        except Exception as error:  # noqa: BLE001 - the run is closed all the same
            self._buffer.failed(RuntimeError(f"inputs: {first_line(error)}"), 1, "inputs")

    def run_sequence(self, step: int, last: bool = False) -> None:
        """Store the posteriors at each position of the sequence, if there is one and its time has come: at
        first, whenever the step has doubled, and at the last.
        """
        at = self._sequence_at
        due = at is None or (at != step if last else step >= 2 * at)
        if self.sequence is None or not due:
            return
        self._sequence_at = step
        if self.alone:
            self._buffer.failed(RuntimeError(self.alone.format(what="the sequence is run")), 1, "sequence")
            self.sequence = None
            return
        seen: dict[str, list[AnyObserved]] = {}
        self._seen = seen
        try:
            with untouched(self._model, training=False), self._finder.probing():
                found = self.sequence.observe(self._model, seen)
            if (recorder := self._buffer.recorder) is not None:
                if at is None:
                    recorder.inputs(step, self.sequence.stored())
                for layer in recorder.layers:
                    if (observed := found.get(layer["name"])) is not None:
                        _store(recorder, step, layer["name"], observed, layer.get("prior") != "unknown")
        except Exception as error:  # noqa: BLE001 - training goes on
            self._buffer.failed(RuntimeError(f"sequence: {first_line(error)}"), 1, "sequence")
        finally:
            self._seen = None
            self._finder.reset()


def _store(recorder: Recorder, step: int, name: str, observed: Posterior, known: bool) -> None:
    """Posteriors at the positions of a sequence. known: whether their prior is."""
    if isinstance(observed, FamilyObserved) and observed.family == "codes":
        recorder.sequence(step, name, **code_path_of(observed))
    elif isinstance(observed, FamilyObserved):
        recorder.sequence_parameters(step, name, **family_path_of(observed, known))
    else:
        recorder.sequence(step, name, **path_of(observed, known))
