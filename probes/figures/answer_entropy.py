"""Entropy of a classifier's answers: that of the wrong ones should lie above that of the right ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

LOOK = {True: ("right", palette.RIGHT_ANSWERS), False: ("wrong", palette.WRONG_ANSWERS)}
"""Whether an answer was right -> name, colour."""
TITLES = {"entropy": "entropy (nats)", "latent": "latent part (nats)"}


def entropy_over_steps(
    quantiles: pd.DataFrame,
    *,
    other: pd.DataFrame | None = None,
    label: str = "other run",
    step: int | None = None,
    axis: style.StepAxis = "linear",
    other_axis: style.StepAxis | None = None,
) -> go.Figure:
    """Entropy of right and of wrong answers over steps, and the part of it that the neurons' own uncertainty
    makes.

    Parameters
    ----------
    quantiles : DataFrame
        As `probes.analysis.class_calibration.entropy_over_steps` gives it.
    other : DataFrame, optional
        The same of a second run: its medians are drawn dashed.
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
        Lines: medians over answers; shaded: the middle half. One panel for the entropy, one for its latent
        part where that was recorded.
    """
    parts = [part for part in TITLES if (quantiles["part"] == part).any()] or ["entropy"]
    figure = FigureBuilder(1, len(parts), shared_legend=True, horizontal_spacing=0.15)
    for column, part in enumerate(parts, start=1):
        for right, (name, color) in LOOK.items():
            rows = quantiles[(quantiles["part"] == part) & (quantiles["right"] == right)]
            if len(rows):
                x = style.along(axis, rows["step"])
                shade = palette.translucent(color, 0.22)
                figure.band(x, rows["p25"], rows["p75"], color=shade, col=column)
                figure.line(
                    x, rows["p50"], name, color=color, col=column,
                    customdata=rows[["p25", "p75", "count"]].to_numpy(np.float32),
                    hovertemplate=(
                        f"{name} %{{y:.3g}} (half: %{{customdata[0]:.3g}} to %{{customdata[1]:.3g}}, of"
                        " %{customdata[2]:,})<extra></extra>"
                    ),
                )  # fmt: skip
            if other is not None:
                rows = other[(other["part"] == part) & (other["right"] == right)]
                if len(rows):
                    where = style.along(other_axis or axis, rows["step"])
                    called = f"{style.text(label)}, {name}"
                    figure.line(
                        where, rows["p50"], called, color=color, width=1.4, dash="dash", col=column,
                        hovertemplate=f"{called} %{{y:.3g}}<extra></extra>",
                    )  # fmt: skip
        figure.update_yaxes(title=TITLES[part], rangemode="tozero", col=column)
    figure.step_axis(axis, step)
    return figure.finish(300, "Entropy of right and of wrong answers over steps: medians and middle halves")


def entropy_histogram(histogram: pd.DataFrame, step: int) -> go.Figure:
    """How the entropy of right and of wrong answers is distributed at a step.

    Parameters
    ----------
    histogram : DataFrame
        As `probes.analysis.class_calibration.entropy_histogram` gives it.
    step : int
        Its step.

    Returns
    -------
    go.Figure
        Shares of the right and of the wrong answers, each 1 in sum.
    """
    figure = FigureBuilder()
    for right, (name, color) in LOOK.items():
        rows = histogram[histogram["right"] == right]
        if rows.empty:
            continue
        count = int(rows["count"].sum())
        left, edge = rows["left"].to_numpy(), rows["right_edge"].to_numpy()
        figure.add_trace(
            {
                "type": "bar", "x": (left + edge) / 2, "y": rows["share"].to_numpy(np.float32),
                "width": 0.94 * (edge - left), "name": f"{count:,} {name}",
                "marker": {"color": palette.translucent(color, 0.6), "line": {"width": 0}},
                "customdata": rows[["left", "right_edge", "count"]].to_numpy(np.float32),
                "hovertemplate": (
                    f"{name}: %{{y:.1%}} (%{{customdata[2]:,}}) from %{{customdata[0]:.2f}} to"
                    " %{customdata[1]:.2f} nats<extra></extra>"
                ),
            }
        )  # fmt: skip
    figure.update_xaxes(title="entropy (nats)", rangemode="tozero")
    figure.update_yaxes(title="share of answers", tickformat=".0%", rangemode="tozero")
    alt = f"Histogram of the entropy of right and of wrong answers at step {step}"
    return figure.finish(300, alt, barmode="overlay", hovermode="closest")
