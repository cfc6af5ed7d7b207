"""Predictive scores over steps: likelihood, CRPS and coverage of the validation split, the twin's beside
them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.sketch import Sketch
from probes.schema import COVERAGE_LEVELS, LIKELIHOODS

COVERAGE = dict(zip(COVERAGE_LEVELS, (style.OKABE_ITO[place] for place in (4, 2, 3)), strict=True))
"""Levels in per cent -> line colour."""
PANELS = (
    ("NLL (nats per prediction)", LIKELIHOODS),
    ("CRPS (target's unit)", ("crps",)),
    ("accuracy", ("accuracy",)),
    ("coverage", tuple(f"coverage_{level}" for level in COVERAGE)),
)
"""Axis title, names that a score goes by in logs. Of NLL and CRPS the first that is there is drawn, of
coverage all.
"""
TWIN = style.OKABE_ITO[7]


def drawn_scores(scalars: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """The panels that the scalars of a split can fill: axis title, names of the scalars in it."""
    there = set(scalars["name"])
    found = []
    for title, names in PANELS:
        present = [name for name in names if name in there]
        if present:
            found.append((title, present if title == "coverage" else present[:1]))
    return found


def predictive_scores(
    scalars: pd.DataFrame,
    *,
    twin: pd.DataFrame | None = None,
    step: int | None = None,
    axis: style.StepAxis = "linear",
    twin_axis: style.StepAxis | None = None,
) -> go.Figure:
    """One panel a score: lines of `scalars` (step, name, value of one split), grey those of `twin`; nominal
    coverage dotted.

    The twin lies along `twin_axis` (default: along `axis`). Empty panels are left out; of nothing the figure
    is empty.
    """
    panels = drawn_scores(scalars)
    figure = Sketch(1, max(len(panels), 1), horizontal_spacing=0.09)
    for column, (title, names) in enumerate(panels, start=1):
        for name in names:
            level = int(name.removeprefix("coverage_")) if title == "coverage" else None
            color = COVERAGE[level] if level is not None else style.OKABE_ITO[0]
            label = f"{level} %" if level is not None else "this run"
            if twin is not None:
                _line(figure, twin, name, column, TWIN, "twin", column == 1, "dash", twin_axis or axis)
            _line(
                figure, scalars, name, column, color, label, level is not None or column == 1, "solid", axis
            )
            if level is not None:
                line = {"color": color, "width": 1, "dash": "dot"}
                figure.add_hline(level / 100, line, col=column)
        figure.update_yaxes(title=title, col=column)
        if title in ("coverage", "accuracy"):
            figure.update_yaxes(tickformat=".0%", col=column)
    figure.update_xaxes(title=style.steps_title(axis))
    style.scale_steps(figure, axis)
    style.mark_step(figure, step, axis)
    return figure.finish(
        270, f"{', '.join(title for title, _ in panels)} over steps, with the twin's where there is one"
    )


def _line(
    figure: Sketch,
    scalars: pd.DataFrame,
    name: str,
    column: int,
    color: str,
    label: str,
    legend: bool,
    dash: str,
    axis: style.StepAxis,
) -> None:
    part = scalars[scalars["name"] == name].sort_values("step")
    if part.empty:
        return
    seen = any(trace["name"] == label for trace in figure.data)
    figure.add_trace(
        dict(
            type="scatter",
            x=style.along(axis, part["step"]), y=part["value"].to_numpy(np.float32), name=label,
            legendgroup=label,
            showlegend=legend and not seen, mode="lines" if len(part) > 1 else "markers",
            line={"color": color, "width": 1.8, "dash": dash},
            hovertemplate=f"{label}: %{{y:.4g}}<extra></extra>",
        ),
        1, column,
    )  # fmt: skip
