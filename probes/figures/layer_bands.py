"""How a statistic is distributed over each layer's neurons, over steps: quantile bands, never one line a
neuron.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.sketch import Sketch
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
) -> go.Figure:
    """One panel a layer, shared vertical axis: median, middle half and middle 90 % of the layer's neurons.

    `summary` is `Run.layer_summary()`, `layers` the layers' names, `shown` the indices to draw (default all),
    `step` the cursor. Raises KeyError for a statistic that is not in the registry.
    """
    entry = STATISTICS[statistic]
    table = quantiles(summary, statistic)
    shown = list(range(len(layers))) if shown is None else list(shown)
    rows, columns = style.grid(len(shown))
    figure = Sketch(
        rows, columns, panels=len(shown), shared_yaxes="all", shared_xaxes="all",
        titles=[style.text(layers[i]) for i in shown],
        horizontal_spacing=0.03, vertical_spacing=min(0.14, 0.5 / rows),
    )  # fmt: skip
    for place, layer in enumerate(shown):
        part = table[table["layer"] == layer]
        _band(
            figure,
            part,
            style.layer_color(layer),
            place // columns + 1,
            place % columns + 1,
            place == 0,
            entry.unit,
            axis,
        )
    figure.update_yaxes(title=entry.title, col=1)
    figure.update_xaxes(title=style.steps_title(axis), row=rows)
    if scale == "log" and not (table[list(QUANTILES)] <= 0).any(axis=None):
        figure.update_yaxes(type="log")
    style.scale_steps(figure, axis)
    style.mark_step(figure, step, axis)
    alt = (
        f"{entry.title} over steps, one panel a layer: median and quantile bands over neurons of {len(shown)}"
        " layers"
    )
    return figure.finish(88 + 190 * rows, alt)


def _band(
    figure: Sketch,
    part: pd.DataFrame,
    color: str,
    row: int,
    column: int,
    legend: bool,
    unit: str,
    axis: style.StepAxis,
) -> None:
    steps = style.along(axis, part["step"])
    values = {name: part[name].to_numpy(np.float32) for name in QUANTILES}
    for low, high, alpha, name in BANDS:
        edge = {
            "type": "scatter",
            "x": steps,
            "mode": "lines",
            "line": {"width": 0},
            "hoverinfo": "skip",
            "legendgroup": name,
        }
        figure.add_trace({**edge, "y": values[low], "showlegend": False}, row, column)
        fill = {
            "fill": "tonexty",
            "fillcolor": style.translucent(color, alpha),
            "name": name,
            "showlegend": legend,
        }
        figure.add_trace({**edge, **fill, "y": values[high]}, row, column)
    hover = (
        f"median %{{y:.4g}} {unit} (90 %: %{{customdata[0]:.4g}} to %{{customdata[1]:.4g}})<extra></extra>"
    )
    figure.add_trace(
        dict(
            type="scatter", x=steps, y=values["p50"], name="median", legendgroup="median", showlegend=legend,
            mode="lines" if len(part) > 1 else "markers", line={"color": color, "width": 2},
            customdata=np.column_stack([values["p05"], values["p95"]]),
            hovertemplate=hover,
        ),
        row, column,
    )  # fmt: skip
