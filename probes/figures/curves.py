"""Scalars of a run over steps: loss, scores, rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style


def scalar_curves(
    scalars: pd.DataFrame, names: Sequence[str], *, title: str, step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """Lines of the named scalars, one a split. `scalars` is `Run.scalars()`: step, split, name, value.

    `title` names the vertical axis and its unit.
    """
    figure = go.Figure()
    chosen = scalars[scalars["name"].isin(names)]
    for place, ((split, name), part) in enumerate(chosen.groupby(["split", "name"], sort=True)):
        color = style.OKABE_ITO[place % len(style.OKABE_ITO)]
        figure.add_trace(
            go.Scatter(
                x=part["step"].to_numpy(), y=part["value"].to_numpy(np.float32), name=style.text(f"{split} {name}"),
                mode="lines" if len(part) > 1 else "markers", line={"width": 1.75, "color": color},
            )
        )  # fmt: skip
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text=title)
    style.scale_steps(figure, axis)
    style.mark_step(figure, step)
    return style.finish(figure, 280, f"{title} over steps: {', '.join(names)}")
