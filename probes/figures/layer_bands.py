"""How a statistic is distributed over each layer's neurons, over steps: quantile bands, never one line a
neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.schema import STATISTICS, evaluate

QUANTILES = ("p05", "p25", "p50", "p75", "p95")
BANDS = (("p05", "p95", style.OUTER_BAND, "middle 90 %"), ("p25", "p75", style.INNER_BAND, "middle half"))
"""Ends, opacity and name of the bands over neurons, the wide one first."""


def quantiles(summary: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """Columns step, layer, mean, p05 .. p95 of a statistic from `Run.layer_summary()`; empty if it was not
    recorded.

    Those of a derived statistic are taken from `analysis.layer_quantiles.summary_with_derived`, or follow
    from what the summary holds (`schema.evaluate`; NaN where they do not).
    """
    try:
        found = {kind: evaluate(statistic, summary, kind) for kind in ("mean", *QUANTILES)}
    except KeyError:
        return pd.DataFrame(columns=["step", "layer", "mean", *QUANTILES])
    return pd.DataFrame(
        {"step": summary["step"].to_numpy(), "layer": summary["layer"].to_numpy(), **found}, summary.index
    )


def layer_bands(
    summary: pd.DataFrame,
    statistic: str,
    layers: Sequence[str],
    *,
    step: int | None = None,
    axis: style.StepAxis = "linear",
    scale: str = "linear",
    shown: Sequence[int] | None = None,
    other: pd.DataFrame | None = None,
    label: str = "other run",
    other_axis: style.StepAxis | None = None,
    prior: str | None = None,
    gaussian: bool = True,
) -> go.Figure:
    """How a statistic is distributed over each layer's neurons, over steps: one panel a layer.

    Parameters
    ----------
    summary : DataFrame
        `Run.layer_summary()`.
    statistic : str
        A key of `schema.STATISTICS`.
    layers : sequence of str
        The layers' names.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.
    scale : {"linear", "log"}
        Of the values; "log" holds only where all of them are positive.
    shown : sequence of int, optional
        Indices of the layers to draw; by default all.
    other : DataFrame, optional
        The same of a second run: the medians of its layers of these places are drawn in grey.
    label : str
        What the second run is called.
    other_axis : {"linear", "log"} or Clock, optional
        Of the second run's steps; by default `axis`.
    prior : str, optional
        The statistic that is the prior's own, whose median is drawn dashed where it was recorded.
    gaussian : bool
        Whether the layers' neurons are Gaussians; the unit of others is their own.

    Returns
    -------
    go.Figure
        Line: the median over neurons. Shaded: the middle half and the middle 90 %.

    Raises
    ------
    KeyError
        For a statistic that is not in the registry.
    """
    entry = STATISTICS[statistic].of_family(gaussian)
    table = quantiles(summary, statistic)
    shown = list(range(len(layers))) if shown is None else list(shown)
    figure = FigureBuilder.small_multiples(
        len(shown), titles=[style.text(layers[i]) for i in shown], shared_xaxes="all", shared_yaxes="all",
        shared_legend=True, horizontal_spacing=0.08,
    )  # fmt: skip
    for panel, layer in enumerate(shown):
        part, color = table[table["layer"] == layer], style.layer_color(layer, len(layers))
        if entry.cost == "P":  # null between the steps of the probe batch: no gap
            part = part.dropna(subset="p50")
        _bands(figure, panel, style.along(axis, part["step"]), part, color, entry.unit)
        if prior is not None:
            own = quantiles(summary[summary["layer"] == layer], prior).dropna(subset="p50")
            row, col = figure.cell(panel)
            figure.line(
                style.along(axis, own["step"]), own["p50"], "prior", color=style.AXIS, width=1.2, dash="dash",
                row=row, col=col, hoverinfo="skip",
            )  # fmt: skip
        if other is not None:
            beside = quantiles(other[other["layer"] == layer], statistic).dropna(subset="p50")
            row, col = figure.cell(panel)
            name = f"{style.text(label)}, median"
            figure.line(
                style.along(other_axis or axis, beside["step"]), beside["p50"], name, color=palette.TWIN,
                width=1.6, dash="dash", row=row, col=col,
                hovertemplate=f"{name} %{{y:.4g}} {entry.unit}<extra></extra>",
            )  # fmt: skip
    figure.update_yaxes(title=entry.title, col=1)
    if scale == "log" and not (table[list(QUANTILES)] <= 0).any(axis=None):
        figure.update_yaxes(type="log")
    figure.step_axis(axis, step)
    alt = (
        f"{entry.title} over steps, one panel a layer: median and quantile bands over neurons of {len(shown)}"
        " layers"
    )
    return figure.finish(88 + 190 * figure.rows, alt)


def _bands(
    figure: FigureBuilder, panel: int, x: NDArray[Any], part: pd.DataFrame, color: str, unit: str
) -> None:
    row, col = figure.cell(panel)
    values = {name: part[name].to_numpy(np.float32) for name in QUANTILES}
    for low, high, alpha, name in BANDS:
        shade = palette.translucent(color, alpha)
        figure.band(x, values[low], values[high], name, color=shade, row=row, col=col)
    figure.line(
        x, values["p50"], "median", color=color, row=row, col=col,
        customdata=np.column_stack([values["p05"], values["p95"]]),
        hovertemplate=f"median %{{y:.4g}} {unit} (90 %: %{{customdata[0]:.4g}} to %{{customdata[1]:.4g}})"
        "<extra></extra>",
    )  # fmt: skip
