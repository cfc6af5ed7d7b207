"""Calibration of the probe batch's forecasts: PIT histogram at a step, coverage over steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
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
        Shaded: a calibrated forecast keeps to it in all bins at once in 95 % of probe batches.

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
            customdata=part[["left", "right", "low", "high"]].to_numpy(np.float32), name="density",
            hovertemplate="%{customdata[0]:.2f} to %{customdata[1]:.2f}: %{y:.2f} (calibrated:"
            " %{customdata[2]:.2f} to %{customdata[3]:.2f})<extra></extra>",
        )
    )  # fmt: skip
    corners, low, high = np.stack([left, right], 1).ravel(), part["low"], part["high"]
    figure.band(corners, np.repeat(low, 2), np.repeat(high, 2), color=style.GRID)
    figure.add_hline(1, {"color": style.CURSOR, "width": 1, "dash": "dot"})
    figure.update_xaxes(title="PIT: F(y)", range=[0, 1])
    figure.update_yaxes(title="density (1 when calibrated)", rangemode="tozero")
    alt = (
        f"Histogram of the probability integral transform at step {step}, with the band that all bins of a"
        " calibrated forecast keep to in 95 % of batches"
    )
    return figure.finish(280, alt, showlegend=False, hovermode="closest", margin={"t": 16})


def coverage_over_steps(
    coverage: pd.DataFrame, *, step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """Share of targets inside each central predictive interval over steps.

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
        Dotted: the level itself. Shaded: where a calibrated forecast's shares lie, at all levels of a step at
        once, in 95 % of probe batches.
    """
    figure = FigureBuilder()
    for color, (level, rows) in zip(palette.OKABE_ITO, coverage.groupby("level", sort=True), strict=False):
        at = style.along(axis, rows["step"])
        figure.band(at, rows["low"], rows["high"], color=palette.translucent(color, 0.12))
        figure.line(
            at, rows["coverage"], f"{100 * float(str(level)):.0f} % interval", color=color, width=1.75,
            mode="lines+markers", marker={"size": 5},
        )  # fmt: skip
        figure.add_hline(float(str(level)), {"color": color, "width": 1, "dash": "dot"})
    figure.update_yaxes(title="coverage (share of targets)", range=[0, 1.02], tickformat=".0%")
    figure.step_axis(axis, step)
    alt = "Coverage of central predictive intervals over steps, with the bands of a calibrated forecast"
    return figure.finish(280, alt)
