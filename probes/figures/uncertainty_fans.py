"""How wide the neurons' posteriors are and how much entropy they hold, per layer over steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.figures.layer_bands import BANDS, QUANTILES, quantiles

PRIOR_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)
"""Differential entropy of Normal(0, 1), nats."""
ROWS = (("sd", "posterior sd (prior sd)", 1.0, ""), ("entropy", "entropy (nats)", PRIOR_ENTROPY, " nats"))
"""Quantity, axis title, the prior's value, unit of the hover."""


def uncertainty_quantiles(summary: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Quantiles over neurons of sd sqrt(E σ²) and of its Gaussian's entropy ½ ln(2πe E σ²), nats a latent
    dimension.

    Each frame has step, layer, p05 .. p95. Both grow with E σ², so their quantiles are those of the variance,
    transformed. The
    entropy is that of the mean posterior: at least the average of the inputs' own (the logarithm is concave).
    """
    table = quantiles(summary, "variance")
    keys = {name: table[name].to_numpy() for name in ("step", "layer")}
    variance = {name: table[name].to_numpy(float) for name in QUANTILES}
    variance = {name: np.where(values > 0, values, np.nan) for name, values in variance.items()}
    sd = {name: np.sqrt(values) for name, values in variance.items()}
    entropy = {name: PRIOR_ENTROPY + 0.5 * np.log(values) for name, values in variance.items()}
    return {"sd": pd.DataFrame(keys | sd, table.index), "entropy": pd.DataFrame(keys | entropy, table.index)}


def uncertainty_fans(
    summary: pd.DataFrame,
    layers: Sequence[str],
    *,
    step: int | None = None,
    axis: style.StepAxis = "linear",
    shown: Sequence[int] | None = None,
    other: pd.DataFrame | None = None,
    label: str = "other run",
    other_axis: style.StepAxis | None = None,
) -> go.Figure:
    """Posterior sd and entropy over steps: two rows of panels, one column a layer.

    Parameters
    ----------
    summary : DataFrame
        `Run.layer_summary()`.
    layers : sequence of str
        The layers' names.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.
    shown : sequence of int, optional
        Indices of the layers to draw; by default all.
    other : DataFrame, optional
        The same of a second run: the medians of its layers of these places are drawn in grey.
    label : str
        What the second run is called.
    other_axis : {"linear", "log"} or Clock, optional
        Of the second run's steps; by default `axis`.

    Returns
    -------
    go.Figure
        Line: the median over neurons. Shaded: the middle half and the middle 90 %. Dashed: the prior.
    """
    shown = list(range(len(layers))) if shown is None else list(shown)
    figure = FigureBuilder(
        2, max(len(shown), 1), titles=[style.text(layers[i]) for i in shown],
        shared_xaxes="all", shared_yaxes="rows", shared_legend=True,
        horizontal_spacing=0.08, vertical_spacing=0.06,
    )  # fmt: skip
    tables = uncertainty_quantiles(summary)
    others = uncertainty_quantiles(other) if other is not None else {}
    line = {"color": style.AXIS, "width": 1.2, "dash": "dash"}
    for row, (quantity, title, prior, unit) in enumerate(ROWS, start=1):
        table = tables[quantity]
        for column, layer in enumerate(shown, start=1):
            part = table[table["layer"] == layer]
            _fan(figure, part, style.layer_color(layer, len(layers)), row, column, unit, axis)
            if others:
                beside = others[quantity]
                beside = beside[beside["layer"] == layer]
                name = f"{style.text(label)}, median"
                figure.line(
                    style.along(other_axis or axis, beside["step"]), beside["p50"].to_numpy(np.float32), name,
                    color=palette.TWIN, width=1.6, dash="dash", row=row, col=column,
                    hovertemplate=f"{name} %{{y:.4g}}{unit}<extra></extra>",
                )  # fmt: skip
        figure.add_hline(prior, line, row=row)
        figure.update_yaxes(title=title, row=row, col=1)
    # A line that is nowhere drawn: shapes have no entry in the legend.
    figure.add_trace(
        {"type": "scatter", "x": [None], "y": [None], "mode": "lines", "line": line, "name": "prior"}
    )
    figure.update_yaxes(rangemode="tozero", row=1)
    figure.step_axis(axis, step)
    alt = (
        f"Posterior standard deviation and entropy over steps for {len(shown)} layers: median and bands over"
        " neurons"
    )
    return figure.finish(440, alt)


def _fan(
    figure: FigureBuilder,
    part: pd.DataFrame,
    color: str,
    row: int,
    column: int,
    unit: str,
    axis: style.StepAxis,
) -> None:
    x = style.along(axis, part["step"])
    values = {name: part[name].to_numpy(np.float32) for name in QUANTILES}
    for low, high, alpha, name in BANDS:
        taken = np.isfinite(values[low])  # an outline with a hole is none
        ends = values[low][taken], values[high][taken]
        figure.scatter(
            np.r_[x[taken], x[taken][::-1]], np.r_[ends[0], ends[1][::-1]], name, mode="lines",
            line={"width": 0}, fill="toself", fillcolor=palette.translucent(color, alpha), hoverinfo="skip",
            row=row, col=column,
        )  # fmt: skip
    figure.line(
        x, values["p50"], "median", color=color, row=row, col=column,
        customdata=np.column_stack([values["p05"], values["p95"]]),
        hovertemplate=(
            f"median %{{y:.4g}}{unit} (90 %: %{{customdata[0]:.4g}} to %{{customdata[1]:.4g}})<extra></extra>"
        ),
    )  # fmt: skip
