"""Single forecasts with their bands: probe inputs below each other, steps of the run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy import stats

from probes import palette
from probes.analysis.tails import mixture_df
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.spacing import evenly_spaced

LEVELS = (0.95, 0.8, 0.5)  # outermost first, so that inner bands lie on top
ALPHAS = (0.14, 0.2, 0.32)
GAP = 0.08  # between two steps, as a share of the horizon
TICKS = 3  # a step has
HALF_WIDTH = np.array([-0.3, 0.3])  # of the bands of a single number, in steps of t
Forecast = dict[str, np.ndarray]


def central_band(
    mean: np.ndarray, variance: np.ndarray, level: float, df: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the central interval of Normal(mean, variance), or of Student's t of this variance and `df`
    degrees of freedom: what a mixture's moments say of it.
    """
    if df is None:
        half = NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt(variance)
        return mean - half, mean + half
    with np.errstate(invalid="ignore"):
        narrower = np.where(np.isinf(df), 1.0, (df - 2) / df)
    half = stats.t.ppf(0.5 + level / 2, df) * np.sqrt(variance * narrower)
    return mean - half, mean + half


def forecast_bands(
    predictions: pd.DataFrame,
    inputs: Sequence[int],
    steps: Sequence[int],
    *,
    twin: pd.DataFrame | None = None,
    unit: str = "scaled",
    label: str = "twin",
) -> go.Figure:
    """Single forecasts and what came: one row a probe input, one column a step of the run.

    Parameters
    ----------
    predictions : DataFrame
        `Run.predictions()` of one step or several: columns step, input, horizon, y, mean, latent_variance,
        observation_variance.
    inputs : sequence of int
        Probe inputs, one row each.
    steps : sequence of int
        Steps of the run, one column each.
    twin : DataFrame, optional
        The same of the deterministic twin, drawn in grey: its mean and 95 % band. Where it lacks a step it is
        drawn at its nearest earlier one, else at its first.
    unit : str
        Of the series.
    label : str
        What the twin, or another second run, is called.

    Returns
    -------
    go.Figure
        Line: the mean. Shaded: central bands of 50, 80 and 95 % of the Gaussian, or Student's t, with the
        mixture's mean and variance.

    Notes
    -----
    The bands are those of the Gaussian with the mixture's mean and variance. Steps share a row's axes, one
    beside the other: a dozen of plotly's own panels take half a second to build.
    """
    rows = max(len(inputs), 1)
    figure = FigureBuilder(rows, 1, shared_legend=True, shared_xaxes="all", vertical_spacing=0.035)
    horizon = int(predictions["horizon"].max()) + 1 if len(predictions) else 1
    starts = np.arange(len(steps)) * horizon * (1 + GAP)
    forecasts = _forecasts(predictions, inputs, steps)
    twins = _forecasts(twin, inputs, _at_or_before(twin, steps)) if twin is not None and len(twin) else []
    for row, chosen in enumerate(inputs, start=1):
        _model(figure, forecasts[row - 1], starts, row)
        if twins:
            _twin(figure, twins[row - 1], starts, row, style.text(label))
        figure.update_yaxes(title=f"input {chosen} ({unit})", row=row)
    ticks = evenly_spaced(horizon + 1, TICKS + 1)[1:]
    places = (starts[:, None] + ticks).ravel()
    texts = [str(tick) for tick in ticks] * len(steps) if horizon > 1 else [""] * len(places)
    figure.update_xaxes(tickvals=places, ticktext=texts, showgrid=False)
    if horizon > 1:
        figure.update_xaxes(title="t ahead", row=rows)
    for start, step in zip(starts, steps, strict=True):
        place = {
            "x": start + (horizon + 1) / 2,
            "y": 1,
            "xref": "x",
            "yref": "paper",
            "yanchor": "bottom",
            "showarrow": False,
        }
        figure.add_annotation(text=f"step {step:,}", **place)
    alt = (
        f"Forecasts of {len(inputs)} probe inputs at {len(steps)} steps: mean, bands of 50, 80 and 95"
        " percent, and the truth"
    )
    return figure.finish(96 + 148 * rows, alt, hovermode="closest")


def _at_or_before(predictions: pd.DataFrame, steps: Sequence[int]) -> list[int]:
    """For each step the last that was taken at or before it, else the first."""
    taken = np.unique(predictions["step"].to_numpy())
    return [int(taken[max(int(np.searchsorted(taken, step, side="right")) - 1, 0)]) for step in steps]


def _forecasts(
    predictions: pd.DataFrame, inputs: Sequence[int], steps: Sequence[int]
) -> list[list[Forecast]]:
    """The forecasts of each input (rows) at each step: step, t ahead, y, mean and variance (H,), in order of
    t.
    """
    near = predictions[predictions["input"].isin(inputs) & predictions["step"].isin(steps)].sort_values(
        "horizon", kind="stable"
    )
    columns = {name: near[name].to_numpy() for name in ("input", "step", "y", "mean")}
    columns |= {"t": near["horizon"].to_numpy() + 1}
    columns |= {"variance": near["latent_variance"].to_numpy() + near["observation_variance"].to_numpy()}
    if (df := mixture_df(near)) is not None:
        columns["df"] = df
    rows = []
    for chosen in inputs:
        here = [(columns["input"] == chosen) & (columns["step"] == step) for step in steps]
        rows.append([{name: values[mask] for name, values in columns.items()} for mask in here])
    return rows


def _wide(part: Forecast) -> Forecast:
    """A single number as a short stretch, so that its bands have an area."""
    if len(part["t"]) != 1:
        return part
    return {name: np.repeat(values, 2) for name, values in part.items()} | {"t": part["t"] + HALF_WIDTH}


def _joined(parts: Sequence[Forecast], column: str, starts: np.ndarray | None = None) -> np.ndarray:
    """A column of the parts one after the other with a gap, NaN, between two; `starts` are added, one a
    part.
    """
    added = np.zeros(len(parts)) if starts is None else starts
    gapped = [
        item for part, start in zip(parts, added, strict=True) for item in (part[column] + start, [np.nan])
    ]
    return np.concatenate(gapped[:-1]) if gapped else np.zeros(0)


def _line(
    figure: FigureBuilder,
    parts: Sequence[Forecast],
    starts: np.ndarray,
    row: int,
    column: str,
    name: str,
    hover: str,
    color: str,
    width: float,
) -> None:
    details = np.column_stack(
        [_joined(parts, "step"), _joined(parts, "t"), np.sqrt(_joined(parts, "variance"))]
    )
    figure.line(
        _joined(parts, "t", starts), _joined(parts, column), name, color=color, width=width, row=row,
        mode="lines" if any(len(part["t"]) > 1 for part in parts) else "markers",
        customdata=details.astype(np.float32),
        hovertemplate=f"step %{{customdata[0]:,}}, t ahead %{{customdata[1]}}: {hover}<extra></extra>",
    )  # fmt: skip


def _model(figure: FigureBuilder, parts: Sequence[Forecast], starts: np.ndarray, row: int) -> None:
    areas = [_wide(part) for part in parts]
    around = [
        np.concatenate([part["t"], part["t"][::-1]]) + start
        for part, start in zip(areas, starts, strict=True)
    ]
    for level, alpha in zip(LEVELS, ALPHAS, strict=True):
        edges = [central_band(part["mean"], part["variance"], level, part.get("df")) for part in areas]
        outlines = [np.concatenate([low, high[::-1]]) for low, high in edges]
        x, y = ([item for part in lists for item in (part, [np.nan])] for lists in (around, outlines))
        figure.scatter(
            np.concatenate(x), np.concatenate(y), f"{100 * level:.0f} % band", mode="lines",
            line={"width": 0}, fill="toself", fillcolor=palette.translucent(palette.PREDICTED, alpha),
            hoverinfo="skip", row=row,
        )  # fmt: skip
    hover = "mean %{y:.3g}, sd %{customdata[2]:.3g}"
    _line(figure, parts, starts, row, "mean", "mean", hover, palette.PREDICTED, 1.8)
    _line(figure, parts, starts, row, "y", "what came", "came %{y:.3g}", palette.OBSERVED, 1.4)


def _twin(figure: FigureBuilder, parts: Sequence[Forecast], starts: np.ndarray, row: int, label: str) -> None:
    areas = [_wide(part) for part in parts]
    edges = [central_band(part["mean"], part["variance"], LEVELS[0], part.get("df")) for part in areas]
    both = [{"low": low, "high": high} for low, high in edges]
    x, ends = _joined(areas, "t", starts), [_joined(both, side) for side in ("low", "high")]
    figure.scatter(
        np.r_[x, np.nan, x], np.r_[ends[0], np.nan, ends[1]], f"{label}, 95 %", mode="lines",
        line={"color": palette.TWIN, "width": 1, "dash": "dot"}, hoverinfo="skip", row=row,
    )  # fmt: skip
    hover = f"{label} %{{y:.3g}}, sd %{{customdata[2]:.3g}}"
    _line(figure, parts, starts, row, "mean", f"{label}, mean", hover, palette.TWIN, 1.6)
