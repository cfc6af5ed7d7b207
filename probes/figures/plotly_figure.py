"""Plotly figures built and serialised without plotly's check of every property, which takes most of the time
of both. The tests check every figure that they build instead (tests/probes/checked_figures.py).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

TYPED = {"i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"}
"""Types of arrays that plotly.js knows."""
_NEVER_TYPED = ("geojson", "layer", "layers", "range")
"""Properties whose arrays plotly.js reads only as lists."""


class Figure(go.Figure):
    """Plotly's figure, serialised several times as fast: plotly asks of every scalar whether it is an
    array.
    """

    def to_dict(self) -> dict[str, Any]:
        """As `go.Figure.to_dict`: what was set, arrays as typed base64."""
        if self.frames:
            return super().to_dict()
        data = [trace.to_plotly_json() for trace in self.data]  # copies, which may be changed
        layout = self.layout.to_plotly_json()
        for part in (*data, layout):
            _encode(part)
        return {"data": data, "layout": layout}


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
    figure = _unchecked(list(data), layout)
    return Figure(data=list(data), layout=layout) if figure is None else figure


def _unchecked(data: list[dict[str, Any]], layout: dict[str, Any]) -> go.Figure | None:
    """A figure built without checks, which plotly allows itself but does not document; None where it no
    longer does, so that a newer plotly makes figures slower and not impossible.

    This is the only use of plotly's private interface.
    """
    try:
        figure = Figure(data=data, layout=layout, _validate=False)
    except (TypeError, ValueError):  # the argument is refused, or a trace, of which the check says why
        return None
    for part in (figure, figure.layout, *figure.data):
        part._validate = True
    return figure


def _encode(part: Any) -> None:
    """Replace arrays in a dictionary or list, however deep, by what plotly.js reads at once."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if isinstance(value, tuple):
            value = part[key] = list(value)
        if isinstance(value, np.ndarray):
            part[key] = _typed(value)
        elif isinstance(value, dict | list) and key not in _NEVER_TYPED:
            _encode(value)


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
