"""Scalars of a run over steps: loss, scores, rate."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.figures.smoothing import smooth


def scalar_curves(
    scalars: pd.DataFrame,
    names: Sequence[str],
    *,
    title: str,
    step: int | None = None,
    axis: style.StepAxis = "linear",
    half_life: float | None = None,
    other: pd.DataFrame | None = None,
    label: str = "other run",
    other_axis: style.StepAxis | None = None,
) -> go.Figure:
    """Scalars of a run over steps, one line a split and name.

    Parameters
    ----------
    scalars : DataFrame
        `Run.scalars()`: columns step, split, name, value.
    names : sequence of str
        Which scalars are drawn.
    title : str
        Of the vertical axis, with its unit.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.
    half_life : float, optional
        In steps: lines are causal exponential moving averages, with what was recorded faint behind them.
    other : DataFrame, optional
        The same of a second run, in the same colours and dashed.
    label : str
        What the second run is called.
    other_axis : {"linear", "log"} or Clock, optional
        Of the second run's steps; by default `axis`.

    Returns
    -------
    go.Figure
    """
    figure = FigureBuilder()
    runs: list[tuple[pd.DataFrame, style.StepAxis, str, str | None]] = [(scalars, axis, "", None)]
    if other is not None:
        runs.append((other, other_axis or axis, f"{label}: ", "dash"))
    colors: dict[tuple[str, str], str] = {}
    for table, own_axis, whose, dash in runs:
        chosen = table[table["name"].isin(names)]
        for (split, name), part in chosen.groupby(["split", "name"], sort=True):
            free = palette.CURVES[len(colors) % len(palette.CURVES)]
            color = colors.setdefault((str(split), str(name)), free)
            part = part.sort_values("step", kind="stable")
            x, values = style.along(own_axis, part["step"]), part["value"].to_numpy(float)
            if half_life is not None:
                figure.line(x, values, color=color, width=1, opacity=style.RAW)
                values = smooth(part["step"], values, half_life)
            figure.line(x, values, style.text(f"{whose}{split} {name}"), color=color, width=1.75, dash=dash)
    figure.update_yaxes(title=title)
    figure.step_axis(axis, step)
    return figure.finish(280, f"{title} over steps: {', '.join(names)}")
