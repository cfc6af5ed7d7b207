"""What neurons do that were each asked for something: the quantity that was tuned follows, another should
not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.schema import STATISTICS

# of the least distance between set-points: wide enough to see the neurons of a group, too narrow to mix
# groups
JITTER = 0.3


def set_points(asked: ArrayLike, measured: Mapping[str, ArrayLike], *, title: str) -> go.Figure:
    """What neurons do that were each asked for something: one panel a statistic, a point a neuron.

    Parameters
    ----------
    asked : (N,) array
        The set-point of each neuron; equal ones are a group.
    measured : mapping of str to (N,) array
        Statistic -> its value for each neuron; what is not finite is left out.
    title : str
        What was asked for, with its unit.

    Returns
    -------
    go.Figure
        Line: the groups' means with their standard errors. Dotted: the mean of all neurons. Each panel says
        by how much a straight line through its neurons changes from the lowest to the highest set-point, in
        units of that mean.

    Raises
    ------
    ValueError
        Where lengths differ.
    """
    points = np.asarray(asked, float)
    figure = FigureBuilder(1, len(measured), horizontal_spacing=0.11)
    changes = []
    for column, (name, values) in enumerate(measured.items(), 1):
        numbers = np.asarray(values, float)
        if numbers.shape != points.shape:
            raise ValueError(f"{name} has shape {numbers.shape}, its set-points {points.shape}")
        finite = np.isfinite(numbers)
        x, y = points[finite], numbers[finite]
        entry = STATISTICS[name]
        _neurons_and_means(figure, column, x, y, palette.OKABE_ITO[column - 1])
        if len(y):
            line = {"color": style.CURSOR, "width": 1.2, "dash": "dot"}
            figure.add_hline(float(y.mean()), line, col=column)
        change = relative_change(x, y)
        changes.append(
            f"{entry.label}: {change:+.0%} of its mean"
            if np.isfinite(change)
            else f"{entry.label}: no trend defined"
        )
        place = "" if column == 1 else str(column)
        figure.add_annotation(
            text=changes[-1], showarrow=False, xref=f"x{place} domain", yref=f"y{place} domain", x=0, y=1.08,
            xanchor="left",
        )  # fmt: skip
        figure.update_yaxes(title=entry.title, rangemode="tozero", col=column)
    figure.update_xaxes(title=style.text(title))
    alt = f"{len(points)} neurons by {title}. From the lowest to the highest set-point, {'; '.join(changes)}"
    return figure.finish(340, alt, showlegend=False, hovermode="closest")


def relative_change(asked: ArrayLike, measured: ArrayLike) -> float:
    """Slope of the least-squares line times the range of the set-points, over the mean; NaN for a single
    set-point.
    """
    x, y = np.asarray(asked, float), np.asarray(measured, float)
    if not len(x) or np.ptp(x) == 0 or y.mean() == 0:
        return float("nan")
    return float(np.polyfit(x, y, 1)[0] * np.ptp(x) / y.mean())


def _neurons_and_means(
    figure: FigureBuilder, column: int, x: NDArray[np.float64], y: NDArray[np.float64], color: str
) -> None:
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
    figure.scatter(
        (x + aside).astype(np.float32), y, "neuron", mode="markers", customdata=x, col=column,
        marker={"size": 4.5, "color": palette.translucent(color, 0.35)},
        hovertemplate="asked %{customdata:.3g}, got %{y:.3g}<extra></extra>",
    )  # fmt: skip
    figure.line(
        groups, mean, "mean ± standard error", color=color, width=1.75, mode="lines+markers", col=column,
        marker={"size": 8, "color": color},
        error_y={"array": error, "thickness": 1.5, "width": 5, "color": color},
        hovertemplate="mean of the group %{y:.3g}<extra></extra>",
    )  # fmt: skip
