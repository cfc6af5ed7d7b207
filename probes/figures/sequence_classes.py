"""How probable each class of one neuron is along a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.colors import get_colorscale

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

COLORS = get_colorscale("Viridis")


def sequence_classes(
    shares: ArrayLike,
    *,
    name: str,
    labels: Sequence[str] = (),
    marks: ArrayLike = (),
    marks_are: str = "",
    t: int | None = None,
) -> go.Figure:
    """The classes of a neuron at each position of a sequence, one row a class.

    Parameters
    ----------
    shares : (T, C) array
        Probabilities of C classes.
    name : str
        Of the neuron.
    labels : sequence of str
        T texts: what stands at the positions.
    marks : (T,) array of bool, optional
        Positions that are marked below the classes, such as those at which a feature is there.
    marks_are : str
        What the marks are.
    t : int, optional
        The position that is looked at.

    Returns
    -------
    go.Figure
        Colour: probability, from 0 to 1.
    """
    held = np.asarray(shares, float)
    length, classes = held.shape
    shown = [style.text(label) for label in labels] or [""] * length
    figure = FigureBuilder()
    figure.add_trace(
        {
            "type": "heatmap", "x": np.arange(length), "y": np.arange(classes),
            "z": held.T.astype(np.float32), "zmin": 0, "zmax": 1, "colorscale": COLORS,
            "customdata": [shown] * classes, "name": "probability",
            "colorbar": {"title": {"text": "probability"}, "thickness": 10, "tickvals": [0, 0.5, 1]},
            "hovertemplate": "t %{x} “%{customdata}”, class %{y}: %{z:.3f}<extra></extra>",
        },
        1, 1,
    )  # fmt: skip
    marked = np.flatnonzero(np.asarray(marks, bool))
    if len(marked):
        figure.scatter(
            marked, np.full(len(marked), -1.0), style.text(marks_are), mode="markers", hoverinfo="skip",
            marker={"symbol": "triangle-up", "size": 8, "color": palette.VERMILLION},
        )  # fmt: skip
    if t is not None:
        figure.add_vline(t, style.CURSOR_LINE)
    figure.update_xaxes(title="t", range=[-0.5, max(length - 0.5, 0.5)], showgrid=False)
    figure.update_yaxes(title="class", range=[-1.6 if len(marked) else -0.5, classes - 0.5], showgrid=False)
    return figure.finish(
        300,
        f"Probability of the {classes} classes of neuron {name} at {length} positions",
        hovermode="closest",
        showlegend=bool(len(marked)),
        **({} if len(marked) else {"margin": {"t": 12}}),
    )
