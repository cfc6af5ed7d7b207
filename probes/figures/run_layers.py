"""Several runs layer beside layer: one panel a quantity, one line a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.figures.run_curves import LEGEND, PANEL, run_color

TICKS = 12  # layers with a number under them


def run_layers(
    panels: Mapping[str, Mapping[str, ArrayLike]], runs: Sequence[str], *, shares: Sequence[str] = ()
) -> go.Figure:
    """One number a layer of several runs.

    Parameters
    ----------
    panels : mapping of str to mapping
        Title of the vertical axis with its unit -> name of a run -> its values, one a layer (L,).
    runs : sequence of str
        Names in the order of their colours.
    shares : sequence of str
        Panels that run from 0 to 100 %.

    Returns
    -------
    go.Figure
        Layers are counted from 1. The lines lead the eye: there is nothing between layers.
    """
    figure = FigureBuilder.small_multiples(max(len(panels), 1), shared_legend=True, horizontal_spacing=0.08)
    deepest = max((np.size(values) for found in panels.values() for values in found.values()), default=1)
    for panel, (title, found) in enumerate(panels.items()):
        row, col = figure.cell(panel)
        for place, run in enumerate(runs):
            if run in found:
                values = np.asarray(found[run], np.float64)
                color = run_color(place)
                figure.line(
                    np.arange(1, len(values) + 1), values, style.text(run), color=color, width=1.5,
                    row=row, col=col, mode="lines+markers", marker={"color": color, "size": 8},
                    hovertemplate="%{y:.3g}",
                )  # fmt: skip
        figure.update_yaxes(title=title, row=row, col=col)
        if title in shares:
            figure.update_yaxes(range=[-0.02, 1.05], tickformat=".0%", row=row, col=col)
    figure.update_xaxes(
        title="layer", range=[0.6, deepest + 0.4], dtick=max(-(-deepest // TICKS), 1), tick0=1, showgrid=False
    )
    alt = f"{', '.join(panels)} of each layer of {', '.join(runs)}"
    return figure.finish(PANEL * figure.rows + LEGEND, alt, margin={"t": LEGEND})
