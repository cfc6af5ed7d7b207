"""How many neurons of each layer have settled in each regime, over steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.schema import REGIMES, UNKNOWN

STACK = (0, 9, 7, 6, 5, 8, 3, 2, 10, 4, 1, UNKNOWN)
"""Codes from the bottom of the stack: living and mixed first, so that the living share reads from the axis.
"""


def regime_counts(
    summary: pd.DataFrame, layers: Sequence[str], *, step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """Shares of each layer's neurons in each regime over steps, stacked to 1: one panel a layer.

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

    Returns
    -------
    go.Figure
        Areas; bars where there is one step. Regimes that no neuron ever enters are left out.
    """
    names = {regime.code: regime for regime in REGIMES}
    present = [code for code in STACK if summary.get(f"settled_{code}", pd.Series(0)).sum() > 0]
    figure = FigureBuilder.small_multiples(
        len(layers), titles=[style.text(name) for name in layers], shared_xaxes="all", shared_yaxes="all",
        shared_legend=True, horizontal_spacing=0.08,
    )  # fmt: skip
    for layer in range(len(layers)):
        part = summary[summary["layer"] == layer]
        counts = {code: part[f"settled_{code}"].to_numpy(float) for code in present}
        total = np.maximum(np.sum(list(counts.values()), axis=0), 1)
        x = style.along(axis, part["step"])
        for code, count in counts.items():
            regime = names[code]
            trace = {
                "x": x, "y": (count / total).astype(np.float32), "name": regime.name,
                "customdata": count.round().astype(np.int64), "hovertemplate": "%{y:.1%} (%{customdata})",
            }  # fmt: skip
            if len(part) > 1:
                trace |= {
                    "type": "scatter", "stackgroup": f"layer{layer}", "mode": "lines",
                    "line": {"width": 0.5, "color": regime.color},
                    "fillcolor": palette.translucent(regime.color, 0.85),
                }  # fmt: skip
            else:
                trace |= {"type": "bar", "marker": {"color": regime.color}, "width": 0.5}
            figure.add_trace(trace, *figure.cell(layer))
    figure.update_yaxes(title="share of neurons", col=1)
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    figure.step_axis(axis, step)
    alt = f"Share of neurons in each regime over steps, one panel for each of {len(layers)} layers"
    return figure.finish(88 + 190 * figure.rows, alt, barmode="stack")
