"""What chosen neurons carry over from one position of the data to the next, over steps of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.neuron_panels import NeuronPanels
from probes.figures.neuron_series import NeuronSeries

REFERENCES = (
    ("phi", "prior's φ", palette.PRIOR, "dash"),
    ("input_persistence", "the input's own", palette.INPUT, "dot"),
)
"""Statistic, name, colour, dash of what the measured persistence is compared with."""


def persistence_over_steps(
    neurons: Sequence[NeuronSeries], *, step: int | None = None, axis: style.StepScale = "linear"
) -> go.Figure:
    """Measured persistence of neurons over steps, one panel a neuron.

    Parameters
    ----------
    neurons : sequence of NeuronSeries
        With persistence and, where recorded, persistence_low, persistence_high, phi, input_persistence.
    step : int, optional
        The cursor.
    axis : {"linear", "log"}
        Of the steps; neurons with a clock are laid out by it.

    Returns
    -------
    go.Figure
        Line and band: the persistence with its 95 % interval. Dashed: the prior's φ. Dotted: the input's
        own persistence; memory is what exceeds it. Grey dots: the layer's median.
    """
    figure = NeuronPanels([series.name for series in neurons], "Persistence φ̂")
    for panel, series in enumerate(neurons):
        row, col = figure.cell(panel)
        if "persistence_low" in series.rows and "persistence_high" in series.rows:
            low, high = series.values("persistence_low"), series.values("persistence_high")
            shade = palette.translucent(series.color, 0.25)
            figure.band(series.x, low, high, "95 % interval", color=shade, row=row, col=col)
        hover: dict[str, Any] = {"hovertemplate": "%{y:.3f}"}
        figure.layer_median(panel, series, series.layer_median("persistence"), **hover)
        measured = series.values("persistence")
        figure.line(series.x, measured, "measured", color=series.color, row=row, col=col, **hover)
        for statistic, name, color, dash in REFERENCES:
            if statistic in series.rows and np.isfinite(series.values(statistic)).any():
                look: dict[str, Any] = {"color": color, "width": 1.75, "dash": dash}
                figure.line(series.x, series.values(statistic), name, row=row, col=col, **look, **hover)
    names = ", ".join(series.name for series in neurons)
    return figure.finish_over_steps(f"Persistence over steps of {names}", neurons, step, axis)
