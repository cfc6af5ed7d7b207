"""How long neurons remember, in positions of the data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

PER_DECADE = 8  # bars
NARROWEST = 0.75  # decades shown, where all neurons have about one half-life


def half_life_histogram(
    half_lives: ArrayLike, *, color: str = palette.BLUE, marks: Mapping[str, float] | None = None
) -> go.Figure:
    """Histogram of neurons by half-life on a log axis, in positions t of the data.

    Parameters
    ----------
    half_lives : (N,) array
        As `probes.diagnostics.half_life` gives them; infinite, zero and undefined ones have no place on a log
        axis and are left out.
    color : str
        "#rrggbb".
    marks : mapping of str to float, optional
        Label -> half-life, drawn as dashed lines.

    Returns
    -------
    go.Figure
    """
    values = np.asarray(half_lives, float)
    finite = np.log10(values[np.isfinite(values) & (values > 0)])
    figure = FigureBuilder()
    if len(finite):
        first, last = np.floor(finite.min() * PER_DECADE), np.floor(finite.max() * PER_DECADE) + 1
        edges = np.arange(first, last + 1) / PER_DECADE
        counts = np.histogram(finite, edges)[0]
        low, high = 10 ** edges[:-1], 10 ** edges[1:]
        hover = "%{customdata[0]:.3g} to %{customdata[1]:.3g} t: %{y}<extra></extra>"
        figure.add_trace(
            dict(
                type="bar",
                x=np.sqrt(low * high), y=counts, width=0.94 * (high - low),
                marker={"color": palette.translucent(color, 0.75)},
                customdata=np.column_stack([low, high]), hovertemplate=hover,
            )
        )  # fmt: skip
        named = [np.log10(mark) for mark in (marks or {}).values() if np.isfinite(mark) and mark > 0]
        left, right = min([edges[0], *named]), max([edges[-1], *named])
        room = max(NARROWEST - (right - left), 0) / 2 + 0.02
        figure.update_xaxes(range=[left - room, right + room])
    for label, mark in (marks or {}).items():
        if np.isfinite(mark) and mark > 0:
            line = {"color": style.CURSOR, "width": 1.5, "dash": "dash"}
            figure.add_vline(mark, line)
            # On a log axis a line's place is in data, an annotation's in decades: one call for both would
            # stretch the axis.
            figure.add_annotation(
                x=np.log10(mark),
                y=1,
                xref="x",
                yref="y domain",
                yanchor="bottom",
                showarrow=False,
                text=style.text(label),
            )
    ticks = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    figure.update_xaxes(
        title="half-life (t)", type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks]
    )
    figure.update_yaxes(title="neurons")
    alt = f"Histogram of the half-lives of {len(finite)} neurons in positions t of the data, log axis"
    return figure.finish(300, alt, showlegend=False, hovermode="closest", margin={"t": 22})
