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

    Returns
    -------
    go.Figure
    """
    figure = FigureBuilder()
    chosen = scalars[scalars["name"].isin(names)]
    for place, ((split, name), part) in enumerate(chosen.groupby(["split", "name"], sort=True)):
        color = palette.OKABE_ITO[place % len(palette.OKABE_ITO)]
        part = part.sort_values("step", kind="stable")
        x, values = style.along(axis, part["step"]), part["value"].to_numpy(float)
        if half_life is not None:
            figure.line(x, values, color=color, width=1, opacity=style.RAW)
            values = smooth(part["step"], values, half_life)
        figure.line(x, values, style.text(f"{split} {name}"), color=color, width=1.75)
    figure.update_yaxes(title=title)
    figure.step_axis(axis, step)
    return figure.finish(280, f"{title} over steps: {', '.join(names)}")
