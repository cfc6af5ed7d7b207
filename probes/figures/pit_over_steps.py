"""Calibration over steps at a glance: one column a step, one row a part of the predictive distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import get_colorscale

from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.spacing import evenly_spaced

LARGEST = 2.0  # density at which the colour is full: twice as often as a calibrated forecast's
TICKS = 5
COLORS = get_colorscale("RdBu_r")


def pit_over_steps(histogram: pd.DataFrame, step: int | None = None) -> go.Figure:
    """Density of the probability integral transform (PIT) over steps: one column a step.

    Parameters
    ----------
    histogram : DataFrame
        As `probes.analysis.calibration.pit_histogram` gives it.
    step : int, optional
        The cursor; marked if it is one of the steps.

    Returns
    -------
    go.Figure
        White is calibrated (1), red too often, blue too seldom.

    Notes
    -----
    Columns are equally wide whatever the steps between them, so that the axis is log where they are
    log-spaced.
    """
    table = histogram.pivot(index="bin", columns="step", values="density").sort_index()
    steps = [int(value) for value in table.columns]
    centres = histogram.drop_duplicates("bin").sort_values("bin")
    middle = ((centres["left"] + centres["right"]) / 2).to_numpy(np.float32)
    figure = FigureBuilder()
    figure.add_trace(
        dict(
            type="heatmap",
            x=np.arange(len(steps)),
            y=middle,
            z=table.to_numpy(np.float32),
            zmin=0,
            zmax=LARGEST,
            zmid=1,
            colorscale=COLORS,
            xgap=1,
            ygap=1,
            customdata=np.broadcast_to(np.array(steps), table.shape),
            hovertemplate="step %{customdata:,}, PIT about %{y:.2f}: density %{z:.2f}<extra></extra>",
            colorbar={
                "title": {"text": "density"},
                "thickness": 10,
                "tickvals": [0, 1, 2],
                "ticktext": ["0", "1", "≥ 2"],
            },
        )
    )
    shown = evenly_spaced(len(steps), TICKS)
    figure.update_xaxes(
        title="step", tickvals=shown, ticktext=[f"{steps[i]:,}" for i in shown], showgrid=False, tickangle=0
    )
    figure.update_yaxes(title="PIT: F(y)", range=[0, 1], showgrid=False)
    if step in steps:
        place = steps.index(step)
        figure.add_vrect(
            place - 0.5, place + 0.5, line={"color": style.CURSOR, "width": 2}, fillcolor="rgba(0,0,0,0)"
        )
    alt = f"Density of the probability integral transform at {len(steps)} steps; 1 is calibrated"
    return figure.finish(280, alt, hovermode="closest", margin={"t": 16})
