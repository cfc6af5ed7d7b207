"""Where the predictive variance comes from, over steps, and whether it is as large as the error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.experiments.estimates import NORMAL_95
from probes.figures import style
from probes.figures.sketch import Sketch

LINES = (
    ("observation", "observation part", style.OKABE_ITO[0]),
    ("latent", "latent part", style.OKABE_ITO[1]),
    ("error", "squared error", style.OKABE_ITO[5]),
)


def variance_parts(
    parts: pd.DataFrame,
    *,
    twin: pd.DataFrame | None = None,
    step: int | None = None,
    axis: style.StepAxis = "linear",
    twin_axis: style.StepAxis | None = None,
) -> go.Figure:
    """Latent and observation part of the variance and the squared error, on a log scale.

    `parts`: step, latent, observation (means over the probe batch, target²), error (mean squared error of the
    mean) and error_error (its standard error over inputs; the whisker is 95 %). Error above the sum of the
    parts: overconfident.
    `twin`: the same of a deterministic twin, its observation part and error in grey, along `twin_axis`
    (default: along `axis`).
    """
    figure = Sketch()
    steps = style.along(axis, parts["step"])
    mode = "lines+markers"
    for column, label, color in LINES:
        values = parts[column].to_numpy(np.float32)
        whisker = {}
        if column == "error":
            spread = (NORMAL_95 * parts["error_error"]).to_numpy(np.float32)
            low = np.minimum(spread, 0.95 * values)  # a log axis has no place for the other side of zero
            ends = {"type": "data", "symmetric": False, "array": spread, "arrayminus": low}
            whisker = {"error_y": {**ends, "width": 0, "thickness": 1}}
        figure.add_trace(
            dict(
                type="scatter", x=steps, y=np.where(values > 0, values, np.nan), name=label, mode=mode,
                marker={"size": 5},
                line={"color": color, "width": 1.8}, hovertemplate=f"{label} %{{y:.3g}}<extra></extra>",
                **whisker,
            )
        )  # fmt: skip
    for column, label, dash in (
        ("observation", "twin, observation", "solid"),
        ("error", "twin, error", "dash"),
    ):
        if twin is not None and len(twin):
            line = {"color": style.OKABE_ITO[7], "width": 1.4, "dash": dash}
            at, values = style.along(twin_axis or axis, twin["step"]), twin[column].to_numpy(np.float32)
            hover = f"{label} %{{y:.3g}}<extra></extra>"
            figure.add_trace(
                dict(type="scatter", x=at, y=values, name=label, mode="lines", line=line, hovertemplate=hover)
            )
    figure.update_yaxes(title="mean over forecasts (target²)", type="log", dtick=1)
    figure.update_xaxes(title=style.steps_title(axis))
    style.scale_steps(figure, axis)
    style.mark_step(figure, step, axis)
    return figure.finish(
        280, "Latent and observation part of the predictive variance and squared error over steps"
    )
