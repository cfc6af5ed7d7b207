"""Damaged inputs: scores and uncertainties against the dose, and how well each tells damaged from clean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from probes.experiments.estimates import NORMAL_95
from probes.figures import style
from probes.figures.ablation import score_label
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


def _panels(kinds: Sequence[str]) -> tuple[go.Figure, int]:
    rows, columns = style.grid(len(kinds), style.COLUMNS + 1)
    titles = [KIND_LABELS.get(kind, style.text(kind)) for kind in kinds]
    shared = {
        "shared_yaxes": "all",
        "shared_xaxes": "all",
        "horizontal_spacing": 0.02,
        "vertical_spacing": 0.14,
    }
    return make_subplots(rows, columns, subplot_titles=titles, **shared), columns


def _finish(figure: go.Figure, title: str, alt: str) -> go.Figure:
    figure.update_xaxes(title_text="dose (sd of the data)")
    figure.update_yaxes(title_text=title, col=1)
    return style.finish(figure, 300, alt)


def dose_response(responses: pd.DataFrame, quantities: Sequence[str]) -> go.Figure:
    """Scores and uncertainties against the dose, one panel a quantity in its own unit, one line a kind of
    damage.

    responses: the experiment's table. Bars: 95 % intervals of the change against the clean input, which is
    the same for all kinds. Raises ValueError for a quantity that was not measured.
    """
    rows, columns = style.grid(len(quantities))
    figure = make_subplots(rows, columns, shared_xaxes="all", horizontal_spacing=0.08, vertical_spacing=0.14)
    kinds = list(dict.fromkeys(responses["kind"]))
    for place, name in enumerate(quantities):
        part = responses[responses["quantity"] == name]
        if part.empty:
            raise ValueError(
                f"{name!r} was not measured; there are {', '.join(responses['quantity'].unique())}"
            )
        for color, kind in zip(style.OKABE_ITO, kinds, strict=False):
            curve = part[part["kind"] == kind].sort_values("dose")
            half = NORMAL_95 * curve["change_error"].to_numpy(np.float32)
            trace = go.Scatter(
                x=curve["dose"].to_numpy(), y=curve["mean"].to_numpy(np.float32),
                name=KIND_LABELS.get(kind, style.text(kind)),
                legendgroup=kind, showlegend=place == 0, mode="lines+markers",
                line={"color": color, "width": 1.75},
                marker={"size": 4}, error_y={"array": half, "thickness": 1, "width": 0},
                customdata=curve["change"].to_numpy(np.float32),
                hovertemplate="%{y:.4g} (%{customdata:+.3g})",
            )  # fmt: skip
            figure.add_trace(trace, place // columns + 1, place % columns + 1)
        figure.update_yaxes(
            title_text=quantity_title(name), row=place // columns + 1, col=place % columns + 1
        )
    figure.update_xaxes(title_text="dose (sd of the data)")
    alt = (
        f"{', '.join(quantities)} against the dose of {len(kinds)} kinds of damage, with 95 % intervals of"
        " the change"
    )
    return style.finish(figure, 40 + 250 * rows, alt)


def quantity_title(quantity: str) -> str:
    """A score or uncertainty with its unit, as axes show it."""
    unit = UNCERTAINTY_UNITS.get(quantity)
    return f"{quantity} ({unit})" if unit else score_label(quantity)


def dose_detection(detection: pd.DataFrame, quantities: Sequence[str]) -> go.Figure:
    """AUROC for telling damaged from clean inputs against the dose, with 95 % intervals; 0.5 is chance, below
    it misleads.
    """
    kinds = list(dict.fromkeys(detection["kind"]))
    figure, columns = _panels(kinds)
    for place, kind in enumerate(kinds):
        for color, name in zip(style.OKABE_ITO, quantities, strict=False):
            rows = detection[(detection["kind"] == kind) & (detection["quantity"] == name)].sort_values(
                "dose"
            )
            value = rows["value"].to_numpy(np.float32)
            bars = {
                "array": rows["high"].to_numpy(np.float32) - value,
                "arrayminus": value - rows["low"].to_numpy(np.float32),
                "symmetric": False, "thickness": 1, "width": 0,
            }  # fmt: skip
            trace = go.Scatter(
                x=rows["dose"].to_numpy(), y=value, name=style.text(name), legendgroup=name,
                showlegend=place == 0,
                mode="lines+markers", line={"color": color, "width": 1.75}, marker={"size": 4}, error_y=bars,
            )  # fmt: skip
            figure.add_trace(trace, place // columns + 1, place % columns + 1)
    figure.add_hline(y=0.5, line={"color": style.CURSOR, "width": 1, "dash": "dot"})
    figure.update_yaxes(range=[0, 1])
    alt = (
        f"AUROC of {', '.join(quantities)} for telling damaged inputs, against the dose of {len(kinds)} kinds"
        " of damage"
    )
    return _finish(figure, "AUROC, damaged against clean", alt)


def dose_neurons(neurons: pd.DataFrame, statistic: str, layers: Sequence[str]) -> go.Figure:
    """A statistic's median over each layer's neurons, and the middle half, against the dose; one panel a kind
    of damage.

    Raises KeyError for a statistic that is not in the registry.
    """
    entry = STATISTICS[statistic]
    kinds = list(dict.fromkeys(neurons["kind"]))
    figure, columns = _panels(kinds)
    for place, kind in enumerate(kinds):
        row, column = place // columns + 1, place % columns + 1
        for layer, name in enumerate(layers):
            part = neurons[(neurons["kind"] == kind) & (neurons["layer"] == layer)]
            table = part.groupby("dose")[statistic].quantile([0.25, 0.5, 0.75]).unstack()
            color, x = style.layer_color(layer), table.index.to_numpy()
            edge = {"x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
            figure.add_trace(go.Scatter(y=table[0.25].to_numpy(np.float32), **edge), row, column)
            fill = {"fill": "tonexty", "fillcolor": style.translucent(color, 0.18)}
            figure.add_trace(go.Scatter(y=table[0.75].to_numpy(np.float32), **edge, **fill), row, column)
            median = go.Scatter(
                x=x, y=table[0.5].to_numpy(np.float32), name=style.text(name), legendgroup=str(layer),
                showlegend=place == 0,
                mode="lines", line={"color": color, "width": 2},
            )  # fmt: skip
            figure.add_trace(median, row, column)
    alt = f"{entry.title} of {len(layers)} layers against the dose: median and middle half of neurons"
    return _finish(figure, entry.title, alt)
