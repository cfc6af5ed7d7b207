"""Plotly figures built and serialised without plotly's check of every property, which takes most of the time
of both. The tests check every figure that they build instead (tests/probes/checked_figures.py).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from numpy.typing import NDArray

TYPED = {"i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"}
"""Types of arrays that plotly.js knows."""
_NEVER_TYPED = ("geojson", "layer", "layers", "range")
"""Properties whose arrays plotly.js reads only as lists."""
_PLAN = "_plan"
"""Of a figure that plotly has not made yet: its traces and layout."""


class Figure(go.Figure):
    """Plotly's figure, serialised many times as fast: plotly asks of every scalar whether it is an array.

    One of `build` is made by plotly when something of it is first asked for, which a figure that is only
    shown never needs.
    """

    def to_dict(self) -> dict[str, Any]:
        """As `go.Figure.to_dict`: what was set, arrays as typed base64."""
        if _PLAN in self.__dict__:
            data, layout = self.__dict__[_PLAN]
            if layout.get("template") is None and (template := _default_template()):
                layout = {**layout, "template": template}
        elif self.frames:
            return super().to_dict()
        else:
            data = [trace.to_plotly_json() for trace in self.data]
            layout = self.layout.to_plotly_json()
        return {"data": [_encoded(trace) for trace in data], "layout": _encoded(layout)}

    def __getattr__(self, name: str) -> Any:
        """Plotly's own attributes, of which there are none before it has made the figure."""
        if _PLAN not in self.__dict__:
            raise AttributeError(f"a figure has no {name!r}")
        data, layout = self.__dict__.pop(_PLAN)
        if not _make_unchecked(self, data, layout):
            go.Figure.__init__(self, data=data, layout=layout)
        return getattr(self, name)


def build(data: Sequence[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
    """The figure of traces and a layout that are complete.

    Parameters
    ----------
    data : sequence of dict
        Traces, each with its `type`.
    layout : dict
        Settings of the layout, written out (`{"title": {"text": ...}}`, not `title_text`).

    Returns
    -------
    go.Figure
        Plotly checks changes that are made to it later as usual.
    """
    figure = Figure.__new__(Figure)
    figure.__dict__[_PLAN] = list(data), layout
    return figure


def alt(figure: go.Figure) -> str:
    """The figure in words, as `FigureBuilder.finish` was given them."""
    planned = figure.__dict__.get(_PLAN)
    return str((planned[1] if planned else figure.layout)["meta"]["alt"])


def _make_unchecked(figure: go.Figure, data: list[dict[str, Any]], layout: dict[str, Any]) -> bool:
    """Make a figure without checks, which plotly allows itself but does not document. False where it no
    longer does, so that a newer plotly makes figures slower and not impossible.

    With `Figure`, which begins before plotly's constructor, the only use of plotly's private interface.
    """
    try:
        go.Figure.__init__(figure, data=data, layout=layout, _validate=False)
    except (TypeError, ValueError):  # the argument is refused, or a trace, of which the check says why
        return False
    for part in (figure, figure.layout, *figure.data):
        part._validate = True
    return True


def _default_template() -> dict[str, Any] | None:
    """What plotly gives to a figure that has no template; Streamlit sets one of its own."""
    default = pio.templates.default
    if default is None:
        return None
    template = pio.templates[default] if isinstance(default, str) else default
    return dict(template.to_plotly_json())


def _encoded(part: Any, key: str = "") -> Any:
    """A copy with arrays, however deep, as what plotly.js reads at once; without properties that are None."""
    if key in _NEVER_TYPED:
        return part
    if isinstance(part, dict):
        return {name: _encoded(value, name) for name, value in part.items() if value is not None}
    if isinstance(part, list | tuple):
        return [_encoded(value) for value in part]
    return _typed(part) if isinstance(part, np.ndarray) else part


def _typed(values: NDArray[Any]) -> Any:
    """An array as typed base64; 64-bit integers, which plotly.js does not know, in the least type that holds
    them.
    """
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and values.size:
        sizes = (
            (np.int8, np.int16, np.int32) if values.dtype.kind == "i" else (np.uint8, np.uint16, np.uint32)
        )
        low, high = values.min(), values.max()
        fitting = [size for size in sizes if np.iinfo(size).min <= low and high <= np.iinfo(size).max]
        values = values.astype(fitting[0]) if fitting else values
    if values.dtype.str[1:] not in TYPED or not values.dtype.isnative or not values.size:
        return values
    spec = {"dtype": values.dtype.str[1:], "bdata": b64encode(values.tobytes()).decode("ascii")}
    return spec | ({"shape": str(values.shape)[1:-1]} if values.ndim > 1 else {})
