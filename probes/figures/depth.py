"""Where in depth: a statistic's distribution over neurons, layer beside layer, at one step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.layer_bands import quantiles
from probes.schema import STATISTICS


def depth_profile(summary: pd.DataFrame, statistic: str, layers: Sequence[str], step: int) -> go.Figure:
    """Median (dot), middle half (thick) and middle 90 % (thin) of a statistic per layer at `step`.

    `summary` is `Run.layer_summary()`. Raises KeyError for a statistic that is not in the registry.
    """
    entry = STATISTICS[statistic]
    table = quantiles(summary, statistic)
    part = table[table["step"] == step].set_index("layer").reindex(range(len(layers)))
    figure = go.Figure()
    x = np.arange(len(layers))
    for layer in x:
        row = part.loc[layer]
        for low, high, width in (("p05", "p95", 2), ("p25", "p75", 8)):
            figure.add_trace(
                go.Scatter(
                    x=[layer, layer], y=np.array([row[low], row[high]], np.float32), mode="lines", hoverinfo="skip", showlegend=False,
                    line={"color": style.layer_color(int(layer)), "width": width}, opacity=0.55,
                )
            )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=x, y=part["p50"].to_numpy(np.float32), mode="lines+markers", showlegend=False,
            line={"color": style.AXIS, "width": 1, "dash": "dot"},
            marker={"color": [style.layer_color(i) for i in range(len(layers))], "size": 9, "line": {"width": 1, "color": "white"}},
            customdata=part[["p05", "p95"]].to_numpy(np.float32),
            hovertemplate="median %{y:.4g}<br>90 % between %{customdata[0]:.4g} and %{customdata[1]:.4g}<extra></extra>",
        )
    )  # fmt: skip
    names = [style.text(name) for name in layers]
    figure.update_xaxes(title_text="layer", tickvals=x, ticktext=names, range=[-0.6, len(layers) - 0.4], showgrid=False)
    figure.update_yaxes(title_text=entry.title, rangemode="tozero")
    alt = f"{entry.title} per layer at step {step}: median, middle half and middle 90 % of the neurons"
    return style.finish(figure, 260, alt).update_layout(hovermode="closest", margin_t=16)
