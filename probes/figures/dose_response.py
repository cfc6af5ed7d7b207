"""Damaged inputs: scores and uncertainties against the dose, and how well each tells damaged from clean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.experiments.estimates import half_width
from probes.figures import style
from probes.figures.ablation import score_label
from probes.figures.builder import FigureBuilder
from probes.schema import STATISTICS

UNCERTAINTY_UNITS = {
    "internal KL": "nats",
    "latent variance": "target²",
    "output variance": "target²",
    "total variance": "target²",
}
KIND_LABELS = {
    "noise": "additive noise",
    "missing": "missing stretch",
    "level": "level shift",
    "scale": "scale change",
    "shuffle": "time shuffling",
}


DOSE = "dose (sd of the data)"


def dose_response(responses: pd.DataFrame, quantities: Sequence[str]) -> go.Figure:
    """Scores and uncertainties against the dose of damage: one panel a quantity in its own unit.

    Parameters
    ----------
    responses : DataFrame
        The experiment's table: columns kind, quantity, dose, mean, change, change_error and freedom (without
        it intervals are those of many blocks).
    quantities : sequence of str
        Which are drawn.

    Returns
    -------
    go.Figure
        One line a kind of damage. Bars: 95 % intervals of the change against the clean input, which is the
        same for all kinds.

    Raises
    ------
    ValueError
        For a quantity that was not measured.
    """
    figure = FigureBuilder.small_multiples(
        len(quantities), shared_xaxes="all", shared_legend=True, horizontal_spacing=0.08
    )
    kinds = list(dict.fromkeys(responses["kind"]))
    for panel, name in enumerate(quantities):
        row, col = figure.cell(panel)
        part = responses[responses["quantity"] == name]
        if part.empty:
            raise ValueError(
                f"{name!r} was not measured; there are {', '.join(responses['quantity'].unique())}"
            )
        for color, kind in zip(palette.OKABE_ITO, kinds, strict=False):
            curve = part[part["kind"] == kind].sort_values("dose")
            half = half_width(curve["change_error"], curve.get("freedom", np.inf)).astype(np.float32)
            figure.line(
                curve["dose"], curve["mean"], _kind_label(kind), color=color, width=1.75,
                mode="lines+markers", marker={"size": 4},
                error_y={"array": half, "thickness": 1, "width": 0},
                customdata=curve["change"].to_numpy(np.float32),
                hovertemplate="%{y:.4g} (%{customdata:+.3g})", row=row, col=col,
            )  # fmt: skip
        figure.update_yaxes(title=quantity_title(name), row=row, col=col)
    figure.update_xaxes(title=DOSE)
    alt = (
        f"{', '.join(quantities)} against the dose of {len(kinds)} kinds of damage, with 95 % intervals of"
        " the change"
    )
    return figure.finish(40 + 250 * figure.rows, alt)


def quantity_title(quantity: str) -> str:
    """A score or uncertainty with its unit, as axes show it."""
    unit = UNCERTAINTY_UNITS.get(quantity)
    return f"{quantity} ({unit})" if unit else score_label(quantity)


def _kind_label(kind: str) -> str:
    return KIND_LABELS.get(kind, style.text(kind))


def dose_detection(detection: pd.DataFrame, quantities: Sequence[str]) -> go.Figure:
    """How well each quantity tells damaged from clean inputs, against the dose: one panel a kind of damage.

    Parameters
    ----------
    detection : DataFrame
        The experiment's table: columns kind, quantity, dose, value, low, high.
    quantities : sequence of str
        Which are drawn.

    Returns
    -------
    go.Figure
        AUROC with 95 % intervals; 0.5 is chance, below it the quantity misleads.
    """
    kinds = list(dict.fromkeys(detection["kind"]))
    figure = _kind_panels(kinds)
    for panel, kind in enumerate(kinds):
        row, col = figure.cell(panel)
        for color, name in zip(palette.OKABE_ITO, quantities, strict=False):
            rows = detection[(detection["kind"] == kind) & (detection["quantity"] == name)].sort_values(
                "dose"
            )
            value = rows["value"].to_numpy(np.float32)
            bars = {
                "array": rows["high"].to_numpy(np.float32) - value,
                "arrayminus": value - rows["low"].to_numpy(np.float32),
                "symmetric": False, "thickness": 1, "width": 0,
            }  # fmt: skip
            figure.line(
                rows["dose"], value, style.text(name), color=color, width=1.75, mode="lines+markers",
                marker={"size": 4}, error_y=bars, row=row, col=col,
            )  # fmt: skip
    figure.add_hline(0.5, {"color": style.CURSOR, "width": 1, "dash": "dot"})
    figure.update_yaxes(range=[0, 1])
    figure.update_yaxes(title="AUROC, damaged against clean", col=1)
    alt = (
        f"AUROC of {', '.join(quantities)} for telling damaged inputs, against the dose of {len(kinds)} kinds"
        " of damage"
    )
    return figure.finish(300, alt)


def dose_neurons(neurons: pd.DataFrame, statistic: str, layers: Sequence[str]) -> go.Figure:
    """A statistic of each layer's neurons against the dose: one panel a kind of damage.

    Parameters
    ----------
    neurons : DataFrame
        The experiment's table: columns kind, dose, layer, neuron and the statistic.
    statistic : str
        A key of `schema.STATISTICS`.
    layers : sequence of str
        The layers' names.

    Returns
    -------
    go.Figure
        Line: the median over a layer's neurons. Shaded: the middle half.

    Raises
    ------
    KeyError
        For a statistic that is not in the registry.
    """
    entry = STATISTICS[statistic]
    kinds = list(dict.fromkeys(neurons["kind"]))
    figure = _kind_panels(kinds)
    for panel, kind in enumerate(kinds):
        row, col = figure.cell(panel)
        for layer, name in enumerate(layers):
            part = neurons[(neurons["kind"] == kind) & (neurons["layer"] == layer)]
            table = part.groupby("dose")[statistic].quantile([0.25, 0.5, 0.75]).unstack()
            color, x = style.layer_color(layer, len(layers)), table.index.to_numpy()
            figure.band(x, table[0.25], table[0.75], color=palette.translucent(color, 0.18), row=row, col=col)
            figure.line(x, table[0.5], style.text(name), color=color, row=row, col=col)
    figure.update_yaxes(title=entry.title, col=1)
    alt = f"{entry.title} of {len(layers)} layers against the dose: median and middle half of neurons"
    return figure.finish(300, alt)


def _kind_panels(kinds: Sequence[str]) -> FigureBuilder:
    """One panel a kind of damage, over the dose."""
    figure = FigureBuilder.small_multiples(
        len(kinds), columns=style.COLUMNS + 1, titles=[_kind_label(kind) for kind in kinds],
        shared_xaxes="all", shared_yaxes="all", shared_legend=True, horizontal_spacing=0.02,
    )  # fmt: skip
    figure.update_xaxes(title=DOSE)
    return figure
