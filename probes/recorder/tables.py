"""Tables of plain rows: scalars, events, the probe batch and sequence, predictions, answers, scores."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike

from probes.families import family_of
from probes.families.gaussian import Gaussian
from probes.log import arguments, rows
from probes.log.answers import answer_tables
from probes.log.background import Background, Settings
from probes.log.origin_scores import origin_table
from probes.log.posterior_rows import belief_table, class_table, parameter_table, probe_table, sequence_tables
from probes.log.writer import Writer
from probes.recorder.checks import LayerChecks, each
from probes.run_reader import LayerInfo
from probes.schema import FORCES


class TablesRecorder:
    """Records plain rows, which a background thread writes; each call stands for itself."""

    def _begin_tables(self, writer: Writer, settings: Settings, after: int) -> None:
        self.path = Path(writer.folder)
        self.layers: list[LayerInfo] = writer.state["layers"]
        self.settings = settings
        self._checks = LayerChecks(self.layers)
        self._began = time.monotonic() - writer.state["elapsed"]
        self._turn = threading.RLock()  # of threads that record, also while one waits for room
        self._background = Background(writer, settings, complete=after)
        self._predicted = writer.predicted

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
        index = None if layer is None else self._checks.index(layer)
        neurons = [None] if neuron is None else self._checks.neurons(neuron, index, of)
        values = [None] if value is None else [arguments.number(v, f"{of}: value") for v in each(value)]
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
        index = self._checks.index(layer)
        number = self._checks.step(step, index)
        self._background.add_rows("probe", probe_table(number, index, self.layers[index], mu, sigma))

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
        index = self._checks.index(layer)
        number = self._checks.step(step, index)
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
        index = self._checks.index(layer)
        number = self._checks.step(step, index)
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
        index = self._checks.index(layer)
        name, neurons = self.layers[index]["name"], self.layers[index]["neurons"]
        number = self._checks.step(step, index)
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
        index = self._checks.index(layer)
        number = self._checks.step(step, index)
        beliefs = belief_table(number, index, self.layers[index], (m, V, mu, sigma, kl))
        self._background.add_rows("sequence", beliefs)

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
        index = self._checks.index(layer)
        if isinstance(family := family_of(self.layers[index]), Gaussian):
            name = self.layers[index]["name"]
            raise ValueError(
                f"sequence_parameters of layer {name!r}: it is {family.label};"
                " sequence(step, layer, m, V, mu, sigma, kl) takes what it believes"
            )
        number = self._checks.step(step, index)
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
        index = self._checks.index(layer)
        neurons = self.layers[index]["neurons"]
        number = self._checks.step(step, index)
        part = arguments.text(split, f"evaluation of layer {self.layers[index]['name']!r}: split")
        if not statistics:
            raise ValueError(f"no statistic given for layer {self.layers[index]['name']!r} at step {number}")
        values = {
            name: self._checks.values(name, given, None, index)[0] for name, given in statistics.items()
        }
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
