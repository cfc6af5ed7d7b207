"""Scalars of a run over steps: loss, scores, rate."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from probes.figures import style


def scalar_curves(
    scalars: pd.DataFrame, names: Sequence[str], *, title: str, step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """Lines of the named scalars, one a split (`scalars` is `Run.scalars()`: step, split, name, value); `title` names axis and unit."""
    figure = go.Figure()
    for place, (key, part) in enumerate(scalars[scalars["name"].isin(names)].groupby(["name", "split"], sort=True, dropna=False)):
        label = " ".join(str(part) for part in key if isinstance(part, str) and part)
        figure.add_trace(
            go.Scatter(
                x=part["step"].to_numpy(), y=part["value"].to_numpy("float32"), name=style.text(label),
                mode="lines" if len(part) > 1 else "markers", line={"width": 1.75, "color": style.OKABE_ITO[place % len(style.OKABE_ITO)]},
            )
        )  # fmt: skip
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text=title)
    style.scale_steps(figure, axis)
    style.mark_step(figure, step)
    return style.finish(figure, 260, f"{title} over steps: {', '.join(names)}")
