"""Where in depth: how statistics are distributed over neurons, layer beside layer, at one step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.diagnostics import living_share_of_counts
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.figures.layer_bands import quantiles
from probes.schema import LIVING_REGIMES, STATISTICS, UNKNOWN

TICKS = 8  # layers with a number under them
# deeper networks, or longer names in all, have their layers numbered instead: names would overlap
NAMED, LETTERS = 4, 18


def depth_profile(
    summary: pd.DataFrame,
    statistics: Sequence[str],
    layers: Sequence[str],
    step: int,
    *,
    living: bool = True,
    gaussian: bool = True,
    other: pd.DataFrame | None = None,
    label: str = "other run",
) -> go.Figure:
    """Statistics over the neurons of each layer at one step, layer beside layer: one panel a statistic.

    Parameters
    ----------
    summary : DataFrame
        `Run.layer_summary()`.
    statistics : sequence of str
        Keys of `schema.STATISTICS`.
    layers : sequence of str
        The layers' names.
    step : int
        A recorded step.
    living : bool
        Whether a last panel has the living share; the summary then has counts of regimes.
    gaussian : bool
        Whether the layers' neurons are Gaussians; the unit of others is their own.
    other : DataFrame, optional
        Rows of a second run's summary, of one step: its medians and living shares are drawn in grey.
    label : str
        What the second run is called.

    Returns
    -------
    go.Figure
        Per layer the median (dot), middle half (thick) and middle 90 % (thin).

    Raises
    ------
    KeyError
        For a statistic that is not in the registry.
    """
    now = summary[summary["step"] == step]
    panels = len(statistics) + living
    figure = FigureBuilder(1, panels, horizontal_spacing=0.1 if panels < 5 else 0.09)
    colors = [style.layer_color(i, len(layers)) for i in range(len(layers))]
    for column, name in enumerate(statistics, start=1):
        part = quantiles(now, name).set_index("layer").reindex(range(len(layers)))
        _panel(figure, part, colors, column)
        if other is not None:
            beside = quantiles(other, name).set_index("layer").reindex(range(len(layers)))["p50"]
            _beside(figure, beside.to_numpy(float), label, column)
        figure.update_yaxes(title=STATISTICS[name].of_family(gaussian).title, rangemode="tozero", col=column)
    if living:
        figure.add_trace(
            dict(
                type="bar", x=np.arange(len(layers)), y=_living(now, len(layers)), marker={"color": colors},
                hovertemplate="%{y:.0%} living<extra></extra>",
            ),
            1, panels,
        )  # fmt: skip
        if other is not None:
            _beside(figure, _living(other, len(layers)), label, panels)
        figure.update_yaxes(title="living share", range=[0, 1], tickformat=".0%", col=panels)
    told = any(name != f"layer {place}" for place, name in enumerate(layers, start=1))
    named = told and len(layers) <= NAMED and sum(map(len, layers)) <= LETTERS
    shown = list(range(0, len(layers), 1 if named else -(-len(layers) // TICKS)))
    names = [style.text(layers[i]) if named else str(i + 1) for i in shown]
    figure.update_xaxes(title="layer", tickvals=shown, ticktext=names, tickangle=0, showgrid=False)
    figure.update_xaxes(range=[-0.6, len(layers) - 0.4])
    shown_names = [STATISTICS[name].label for name in statistics] + ["living share"] * living
    alt = f"{', '.join(shown_names)} per layer at step {step}"
    return figure.finish(262, alt, hovermode="closest", margin={"t": 12}, showlegend=False)


def _panel(figure: FigureBuilder, part: pd.DataFrame, colors: Sequence[str], column: int) -> None:
    for layer, color in enumerate(colors):
        row = part.loc[layer]
        for low, high, width in (("p05", "p95", 2), ("p25", "p75", 8 if len(colors) <= TICKS else 4)):
            ends = np.array([row[low], row[high]], np.float32)
            figure.line([layer, layer], ends, color=color, width=width, opacity=0.55, col=column)
    figure.scatter(
        np.arange(len(colors)), part["p50"],
        "median", mode="lines+markers", col=column, cliponaxis=False,
        line={"color": style.AXIS, "width": 1, "dash": "dot"},
        marker={
            "color": list(colors),
            "size": 9 if len(colors) <= TICKS else 6,
            "line": {"width": 1, "color": "white"},
        },
        customdata=part[["p05", "p95"]].to_numpy(np.float32),
        hovertemplate=(
            "median %{y:.4g}<br>90 % between %{customdata[0]:.4g} and %{customdata[1]:.4g}<extra></extra>"
        ),
    )  # fmt: skip


def _beside(figure: FigureBuilder, values: np.ndarray, label: str, column: int) -> None:
    """The second run's value of each layer."""
    name = style.text(label)
    look = {"color": palette.TWIN, "size": 9, "symbol": "diamond-open", "line": {"width": 2}}
    figure.scatter(
        np.arange(len(values)), values, name, mode="markers", marker=look, col=column, cliponaxis=False,
        hovertemplate=f"{name}: %{{y:.4g}}<extra></extra>",
    )  # fmt: skip


def _living(now: pd.DataFrame, layers: int) -> np.ndarray:
    counts = now.set_index("layer").filter(regex=r"^settled_\d+$").reindex(range(layers))
    living = counts[[f"settled_{code}" for code in LIVING_REGIMES]].sum(axis=1)
    unknown = counts.get(f"settled_{UNKNOWN}", pd.Series(0.0, counts.index)).fillna(0)
    return living_share_of_counts(living, unknown, counts.sum(axis=1)).astype(np.float32)
