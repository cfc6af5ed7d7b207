"""One statistic of chosen neurons in one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.panels import MOST_MARKERS, NeuronSeries, StepScale, axis_of
from probes.figures.sketch import Sketch
from probes.figures.smoothing import smooth
from probes.schema import STATISTICS

HEIGHT = 300  # pixels


def together(
    courses: Sequence[NeuronSeries],
    statistic: str,
    *,
    step: int | None = None,
    axis: StepScale = "linear",
    scale: str = "linear",
    half_life: float | None = None,
) -> go.Figure:
    """One line a neuron, in its colour; triangles on it are interventions. Neurons without the statistic are
    left out.

    Raises KeyError for a statistic that is not in the registry. `scale="log"` holds only where all values are
    positive. `half_life` (steps): lines are causal exponential moving averages, with the values faint behind
    them.
    """
    entry = STATISTICS[statistic]
    figure = Sketch()
    for course in courses:
        values = course.values(statistic)
        if not np.isfinite(values).any():
            continue
        mode = "lines" if len(values) > 1 else "markers"
        if half_life is not None:
            figure.add_trace(style.raw_behind(course.x, values, mode, course.color))
            values = smooth(course.steps, values, half_life)
        figure.add_trace(
            dict(
                type="scatter", x=course.x, y=values.astype(np.float32), name=style.text(course.name),
                mode=mode, line={"color": course.color, "width": 2},
                hovertemplate=f"%{{y:.4g}} {entry.unit}",
            )
        )  # fmt: skip
        if len(course.events) and len(values):
            _interventions(figure, course, values)
    shared = axis_of(courses, axis)
    figure.update_xaxes(title=style.steps_title(shared))
    figure.update_yaxes(title=entry.title)
    if scale == "log" and all_positive(courses, statistic):
        figure.update_yaxes(type="log", exponentformat="power")
    style.scale_steps(figure, shared)
    for mark in dict.fromkeys(course.mark(step) for course in courses) if step is not None else ():
        figure.add_vline(mark, style.CURSOR_LINE)
    return figure.finish(
        HEIGHT, f"{entry.title} over steps of {', '.join(course.name for course in courses)}"
    )


def all_positive(courses: Sequence[NeuronSeries], statistic: str) -> bool:
    """Whether there are values of a statistic and all of them are positive, so that they have a place on a
    log axis.
    """
    values = np.concatenate([course.values(statistic) for course in courses])
    values = values[np.isfinite(values)]
    return bool(values.size and (values > 0).all())


def _interventions(figure: Sketch, course: NeuronSeries, values: np.ndarray) -> None:
    """Triangles on the line, at the recorded step before each act."""
    events = course.events.drop_duplicates(["step", "kind"])
    if len(events) > MOST_MARKERS:
        events = events.iloc[np.unique(np.linspace(0, len(events) - 1, MOST_MARKERS).round().astype(int))]
    place = np.clip(np.searchsorted(course.steps, events["step"].to_numpy(), side="right") - 1, 0, None)
    figure.add_trace(
        dict(
            type="scatter",
            x=course.along(events["step"]),
            y=values[place].astype(np.float32),
            mode="markers",
            name="intervention",
            legendgroup="intervention",
            showlegend=not any(trace.get("name") == "intervention" for trace in figure.data),
            marker={
                "symbol": "triangle-up",
                "size": 9,
                "color": course.color,
                "line": {"width": 1, "color": style.CURSOR},
            },
            text=[style.text(kind) for kind in events["kind"]],
            hovertemplate="%{text}<extra></extra>",
        )
    )
