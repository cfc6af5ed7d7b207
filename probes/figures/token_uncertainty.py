"""How unsure the neurons of each layer are along a sequence, and what their draws tell of the next symbol."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder


def token_uncertainty(
    variances: Mapping[str, ArrayLike],
    information: ArrayLike | None = None,
    *,
    t: int | None = None,
    what: str = "variance",
) -> go.Figure:
    """Mean variance of a layer's neurons at each position, and below it the information of a draw.

    Parameters
    ----------
    variances : mapping of str to (T,) array
        Layer -> mean over its neurons of the variance given the input, or of what is named.
    information : (T,) array, optional
        Mutual information between the draw and the next symbol, nats.
    t : int, optional
        The position that is looked at.
    what : str
        What the values of the layers are.

    Returns
    -------
    go.Figure
        Points carry t as their `customdata`.
    """
    rows = 1 if information is None else 2
    figure = FigureBuilder(rows, 1, shared_xaxes="all", vertical_spacing=0.12)
    length = 0
    for place, (name, values) in enumerate(variances.items()):
        variance = np.asarray(values, float)
        length = len(variance)
        figure.line(
            np.arange(length), variance, style.text(name), color=style.layer_color(place, len(variances)),
            width=1.25, customdata=list(range(length)),
        )  # fmt: skip
    figure.update_yaxes(title=what, row=1, rangemode="tozero")
    if information is not None:
        figure.line(
            np.arange(length), information, "draw and next symbol", color=palette.CURVES[0], width=1.25,
            row=2, customdata=list(range(length)),
        )  # fmt: skip
        figure.update_yaxes(title="nats", row=2, rangemode="tozero")
    if t is not None:
        figure.add_vline(t, style.CURSOR_LINE)
    figure.update_xaxes(range=[-0.5, max(length - 0.5, 0.5)])
    figure.update_xaxes(title="t", row=rows)
    words = f"Mean {what} of the neurons of {len(variances)} layers at {length} positions"
    more = "" if information is None else ", and mutual information between draw and next symbol"
    return figure.finish(200 + 110 * (rows - 1), words + more)
