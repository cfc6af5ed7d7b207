"""From traces and a layout that are written out to plotly's figure, and from the figure to what is sent to
the browser.

Plotly's check of every property takes most of the time of both, so it is left out here. In the tests it is
on: every figure that is built there is checked, and told in plotly's own way too.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

TYPED = {"i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"}
"""Types of arrays that plotly.js knows."""
_PLAIN = ("geojson", "layer", "layers", "range")
"""Properties that plotly never encodes."""


def build(data: Sequence[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
    """The figure of traces and a layout that are written out; changes made to it later are checked by plotly
    as usual.
    """
    figure = Figure(data=list(data), layout=layout, _validate=False)
    for part in (figure, figure.layout, *figure.data):
        part._validate = True
    return figure


class Figure(go.Figure):
    """Plotly's figure, told as dictionaries in a sixth of the time: its own way asks of every scalar whether
    it is an array.
    """

    def to_dict(self) -> dict[str, Any]:
        """As `go.Figure.to_dict`: what was set, arrays as typed base64. A figure of frames is told in
        plotly's own way.
        """
        if self.frames:
            return super().to_dict()
        return {"data": [_encoded(trace) for trace in self._data], "layout": _encoded(self._layout)}


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: deepcopy(inner) if key in _PLAIN else _encoded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(inner) for inner in value]
    return _typed(value) if isinstance(value, np.ndarray) else value


def _typed(values: NDArray[Any]) -> Any:
    """An array as plotly.js reads it at once; 64-bit integers, which it does not know, in the least type that
    holds them.
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
