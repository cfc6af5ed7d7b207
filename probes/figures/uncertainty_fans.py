"""How wide the neurons' posteriors are and how much entropy they hold, per layer over steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.layer_bands import BANDS, QUANTILES, quantiles
from probes.figures.sketch import Sketch

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
) -> go.Figure:
    """Two rows, one column a layer: posterior sd, and entropy; median, middle half, middle 90 % of neurons;
    the prior dashed.

    `summary` is `Run.layer_summary()`, `layers` the layers' names, `shown` the indices to draw (default all).
    """
    shown = list(range(len(layers))) if shown is None else list(shown)
    figure = Sketch(
        2, max(len(shown), 1), shared_yaxes="rows", shared_xaxes="all", horizontal_spacing=0.02,
        vertical_spacing=0.06,
        titles=[style.text(layers[i]) for i in shown],
    )  # fmt: skip
    tables = uncertainty_quantiles(summary)
    line = {"color": style.AXIS, "width": 1.2, "dash": "dash"}
    for row, (quantity, title, prior, unit) in enumerate(ROWS, start=1):
        table = tables[quantity]
        for column, layer in enumerate(shown, start=1):
            part = table[table["layer"] == layer]
            _fan(figure, part, style.layer_color(layer), row, column, unit, axis)
        figure.add_hline(prior, line, row=row)
        figure.update_yaxes(title=title, row=row, col=1)
    # A line that is nowhere drawn: shapes have no entry in the legend.
    figure.add_trace(dict(type="scatter", x=[None], y=[None], mode="lines", line=line, name="prior"))
    figure.update_yaxes(rangemode="tozero", row=1)
    figure.update_xaxes(title=style.steps_title(axis), row=2)
    style.scale_steps(figure, axis)
    style.mark_step(figure, step, axis)
    alt = (
        f"Posterior standard deviation and entropy over steps for {len(shown)} layers: median and bands over"
        " neurons"
    )
    return figure.finish(440, alt)


def _fan(
    figure: Sketch, part: pd.DataFrame, color: str, row: int, column: int, unit: str, axis: style.StepAxis
) -> None:
    steps, legend = style.along(axis, part["step"]), row == 1 and column == 1
    values = {name: part[name].to_numpy(np.float32) for name in QUANTILES}
    for low, high, alpha, name in BANDS:
        taken = np.isfinite(values[low])  # an outline with a hole is none
        x, ends = steps[taken], [values[edge][taken] for edge in (low, high)]
        figure.add_trace(
            dict(
                type="scatter",
                x=np.concatenate([x, x[::-1]]), y=np.concatenate([ends[0], ends[1][::-1]]), fill="toself",
                mode="lines",
                line={"width": 0}, fillcolor=style.translucent(color, alpha), name=name, legendgroup=name,
                showlegend=legend,
                hoverinfo="skip",
            ),
            row, column,
        )  # fmt: skip
    figure.add_trace(
        dict(
            type="scatter",
            x=steps,
            y=values["p50"],
            name="median",
            legendgroup="median",
            showlegend=legend,
            mode="lines" if len(part) > 1 else "markers",
            line={"color": color, "width": 2},
            customdata=np.column_stack([values["p05"], values["p95"]]),
            hovertemplate=(
                f"median %{{y:.4g}}{unit} (90 %: %{{customdata[0]:.4g}} to"
                " %{customdata[1]:.4g})<extra></extra>"
            ),
        ),
        row,
        column,
    )
