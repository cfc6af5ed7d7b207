"""Layers with a full covariance: the KL of the whole layer, and what the dependence of its neurons costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

HEIGHT = 280  # pixels
LINES = (("layer_joint_kl", "joint KL", palette.KL), ("layer_coupling", "coupling", palette.VERMILLION))


def joint_kl(
    rows: pd.DataFrame, neurons: int, *, step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """Joint KL of one layer over steps, the sum of its neurons' own, and the coupling between the two.

    Parameters
    ----------
    rows : DataFrame
        `Run.layer_summary()` of the layer: step, layer_joint_kl, layer_coupling, kl_mean.
    neurons : int
        Of the layer.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.

    Returns
    -------
    go.Figure
        Three lines, nats; what the rows do not hold is left out.
    """
    figure = FigureBuilder()
    x = style.along(axis, rows["step"])
    for name, label, color in LINES:
        if name in rows:
            values = rows[name].to_numpy(float, na_value=np.nan)
            figure.line(x, values, label, color=color, width=2, hovertemplate=f"{label} %{{y:.4g}} nats")
    if "kl_mean" in rows:
        total = neurons * rows["kl_mean"].to_numpy(float, na_value=np.nan)
        figure.line(
            x, total, "sum of marginal KL", color=palette.SLATE, width=1.5, dash="dash",
            hovertemplate="sum of marginal KL %{y:.4g} nats",
        )  # fmt: skip
    figure.update_yaxes(title="nats", rangemode="tozero")
    figure.step_axis(axis, step)
    return figure.finish(HEIGHT, "Joint KL, coupling and the sum of marginal KL over steps")
