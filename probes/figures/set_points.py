"""What neurons do that were each asked for something: the quantity that was tuned follows, another should
not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from probes.figures import style
from probes.schema import STATISTICS

# of the least distance between set-points: wide enough to see the neurons of a group, too narrow to mix
# groups
JITTER = 0.3


def set_points(asked: ArrayLike, measured: Mapping[str, ArrayLike], *, title: str) -> go.Figure:
    """One panel a statistic: a point for each neuron over its set-point, and the groups' means with their
    standard errors.

    asked (N,): the set-point of each neuron, equal ones are a group; measured: statistic -> (N,), not finite
    is left out;
    title: what was asked for, with its unit. The dotted line is the mean of all neurons; each panel says by
    how much a straight line through its neurons changes from the lowest to the highest set-point, in units of
    that mean. Raises ValueError where lengths differ.
    """
    points = np.asarray(asked, float)
    figure = make_subplots(cols=len(measured), horizontal_spacing=0.11)
    said = []
    for column, (name, values) in enumerate(measured.items(), 1):
        numbers = np.asarray(values, float)
        if numbers.shape != points.shape:
            raise ValueError(f"{name} has shape {numbers.shape}, its set-points {points.shape}")
        kept = np.isfinite(numbers)
        x, y = points[kept], numbers[kept]
        entry, color = STATISTICS[name], style.OKABE_ITO[column - 1]
        for trace in _traces(x, y, color):
            figure.add_trace(trace, row=1, col=column)
        if len(y):
            line = {"color": style.CURSOR, "width": 1.2, "dash": "dot"}
            figure.add_hline(y=float(y.mean()), line=line, row=1, col=column)
        change = relative_change(x, y)
        said.append(
            f"{entry.label}: {change:+.0%} of its mean"
            if np.isfinite(change)
            else f"{entry.label}: no trend defined"
        )
        heading = {
            "text": said[-1],
            "showarrow": False,
            "xref": "x domain",
            "yref": "y domain",
            "x": 0,
            "y": 1.08,
        }
        figure.add_annotation(heading | {"xanchor": "left"}, row=1, col=column)
        figure.update_xaxes(title_text=style.text(title), row=1, col=column)
        figure.update_yaxes(title_text=entry.title, rangemode="tozero", row=1, col=column)
    alt = f"{len(points)} neurons by {title}. From the lowest to the highest set-point, {'; '.join(said)}"
    return style.finish(figure, 340, alt).update_layout(showlegend=False, hovermode="closest")


def relative_change(asked: ArrayLike, measured: ArrayLike) -> float:
    """Slope of the least-squares line times the range of the set-points, over the mean; NaN for a single
    set-point.
    """
    x, y = np.asarray(asked, float), np.asarray(measured, float)
    if not len(x) or np.ptp(x) == 0 or y.mean() == 0:
        return float("nan")
    return float(np.polyfit(x, y, 1)[0] * np.ptp(x) / y.mean())


def _traces(x: NDArray[np.float64], y: NDArray[np.float64], color: str) -> list[go.Scatter]:
    """Neurons, moved aside a little in order of their place in the group, and the groups' means with standard
    errors.
    """
    groups, member = np.unique(x, return_inverse=True)
    gap = np.diff(groups).min() if len(groups) > 1 else 1.0
    aside, mean, error = np.zeros(len(x)), np.zeros(len(groups)), np.zeros(len(groups))
    for index in range(len(groups)):
        inside = np.flatnonzero(member == index)
        aside[inside] = JITTER * gap * np.linspace(-1, 1, len(inside)) if len(inside) > 1 else 0.0
        mean[index] = y[inside].mean()
        error[index] = y[inside].std(ddof=1) / np.sqrt(len(inside)) if len(inside) > 1 else np.nan
    neurons = go.Scatter(
        x=(x + aside).astype(np.float32), y=y.astype(np.float32), mode="markers", name="neuron", customdata=x,
        marker={"size": 4.5, "color": style.translucent(color, 0.35)},
        hovertemplate="asked %{customdata:.3g}, got %{y:.3g}<extra></extra>",
    )  # fmt: skip
    means = go.Scatter(
        x=groups, y=mean, mode="lines+markers", name="mean ± standard error",
        line={"width": 1.75, "color": color},
        marker={"size": 8, "color": color},
        error_y={"array": error, "thickness": 1.5, "width": 5, "color": color},
        hovertemplate="mean of the group %{y:.3g}<extra></extra>",
    )  # fmt: skip
    return [neurons, means]
