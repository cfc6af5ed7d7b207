"""A signal along a sequence: as it came with its prediction, or continued several ways."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

BAND = 1.2815515655446004  # sds: the middle 80 % of a Gaussian


def signal_path(
    values: ArrayLike,
    *,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    continued: Mapping[str, ArrayLike] | None = None,
    t: int | None = None,
) -> go.Figure:
    """A signal at each position.

    Parameters
    ----------
    values : (T,) array
        As it came.
    mean, variance : (T,) array, optional
        What was predicted at each position for the next one.
    continued : mapping of str to (L,) array, optional
        Label -> values from position T on.
    t : int, optional
        The position that is looked at.

    Returns
    -------
    go.Figure
        Points carry t as their `customdata`. The band holds the middle 80 % of a Gaussian prediction, of
        continuations the middle 80 % of them.
    """
    came = np.asarray(values, float)
    along = np.arange(len(came))
    figure = FigureBuilder()
    if mean is not None and variance is not None:
        centre, sd = np.asarray(mean, float), np.sqrt(np.asarray(variance, float))
        shade = palette.translucent(palette.PREDICTED, style.OUTER_BAND)
        figure.band(along + 1, centre - BAND * sd, centre + BAND * sd, "predicted, 80 %", color=shade)
        figure.line(along + 1, centre, "predicted", color=palette.PREDICTED, width=1.25)
    ways = {} if continued is None else {label: np.asarray(way, float) for label, way in continued.items()}
    if ways:
        table = np.stack(list(ways.values()))
        later = len(came) + np.arange(table.shape[1])
        low, high = np.percentile(table, (10, 90), axis=0)
        shade = palette.translucent(palette.PREDICTED, style.OUTER_BAND)
        figure.band(later, low, high, "middle 80 %", color=shade)
        for place, (label, way) in enumerate(ways.items()):
            color = palette.OKABE_ITO[place % len(palette.OKABE_ITO)]
            figure.line(later, way, style.text(label), color=color, width=1, opacity=0.6, showlegend=False)
    figure.line(
        along, came, "came" if not ways else "given", color=palette.OBSERVED, width=1.25,
        mode="lines+markers", marker={"size": 4, "color": palette.OBSERVED}, customdata=along.tolist(),
    )  # fmt: skip
    if t is not None:
        figure.add_vline(t, style.CURSOR_LINE)
    figure.update_xaxes(title="t")
    figure.update_yaxes(title="value")
    words = f"Signal at {len(came)} positions" + (f", continued {len(ways)} ways" if ways else "")
    return figure.finish(300, words)
