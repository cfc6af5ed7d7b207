"""A figure under construction: plotly's own verbs on plain dictionaries, handed to plotly once, when it is
complete.

Building a `go.Figure` by `make_subplots`, `add_trace` and updates checks every property several times: 60 ms
for three panels of bands where this takes 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from probes.figures import drawn, style

Shared = Literal["all", "rows"] | None
TEXT_SIZE = 13  # pixels: names over panels, words at lines


class Sketch:
    """A grid of panels in the style of all figures, rows and columns counted from 1, the first row on top.
    One panel by default.

    `titles`: names over the first panels, row by row. `panels`: how many are made, the whole grid by default.
    `shared_xaxes`,
    `shared_yaxes`: panels of the whole grid ("all") or of a row ("rows") have one range, and ticks only at
    the grid's edge. Spacing is in shares of the plotting area.
    """

    def __init__(
        self,
        rows: int = 1,
        columns: int = 1,
        *,
        titles: Sequence[str] = (),
        panels: int | None = None,
        shared_xaxes: Shared = None,
        shared_yaxes: Shared = None,
        horizontal_spacing: float = 0.0,
        vertical_spacing: float = 0.0,
    ) -> None:
        self.data: list[dict[str, Any]] = []
        self._layout: dict[str, list[dict[str, Any]]] = {"annotations": [], "shapes": []}
        self._cells = [
            divmod(place, columns) for place in range(rows * columns if panels is None else panels)
        ]
        self._axes: dict[str, list[dict[str, Any]]] = {"x": [], "y": []}
        width = (1 - horizontal_spacing * (columns - 1)) / columns
        height = (1 - vertical_spacing * (rows - 1)) / rows
        for place, (row, column) in enumerate(self._cells):
            left, top = column * (width + horizontal_spacing), 1 - row * (height + vertical_spacing)
            below = (row + 1, column) not in self._cells
            # Rounding must not lead out of [0, 1].
            x = style.HORIZONTAL | {
                "anchor": self._name("y", place),
                "domain": [left, min(left + width, 1.0)],
            }
            y = style.VERTICAL | {"anchor": self._name("x", place), "domain": [max(top - height, 0.0), top]}
            for axis, side, shared, edge in (
                (x, "x", shared_xaxes, below),
                (y, "y", shared_yaxes, column == 0),
            ):
                first = 0 if shared == "all" else row * columns
                axis |= {"matches": self._name(side, first)} if shared and place != first else {}
                axis |= {"showticklabels": False} if shared and not edge else {}
                self._axes[side].append(axis)
        for x, y, title in zip(self._axes["x"], self._axes["y"], titles, strict=False):
            self.add_annotation(
                text=title, x=sum(x["domain"]) / 2, y=y["domain"][1], xref="paper", yref="paper",
                xanchor="center",
                yanchor="bottom", showarrow=False,
            )  # fmt: skip

    @staticmethod
    def _name(side: str, place: int) -> str:
        return f"{side}{place + 1 if place else ''}"

    def _places(self, row: int | None, col: int | None) -> Iterator[int]:
        """Panels of a row and a column (None: of all)."""
        for place, cell in enumerate(self._cells):
            if row in (None, cell[0] + 1) and col in (None, cell[1] + 1):
                yield place

    def add_trace(self, trace: Mapping[str, Any], row: int = 1, col: int = 1) -> None:
        """A trace, as a dictionary with its `type`, in a panel."""
        place = self._cells.index((row - 1, col - 1))
        self.data.append({**trace, "xaxis": self._name("x", place), "yaxis": self._name("y", place)})

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

    def add_annotation(self, **settings: Any) -> None:
        """A text, placed as plotly's annotations are."""
        self._layout["annotations"].append({"font": {"size": TEXT_SIZE}, **settings})

    def add_vline(self, x: float, line: Mapping[str, Any]) -> None:
        """A line over the whole height of all panels."""
        self._spanning("y", {"type": "line", "x0": x, "x1": x, "line": line}, None, None)

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
            refs = {f"{one}ref": self._name(one, place) + (" domain" if one == side else "") for one in "xy"}
            self._layout["shapes"].append({**shape, **ends, **refs})

    def finish(self, height: int, alt: str, **layout: Any) -> go.Figure:
        """The finished figure, with its text alternative and further settings of its layout."""
        settings = style.layout(height, alt) | {name: items for name, items in self._layout.items() if items}
        merge(settings, layout)
        settings |= {
            f"{side}axis{place + 1 if place else ''}": axis
            for side in "xy"
            for place, axis in enumerate(self._axes[side])
        }
        return drawn.build(self.data, settings)


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
