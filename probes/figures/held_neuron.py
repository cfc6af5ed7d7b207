"""A neuron held at values at one position of a sequence: what is predicted, and how long it is felt."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

SHOWN = 6  # symbols or notes: those that the neuron moves most


def held_prediction(
    curves: pd.DataFrame, own: pd.Series, names: Mapping[int, str], t: int, name: str
) -> go.Figure:
    """The next position's distribution against the value that a neuron is held at.

    Parameters
    ----------
    curves : DataFrame
        One neuron at one position: value, output, mean, sd; of symbols and notes mean is a probability.
    own : Series
        mu and sigma: where the sequence itself puts the neuron.
    names : mapping of int to str
        Output -> symbol or note; empty for numbers.
    t : int
        The position.
    name : str
        The neuron's.

    Returns
    -------
    go.Figure
        The outputs that it moves most, or mean and sd of numbers; shaded the neuron's own place.
    """
    by = curves.groupby("output")["mean"]
    moved = (by.max() - by.min()).nlargest(SHOWN).index
    figure = FigureBuilder()
    for place, output in enumerate(moved):
        rows = curves[curves["output"] == output].sort_values("value")
        x, mean, sd = (rows[column].to_numpy(float) for column in ("value", "mean", "sd"))
        color = palette.OKABE_ITO[place % len(palette.OKABE_ITO)] if names else palette.PREDICTED
        label = style.text(names[int(output)]) if names else "predicted"
        if not names:
            shade = palette.translucent(color, style.OUTER_BAND)
            figure.band(x, mean - sd, mean + sd, "± sd", color=shade)
        figure.line(x, mean, label, color=color)
    figure.add_vrect(
        own["mu"] - own["sigma"], own["mu"] + own["sigma"], line={"width": 0}, fillcolor=style.GRID
    )
    figure.update_xaxes(title="value of the neuron (prior sd); shaded: where it is by itself")
    figure.update_yaxes(title="probability next" if names else "predicted next")
    return figure.finish(320, f"What is predicted after position {t} with neuron {name} held at values")


def held_change(felt: pd.DataFrame, labels: Mapping[int, str], t: int, name: str) -> go.Figure:
    """By how much predictions differ from those with nothing held, at the position and after it.

    Parameters
    ----------
    felt : DataFrame
        One neuron at one position: value, t, change (nats).
    labels : mapping of int to str
        Position -> what stands there.
    t : int
        The position.
    name : str
        The neuron's.

    Returns
    -------
    go.Figure
        A line a value.
    """
    figure = FigureBuilder()
    values = np.sort(felt["value"].unique())
    for place, value in enumerate(values):
        rows = felt[felt["value"] == value].sort_values("t")
        color = style.ordered_color(place, len(values))
        data = [style.text(labels.get(int(at), "")) for at in rows["t"]]
        figure.line(
            rows["t"], rows["change"], f"{value:+.1f} sd", color=color, width=1.5, customdata=data,
            hovertemplate="%{y:.3g} nats after “%{customdata}”",
        )  # fmt: skip
    figure.update_xaxes(title="t")
    figure.update_yaxes(title="change (nats)", rangemode="tozero")
    return figure.finish(320, f"How long a value of neuron {name}, held at position {t}, is felt")
