"""Layers as a whole: what their rate is paid for, and how far their aggregates are from the prior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.schema import STATISTICS

PARTS = ("index_code_information", "total_correlation", "dimension_wise_kl")
DISTANCES = ("sliced_wasserstein", "mmd")
ROW, BESIDE_ROWS = 34, 104  # pixels: of a layer; of axis, legend and margins
BOUNDED = "/"
"""Pattern of what the inputs are too few to tell apart."""


def rate_split(rows: pd.DataFrame) -> go.Figure:
    """What each layer's rate is paid for: index-code information, total correlation, dimension-wise KL.

    Parameters
    ----------
    rows : DataFrame
        One row a layer, the first on top: name, PARTS in nats, each with its NAME_error, and at_ceiling,
        where index-code information is a lower bound and total correlation an upper one.

    Returns
    -------
    go.Figure
        Stacked bars; hatched what is a bound. Without a dimension-wise KL, the prior not being known, the bar
        ends where it would begin.
    """
    figure = FigureBuilder()
    bound = rows["at_ceiling"].to_numpy(bool)
    for name, color in palette.RATE_PARTS.items():
        values = rows[name].to_numpy(float)
        if not np.isfinite(values).any():
            continue
        hatched = bound & (name != "dimension_wise_kl")
        figure.add_trace(
            {
                "type": "bar", "orientation": "h", "y": _labels(rows["name"]), "x": np.maximum(values, 0),
                "name": _label(name),
                "marker": {
                    "color": palette.translucent(color, 0.75),
                    "line": {"color": color, "width": 1},
                    "pattern": {"shape": [BOUNDED if one else "" for one in hatched], "fgcolor": color,
                                "fillmode": "overlay", "size": 7, "solidity": 0.35},
                },
                "customdata": [
                    _told(value, error, sign)
                    for value, error, sign in zip(
                        values, rows[f"{name}_error"].to_numpy(float), _signs(name, bound), strict=True
                    )
                ],
                "hovertemplate": "%{fullData.name} %{customdata}<extra></extra>",
            }
        )  # fmt: skip
    figure.update_xaxes(title="nats an example", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True)
    said = "; ".join(_in_words(row) for _, row in rows.iterrows())
    return figure.finish(
        ROW * len(rows) + BESIDE_ROWS, f"Rate of each layer in parts, nats an example. {said}",
        barmode="stack", hovermode="closest", bargap=0.35,
    )  # fmt: skip


def aggregate_distances(rows: pd.DataFrame) -> go.Figure:
    """How far each layer's aggregate posterior is from the prior, beside what samples of the prior give.

    Parameters
    ----------
    rows : DataFrame
        One row a layer, the first on top: name, each of DISTANCES and its NAME_null_95.

    Returns
    -------
    go.Figure
        One panel a distance. Bar: up to the limit below which 95 % of sets of as many samples of the prior
        lie. Dot: the layer, full where it is beyond.
    """
    titles = [STATISTICS["sliced_wasserstein"].title, STATISTICS["mmd"].symbol]
    figure = FigureBuilder(1, len(DISTANCES), shared_yaxes="rows", horizontal_spacing=0.06)
    labels = _labels(rows["name"])
    for column, name in enumerate(DISTANCES, start=1):
        values, limits = (rows[one].to_numpy(float) for one in (name, f"{name}_null_95"))
        figure.add_trace(
            {
                "type": "bar", "orientation": "h", "y": labels, "x": limits, "showlegend": column == 1,
                "legendgroup": "null", "name": "95 % of sets of samples of the prior", "width": 0.5,
                "marker": {"color": palette.translucent(palette.PRIOR, 0.35)},
                "hovertemplate": "limit %{x:.3g}<extra></extra>",
            },
            1, column,
        )  # fmt: skip
        beyond = values > limits
        figure.add_trace(
            {
                "type": "scatter", "mode": "markers", "x": values, "y": labels, "showlegend": column == 1,
                "legendgroup": "value", "name": "aggregate posterior, full beyond it",
                "marker": {
                    "size": 10, "color": palette.SLATE, "line": {"width": 2},
                    "symbol": ["circle" if one else "circle-open" for one in beyond],
                },
                "hovertemplate": "%{y}: %{x:.4g}<extra></extra>",
            },
            1, column,
        )  # fmt: skip
        figure.update_xaxes(title=titles[column - 1], rangemode="tozero", col=column)
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True)
    said = "; ".join(
        f"{row['name']}: "
        + ", ".join(f"{STATISTICS[n].label} {row[n]:.3g}, limit {row[f'{n}_null_95']:.3g}" for n in DISTANCES)
        for _, row in rows.iterrows()
    )
    return figure.finish(
        ROW * len(rows) + BESIDE_ROWS, f"Aggregate posterior of each layer against the prior. {said}",
        hovermode="closest",
    )  # fmt: skip


def _label(name: str) -> str:
    label = STATISTICS[name].label
    return label[0].lower() + label[1:]


def _labels(names: pd.Series) -> list[str]:
    return [style.text(name) for name in names]


def _signs(name: str, bound: NDArray[np.bool_]) -> Sequence[str]:
    sign = {"index_code_information": "≥ ", "total_correlation": "≤ "}.get(name, "")
    return [sign if one else "" for one in bound]


def _told(value: float, error: float, sign: str) -> str:
    return f"{sign}{value:.3g} ± {error:.1g} nats"


def _in_words(row: pd.Series) -> str:
    parts = [f"{_label(name)} {row[name]:.3g}" for name in PARTS if np.isfinite(row[name])]
    return f"{row['name']}: {', '.join(parts)}"
