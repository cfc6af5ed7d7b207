"""Several runs over steps: one panel a quantity, one line a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

Curve = tuple[ArrayLike, ArrayLike]
"""Steps (P,) and values (P,)."""
PANEL, LEGEND = 250, 34  # pixels


def run_color(place: int) -> str:
    """Line colour of a run by its place among those that are compared."""
    return palette.OKABE_ITO[place % len(palette.OKABE_ITO)]


def run_curves(
    panels: Mapping[str, Mapping[str, Curve]],
    runs: Sequence[str],
    *,
    axis: style.StepScale = "linear",
    shares: Sequence[str] = (),
) -> go.Figure:
    """Curves of runs over steps.

    Parameters
    ----------
    panels : mapping of str to mapping
        Title of the vertical axis with its unit -> name of a run -> its curve.
    runs : sequence of str
        Names in the order of their colours; a run may lack a curve.
    axis : {"linear", "log"}
        Of the steps.
    shares : sequence of str
        Panels that run from 0 to 100 %.

    Returns
    -------
    go.Figure
        One legend for all panels.
    """
    figure = FigureBuilder.small_multiples(max(len(panels), 1), shared_legend=True, horizontal_spacing=0.08)
    for panel, (title, curves) in enumerate(panels.items()):
        row, col = figure.cell(panel)
        for place, run in enumerate(runs):
            if run in curves:
                steps, values = curves[run]
                figure.line(
                    steps, values, style.text(run), color=run_color(place), width=1.75, row=row, col=col,
                    hovertemplate="%{y:.4g}",
                )  # fmt: skip
        figure.update_yaxes(title=title, row=row, col=col)
        if title in shares:
            figure.update_yaxes(range=[0, 1.02], tickformat=".0%", row=row, col=col)
    figure.step_axis(axis)
    alt = f"{', '.join(panels)} over steps of {', '.join(runs)}"
    return figure.finish(PANEL * figure.rows + LEGEND, alt, margin={"t": LEGEND})
