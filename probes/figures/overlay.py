"""One statistic of chosen neurons in one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.figures.neuron_panels import MOST_MARKERS
from probes.figures.neuron_series import NeuronSeries, shared_axis
from probes.figures.smoothing import smooth
from probes.schema import STATISTICS
from probes.spacing import evenly_spaced

HEIGHT = 420  # pixels


def overlay(
    neurons: Sequence[NeuronSeries],
    statistic: str,
    *,
    step: int | None = None,
    axis: style.StepScale = "linear",
    scale: str = "linear",
    half_life: float | None = None,
) -> go.Figure:
    """One statistic of neurons over steps, one line a neuron.

    Parameters
    ----------
    neurons : sequence of NeuronSeries
        Those without the statistic are left out.
    statistic : str
        A key of `schema.STATISTICS`.
    step : int, optional
        The cursor.
    axis : {"linear", "log"}
        Of the steps; neurons with a clock are laid out by it.
    scale : {"linear", "log"}
        Of the values; "log" holds only where all of them are positive.
    half_life : float, optional
        In steps: lines are causal exponential moving averages, with the values faint behind them.

    Returns
    -------
    go.Figure
        Lines in the neurons' colours, dashed where the series says so; triangles on them are interventions.

    Raises
    ------
    KeyError
        For a statistic that is not in the registry.
    """
    entry = STATISTICS[statistic].of_family(all(series.is_gaussian for series in neurons))
    figure, marked = FigureBuilder(), False
    for series in neurons:
        values = series.values(statistic)
        if not np.isfinite(values).any():
            continue
        if half_life is not None:
            figure.line(series.x, values, color=series.color, width=1, opacity=style.RAW)
            values = smooth(series.steps, values, half_life)
        figure.line(
            series.x, values, style.text(series.name), color=series.color,
            dash="dash" if series.dashed else None,
            hovertemplate=f"%{{y:.4g}} {entry.unit}",
        )  # fmt: skip
        if len(series.events) and len(values):
            _interventions(figure, series, values, in_legend=not marked)
            marked = True
    shared = shared_axis(neurons, axis)
    figure.update_yaxes(title=entry.title)
    if scale == "log" and all_positive(neurons, statistic):
        figure.update_yaxes(type="log", exponentformat="power")
    figure.step_axis(shared)
    for x in dict.fromkeys(series.cursor_x(step) for series in neurons) if step is not None else ():
        figure.add_vline(x, style.CURSOR_LINE)
    names = ", ".join(series.name for series in neurons)
    return figure.finish(HEIGHT, f"{entry.title} over steps of {names}")


def all_positive(neurons: Sequence[NeuronSeries], statistic: str) -> bool:
    """Whether there are values of a statistic and all of them are positive, so that they have a place on a
    log axis.
    """
    values = np.concatenate([series.values(statistic) for series in neurons])
    values = values[np.isfinite(values)]
    return bool(values.size and (values > 0).all())


def _interventions(figure: FigureBuilder, series: NeuronSeries, values: np.ndarray, in_legend: bool) -> None:
    """Triangles on the line, at the recorded step before each act."""
    events = series.events.drop_duplicates(["step", "kind"])
    if len(events) > MOST_MARKERS:
        events = events.iloc[evenly_spaced(len(events), MOST_MARKERS)]
    place = np.clip(np.searchsorted(series.steps, events["step"].to_numpy(), side="right") - 1, 0, None)
    outline = {"width": 1, "color": style.CURSOR}
    figure.scatter(
        series.along(events["step"]), values[place], "intervention", mode="markers",
        legendgroup="intervention", showlegend=in_legend,
        marker={"symbol": "triangle-up", "size": 9, "color": series.color, "line": outline},
        text=[style.text(kind) for kind in events["kind"]], hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
