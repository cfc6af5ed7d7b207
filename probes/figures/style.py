"""What all figures share: margins, legend, axes. Text colours are left to the page or the notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from plotly.colors import sequential

from probes import palette
from probes.figures.clock import Clock
from probes.palette import translucent

# opacity of bands, the inner on the outer: less is not seen on a dark page
OUTER_BAND, INNER_BAND = 0.26, 0.42

COLOR_SCALES: dict[str, tuple[str, ...]] = {
    "Viridis": tuple(sequential.Viridis),
    "Cividis": tuple(sequential.Cividis),
    "diverging": palette.DIVERGING,
}
"""Evenly spaced stops of the scales that `schema.Statistic.colors` names; the canvases read them from
palette.js.
"""

GRID = translucent(palette.SLATE, 0.22)
AXIS = translucent(palette.SLATE, 0.55)
CURSOR = translucent(palette.SLATE, 0.95)
CURSOR_LINE = {"color": CURSOR, "width": 1.5, "dash": "dot"}
RAW = 0.3  # opacity of what lies behind its smoothed line

StepScale = Literal["linear", "log"]
StepAxis = Literal["linear", "log"] | Clock
"""A horizontal axis for what happens over steps: the steps themselves, or what a run's clock shows at them.
"""


COLUMNS = 4
"""Panels in a row: more would leave a panel narrower than its ticks."""


def grid(panels: int, most: int = COLUMNS) -> tuple[int, int]:
    """Rows and columns of a grid for so many panels, at least one of each."""
    columns = max(min(panels, most), 1)
    return max(-(-panels // columns), 1), columns


def layer_color(layer: int, layers: int) -> str:
    """Line colour of a layer by its index from 0, of so many: sequential in depth."""
    return _between(palette.LAYERS, layer, layers)


def ordered_color(place: int, count: int) -> str:
    """Line colour of the value at a place from 0, of so many in order."""
    return _between(palette.ORDERED, place, count)


def _between(colors: Sequence[str], place: int, count: int) -> str:
    """The colour at a place from 0, of so many evenly spread over the stops."""
    stops = [[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in colors]
    along = place / max(count - 1, 1) * (len(stops) - 1)
    channels = [np.interp(along, range(len(stops)), channel) for channel in zip(*stops, strict=True)]
    return "#" + "".join(f"{round(channel):02X}" for channel in channels)


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
"""Settings that all axes have."""


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
            "borderwidth": 4,  # not seen: it keeps the names of panels off the last line
            "bordercolor": "rgba(0, 0, 0, 0)",
            "traceorder": "normal",  # else plotly turns it round where a band is filled
        },
        # Upright it leaves the legend free, which stands where plotly puts its buttons.
        "modebar": {"orientation": "v", "bgcolor": "rgba(0, 0, 0, 0)", "color": AXIS, "activecolor": CURSOR},
        "meta": {"alt": alt},
    }


def along(axis: StepAxis, steps: ArrayLike) -> NDArray[Any]:
    """Where steps lie on the horizontal axis; on a log axis too they are given as they are."""
    return axis.at(steps) if isinstance(axis, Clock) else np.asarray(steps)


def steps_title(axis: StepAxis) -> str:
    """Title of the horizontal axis, with its unit."""
    return axis.title if isinstance(axis, Clock) else "step"


def steps_scale(axis: StepAxis) -> dict[str, Any]:
    """Settings of a linear or log step axis, or a clock's."""
    if axis == "log":
        return {"type": "log", "dtick": 1, "minor": {"ticks": "outside", "ticklen": 3}}
    return {"type": "linear"}
