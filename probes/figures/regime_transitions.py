"""When neurons came alive and when they were lost: moves into and out of the living regimes, over steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.schema import LIVING_REGIMES, REGIMES

BINS = 48  # a run: bars stay wide enough to be hit with a cursor
PANEL = 150  # pixels


def bin_edges(first: int, last: int, axis: style.StepAxis) -> NDArray[np.float64]:
    """Edges of at most BINS bins of whole steps over first .. last, as wide as each other (in steps, or in
    log steps).
    """
    start = max(first, 1) if axis == "log" else first
    space = np.geomspace if axis == "log" else np.linspace
    return np.unique(np.r_[first, np.round(space(start, last + 1, BINS + 1)), last + 1])


def regime_transitions(
    transitions: pd.DataFrame,
    layers: Sequence[str],
    steps: tuple[int, int],
    *,
    step: int | None = None,
    axis: style.StepAxis = "linear",
    shown: Sequence[int] | None = None,
) -> go.Figure:
    """Neurons that became living or mixed (up) and that left it (down) over steps: one panel a layer.

    Parameters
    ----------
    transitions : DataFrame
        As `probes.diagnostics.transitions` gives them: columns step, layer, neuron, before, after.
    layers : sequence of str
        The layers' names.
    steps : (int, int)
        The run's first and last.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.
    shown : sequence of int, optional
        Indices of the layers to draw; by default all.

    Returns
    -------
    go.Figure
        Bars; losses by the regime that was entered. Moves between two other regimes are not drawn.
    """
    edges = bin_edges(*steps, axis)
    ends = style.along(axis, edges)
    centres, widths = (ends[1:] + ends[:-1]) / 2, np.diff(ends)
    alive_before, alive_after = (transitions[end].isin(LIVING_REGIMES) for end in ("before", "after"))
    came, lost = transitions[~alive_before & alive_after], transitions[alive_before & ~alive_after]
    shown = list(range(len(layers))) if shown is None else list(shown)
    figure = FigureBuilder.small_multiples(
        len(shown), titles=[style.text(layers[i]) for i in shown], shared_xaxes="all", shared_yaxes="all",
        shared_legend=True, horizontal_spacing=0.08, vertical_spacing=0.2,
    )  # fmt: skip
    living = REGIMES[0]
    kinds = [("came alive", came, 1, living.color)]
    for regime in REGIMES:
        part = lost[lost["after"] == regime.code]
        if len(part):
            kinds.append((f"lost, now {regime.name}", part, -1, regime.color))
    when = "<br>steps %{customdata[0]:.0f} to %{customdata[1]:.0f}<extra></extra>"
    for panel, layer in enumerate(shown):
        for name, moves, sign, color in kinds:
            count, _ = np.histogram(moves.loc[moves["layer"] == layer, "step"], edges)
            bars = {
                "type": "bar", "x": centres, "y": (sign * count).astype(np.float32), "width": widths,
                "name": name, "marker": {"color": color, "line": {"width": 0}},
                "customdata": np.column_stack([edges[:-1], edges[1:] - 1, count]),
                "hovertemplate": "%{customdata[2]:.0f} " + name + when,
            }  # fmt: skip
            figure.add_trace(bars, *figure.cell(panel))
    figure.update_yaxes(title="neurons", col=1)
    figure.update_yaxes(tickformat=",d", zeroline=True, zerolinecolor=style.AXIS)
    figure.step_axis(axis, step)
    alt = f"Neurons that came alive and that were lost over steps, one panel for each of {len(shown)} layers"
    return figure.finish(96 + PANEL * figure.rows, alt, hovermode="closest", barmode="relative", bargap=0)
