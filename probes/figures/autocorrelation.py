"""How long neurons remember: autocorrelation of their means over consecutive positions of the data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes.experiments.estimates import NORMAL_95
from probes.figures import style
from probes.figures.sketch import Sketch


def autocorrelation(
    curves: Mapping[str, ArrayLike],
    *,
    length: int,
    phi: Mapping[str, float] | None = None,
    sizes: Mapping[str, float] | None = None,
) -> go.Figure:
    """Autocorrelation against lag, one line a neuron; shaded, where 95 % of a sequence without memory would
    lie.

    curves: label -> values from lag 0 on, as `probes.analysis.posteriors.autocorrelation` gives them; length:
    positions of the sequence; phi: label -> the prior's persistence a position, drawn dotted as phi^lag;
    sizes: label -> effective sample size.
    """
    figure = Sketch()
    for place, (label, values) in enumerate(curves.items()):
        color = style.OKABE_ITO[place % len(style.OKABE_ITO)]
        y = np.asarray(values, np.float32)
        lags = np.arange(len(y))
        size = f" (ESS {sizes[label]:.0f} of {length})" if sizes and label in sizes else ""
        name = style.text(label)
        figure.add_trace(
            dict(
                type="scatter",
                x=lags,
                y=y,
                name=name + size,
                mode="lines",
                line={"color": color, "width": 1.75},
            )
        )
        if phi and label in phi:
            line = {"color": color, "width": 1.25, "dash": "dot"}
            prior = np.power(float(phi[label]), lags).astype(np.float32)
            figure.add_trace(
                dict(type="scatter", x=lags, y=prior, name=f"{name}: prior", mode="lines", line=line)
            )
    half = NORMAL_95 / np.sqrt(length)
    figure.add_hrect(-half, half, line={"width": 0}, fillcolor=style.GRID)
    figure.update_xaxes(title="lag (t)")
    figure.update_yaxes(title="autocorrelation of the mean", range=[-1, 1.02])
    return figure.finish(320, f"Autocorrelation of the means of {len(curves)} neurons against the lag in t")
