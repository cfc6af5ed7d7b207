"""One run's rate, distortion and weight of the KL: over steps, and as a way through the plane."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.analysis.rate_distortion import Objective
from probes.figures import style
from probes.figures.builder import FigureBuilder

PANEL, PLANE_HEIGHT = 150, 460  # pixels
SHORT = 0.06  # of the axis: half a line of equal objective at another run's end
ROOM = 0.08  # of what is shown, above and below it
COLORS = {
    "weight": palette.LOSS_TERMS[0],
    "free_bits": palette.LOSS_TERMS[1],
    "rate": palette.KL,
    "distortion": palette.CURVES[1],
}
TITLES = {
    "weight": "β",
    "free_bits": "free bits (nats)",
    "rate": "rate (nats)",
    "distortion": "distortion ({unit})",
}


def objective_parts(
    found: Objective,
    *,
    step: int | None = None,
    axis: style.StepAxis = "linear",
    other: Objective | None = None,
    label: str = "other run",
    other_axis: style.StepAxis | None = None,
) -> go.Figure:
    """Weight of the KL, rate and distortion of a run over steps, one below the other.

    Parameters
    ----------
    found : Objective
        Of the run; what it did not log has no panel.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.
    other : Objective, optional
        Of a second run: dashed; its distortion where it has the same unit.
    label : str
        What the second run is called.
    other_axis : {"linear", "log"} or Clock, optional
        Of the second run's steps; by default `axis`.

    Returns
    -------
    go.Figure
        Band of the weight: the middle 90 % of the neurons, where they have weights of their own.
    """
    panels, beside = _panels(found), dict(_panels(other)) if other is not None else {}
    figure = FigureBuilder(max(len(panels), 1), 1, shared_xaxes="all", vertical_spacing=0.06)
    for row, (kind, values) in enumerate(panels, start=1):
        title = TITLES[kind].format(unit=found.unit)
        x = style.along(axis, values.index.to_numpy(np.int64))
        if kind == "weight" and (found.weight["high"] > found.weight["low"]).any():
            shade = palette.translucent(COLORS[kind], style.OUTER_BAND)
            low, high = found.weight["low"], found.weight["high"]
            figure.band(x, low, high, "middle 90 % of the neurons", color=shade, row=row)
        figure.line(x, values, title, color=COLORS[kind], row=row, hovertemplate="%{y:.4g}")
        if kind in beside and (kind != "distortion" or other is None or other.unit == found.unit):
            steps = beside[kind].index.to_numpy(np.int64)
            figure.line(
                style.along(other_axis or axis, steps), beside[kind], style.text(f"{label}: {title}"),
                color=COLORS[kind], width=1.5, dash="dash", row=row, hovertemplate="%{y:.4g}",
            )  # fmt: skip
        figure.update_yaxes(title=title, rangemode="tozero" if kind != "distortion" else "normal", row=row)
    figure.step_axis(axis, step)
    alt = f"{', '.join(TITLES[kind].format(unit=found.unit) for kind, _ in panels)} over steps; {found.said}"
    height = PANEL * max(len(panels), 1) + 40
    return figure.finish(height, alt, showlegend=False, margin={"t": 14})


def _panels(found: Objective) -> list[tuple[str, pd.Series]]:
    """Key of TITLES -> values by step, of what a run has."""
    weight = found.weight["mean"] if len(found.weight) else found.free_bits.iloc[:0]
    parts = [
        ("weight", weight),
        ("free_bits", found.free_bits),
        ("rate", found.rate),
        ("distortion", found.distortion),
    ]
    return [(kind, values) for kind, values in parts if len(values)]


def rate_path(
    path: pd.DataFrame,
    *,
    name: str,
    unit: str = "nats an example",
    weight: float | None = None,
    step: int | None = None,
    others: pd.DataFrame | None = None,
    second: pd.DataFrame | None = None,
    label: str = "other run",
) -> go.Figure:
    """A run's way through the plane of rate and distortion, with the ends of others.

    Parameters
    ----------
    path : DataFrame
        Of `rate_distortion.path`, at least one point.
    name : str
        Of the run.
    unit : str
        Of the distortion.
    weight : float, optional
        β at the end: the line on which distortion + β rate is what it is at the end is drawn.
    step : int, optional
        The cursor: its point is marked.
    others : DataFrame, optional
        Ends of other runs: run, rate, distortion, weight (NaN: not known), each with a short line of its own.
    second : DataFrame, optional
        Path of a second run, in grey.
    label : str
        What the second run is called.

    Returns
    -------
    go.Figure
        Colour of the path: the step, on a logarithmic scale. Lines of equal objective have the slope −β:
        where one touches the frontier, β weighs a nat of rate as the frontier does. Distortions of the first
        half of the points may lie above the axis, which shows the rest large; a double click shows all.

    Notes
    -----
    Alemi et al. 2018, "Fixing a broken ELBO".
    """
    figure = FigureBuilder()
    steps, rate = path["step"].to_numpy(np.int64), path["rate"].to_numpy(float)
    distortion = path["distortion"].to_numpy(float)
    rest = others if others is not None else pd.DataFrame(columns=["run", "rate", "distortion", "weight"])
    every = np.concatenate([rate, rest["rate"].to_numpy(float)])
    span = float(np.ptp(every)) or 1.0
    for _, row in rest[rest["weight"].notna()].iterrows():
        half = SHORT * span
        x = np.array([max(row["rate"] - half, 0.0), row["rate"] + half])
        y = row["distortion"] - row["weight"] * (x - row["rate"])
        figure.line(x, y, color=palette.translucent(palette.SLATE, 0.7), width=1.25)
    if weight is not None:
        x = np.array([0.0, max(float(every.max()), 1e-9)])
        y = distortion[-1] - weight * (x - rate[-1])
        figure.line(
            x, y, f"distortion + {weight:.3g} × rate as at the end", color=palette.CLAY, width=2,
            dash="dash", hoverinfo="skip",
        )  # fmt: skip
    if len(rest):
        figure.scatter(
            rest["rate"], rest["distortion"], "ends of other runs", mode="markers",
            marker={"size": 9, "color": palette.SLATE}, customdata=[style.text(run) for run in rest["run"]],
            hovertemplate="%{customdata}<br>rate %{x:.4g}, distortion %{y:.4g}<extra></extra>",
        )  # fmt: skip
    if second is not None and len(second):
        figure.scatter(
            second["rate"], second["distortion"], style.text(label), mode="lines+markers",
            line={"color": palette.GREY, "width": 1.5, "dash": "dash"},
            marker={"size": 4, "color": palette.GREY},
            customdata=[f"step {at:,}" for at in second["step"]],
            hovertemplate="%{customdata}<br>rate %{x:.4g}, distortion %{y:.4g}<extra></extra>",
        )  # fmt: skip
    scale = [[i / (len(palette.ORDERED) - 1), color] for i, color in enumerate(palette.ORDERED)]
    figure.scatter(
        rate, distortion, style.text(name), mode="lines+markers",
        line={"color": palette.translucent(palette.SLATE, 0.45), "width": 1.25},
        marker={
            "size": 6, "color": np.log10(steps - steps[0] + 1.0), "colorscale": scale, "showscale": False,
        },
        customdata=[
            f"step {at:,}" + (f", mean of {count:,} records" if count > 1 else "")
            for at, count in zip(steps, path["records"], strict=True)
        ],
        hovertemplate="%{customdata}<br>rate %{x:.4g}, distortion %{y:.4g}<extra></extra>",
    )  # fmt: skip
    figure.scatter(
        rate[-1:], distortion[-1:], f"end, step {steps[-1]:,}", mode="markers", hoverinfo="skip",
        marker={"size": 13, "color": palette.ORDERED[-1], "line": {"width": 2, "color": palette.SLATE}},
    )  # fmt: skip
    if step is not None and step < steps[-1]:
        place = min(int(np.searchsorted(steps, step)), len(steps) - 1)
        figure.scatter(
            rate[[place]], distortion[[place]], "cursor", mode="markers", hoverinfo="skip",
            marker={"size": 15, "symbol": "circle-open", "color": style.CURSOR, "line": {"width": 2.5}},
        )  # fmt: skip
    figure.update_xaxes(title=f"rate ({unit if unit.startswith('nats') else 'nats'})", rangemode="tozero")
    figure.update_yaxes(title=f"distortion ({unit})")
    late = np.concatenate([distortion[len(distortion) // 2 :], rest["distortion"].to_numpy(float)])
    low, high = float(late.min()), float(late.max())
    if distortion.max() > high > low:  # the first steps would leave the rest a line
        figure.update_yaxes(range=[low - ROOM * (high - low), high + ROOM * (high - low)])
    alt = (
        f"Distortion against rate of {name} from step {steps[0]:,} (rate {rate[0]:.4g}, distortion"
        f" {distortion[0]:.4g}) to step {steps[-1]:,} (rate {rate[-1]:.4g}, distortion {distortion[-1]:.4g});"
        f" ends of {len(rest):,} other runs"
    )
    return figure.finish(PLANE_HEIGHT, alt, hovermode="closest")
