"""How many neurons of each layer are in each regime, over steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.sketch import Sketch
from probes.schema import REGIMES

STACK = (0, 9, 7, 6, 5, 8, 3, 2, 4, 1)
"""Codes from the bottom of the stack: living and mixed first, so that the living share reads from the axis.
"""


def regime_counts(
    summary: pd.DataFrame, layers: Sequence[str], *, step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """One panel a layer: shares of its neurons in each regime, stacked to 1. `summary` is
    `Run.layer_summary()`.

    Regimes that no neuron ever enters are left out.
    """
    names = {regime.code: regime for regime in REGIMES}
    present = [code for code in STACK if f"regime_{code}" in summary and summary[f"regime_{code}"].sum() > 0]
    rows, columns = style.grid(len(layers))
    figure = Sketch(
        rows, columns, panels=len(layers), shared_yaxes="all", shared_xaxes="all",
        titles=[style.text(name) for name in layers],
        horizontal_spacing=0.025, vertical_spacing=min(0.14, 0.5 / rows),
    )  # fmt: skip
    for layer in range(len(layers)):
        part = summary[summary["layer"] == layer]
        counts = {code: part[f"regime_{code}"].to_numpy(float) for code in present}
        total = np.maximum(np.sum(list(counts.values()), axis=0), 1)
        steps = style.along(axis, part["step"])
        for code, count in counts.items():
            regime = names[code]
            shared = {
                "x": steps, "y": (count / total).astype(np.float32), "name": regime.name,
                "legendgroup": regime.name, "showlegend": layer == 0,
                "customdata": count.round().astype(np.int64), "hovertemplate": "%{y:.1%} (%{customdata})",
            }  # fmt: skip
            if len(part) > 1:
                area = {
                    "line": {"width": 0.5, "color": regime.color},
                    "fillcolor": style.translucent(regime.color, 0.85),
                }
                trace = dict(type="scatter", stackgroup=f"layer{layer}", mode="lines", **area, **shared)
            else:
                trace = dict(type="bar", marker={"color": regime.color}, width=0.5, **shared)
            figure.add_trace(trace, layer // columns + 1, layer % columns + 1)
    figure.update_yaxes(title="share of neurons", col=1)
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    figure.update_xaxes(title=style.steps_title(axis), row=rows)
    style.scale_steps(figure, axis)
    style.mark_step(figure, step, axis)
    alt = f"Share of neurons in each regime over steps, one panel for each of {len(layers)} layers"
    return figure.finish(88 + 190 * rows, alt, barmode="stack")
