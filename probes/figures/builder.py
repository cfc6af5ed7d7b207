"""A figure under construction: plotly's own verbs on plain dictionaries, handed to plotly once, when it is
complete.

Building a `go.Figure` by `make_subplots`, `add_trace` and updates checks every property several times: 60 ms
for three panels of bands where this takes 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes.figures import plotly_figure, style

SharedAxes = Literal["all", "rows"] | None
TICKS = 4  # steps written under one of several panels, so that those of neighbours do not touch
TEXT_SIZE = 13  # pixels: names over panels, words at lines
DOT_SIZE, BAR_WIDTH = 7, 3  # pixels: what stands for a line or a band of a single point


class FigureBuilder:
    """A grid of panels in the style of all figures; `finish` gives the figure.

    Parameters
    ----------
    rows, columns : int
        Of the grid; rows and columns are counted from 1, the first row is on top.
    panels : int, optional
        How many panels are made, row by row; by default the whole grid.
    titles : sequence of str
        Names over the first panels, row by row.
    shared_xaxes, shared_yaxes : {"all", "rows"}, optional
        Panels of the whole grid or of a row have one range, and ticks only at the grid's edge.
    shared_legend : bool
        A name is once in the legend, which switches it in all panels.
    horizontal_spacing, vertical_spacing : float
        Between panels, in shares of the plotting area.
    """

    def __init__(
        self,
        rows: int = 1,
        columns: int = 1,
        *,
        panels: int | None = None,
        titles: Sequence[str] = (),
        shared_xaxes: SharedAxes = None,
        shared_yaxes: SharedAxes = None,
        shared_legend: bool = False,
        horizontal_spacing: float = 0.0,
        vertical_spacing: float = 0.0,
    ) -> None:
        self.rows, self.columns = rows, columns
        self._shared_legend = shared_legend
        self._data: list[dict[str, Any]] = []
        self._names: set[str] = set()  # that are in the legend
        self._annotations: list[dict[str, Any]] = []
        self._shapes: list[dict[str, Any]] = []
        self._layout: dict[str, Any] = {}
        self._cells = [
            divmod(place, columns) for place in range(rows * columns if panels is None else panels)
        ]
        self._axes: dict[str, list[dict[str, Any]]] = {"x": [], "y": []}
        width = (1 - horizontal_spacing * (columns - 1)) / columns
        height = (1 - vertical_spacing * (rows - 1)) / rows
        for place, (row, column) in enumerate(self._cells):
            left, top = column * (width + horizontal_spacing), 1 - row * (height + vertical_spacing)
            lowest = place + columns >= len(self._cells)
            # Rounding must not lead out of [0, 1].
            x = style.HORIZONTAL | {
                "anchor": _axis("y", place),
                "domain": [left, min(left + width, 1.0)],
            }
            y = style.VERTICAL | {"anchor": _axis("x", place), "domain": [max(top - height, 0.0), top]}
            for axis, side, shared, edge in (
                (x, "x", shared_xaxes, lowest),
                (y, "y", shared_yaxes, column == 0),
            ):
                first = 0 if shared == "all" else row * columns
                axis |= {"matches": _axis(side, first)} if shared and place != first else {}
                axis |= {"showticklabels": False} if shared and not edge else {}
                self._axes[side].append(axis)
        for x, y, title in zip(self._axes["x"], self._axes["y"], titles, strict=False):
            self.add_annotation(
                text=title, x=sum(x["domain"]) / 2, y=y["domain"][1], xref="paper", yref="paper",
                xanchor="center", yanchor="bottom", showarrow=False,
            )  # fmt: skip

    @classmethod
    def small_multiples(
        cls,
        count: int,
        *,
        columns: int = style.COLUMNS,
        vertical_spacing: float = 0.14,
        **settings: Any,
    ) -> FigureBuilder:
        """`count` panels in rows of at most `columns`, with further parameters of `FigureBuilder`."""
        rows, columns = style.grid(count, columns)
        spacing = min(vertical_spacing, 0.5 / rows)  # many rows need room for themselves
        return cls(rows, columns, panels=count, vertical_spacing=spacing, **settings)

    def cell(self, panel: int) -> tuple[int, int]:
        """Row and column of a panel, counted from 0 row by row."""
        return panel // self.columns + 1, panel % self.columns + 1

    def add_trace(self, trace: Mapping[str, Any], row: int = 1, col: int = 1) -> None:
        """A trace of any type, as a dictionary with its `type`, in a panel."""
        place = (row - 1) * self.columns + col - 1
        legend: dict[str, Any] = {}
        if self._shared_legend and trace.get("name") is not None:
            legend = {"legendgroup": trace["name"], "showlegend": trace["name"] not in self._names}
            self._names.add(trace["name"])
        self._data.append({**legend, **trace, "xaxis": _axis("x", place), "yaxis": _axis("y", place)})

    def scatter(
        self, x: ArrayLike, y: ArrayLike, name: str | None = None, *, row: int = 1, col: int = 1, **more: Any
    ) -> None:
        """A scatter trace with further properties; without a name neither in the legend nor in the hover."""
        named = {"showlegend": False, "hoverinfo": "skip"} if name is None else {"name": name}
        values = {"x": np.asarray(x), "y": np.asarray(y, np.float32)}
        self.add_trace({"type": "scatter", **values, **named, **more}, row, col)

    def line(
        self,
        x: ArrayLike,
        y: ArrayLike,
        name: str | None = None,
        *,
        color: str,
        width: float = 2,
        dash: str | None = None,
        row: int = 1,
        col: int = 1,
        **more: Any,
    ) -> None:
        """A line, with further properties of its trace; a dot where there is one point."""
        line = {"color": color, "width": width} | ({"dash": dash} if dash else {})
        shown: dict[str, Any] = {"mode": "lines", "line": line}
        if np.size(x) == 1:
            shown |= {"mode": "markers", "marker": {"color": color, "size": DOT_SIZE}}
        self.scatter(x, y, name, row=row, col=col, **(shown | more))

    def band(
        self,
        x: ArrayLike,
        low: ArrayLike,
        high: ArrayLike,
        name: str | None = None,
        *,
        color: str,
        row: int = 1,
        col: int = 1,
        **more: Any,
    ) -> None:
        """The area between two lines, filled with `color`; a bar where there is one point."""
        place = {"row": row, "col": col, "hoverinfo": "skip", **more}
        if np.size(x) == 1:
            low, high = np.asarray(low, float), np.asarray(high, float)
            half = np.asarray((high - low) / 2, np.float32)
            bar = {"type": "data", "array": half, "color": color, "thickness": BAR_WIDTH, "width": 0}
            marker = {"size": 1, "color": color}
            self.scatter(x, (low + high) / 2, name, mode="markers", marker=marker, error_y=bar, **place)
            return
        edge = {"mode": "lines", "line": {"width": 0}, **place}
        group = {"legendgroup": name} if self._shared_legend and name is not None else {}
        self.scatter(x, low, **(group | edge | {"showlegend": False}))
        self.scatter(x, high, name, fill="tonexty", fillcolor=color, **edge)

    def update_xaxes(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        row: int | None = None,
        col: int | None = None,
        **more: Any,
    ) -> None:
        """Settings of the horizontal axes of a row and column of panels, by default of all. `title` may be a
        text.
        """
        self._update("x", {**(settings or {}), **more}, row, col)

    def update_yaxes(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        row: int | None = None,
        col: int | None = None,
        **more: Any,
    ) -> None:
        """As `update_xaxes`, of the vertical axes."""
        self._update("y", {**(settings or {}), **more}, row, col)

    def _update(self, side: str, settings: Mapping[str, Any], row: int | None, col: int | None) -> None:
        for place in self._places(row, col):
            merge(self._axes[side][place], settings)

    def _places(self, row: int | None, col: int | None) -> Iterator[int]:
        """Panels of a row and a column (None: of all)."""
        for place, cell in enumerate(self._cells):
            if row in (None, cell[0] + 1) and col in (None, cell[1] + 1):
                yield place

    def step_axis(self, axis: style.StepAxis, cursor: int | None = None) -> None:
        """Horizontal axes over steps of training, of which a range can be dragged over: title, scale, and a
        dotted line at the cursor's step.
        """
        self._layout["selectdirection"] = "h"
        self.update_xaxes(title=style.steps_title(axis), row=self.rows)
        self.update_xaxes(style.steps_scale(axis))
        if axis == "linear":
            self.update_xaxes(tickformat="~s")
            if self.columns > 1:
                self.update_xaxes(nticks=TICKS)
        if cursor is not None:
            self.add_vline(style.along(axis, cursor).item(), style.CURSOR_LINE)

    def add_annotation(self, **settings: Any) -> None:
        """A text, placed as plotly's annotations are."""
        self._annotations.append({"font": {"size": TEXT_SIZE}, **settings})

    def add_vline(
        self, x: float, line: Mapping[str, Any], *, row: int | None = None, col: int | None = None
    ) -> None:
        """A line over the whole height of panels."""
        self._spanning("y", {"type": "line", "x0": x, "x1": x, "line": line}, row, col)

    def add_hline(
        self, y: float, line: Mapping[str, Any], *, row: int | None = None, col: int | None = None
    ) -> None:
        """A line over the whole width of panels."""
        self._spanning("x", {"type": "line", "y0": y, "y1": y, "line": line}, row, col)

    def add_vrect(self, x0: float, x1: float, **settings: Any) -> None:
        """An area over the whole height of all panels."""
        self._spanning("y", {"type": "rect", "x0": x0, "x1": x1, **settings}, None, None)

    def add_hrect(self, y0: float, y1: float, **settings: Any) -> None:
        """An area over the whole width of all panels."""
        self._spanning("x", {"type": "rect", "y0": y0, "y1": y1, **settings}, None, None)

    def _spanning(self, side: str, shape: dict[str, Any], row: int | None, col: int | None) -> None:
        ends = {f"{side}0": 0, f"{side}1": 1}
        for place in self._places(row, col):
            refs = {f"{one}ref": _axis(one, place) + (" domain" if one == side else "") for one in "xy"}
            self._shapes.append({**shape, **ends, **refs})

    def finish(self, height: int, alt: str, **layout: Any) -> go.Figure:
        """The finished figure.

        Parameters
        ----------
        height : int
            Pixels.
        alt : str
            The figure in words, for those who cannot see it (`figure.layout.meta["alt"]`).
        **layout
            Further settings of the layout, merged key by key with those that all figures have.
        """
        settings = style.layout(height, alt)
        if self._annotations:
            settings["annotations"] = self._annotations
        if self._shapes:
            settings["shapes"] = self._shapes
        merge(settings, self._layout | layout)
        for side, axes in self._axes.items():
            for place, axis in enumerate(axes):
                settings[f"{side}axis{place + 1 if place else ''}"] = axis
        return plotly_figure.build(self._data, settings)


def _axis(side: str, place: int) -> str:
    """How traces and shapes name the axis of a panel, counted from 0."""
    return f"{side}{place + 1 if place else ''}"


def merge(into: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Put settings into a dictionary, those inside settings key by key; a text for `title` is the title's
    text.
    """
    for key, value in settings.items():
        new = {"text": value} if key == "title" and isinstance(value, str) else value
        if isinstance(new, Mapping):
            into[key] = dict(into.get(key, {}))
            merge(into[key], new)
        else:
            into[key] = new
