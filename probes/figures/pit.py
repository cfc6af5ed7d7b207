"""Calibration of the probe batch's forecasts: PIT histogram at a step, coverage over steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.experiments.estimates import NORMAL_95
from probes.figures import style
from probes.figures.builder import FigureBuilder


def pit_histogram(histogram: pd.DataFrame, step: int) -> go.Figure:
    """Density of the probability integral transform (PIT) of the probe batch at one step.

    Parameters
    ----------
    histogram : DataFrame
        As `probes.analysis.calibration.pit_histogram` gives it.
    step : int
        One of its steps.

    Returns
    -------
    go.Figure
        Shaded: where the density of a calibrated forecast lies in 95 % of probe batches.

    Raises
    ------
    ValueError
        For a step that the histogram does not have.
    """
    part = histogram[histogram["step"] == step].sort_values("bin")
    if part.empty:
        raise ValueError(
            f"step {step} has no PIT; the steps are {sorted(histogram['step'].unique().tolist())}"
        )
    left, right = part["left"].to_numpy(), part["right"].to_numpy()
    figure = FigureBuilder()
    bars = {"color": palette.translucent(palette.PREDICTED, 0.65), "line": {"width": 0}}
    figure.add_trace(
        dict(
            type="bar", x=(left + right) / 2, y=part["density"].to_numpy(np.float32),
            width=0.96 * (right - left), marker=bars,
            customdata=np.column_stack([left, right]), name="density",
            hovertemplate="%{customdata[0]:.2f} to %{customdata[1]:.2f}: %{y:.2f}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_hrect(
        float(part["low"].iloc[0]), float(part["high"].iloc[0]), line={"width": 0}, fillcolor=style.GRID
    )
    figure.add_hline(1, {"color": style.CURSOR, "width": 1, "dash": "dot"})
    figure.update_xaxes(title="PIT: F(y)", range=[0, 1])
    figure.update_yaxes(title="density (1 when calibrated)", rangemode="tozero")
    alt = (
        f"Histogram of the probability integral transform at step {step} with the 95 % band of a calibrated"
        " forecast"
    )
    return figure.finish(280, alt, showlegend=False, hovermode="closest", margin={"t": 16})


def coverage_over_steps(
    coverage: pd.DataFrame, *, step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """Share of targets inside each central predictive interval over steps, with 95 % intervals.

    Parameters
    ----------
    coverage : DataFrame
        As `probes.analysis.calibration.coverage_over_steps` gives it.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.

    Returns
    -------
    go.Figure
        Dotted: the level itself.
    """
    figure = FigureBuilder()
    for color, (level, rows) in zip(palette.OKABE_ITO, coverage.groupby("level", sort=True), strict=False):
        error = {"array": NORMAL_95 * rows["standard_error"].to_numpy(np.float32), "thickness": 1, "width": 0}
        figure.line(
            style.along(axis, rows["step"]), rows["coverage"], f"{float(str(level)):.0%} interval",
            color=color, width=1.75, mode="lines+markers", marker={"size": 5}, error_y=error,
        )  # fmt: skip
        figure.add_hline(float(str(level)), {"color": color, "width": 1, "dash": "dot"})
    figure.update_yaxes(title="coverage (share of targets)", range=[0, 1.02], tickformat=".0%")
    figure.step_axis(axis, step)
    return figure.finish(280, "Coverage of central predictive intervals over steps, with their levels dotted")
