"""A classifier's confidence against its accuracy: reliability diagram at a step, ECE over steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

TICKS = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
BETWEEN = (0.03, 0.3, 0.7, 0.97)  # ticks too, where the axis is short
SHORT = 7.0  # nats of log odds
FARTHEST = 1 - 1e-5  # where confidence ends on the scale of log odds: 1 has no place there
LEAST_WIDTH = 0.006  # of a bar, in shares of the axis
HOVER = (
    "confidence %{customdata[5]:.4f} (%{customdata[3]:.4f} to %{customdata[4]:.4f})"
    "<br>accuracy %{y:.3f}, 95 %: %{customdata[1]:.3f} to %{customdata[2]:.3f}<br>%{customdata[0]:,} answers"
)


def reliability_diagram(
    diagram: pd.DataFrame, *, other: pd.DataFrame | None = None, label: str = "other run"
) -> go.Figure:
    """Accuracy against confidence, one dot a bin of equally many answers.

    Parameters
    ----------
    diagram : DataFrame
        As `probes.analysis.class_calibration.reliability_diagram` gives it.
    other : DataFrame, optional
        The same of a second run, drawn in grey.
    label : str
        What the second run is called.

    Returns
    -------
    go.Figure
        Whiskers: 95 % Jeffreys intervals. Dotted: calibrated; below it is overconfident. Bars: how many
        answers each bin holds, as wide as the bin. Confidence is on a scale of log odds, since that of a
        trained classifier is mostly above 90 %.
    """
    figure = FigureBuilder(2, 1, shared_xaxes="all")
    drawn = [diagram] if other is None or other.empty else [diagram, other]
    ends = np.concatenate([table[["low", "high"]].to_numpy(float).ravel() for table in drawn])
    least, most = log_odds([ends.min(), ends.max()]).tolist()
    room = 0.06 * max(most - least, 1.0)
    span = [least - room, most + room]
    at = np.linspace(span[0], span[1], 100)
    figure.line(
        at, 1 / (1 + np.exp(-at)), "calibrated", color=style.CURSOR, dash="dot", width=1.5, hoverinfo="skip"
    )
    if len(drawn) > 1:
        _dots(figure, drawn[1], palette.TWIN, style.text(label))
    _dots(figure, diagram, palette.PREDICTED, "this run")
    left, right = log_odds(diagram["low"]), log_odds(diagram["high"])
    figure.add_trace(
        {
            "type": "bar", "x": (left + right) / 2, "y": diagram["count"].to_numpy(np.int64),
            "width": np.maximum(right - left, LEAST_WIDTH * (span[1] - span[0])), "showlegend": False,
            "marker": {"color": palette.translucent(palette.PREDICTED, 0.5), "line": {"width": 0}},
            "hovertemplate": "%{y:,} answers<extra></extra>",
        },
        2, 1,
    )  # fmt: skip
    offered = TICKS if span[1] - span[0] > SHORT else sorted(TICKS + BETWEEN)
    ticks = [tick for tick in offered if span[0] <= log_odds(tick) <= span[1]]
    figure.update_xaxes(
        tickangle=0,
        range=span,
        tickvals=[float(log_odds(tick)) for tick in ticks],
        ticktext=[f"{100 * tick:g}%" for tick in ticks],
    )
    figure.update_xaxes(title="confidence (scale of log odds)", row=2)
    lowest = float(min(table["accuracy_low"].min() for table in drawn))
    figure.update_yaxes(
        title="accuracy", range=[lowest - 0.04, 1.03], tickformat=".0%", domain=[0.26, 1], row=1
    )
    figure.update_yaxes(title="answers", rangemode="tozero", nticks=3, domain=[0, 0.2], row=2)
    alt = (
        f"Reliability diagram: accuracy against confidence in {len(diagram)} bins of"
        f" {int(diagram['count'].sum()):,} answers, with 95 percent intervals"
    )
    return figure.finish(380, alt, hovermode="closest")


def log_odds(share: ArrayLike) -> NDArray[np.float64]:
    """Where a share lies on the scale of log odds; the ends of it are at `FARTHEST`."""
    p = np.clip(np.asarray(share, np.float64), 1 - FARTHEST, FARTHEST)
    return np.asarray(np.log(p / (1 - p)), np.float64)


def _dots(figure: FigureBuilder, diagram: pd.DataFrame, color: str, name: str) -> None:
    accuracy = diagram["accuracy"].to_numpy(np.float32)
    ends = {
        "type": "data", "symmetric": False, "width": 0, "thickness": 1.4,
        "array": diagram["accuracy_high"].to_numpy(np.float32) - accuracy,
        "arrayminus": accuracy - diagram["accuracy_low"].to_numpy(np.float32),
        "color": palette.translucent(color, 0.6),
    }  # fmt: skip
    names = ["count", "accuracy_low", "accuracy_high", "low", "high", "confidence"]
    figure.scatter(
        log_odds(diagram["confidence"]), accuracy, name, mode="lines+markers",
        line={"color": color, "width": 1}, marker={"color": color, "size": 9}, error_y=ends,
        customdata=diagram[names].to_numpy(np.float32), hovertemplate=f"{name}<br>{HOVER}<extra></extra>",
    )  # fmt: skip


def ece_over_steps(
    calibration: pd.DataFrame,
    *,
    other: pd.DataFrame | None = None,
    label: str = "other run",
    step: int | None = None,
    axis: style.StepAxis = "linear",
    other_axis: style.StepAxis | None = None,
) -> go.Figure:
    """Expected calibration error over steps, with what it is of a calibrated classifier.

    Parameters
    ----------
    calibration : DataFrame
        As `probes.analysis.class_calibration.calibration_over_steps` gives it.
    other : DataFrame, optional
        The same of a second run, drawn in grey.
    label : str
        What the second run is called.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.
    other_axis : {"linear", "log"} or Clock, optional
        Of the second run's steps; by default `axis`.

    Returns
    -------
    go.Figure
        Shaded: where 95 % of calibrated classifiers lie that are as confident; dotted their mean.
    """
    figure = FigureBuilder()
    x = style.along(axis, calibration["step"])
    figure.band(x, np.zeros(len(x)), calibration["null_95"], "if calibrated, 95 %", color=style.GRID)
    figure.line(
        x, calibration["null"], "if calibrated, mean", color=style.CURSOR, width=1.4, dash="dot",
        hovertemplate="if calibrated %{y:.3f}, 95 % below %{customdata:.3f}<extra></extra>",
        customdata=calibration["null_95"].to_numpy(np.float32),
    )  # fmt: skip
    if other is not None and len(other):
        name = style.text(label)
        figure.line(
            style.along(other_axis or axis, other["step"]), other["ece"], name, color=palette.TWIN, width=1.6,
            dash="dash", hovertemplate=f"{name} %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    figure.line(
        x, calibration["ece"], "this run", color=palette.PREDICTED, width=1.8,
        hovertemplate="ECE %{y:.3f}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(title="ECE (share)", rangemode="tozero")
    figure.step_axis(axis, step)
    return figure.finish(
        380, "Expected calibration error over steps, with the band of a calibrated classifier"
    )
