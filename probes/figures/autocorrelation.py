"""How long neurons remember: autocorrelation of their means over consecutive positions of the data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.analysis.posteriors import LEAST_SIZE, too_short
from probes.experiments.estimates import NORMAL_95
from probes.figures import style
from probes.figures.builder import FigureBuilder


def autocorrelation(
    curves: Mapping[str, ArrayLike],
    *,
    length: int,
    phi: Mapping[str, float] | None = None,
    sizes: Mapping[str, float] | None = None,
) -> go.Figure:
    """Autocorrelation of neurons' means against the lag, one line a neuron.

    Parameters
    ----------
    curves : mapping of str to (L,) array
        Label -> values from lag 0 on, as `probes.analysis.posteriors.unbiased_autocorrelation`
        gives them.
    length : int
        Positions of the sequence.
    phi : mapping of str to float, optional
        Label -> the prior's persistence a position, drawn dotted as phi^lag.
    sizes : mapping of str to float, optional
        Label -> effective sample size, written in the legend.

    Returns
    -------
    go.Figure
        Shaded: where 95 % of the values of a sequence without memory would lie.
    """
    figure = FigureBuilder()
    for place, (label, values) in enumerate(curves.items()):
        color = palette.OKABE_ITO[place % len(palette.OKABE_ITO)]
        lags = np.arange(np.size(values))
        size = f" (ESS {_size(sizes[label])} of {length})" if sizes and label in sizes else ""
        name = style.text(label)
        figure.line(lags, values, name + size, color=color, width=1.75)
        if phi and label in phi:
            prior = np.power(float(phi[label]), lags)
            figure.line(lags, prior, f"{name}: prior", color=color, width=1.25, dash="dot")
    half = NORMAL_95 / np.sqrt(length)
    figure.add_hrect(-half, half, line={"width": 0}, fillcolor=style.GRID)
    figure.update_xaxes(title="lag (t)")
    figure.update_yaxes(title="autocorrelation of the mean", range=[-1, 1.02])
    return figure.finish(320, f"Autocorrelation of the means of {len(curves)} neurons against the lag in t")


def _size(value: float) -> str:
    """An effective sample size; below the least that a sequence can tell, that."""
    return f"< {LEAST_SIZE:.0f}" if too_short(value) else f"{value:.0f}"
