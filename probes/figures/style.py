"""What all figures share: palette, spacing, axes. Text colours are left to the page or the notebook."""

from __future__ import annotations

from html import escape
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.colors import sequential

from probes.figures.clock import Clock

# opacity of bands, the inner on the outer: less is not seen on a dark page
OUTER_BAND, INNER_BAND = 0.26, 0.42
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A000", "#7F7F7F")
"""Line colours that stay apart under colour blindness and on both themes (Okabe and Ito 2008, yellow
darkened).
"""

PINNED = OKABE_ITO[1]
"""Of what is pinned or chosen."""

COLOR_SCALES: dict[str, tuple[str, ...]] = {
    "Viridis": tuple(sequential.Viridis),
    "Cividis": tuple(sequential.Cividis),
    "diverging": (
        "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b",
    ),
}  # fmt: skip
"""Evenly spaced stops of the scales that `schema.Statistic.colors` names; the canvases read them from
palette.js.
"""

GRID = "rgba(128, 140, 152, 0.22)"
AXIS = "rgba(128, 140, 152, 0.55)"
CURSOR = "rgba(128, 140, 152, 0.95)"
CURSOR_LINE = {"color": CURSOR, "width": 1.5, "dash": "dot"}
RAW = 0.3  # opacity of what lies behind its smoothed line

StepAxis = Literal["linear", "log"] | Clock
"""A horizontal axis for what happens over steps: the steps themselves, or what a run's clock shows at them.
"""


COLUMNS = 4
"""Panels in a row: more would leave a panel narrower than its ticks."""


def grid(panels: int, most: int = COLUMNS) -> tuple[int, int]:
    """Rows and columns of a grid for so many panels, at least one of each."""
    columns = max(min(panels, most), 1)
    return max(-(-panels // columns), 1), columns


def layer_color(layer: int) -> str:
    """Line colour of a layer by its index from 0."""
    return OKABE_ITO[layer % len(OKABE_ITO)]


def translucent(color: str, alpha: float) -> str:
    """A "#rrggbb" colour with an opacity, as fills need it."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def text(value: object) -> str:
    """A name that came with a run, safe inside plotly's text, which reads a subset of HTML."""
    return escape(str(value))


_SMALL = {"title": {"font": {"size": 12}}, "tickfont": {"size": 11}}
HORIZONTAL: dict[str, Any] = {
    "gridcolor": GRID,
    "linecolor": AXIS,
    "zeroline": False,
    "showline": True,
    **_SMALL,
}
VERTICAL: dict[str, Any] = {"gridcolor": GRID, "linecolor": AXIS, "zeroline": False, **_SMALL}
LOG_STEPS: dict[str, Any] = {"dtick": 1, "minor": {"ticks": "outside", "ticklen": 3}}
"""Settings of axes, for figures that write their layout out."""


def layout(height: int, alt: str) -> dict[str, Any]:
    """Spacing, hover and a text alternative (`layout.meta["alt"]`), the same for all figures."""
    return {
        "height": height,
        "margin": {"l": 58, "r": 14, "t": 52, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "font": {"size": 12},
        "legend": {
            "orientation": "h",
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "x": 1,
            "xanchor": "right",
            "font": {"size": 12},
        },
        # Upright it leaves the legend free, which stands where plotly puts its buttons.
        "modebar": {"orientation": "v", "bgcolor": "rgba(0, 0, 0, 0)", "color": AXIS, "activecolor": CURSOR},
        "meta": {"alt": alt},
    }


def finish(figure: go.Figure, height: int, alt: str) -> go.Figure:
    """The layout, axes and sizes that all figures share, on a figure that is otherwise complete."""
    figure.update_layout(layout(height, alt))
    figure.update_xaxes(HORIZONTAL)
    figure.update_yaxes(VERTICAL)
    figure.update_annotations(font={"size": 13})
    return figure


def along(axis: StepAxis, steps: ArrayLike) -> NDArray[Any]:
    """Where steps lie on the horizontal axis; on a log axis too they are given as they are."""
    return axis.at(steps) if isinstance(axis, Clock) else np.asarray(steps)


def steps_title(axis: StepAxis) -> str:
    """Title of the horizontal axis, with its unit."""
    return axis.title if isinstance(axis, Clock) else "step"


def mark_step(figure: go.Figure, step: int | None, axis: StepAxis = "linear") -> go.Figure:
    """A dotted line through all panels at the cursor's step."""
    if step is not None:
        figure.add_vline(x=along(axis, step).item(), line=CURSOR_LINE)
    return figure


def raw_behind(x: NDArray[Any], values: NDArray[Any], mode: str, color: str) -> dict[str, Any]:
    """What was recorded, faint, for behind its smoothed line."""
    return dict(
        type="scatter",
        x=x, y=values.astype(np.float32), mode=mode, line={"width": 1, "color": color}, opacity=RAW,
        marker={"color": color},
        showlegend=False, hoverinfo="skip",
    )  # fmt: skip


def scale_steps(figure: go.Figure, axis: StepAxis) -> go.Figure:
    """Linear or log step axis, or a clock's; a log axis starts at the first positive step."""
    figure.update_xaxes(type="log" if axis == "log" else "linear")
    if axis == "log":
        figure.update_xaxes(LOG_STEPS)
    return figure
