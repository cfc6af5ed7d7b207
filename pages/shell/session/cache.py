"""Cached answers of runs. They survive a flush: what was written of a run never changes.

Three kinds. What is of one recorded step or of a range that has ended is cached by the run's identity alone.
What is of the whole run so far is cached by identity and version, which changes only when rows of the kinds
that were read have come. What is of a step to which rows may still come is cached by how many there are.

Arrays and frames are shared between sessions, so they are only ever read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import ArrayLike

from pages.shell.session.runs import RunContext
from probes.alerts import alerts as find_alerts
from probes.analysis import answers, layer_families, posteriors
from probes.analysis.layer_quantiles import summary_with_derived
from probes.analysis.network_curves import network_curves
from probes.canvas import replay_shapes
from probes.figures import frames
from probes.figures.downsampling import downsample
from probes.run_reader import RunReader
from probes.schema import ALARMING, REGIME, SETTLED, SEVERITY
from probes.spacing import log_spaced_steps

SLICES_KEPT = 64  # cached arrays and frames, of at most about a megabyte each
# and of some megabytes: of all steps or all neurons. A live run makes new ones with every part it writes
WHOLES_KEPT = 16
CELLS_AT_ONCE = 20_000_000  # regimes read in one go; a tenth of a second
NARROW = 4096  # neurons of a layer whose stored probe batch is read whole: 0.1 s at 64 inputs
PROBES_KEPT = 4  # stored steps of a probe batch, some megabytes each
INPUTS_KEPT = 96  # single probe inputs at a stored step, of at most some hundred kilobytes
REGIMES_KEPT = 128  # regimes of a layer at the steps of an alert: some bytes a neuron and step
SINGLE_STEPS = 24  # frames of the regime map that are read one by one

_P = ParamSpec("_P")
_T = TypeVar("_T")


def of_run(
    *tables: str, keep: int, show_spinner: str | bool = False
) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Cache a function of a run, its first argument, and of further arguments that can be hashed.

    tables: whose rows it reads to their end ("neurons", "scalars", "probe", ...): it is called again when one
    of them has grown. None: it reads only what stays as it is. keep: how many answers stay in memory.
    """
    return st.cache_resource(
        max_entries=keep,
        show_spinner=show_spinner,
        # one text: each item of a tuple would be hashed by itself, 16 of the 136 µs of a hit
        hash_funcs={RunContext: lambda context: f"{context.identity} {context.version(*tables)}"},
    )


SUMMARISED = ("contraction",)
"""Derived statistics that several pages show; the summary of another one is asked for by its name."""


def summarised_with(context: RunContext, statistic: str) -> tuple[str, ...]:
    """`derived` of a summary that has this statistic too."""
    return SUMMARISED if statistic in (*context.run.statistics, *SUMMARISED) else (*SUMMARISED, statistic)


@of_run("neurons", keep=WHOLES_KEPT)
def summary(context: RunContext, derived: tuple[str, ...] = SUMMARISED) -> pd.DataFrame:
    """Quantiles, those of some derived statistics too, and regime counts per layer and step."""
    return summary_with_derived(context.run, [name for name in context.run.available if name in derived])


@of_run("neurons", keep=WHOLES_KEPT)
def recorded(context: RunContext) -> list[list[str]]:
    """For each layer the statistics that its neurons have."""
    return layer_families.recorded(summary(context), context.layers)


@of_run("neurons", keep=SLICES_KEPT)
def thinned_summary(
    context: RunContext, span: tuple[int, int], derived: tuple[str, ...] = SUMMARISED
) -> tuple[pd.DataFrame, int]:
    """The summary within `span`, with as many rows as figures can show, and how many recorded steps one
    stands for at most.
    """
    rows = summary(context, derived)
    return downsample(rows[rows["step"].between(*span)])


@of_run("neurons", keep=SLICES_KEPT)
def curves(context: RunContext) -> pd.DataFrame:
    """Living share, rate, information and contraction of the whole network over steps."""
    return network_curves(summary(context), [layer["neurons"] for layer in context.layers])


@of_run("scalars", keep=SLICES_KEPT)
def scalars(context: RunContext) -> pd.DataFrame:
    """Losses and scores, in order of arrival."""
    return context.run.scalars()


@of_run("events", keep=SLICES_KEPT)
def events(context: RunContext) -> pd.DataFrame:
    """What the control did, in order of arrival."""
    return context.run.events()


@of_run("neurons", "scalars", "events", keep=SLICES_KEPT)
def alerts(context: RunContext) -> pd.DataFrame:
    """What went wrong, in order of step: columns as `probes.alerts.alerts` gives them."""
    return find_alerts(cast(RunReader, _CachedRows(context)))  # all that the rules ask for


@dataclass(frozen=True)
class _CachedRows:
    """What the rules for alerts read of a run: they look at the steps of earlier alerts each time."""

    context: RunContext

    @property
    def config(self) -> Mapping[str, Any]:
        return self.context.run.config

    @property
    def layers(self) -> list[dict[str, Any]]:
        return self.context.layers

    def layer_summary(self) -> pd.DataFrame:
        return summary(self.context)

    def scalars(self) -> pd.DataFrame:
        return scalars(self.context)

    def events(self) -> pd.DataFrame:
        return events(self.context)

    def history(
        self, layer: int, neurons: None, statistics: Sequence[str], steps: tuple[int, int]
    ) -> pd.DataFrame:
        return _rows_of_layer(self.context, layer, tuple(statistics), steps)


@of_run(keep=REGIMES_KEPT)
def _rows_of_layer(
    context: RunContext, layer: int, statistics: tuple[str, ...], steps: tuple[int, int]
) -> pd.DataFrame:
    return context.run.history(layer, None, statistics, steps)[["neuron", *statistics]]


def at(context: RunContext, step: int, statistics: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Every neuron of every layer at a recorded step, with these statistics (default: all and `regime`)."""
    return _at(context, int(step), statistics, tuple(context.run.statistics))


@of_run(keep=WHOLES_KEPT)
def _at(
    context: RunContext, step: int, statistics: tuple[str, ...] | None, known: tuple[str, ...]
) -> pd.DataFrame:
    """`known`: of a run that has come to record another statistic, all of them are more than before."""
    return context.run.at(step, statistics=statistics)


@of_run("neurons", keep=SLICES_KEPT)
def replay_frames(context: RunContext, layer: int, neurons: tuple[int, ...], count: int) -> frames.Frames:
    """Frames of one layer's neurons."""
    return frames.replay_frames(context.run, layer, neurons, count)


@of_run("neurons", keep=SLICES_KEPT)
def replay_rows(context: RunContext, layer: int, neurons: tuple[int, ...], count: int) -> frames.Rows:
    """Frames of one layer's neurons of another family, as recorded."""
    return frames.replay_rows(context.run, layer, neurons, count, replay_shapes.READ)


@of_run("parameters", "classes", keep=WHOLES_KEPT)
def replay_stored(context: RunContext, layer: int, neurons: tuple[int, ...]) -> replay_shapes.Stored:
    """What is stored of the posteriors of one layer's neurons over steps, of another family."""
    return replay_shapes.stored(context.run, layer, neurons)


@of_run("neurons", keep=WHOLES_KEPT)
def code_book(context: RunContext, layer: int, count: int) -> replay_shapes.CodeBook:
    """Usage of a code book's codes over steps."""
    return replay_shapes.code_book(context.run, layer, count)


@of_run("parameters", keep=SLICES_KEPT)
def parameter_steps(context: RunContext) -> np.ndarray:
    """The steps at which posteriors that are no Gaussians were stored; empty if the run has none."""
    return context.run.parameter_steps()


@of_run("parameters", keep=SLICES_KEPT)
def parameter_inputs(context: RunContext) -> dict[int, int]:
    """How many inputs of the probe batch are stored of each layer that is no Gaussian, at the last step that
    has any.
    """
    steps = parameter_steps(context)
    if not len(steps):
        return {}
    rows = context.run.parameters(int(steps[-1]))
    counts = rows.groupby("layer")["input"].nunique()
    return dict(zip(counts.index.tolist(), counts.tolist(), strict=True))


@of_run("parameters", keep=WHOLES_KEPT)
def parameter_table(context: RunContext, step: int, layer: int) -> dict[str, np.ndarray]:
    """Posteriors of a layer that is no Gaussian, at a stored step: name -> (inputs, neurons, C)."""
    return answers.table(context.run.parameters(step, layer), int(context.layers[layer]["neurons"]))


@of_run("forces", keep=WHOLES_KEPT)
def forces(context: RunContext) -> pd.DataFrame:
    """How the terms of the loss pull at every neuron, at all stored steps; empty if the run has none."""
    return context.run.forces()


@of_run("probe", keep=SLICES_KEPT)
def probe_steps(context: RunContext) -> np.ndarray:
    """The steps at which the posteriors of the probe batch were stored; empty if the run has none."""
    return context.run.probe_steps()


@of_run("sequence", keep=SLICES_KEPT)
def sequence_steps(context: RunContext) -> np.ndarray:
    """The steps at which the probe sequence was stored; empty if the run has none."""
    return np.asarray(context.run.sequence_steps())


@of_run("inputs", keep=WHOLES_KEPT)
def input_contents(context: RunContext) -> pd.DataFrame:
    """What the inputs of the probe batch are: input, kind, content; empty if the run does not say."""
    return context.run.inputs()


def probe_rows(context: RunContext, step: int) -> int:
    """To be cached with what is read of the probe batch at a stored step. 0 where all of it is there; of the
    newest one a layer may still be on its way, so that it is the number of rows that have come.
    """
    return context.run.extent("probe") if step == probe_steps(context)[-1] else 0


def _probe(context: RunContext, step: int) -> posteriors.Inputs:
    """The probe batch at a stored step, all layers: read once, since a step's rows lie together."""
    return _probe_at(context, step, probe_rows(context, step))


@of_run(keep=PROBES_KEPT)
def _probe_at(context: RunContext, step: int, rows: int) -> posteriors.Inputs:
    return posteriors.split_inputs(context.run.probe(step), context.run.config)


def probe_layer(context: RunContext, step: int, layer: int) -> tuple[np.ndarray, np.ndarray] | None:
    """mu and sigma, (inputs, neurons), of the probe batch's spread inputs at a stored step; None if the layer
    has none.
    """
    return _probe_layer(context, step, layer, probe_rows(context, step))


@of_run(keep=WHOLES_KEPT)
def _probe_layer(
    context: RunContext, step: int, layer: int, rows: int
) -> tuple[np.ndarray, np.ndarray] | None:
    found = _probe(context, step).spread
    return posteriors.table(found, layer) if len(found) and (found["layer"] == layer).any() else None


def probe_neurons(
    context: RunContext, step: int, layer: int, neurons: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """As `probe_layer`, of some of the layer's neurons, increasing: of a wide layer only these are read."""
    chosen = tuple(map(int, neurons))
    if _is_narrow(context, layer):
        whole = probe_layer(context, step, layer)
        return None if whole is None else (whole[0][:, chosen], whole[1][:, chosen])
    return _probe_neurons(context, step, layer, chosen, probe_rows(context, step))[0]


def probe_sequence_of(
    context: RunContext, step: int, layer: int, neurons: Sequence[int] | np.ndarray
) -> np.ndarray | None:
    """As `probe_sequence`, of some of the layer's neurons, increasing."""
    chosen = tuple(map(int, neurons))
    if _is_narrow(context, layer):
        whole = probe_sequence(context, step, layer)
        return None if whole is None else whole[:, chosen]
    return _probe_neurons(context, step, layer, chosen, probe_rows(context, step))[1]


def _is_narrow(context: RunContext, layer: int) -> bool:
    return bool(context.layers[layer]["neurons"] <= NARROW)


@of_run(keep=SLICES_KEPT)
def _probe_neurons(
    context: RunContext, step: int, layer: int, neurons: tuple[int, ...], rows: int
) -> tuple[tuple[np.ndarray, np.ndarray] | None, np.ndarray | None]:
    """`probe_layer` and `probe_sequence` of some neurons."""
    found = context.run.probe(step, layer, neurons)
    places = np.searchsorted(neurons, found["neuron"])
    spread, sequence = posteriors.split_inputs(found.assign(neuron=places), context.run.config)
    return (
        posteriors.table(spread, layer, len(neurons)) if len(spread) else None,
        posteriors.table(sequence, layer, len(neurons))[0] if len(sequence) else None,
    )


@of_run("probe", keep=SLICES_KEPT)
def probe_inputs(context: RunContext) -> dict[int, int]:
    """How many spread inputs of the probe batch are stored of each layer, at the last step that has any."""
    steps = probe_steps(context)
    rows = _probe(context, int(steps[-1])).spread if len(steps) else pd.DataFrame()
    if not len(rows):
        return {}
    counts = rows.groupby("layer")["input"].nunique()
    return dict(zip(counts.index.tolist(), counts.tolist(), strict=True))


def probe_sequence(context: RunContext, step: int, layer: int) -> np.ndarray | None:
    """mu (T, neurons) at consecutive positions of the data, at a stored step; None if the layer has none."""
    return _probe_sequence(context, step, layer, probe_rows(context, step))


@of_run(keep=WHOLES_KEPT)
def _probe_sequence(context: RunContext, step: int, layer: int, rows: int) -> np.ndarray | None:
    found = _probe(context, step).sequence
    return posteriors.table(found, layer)[0] if len(found) and (found["layer"] == layer).any() else None


@of_run("probe", keep=WHOLES_KEPT, show_spinner="Reading the probe batch …")
def probe_input(context: RunContext, number: int) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One probe input through the run: layer -> the steps at which it was stored, mu and sigma (steps,
    neurons).
    """
    stored = [int(step) for step in probe_steps(context)]
    parts = [_probe_input(context, number, step, probe_rows(context, step)) for step in stored]
    rows = pd.concat(parts).sort_values(["layer", "step", "neuron"])
    found = {}
    for layer, part in rows.groupby("layer"):
        steps = part["step"].unique()
        mu, sigma = (part[name].to_numpy(np.float32).reshape(len(steps), -1) for name in ("mu", "sigma"))
        found[int(cast(int, layer))] = (steps, mu, sigma)
    return found


@of_run(keep=INPUTS_KEPT)
def _probe_input(context: RunContext, number: int, step: int, rows: int) -> pd.DataFrame:
    found = context.run.probe(step)
    return found[found["input"] == number]


@of_run("origin_scores", keep=WHOLES_KEPT)
def origin_scores(context: RunContext) -> pd.DataFrame:
    """Scores of single origins of whole splits; empty for a run that stored none."""
    return context.run.origin_scores()


@of_run("predictions", keep=WHOLES_KEPT)
def predictions(context: RunContext) -> pd.DataFrame:
    """The last predictions of the probe batch: their targets tell whether two runs were probed with the same
    inputs.
    """
    return context.run.predictions()


def matrix(
    context: RunContext, layer: int, statistic: str, columns: int, span: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(neurons, columns) values of a statistic within `span`, and the steps at the columns' edges."""
    return _matrix(context, layer, statistic, columns, context.until_now(span))


@of_run(keep=WHOLES_KEPT, show_spinner="Reading every neuron of the layer …")
def _matrix(
    context: RunContext, layer: int, statistic: str, columns: int, span: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    return context.run.matrix(layer, statistic, max_columns=columns, steps=span)


@of_run("neurons", keep=WHOLES_KEPT, show_spinner="Reading every neuron's regime …")
def regime_frames(context: RunContext, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Settled regimes of every neuron at log-spaced steps: (frames, neurons) uint8 of each layer, and the
    frames' steps.

    The lower four bits are the settled code. The upper four are the most severe of `schema.ALARMING` that the
    neuron's own numbers said at any step since the frame before, 0 for none: what lasted a single step shows.
    At most `count` frames; fewer where a frame is so wide that reading many would take seconds.
    """
    run = context.run
    steps = np.asarray(run.steps)
    total = sum(layer["neurons"] for layer in run.layers)
    wide = total * min(len(steps), frames.RAW_STEPS) > CELLS_AT_ONCE
    columns = SINGLE_STEPS if wide else frames.RAW_STEPS
    if wide:
        chosen = steps[log_spaced_steps(steps, min(count, SINGLE_STEPS))]
        tables = [run.regimes(int(step)) for step in chosen]
        codes = [
            np.stack([t.loc[t["layer"] == i, SETTLED].to_numpy(np.uint8) for t in tables])
            for i in range(len(run.layers))
        ]
    else:
        codes, chosen = [], steps
        for layer in range(len(run.layers)):
            values, edges = run.matrix(layer, SETTLED, max_columns=columns)
            ends = np.array([recorded_step(steps, int(edge) - 1) for edge in edges[1:]])
            keep = log_spaced_steps(ends, count)
            chosen = ends[keep]
            codes.append(np.ascontiguousarray(values[:, keep].T.astype(np.uint8)))
    for layer, settled in enumerate(codes):
        severe, edges = run.matrix(layer, REGIME, max_columns=columns)
        settled |= _alarms(severe, edges, chosen) << 4
    return codes, chosen


def _alarms(codes: np.ndarray, edges: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(frames, neurons) uint8: the most severe alarming code of the columns (N, C) that end after the frame
    before, up to each frame.
    """
    found = np.zeros((len(chosen), len(codes)), np.uint8)
    frame = np.minimum(np.searchsorted(chosen, edges[1:] - 1), len(chosen) - 1)
    for code in sorted(ALARMING, key=SEVERITY.index, reverse=True):
        neurons, places = np.nonzero(codes == code)
        found[frame[places], neurons] = code
    return found


def recorded_step(steps: ArrayLike, step: int) -> int:
    """The recorded step at or before `step`, or the first."""
    recorded = np.asarray(steps)
    return int(recorded[max(int(np.searchsorted(recorded, step, side="right")) - 1, 0)])
