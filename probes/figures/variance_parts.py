"""Where the predictive variance comes from, over steps, and whether it is as large as the error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

LINES = (
    ("observation", "observation part", palette.VARIANCE_PARTS["observation"]),
    ("latent", "latent part", palette.VARIANCE_PARTS["latent"]),
    ("error", "squared error", palette.OBSERVED),
)


def variance_parts(
    parts: pd.DataFrame,
    *,
    twin: pd.DataFrame | None = None,
    step: int | None = None,
    axis: style.StepAxis = "linear",
    twin_axis: style.StepAxis | None = None,
    label: str = "twin",
) -> go.Figure:
    """Latent and observation part of the predictive variance and the squared error over steps.

    Parameters
    ----------
    parts : DataFrame
        Columns step, latent, observation (means over the probe batch, target²), error (mean squared error of
        the mean) and error_half_width (of its 95 % interval).
    twin : DataFrame, optional
        The same of the deterministic twin; its observation part and error are drawn in grey.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.
    twin_axis : {"linear", "log"} or Clock, optional
        Of the twin's steps; by default `axis`.
    label : str
        What the twin, or another second run, is called.

    Returns
    -------
    go.Figure
        On a log scale; whiskers are 95 % intervals. Error above the sum of the parts: overconfident.
    """
    figure = FigureBuilder()
    steps = style.along(axis, parts["step"])
    for column, part, color in LINES:
        values = parts[column].to_numpy(np.float32)
        whisker: dict[str, Any] = {}
        if column == "error":
            spread = parts["error_half_width"].to_numpy(np.float32)
            low = np.minimum(spread, 0.95 * values)  # a log axis has no place for the other side of zero
            ends = {"type": "data", "symmetric": False, "array": spread, "arrayminus": low}
            whisker = {"error_y": {**ends, "width": 0, "thickness": 1}}
        figure.line(
            steps, np.where(values > 0, values, np.nan), part, color=color, width=1.8,
            mode="lines+markers", marker={"size": 5}, hovertemplate=f"{part} %{{y:.3g}}<extra></extra>",
            **whisker,
        )  # fmt: skip
    if twin is not None and len(twin):
        x = style.along(twin_axis or axis, twin["step"])
        for column, dash in (("observation", "solid"), ("error", "dash")):
            name = f"{style.text(label)}, {column}"
            hover = f"{name} %{{y:.3g}}<extra></extra>"
            look: dict[str, Any] = {"color": palette.TWIN, "width": 1.4, "dash": dash, "mode": "lines"}
            figure.line(x, twin[column], name, hovertemplate=hover, **look)
    figure.update_yaxes(title="mean over forecasts (target²)", type="log", dtick=1)
    figure.step_axis(axis, step)
    height = 280 if twin is None else 340  # the legend of five lines stands above each other in a narrow card
    return figure.finish(
        height, "Latent and observation part of the predictive variance and squared error over steps"
    )
