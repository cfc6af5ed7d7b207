"""Several groups of runs over steps: the median over a group's seeds, and all its seeds as a band."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from probes.analysis.run_groups import common_curve
from probes.figures import style

Curves = Mapping[str, Sequence[NDArray[np.float64]]]
"""Label of a group -> its runs' curves, each (P, 2) of step and value, as `probes.analysis.run_groups.curve`
gives them.
"""

# pixels; characters that a row of the legend takes; pixels
LEGEND_ROW, LEGEND_CHARACTERS, PANEL = 21, 110, 250


def seed_bands(
    panels: Mapping[str, Curves], *, axis: Literal["linear", "log"] = "linear", shares: Sequence[str] = ()
) -> go.Figure:
    """One panel a quantity, one colour a group: median (line), smallest to largest (band).

    panels: title of the vertical axis with its unit -> curves. Panels named in `shares` run from 0 to 100 %.
    A group of one curve has no band, one without a curve is left out.
    """
    figure = make_subplots(1, max(len(panels), 1), horizontal_spacing=0.09)
    labels = list(dict.fromkeys(label for groups in panels.values() for label in groups))
    named: set[str] = set()
    for column, (title, groups) in enumerate(panels.items(), start=1):
        for label, curves in groups.items():
            color = style.OKABE_ITO[labels.index(label) % len(style.OKABE_ITO)]
            for trace in _band(label, curves, color, label not in named):
                figure.add_trace(trace, 1, column)
                named.add(label)
        figure.update_yaxes(title_text=title, col=column)
        if title in shares:
            figure.update_yaxes(range=[0, 1], tickformat=".0%", col=column)
    figure.update_xaxes(title_text="step")
    style.scale_steps(figure, axis)
    # its line and the count of runs are 14 more
    per_row = max(LEGEND_CHARACTERS // (max(map(len, named), default=0) + 14), 1)
    rows = math.ceil(len(named) / per_row)
    alt = f"{', '.join(panels)} over steps: median and range over the seeds of {len(named)} groups of runs"
    style.finish(figure, PANEL + LEGEND_ROW * rows + 60, alt)
    below = {
        "y": 0,
        "yanchor": "bottom",
        "x": 0,
        "xanchor": "left",
    }
    return figure.update_layout(legend=below, margin={"t": 14, "b": 56 + LEGEND_ROW * rows})


def _band(label: str, curves: Sequence[NDArray[np.float64]], color: str, legend: bool) -> list[go.Scatter]:
    steps, values = common_curve(curves)
    if not len(steps):
        return []
    traces = []
    if len(values) > 1:
        edge = {
            "x": steps,
            "mode": "lines",
            "line": {"width": 0},
            "hoverinfo": "skip",
            "legendgroup": label,
            "showlegend": False,
        }
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        traces.append(go.Scatter(y=low.astype(np.float32), **edge))
        traces.append(
            go.Scatter(
                y=high.astype(np.float32), fill="tonexty", fillcolor=style.translucent(color, 0.18), **edge
            )
        )
    name = f"{style.text(label)} · {len(values)} {'run' if len(values) == 1 else 'runs'}"
    traces.append(
        go.Scatter(
            x=steps, y=np.nanmedian(values, axis=0).astype(np.float32), name=name, legendgroup=label,
            showlegend=legend,
            mode="lines" if len(steps) > 1 else "markers", line={"color": color, "width": 2},
            hovertemplate="%{y:.3g}",
        )
    )  # fmt: skip
    return traces
