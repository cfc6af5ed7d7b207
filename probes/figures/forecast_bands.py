"""Single forecasts with their bands: probe inputs below each other, steps of the run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.sketch import Sketch

LEVELS = (0.95, 0.8, 0.5)  # outermost first, so that inner bands lie on top
ALPHAS = (0.14, 0.2, 0.32)
COLOR, TRUTH, TWIN = style.OKABE_ITO[0], style.OKABE_ITO[5], style.OKABE_ITO[7]
GAP = 0.08  # between two steps, as a share of the horizon
TICKS = 3  # a step has
Forecast = dict[str, np.ndarray]


def central_band(mean: np.ndarray, variance: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the central interval of Normal(mean, variance): what a mixture's first two moments say of
    it.
    """
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

    `predictions` (and `twin`, drawn in grey: its mean and 95 % band) are `Run.predictions()` of one step or
    several: step, input, horizon, y, mean, latent_variance, observation_variance. The bands are those of the
    Gaussian with the mixture's mean and variance. A twin without the step is drawn at its nearest earlier
    one, else at its first.

    Steps share a row's axes, one beside the other: a dozen of plotly's own panels take half a second to
    build.
    """
    rows = max(len(inputs), 1)
    figure = Sketch(rows, 1, shared_xaxes="all", vertical_spacing=0.035)
    horizon = int(predictions["horizon"].max()) + 1 if len(predictions) else 1
    starts = np.arange(len(steps)) * horizon * (1 + GAP)
    drawn = _forecasts(predictions, inputs, steps)
    twins = _forecasts(twin, inputs, _at_or_before(twin, steps)) if twin is not None and len(twin) else []
    for row, chosen in enumerate(inputs, start=1):
        _model(figure, drawn[row - 1], starts, row)
        if twins:
            _twin(figure, twins[row - 1], starts, row)
        figure.update_yaxes(title=f"input {chosen} ({unit})", row=row)
    ticks = np.unique(np.linspace(0, horizon, TICKS + 1).round().astype(int))[1:]
    places = (starts[:, None] + ticks).ravel()
    figure.update_xaxes(tickvals=places, ticktext=[str(tick) for tick in ticks] * len(steps), showgrid=False)
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
    rows = []
    for chosen in inputs:
        here = [(columns["input"] == chosen) & (columns["step"] == step) for step in steps]
        rows.append([{name: values[mask] for name, values in columns.items()} for mask in here])
    return rows


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
    figure: Sketch, parts: Sequence[Forecast], starts: np.ndarray, row: int,
    column: str, name: str, hover: str, **line: object,
) -> None:  # fmt: skip
    details = np.column_stack(
        [_joined(parts, "step"), _joined(parts, "t"), np.sqrt(_joined(parts, "variance"))]
    )
    figure.add_trace(
        dict(
            type="scatter", x=_joined(parts, "t", starts), y=_joined(parts, column).astype(np.float32),
            mode="lines" if any(len(part["t"]) > 1 for part in parts) else "markers", name=name,
            legendgroup=name,
            showlegend=row == 1, line=line, customdata=details.astype(np.float32),
            hovertemplate=f"step %{{customdata[0]:,}}, t ahead %{{customdata[1]}}: {hover}<extra></extra>",
        ),
        row, 1,
    )  # fmt: skip


def _model(figure: Sketch, parts: Sequence[Forecast], starts: np.ndarray, row: int) -> None:
    around = [
        np.concatenate([part["t"], part["t"][::-1]]) + start
        for part, start in zip(parts, starts, strict=True)
    ]
    for level, alpha in zip(LEVELS, ALPHAS, strict=True):
        edges = [central_band(part["mean"], part["variance"], level) for part in parts]
        outlines = [np.concatenate([low, high[::-1]]) for low, high in edges]
        name = f"{level:.0%} band"
        x, y = ([item for part in lists for item in (part, [np.nan])] for lists in (around, outlines))
        figure.add_trace(
            dict(
                type="scatter",
                x=np.concatenate(x), y=np.concatenate(y).astype(np.float32), fill="toself", mode="lines",
                line={"width": 0},
                fillcolor=style.translucent(COLOR, alpha), name=name, legendgroup=name, showlegend=row == 1,
                hoverinfo="skip",
            ),
            row, 1,
        )  # fmt: skip
    _line(
        figure,
        parts,
        starts,
        row,
        "mean",
        "mean",
        "mean %{y:.3g}, sd %{customdata[2]:.3g}",
        color=COLOR,
        width=1.8,
    )
    _line(figure, parts, starts, row, "y", "what came", "came %{y:.3g}", color=TRUTH, width=1.4)


def _twin(figure: Sketch, parts: Sequence[Forecast], starts: np.ndarray, row: int) -> None:
    edges = [central_band(part["mean"], part["variance"], LEVELS[0]) for part in parts]
    both = [{"low": low, "high": high} for low, high in edges]
    x, ends = _joined(parts, "t", starts), [_joined(both, side) for side in ("low", "high")]
    name = "twin, 95 %"
    figure.add_trace(
        dict(
            type="scatter",
            x=np.concatenate([x, [np.nan], x]),
            y=np.concatenate([ends[0], [np.nan], ends[1]]).astype(np.float32), mode="lines",
            name=name, legendgroup=name, showlegend=row == 1, line={"color": TWIN, "width": 1, "dash": "dot"},
            hoverinfo="skip",
        ),
        row, 1,
    )  # fmt: skip
    _line(
        figure,
        parts,
        starts,
        row,
        "mean",
        "twin, mean",
        "twin %{y:.3g}, sd %{customdata[2]:.3g}",
        color=TWIN,
        width=1.6,
    )
