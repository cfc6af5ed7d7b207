"""Several groups of runs over steps: the median over a group's seeds, and all its seeds as a band."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from probes import palette
from probes.analysis.run_groups import common_curve
from probes.figures import style
from probes.figures.builder import FigureBuilder

Curves = Mapping[str, Sequence[NDArray[np.float64]]]
"""Label of a group -> its runs' curves, each (P, 2) of step and value, as `probes.analysis.run_groups.curve`
gives them.
"""

# pixels; characters that a row of the legend takes; pixels
LEGEND_ROW, LEGEND_CHARACTERS, PANEL = 21, 110, 250


def seed_bands(
    panels: Mapping[str, Curves], *, axis: Literal["linear", "log"] = "linear", shares: Sequence[str] = ()
) -> go.Figure:
    """Curves of groups of runs over steps: one panel a quantity, one colour a group.

    Parameters
    ----------
    panels : mapping of str to Curves
        Title of the vertical axis with its unit -> curves of each group.
    axis : {"linear", "log"}
        Of the steps.
    shares : sequence of str
        Panels that run from 0 to 100 %.

    Returns
    -------
    go.Figure
        Line: the median over a group's runs. Shaded: smallest to largest. A group of one run has no band, one
        without a curve is left out.
    """
    figure = FigureBuilder(1, max(len(panels), 1), horizontal_spacing=0.09)
    labels = list(dict.fromkeys(label for groups in panels.values() for label in groups))
    named: set[str] = set()
    for column, (title, groups) in enumerate(panels.items(), start=1):
        for label, curves in groups.items():
            color = palette.OKABE_ITO[labels.index(label) % len(palette.OKABE_ITO)]
            steps, values = common_curve(curves)
            if len(steps):
                _group(figure, column, label, steps, values, color, showlegend=label not in named)
                named.add(label)
        figure.update_yaxes(title=title, col=column)
        if title in shares:
            figure.update_yaxes(range=[0, 1], tickformat=".0%", col=column)
    figure.step_axis(axis)
    # its line and the count of runs are 14 more
    per_row = max(LEGEND_CHARACTERS // (max(map(len, named), default=0) + 14), 1)
    rows = math.ceil(len(named) / per_row)
    alt = f"{', '.join(panels)} over steps: median and range over the seeds of {len(named)} groups of runs"
    return figure.finish(
        PANEL + LEGEND_ROW * rows + 60, alt,
        legend={"y": 0, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        margin={"t": 14, "b": 56 + LEGEND_ROW * rows},
    )  # fmt: skip


def _group(
    figure: FigureBuilder,
    column: int,
    label: str,
    steps: NDArray[np.float64],
    values: NDArray[np.float64],
    color: str,
    showlegend: bool,
) -> None:
    """A group's range and median. values: (runs, steps)."""
    if len(values) > 1:
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        shade = palette.translucent(color, 0.18)
        figure.band(steps, low, high, color=shade, col=column, legendgroup=label)
    name = f"{style.text(label)} · {len(values)} {'run' if len(values) == 1 else 'runs'}"
    figure.line(
        steps, np.nanmedian(values, axis=0), name, color=color, col=column, legendgroup=label,
        showlegend=showlegend, hovertemplate="%{y:.3g}",
    )  # fmt: skip
