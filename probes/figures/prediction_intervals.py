"""Predicted numbers with their intervals beside what came, one column a probe input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.analysis.tails import mixture_df
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.figures.forecast_bands import ALPHAS, LEVELS, central_band
from probes.spacing import evenly_spaced

MOST = 160
"""Inputs drawn; of more those at evenly spaced ranks."""


def prediction_intervals(
    predictions: pd.DataFrame, *, other: pd.DataFrame | None = None, label: str = "twin", unit: str = "scaled"
) -> go.Figure:
    """Intervals of single numbers, sorted by their predicted mean.

    Parameters
    ----------
    predictions : DataFrame
        `Run.predictions()` of one step and horizon: input, y, mean, latent_variance, observation_variance.
    other : DataFrame, optional
        The same of a second run on the same inputs: its means are drawn in grey.
    label : str
        What the second run is called.
    unit : str
        Of the numbers.

    Returns
    -------
    go.Figure
        Shaded: central intervals of 50, 80 and 95 % of the Gaussian, or Student's t, with the mixture's mean
        and variance, a bar each. Crosses: what came outside of the widest.
    """
    table = predictions.sort_values("mean", kind="stable", ignore_index=True)
    table = table.iloc[evenly_spaced(len(table), MOST)].reset_index(drop=True)
    mean, y = (table[name].to_numpy(np.float64) for name in ("mean", "y"))
    variance = (table["latent_variance"].fillna(0) + table["observation_variance"]).to_numpy(np.float64)
    x, df = np.arange(len(table)), mixture_df(table)
    figure = FigureBuilder()
    for level, alpha in zip(LEVELS, ALPHAS, strict=True):
        low, high = central_band(mean, variance, level, df)
        figure.add_trace(
            {
                "type": "bar", "x": x, "y": (high - low).astype(np.float32), "base": low.tolist(),
                "width": 0.8, "name": f"{100 * level:.0f} % interval", "hoverinfo": "skip",
                "marker": {"color": palette.translucent(palette.PREDICTED, alpha), "line": {"width": 0}},
            }
        )  # fmt: skip
    details = np.column_stack([table["input"], np.sqrt(variance)]).astype(np.float32)
    hover = "input %{customdata[0]:.0f}: mean %{y:.3g}, sd %{customdata[1]:.3g}<extra></extra>"
    dots: dict[str, Any] = {"mode": "markers", "customdata": details}
    figure.scatter(
        x, mean, "mean", marker={"color": palette.PREDICTED, "size": 5}, hovertemplate=hover, **dots
    )
    if other is not None and len(other):
        beside = table[["input"]].merge(other[["input", "mean"]], on="input", how="left")["mean"]
        name = style.text(label)
        look = {"color": palette.TWIN, "size": 5, "symbol": "diamond"}
        figure.scatter(
            x, beside, f"{name}, mean", marker=look, hovertemplate=f"{name} %{{y:.3g}}<extra></extra>", **dots
        )
    low, high = central_band(mean, variance, LEVELS[0], df)
    outside = (y < low) | (y > high)
    came = {
        "color": palette.OBSERVED, "size": np.where(outside, 8, 5),
        "symbol": np.where(outside, "x", "circle").tolist(),
    }  # fmt: skip
    figure.scatter(
        x, y, "what came (cross: outside 95 %)", marker=came,
        hovertemplate="input %{customdata[0]:.0f}: came %{y:.3g}<extra></extra>", **dots,
    )  # fmt: skip
    figure.update_xaxes(title="probe inputs, by predicted mean", showticklabels=False, showgrid=False)
    figure.update_yaxes(title=f"target ({unit})")
    alt = f"Predicted mean and intervals of {len(table)} probe inputs with what came"
    return figure.finish(360, alt, barmode="overlay", hovermode="closest")
