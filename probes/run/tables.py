"""Tables of plain rows: scalars, events, the probe batch and sequence, predictions, answers, scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.run.opened import OpenedRun, frozen, reading


class TablesReader(OpenedRun):
    """Reads tables of plain rows, whole or at a step."""

    @reading
    def scalars(self) -> pd.DataFrame:
        """Numbers of the whole run.

        Returns
        -------
        pandas.DataFrame
            Columns step, epoch, time (seconds of training), split, name, value, in order of arrival.
        """
        return self._rows("scalars")

    @reading
    def events(self) -> pd.DataFrame:
        """What happened: interventions, phases.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer (null: the run), kind, neuron (null: the whole layer), value, text, in order
            of arrival.
        """
        return self._rows("events").astype({"layer": "Int16", "neuron": "Int32"})

    @reading
    def probe(
        self,
        step: int | None = None,
        layer: int | str | None = None,
        neurons: int | Sequence[int] | NDArray[np.integer[Any]] | None = None,
    ) -> pd.DataFrame:
        """Posteriors of the fixed probe batch at a step.

        Parameters
        ----------
        step
            The step; the last by default.
        layer
            Name or index; all layers by default.
        neurons
            One or several of `layer`, from 0; all by default. A few of many are read several times as fast as
            all.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, input, mu, sigma; empty where the batch was not recorded at that
            step.

        Raises
        ------
        RunError
            For an unknown layer or neuron.
        ValueError
            For neurons of no layer.
        """
        if layer is None:
            if neurons is not None:
                raise ValueError(f"{self.path}: say of which layer the neurons are, such as layer=0")
            return self._rows_at("probe", step)
        index = self.layer_index(layer)
        chosen = None if neurons is None else self._neurons(index, neurons)
        return self._rows_at("probe", step, index, chosen)

    @reading
    def probe_steps(self) -> NDArray[np.int64]:
        """(T,) int64: the steps at which the probe batch was recorded."""
        return frozen(self._tables["probe"].steps())

    @reading
    def parameters(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """Posteriors of the fixed probe batch at a step, of families that are no Gaussian.

        Parameters
        ----------
        step
            The step; the last by default.
        layer
            Name or index; all layers by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, input, name (of `families.Family.parameters`), index (class or
            component, 0 where there is one), value; empty where nothing was recorded at that step.

        Raises
        ------
        RunError
            For an unknown layer.
        """
        return self._rows_at("parameters", step, self._index_or_all(layer))

    @reading
    def parameter_steps(self) -> NDArray[np.int64]:
        """(T,) int64: the steps at which posteriors that are no Gaussian were recorded."""
        return frozen(self._tables["parameters"].steps())

    @reading
    def classes(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """How neurons share themselves out over their classes at a step.

        Parameters
        ----------
        step
            The step; the last by default.
        layer
            Name or index; all layers by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, class, usage (a share); empty where nothing was recorded at that
            step.

        Raises
        ------
        RunError
            For an unknown layer.
        """
        return self._rows_at("classes", step, self._index_or_all(layer))

    @reading
    def class_steps(self) -> NDArray[np.int64]:
        """(T,) int64: the steps at which the usage of classes was recorded."""
        return frozen(self._tables["classes"].steps())

    @reading
    def inputs(self) -> pd.DataFrame:
        """What the inputs of the probe batch are, as last stored.

        Returns
        -------
        pandas.DataFrame
            Columns input, kind ("image", "text", "row"; "position" of a probe sequence that is not the probe
            batch), content (a PNG as base64, a text, numbers as JSON); empty where that was not stored.
        """
        return self._rows_at("inputs", None).drop(columns="step").reset_index(drop=True)

    @reading
    def forces(self, step: int | None = None) -> pd.DataFrame:
        """How the terms of the loss pull at each neuron.

        Parameters
        ----------
        step
            A step of the probe batch; all of them by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, term (of `schema.FORCE_TERMS`), then those of `schema.FORCES`.
        """
        return self._rows("forces") if step is None else self._rows_at("forces", step)

    @reading
    def sequence(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """What the neurons believe at each position of the probe sequence, at a step.

        Parameters
        ----------
        step
            The step; the last by default.
        layer
            Name or index; all by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, t, m, V (belief), mu, sigma (one draw's, given its past), kl; empty
            where the sequence was not recorded at that step. What stands at t is input t of `inputs`. Of
            classes m, V, mu and sigma are NaN: `sequence_parameters` has their probabilities.

        Raises
        ------
        RunError
            For a layer that the run does not have.
        """
        return self._rows_at("sequence", step, self._index_or_all(layer))

    @reading
    def sequence_parameters(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """Posteriors at each position of the probe sequence at a step, of families that are no Gaussian.

        Parameters
        ----------
        step
            The step; the last by default.
        layer
            Name or index; all layers by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, t, name (of `families.Family.parameters`), index (class, component or
            draw, 0 where there is one), value; empty where nothing was recorded at that step.

        Raises
        ------
        RunError
            For a layer that the run does not have.
        """
        return self._rows_at("sequence_parameters", step, self._index_or_all(layer))

    @reading
    def sequence_steps(self) -> NDArray[np.int64]:
        """(T,) int64: the steps at which the probe sequence was recorded."""
        return frozen(self._tables["sequence"].steps())

    @reading
    def evaluation(self) -> pd.DataFrame:
        """Statistics pooled over whole splits.

        Returns
        -------
        pandas.DataFrame
            Columns step, split, layer, neuron, then the statistics.
        """
        return self._rows("evaluation")

    @reading
    def predictions(self, step: int | None = None) -> pd.DataFrame:
        """Predictions of the probe batch at a step.

        Parameters
        ----------
        step
            The step; the last by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, and what the task has: input, horizon, y, mean, ...
        """
        return self._rows_at("predictions", step)

    @reading
    def reliability(self) -> pd.DataFrame:
        """A classifier's answers in bins of equal counts by confidence, at every step they were taken.

        Returns
        -------
        pandas.DataFrame
            Columns step, split, bin, low, high and confidence (least, largest and mean confidence), count,
            right; empty for a run of no classes.
        """
        return self._rows("reliability")

    @reading
    def answers(self, step: int | None = None) -> pd.DataFrame:
        """A classifier's answers one by one, at most 512 of a split, evenly spread over it.

        Parameters
        ----------
        step
            The step; the last by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, split, input, y (the right class), predicted, confidence, likelihood (probability of
            y), entropy and, where it was given, conditional_entropy (nats); p_0 ... of up to 64 classes.
        """
        return self._rows_at("answers", step)

    @reading
    def answer_steps(self) -> NDArray[np.int64]:
        """(T,) int64: the steps at which a classifier's answers were recorded."""
        return frozen(self._tables["answers"].steps())

    @reading
    def origin_scores(self) -> pd.DataFrame:
        """Scores of single origins of whole splits, at every step they were taken.

        Returns
        -------
        pandas.DataFrame
            Columns step, split, origin, span (positions that an origin's targets cover; 0: independent
            origins), target (their mean), then scores; empty for a run that stored none.
        """
        return self._rows("origin_scores")

    def _rows(self, name: str) -> pd.DataFrame:
        return self._tables[name].read().to_pandas()

    def _rows_at(
        self,
        name: str,
        step: int | None,
        layer: int | None = None,
        neurons: NDArray[np.int64] | None = None,
    ) -> pd.DataFrame:
        table = self._tables[name]
        if step is None:
            steps = table.steps()
            step = int(steps[-1]) if steps.size else -1
        return table.read(step=step, layer=layer, neurons=neurons).to_pandas()

    def _index_or_all(self, layer: int | str | None) -> int | None:
        """Index of a layer; None, all layers."""
        return None if layer is None else self.layer_index(layer)
