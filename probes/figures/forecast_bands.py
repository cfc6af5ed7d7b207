"""Single forecasts with their bands: probe inputs below each other, steps of the run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from probes.figures import style

LEVELS = (0.95, 0.8, 0.5)  # outermost first, so that inner bands lie on top
ALPHAS = (0.14, 0.2, 0.32)
COLOR, TRUTH, TWIN = style.OKABE_ITO[0], style.OKABE_ITO[5], style.OKABE_ITO[7]


def central_band(mean: np.ndarray, variance: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the central interval of Normal(mean, variance): what a mixture's first two moments say of it."""
    half = NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt(variance)
    return mean - half, mean + half


def forecast_bands(
    predictions: pd.DataFrame,
    inputs: Sequence[int],
    steps: Sequence[int],
    *,
    twin: pd.DataFrame | None = None,
    unit: str = "scaled",
) -> go.Figure:
    """One row a probe input, one column a step: mean, bands of 50, 80 and 95 %, and what came.

    `predictions` (and `twin`, drawn in grey: its mean and 95 % band) are `Run.predictions()` of one step or several: step,
    input, horizon, y, mean, latent_variance, observation_variance. The bands are those of the Gaussian with the mixture's mean
    and variance. A twin without the step is drawn at its nearest earlier one, else at its first.
    """
    figure = make_subplots(
        max(len(inputs), 1), max(len(steps), 1), shared_xaxes="all", shared_yaxes="rows", horizontal_spacing=0.012,
        vertical_spacing=0.035, column_titles=[f"step {step:,}" for step in steps],
    )  # fmt: skip
    legend: set[str] = set()
    for row, chosen in enumerate(inputs, start=1):
        for column, step in enumerate(steps, start=1):
            part = _forecast(predictions, chosen, step)
            if twin is not None and len(twin):
                recorded = np.unique(twin["step"].to_numpy())
                nearest = recorded[max(int(np.searchsorted(recorded, step, side="right")) - 1, 0)]
                _twin(figure, _forecast(twin, chosen, int(nearest)), row, column, legend)
            _model(figure, part, row, column, legend)
        figure.update_yaxes(title_text=f"input {chosen} ({unit})", row=row, col=1)
    figure.update_xaxes(title_text="t ahead", row=len(inputs))
    alt = f"Forecasts of {len(inputs)} probe inputs at {len(steps)} steps: mean, bands of 50, 80 and 95 percent, and the truth"
    return style.finish(figure, 96 + 148 * max(len(inputs), 1), alt)


def _forecast(predictions: pd.DataFrame, chosen: int, step: int) -> pd.DataFrame:
    part = predictions[(predictions["input"] == chosen) & (predictions["step"] == step)].sort_values("horizon")
    return part.assign(t=part["horizon"] + 1, variance=part["latent_variance"] + part["observation_variance"])


def _band(figure: go.Figure, part: pd.DataFrame, level: float, place: tuple[int, int], **style_: object) -> None:
    low, high = central_band(part["mean"].to_numpy(), part["variance"].to_numpy(), level)
    edge = {"x": part["t"].to_numpy(), "mode": "lines", "hoverinfo": "skip", "legendgroup": style_["name"]}
    line = style_.pop("line", {"width": 0})
    figure.add_trace(go.Scatter(y=low.astype(np.float32), line=line, showlegend=False, **edge), *place)
    figure.add_trace(go.Scatter(y=high.astype(np.float32), line=line, **edge, **style_), *place)


def _model(figure: go.Figure, part: pd.DataFrame, row: int, column: int, legend: set[str]) -> None:
    for level, alpha in zip(LEVELS, ALPHAS, strict=True):
        name = f"{level:.0%} band"
        fill = {"fill": "tonexty", "fillcolor": style.translucent(COLOR, alpha)}
        _band(figure, part, level, (row, column), name=name, showlegend=_first(legend, name), **fill)
    mode = "lines" if len(part) > 1 else "markers"
    sd = np.sqrt(part["variance"].to_numpy())
    hovers = ("mean %{y:.3g}, sd %{customdata:.3g}<extra></extra>", "came %{y:.3g}<extra></extra>")
    lines = (("mean", "mean", COLOR, 1.8), ("what came", "y", TRUTH, 1.4))
    for (name, values, color, width), hover in zip(lines, hovers, strict=True):
        figure.add_trace(
            go.Scatter(
                x=part["t"].to_numpy(), y=part[values].to_numpy(np.float32), mode=mode, name=name, legendgroup=name,
                showlegend=_first(legend, name), line={"color": color, "width": width}, customdata=sd.astype(np.float32),
                hovertemplate=hover,
            ),
            row, column,
        )  # fmt: skip


def _twin(figure: go.Figure, part: pd.DataFrame, row: int, column: int, legend: set[str]) -> None:
    line = {"color": TWIN, "width": 1, "dash": "dot"}
    _band(figure, part, LEVELS[0], (row, column), name="twin, 95 %", showlegend=_first(legend, "twin, 95 %"), line=line)
    name = "twin, mean"
    figure.add_trace(
        go.Scatter(
            x=part["t"].to_numpy(), y=part["mean"].to_numpy(np.float32), mode="lines", name=name, legendgroup=name,
            showlegend=_first(legend, name), line={"color": TWIN, "width": 1.6},
            hovertemplate="twin %{y:.3g}<extra></extra>",
        ),
        row, column,
    )  # fmt: skip


def _first(legend: set[str], name: str) -> bool:
    """Whether a name is new to the legend (it then is not)."""
    new = name not in legend
    legend.add(name)
    return new
