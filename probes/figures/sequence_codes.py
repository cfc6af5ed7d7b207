"""Which code of a code book was picked at each position of a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder


def sequence_codes(
    picked: ArrayLike,
    code: int,
    *,
    name: str,
    labels: Sequence[str] = (),
    marks: ArrayLike = (),
    marks_are: str = "",
    t: int | None = None,
    color: str = palette.BLUE,
) -> go.Figure:
    """The picks of a code book at each position, one of its codes in colour.

    Parameters
    ----------
    picked : (T, N) array
        1 where a code was picked, else 0.
    code : int
        The code that is looked at.
    name : str
        Of this code.
    labels : sequence of str
        T texts: what stands at the positions.
    marks : (T,) array of bool, optional
        Positions that are marked below the codes, such as those at which a feature is there.
    marks_are : str
        What the marks are.
    t : int, optional
        The position that is looked at.
    color : str
        "#rrggbb" of the code.

    Returns
    -------
    go.Figure
        A point for each pick; positions without one have none.
    """
    held = np.asarray(picked, float)
    length, codes = held.shape
    shown = [style.text(label) for label in labels] or [""] * length
    places, picks = np.nonzero(held > 0)
    mine = picks == code
    figure = FigureBuilder()
    for chosen, said, shade, size in (
        (~mine, "other codes", style.AXIS, 5),
        (mine, f"code {code}", color, 8),
    ):
        figure.scatter(
            places[chosen], picks[chosen], said, mode="markers", marker={"size": size, "color": shade},
            customdata=[shown[place] for place in places[chosen]],
            hovertemplate="t %{x} “%{customdata}”: code %{y}<extra></extra>",
        )  # fmt: skip
    marked = np.flatnonzero(np.asarray(marks, bool))
    below = -0.06 * codes - 0.5
    if len(marked):
        figure.scatter(
            marked, np.full(len(marked), below), style.text(marks_are), mode="markers", hoverinfo="skip",
            marker={"symbol": "triangle-up", "size": 8, "color": palette.VERMILLION},
        )  # fmt: skip
    if t is not None:
        figure.add_vline(t, style.CURSOR_LINE)
    figure.update_xaxes(title="t", range=[-0.5, max(length - 0.5, 0.5)])
    figure.update_yaxes(title="code", range=[1.6 * below if len(marked) else below, codes - 0.5 - below / 2])
    return figure.finish(
        300,
        f"Codes picked at {length} positions, {int(mine.sum())} times that of neuron {name}",
        hovermode="closest",
    )
