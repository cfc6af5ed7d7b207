"""How long neurons remember, in positions of the data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes.figures import style
from probes.figures.sketch import Sketch

PER_DECADE = 8  # bars


def half_life_histogram(
    half_lives: ArrayLike, *, color: str = style.OKABE_ITO[0], marks: Mapping[str, float] | None = None
) -> go.Figure:
    """Neurons by half-life on a log axis, units of t; infinite, zero and undefined ones have no place on it
    and are left out.

    half_lives (N,): as `probes.diagnostics.half_life` gives them; marks: label -> half-life, drawn as dashed
    lines.
    """
    values = np.asarray(half_lives, float)
    kept = np.log10(values[np.isfinite(values) & (values > 0)])
    figure = Sketch()
    if len(kept):
        first, last = np.floor(kept.min() * PER_DECADE), np.floor(kept.max() * PER_DECADE) + 1
        edges = np.arange(first, last + 1) / PER_DECADE
        counts = np.histogram(kept, edges)[0]
        low, high = 10 ** edges[:-1], 10 ** edges[1:]
        hover = "%{customdata[0]:.3g} to %{customdata[1]:.3g} t: %{y}<extra></extra>"
        figure.add_trace(
            dict(
                type="bar",
                x=np.sqrt(low * high), y=counts, width=0.94 * (high - low),
                marker={"color": style.translucent(color, 0.75)},
                customdata=np.column_stack([low, high]), hovertemplate=hover,
            )
        )  # fmt: skip
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
    alt = f"Histogram of the half-lives of {len(kept)} neurons in positions t of the data, log axis"
    return figure.finish(300, alt, showlegend=False, hovermode="closest", margin={"t": 22})
