"""Scalars of a run over steps: loss, scores, rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.sketch import Sketch
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
    """Lines of the named scalars, one a split. `scalars` is `Run.scalars()`: step, split, name, value.

    `title` names the vertical axis and its unit. `half_life` (steps): lines are causal exponential moving
    averages, with what was recorded faint behind them.
    """
    figure = Sketch()
    chosen = scalars[scalars["name"].isin(names)]
    for place, ((split, name), part) in enumerate(chosen.groupby(["split", "name"], sort=True)):
        color = style.OKABE_ITO[place % len(style.OKABE_ITO)]
        part = part.sort_values("step", kind="stable")
        x, values = style.along(axis, part["step"]), part["value"].to_numpy(float)
        mode = "lines" if len(part) > 1 else "markers"
        if half_life is not None:
            figure.add_trace(style.raw_behind(x, values, mode, color))
            values = smooth(part["step"], values, half_life)
        figure.add_trace(
            dict(
                type="scatter", x=x, y=values.astype(np.float32), name=style.text(f"{split} {name}"),
                mode=mode,
                line={"width": 1.75, "color": color},
            )
        )  # fmt: skip
    figure.update_xaxes(title=style.steps_title(axis))
    figure.update_yaxes(title=title)
    style.scale_steps(figure, axis)
    style.mark_step(figure, step, axis)
    return figure.finish(280, f"{title} over steps: {', '.join(names)}")
