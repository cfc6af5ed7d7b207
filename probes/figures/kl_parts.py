"""What chosen neurons pay, and for what: KL = information + mismatch + past."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.panels import GHOST, NeuronSeries, Panels, StepScale, column
from probes.schema import STATISTICS

COLORS = {"information": "#009E73", "mismatch": "#E69F00", "past": "#CC79A7"}
KL_LINE = "#0072B2"


def kl_parts(
    courses: Sequence[NeuronSeries], *, step: int | None = None, axis: StepScale = "linear"
) -> go.Figure:
    """One panel a neuron: information, mismatch and past stacked (nats), the KL as a line over them.

    The parts add up to the KL exactly. Where the mismatch was not recorded it is what remains. Grey dots: the
    layer's median KL. Without information there is only the line.
    """
    panels = Panels([course.name for course in courses], STATISTICS["kl"].title)
    with_past = any((course.values("past") > 0).any() for course in courses)
    for panel, course in enumerate(courses):
        steps, kl = course.x, course.values("kl")
        for name, values in parts(course).items():
            if name == "past" and not with_past:
                continue
            color = COLORS[name]
            settings = {
                "mode": "lines",
                "line": {"width": 0.5, "color": color},
                "fillcolor": style.translucent(color, 0.62),
            }
            if len(steps) == 1:
                settings = {"mode": "markers", "marker": {"color": color, "size": 7, "symbol": "square"}}
            panels.trace(
                panel, steps, values, STATISTICS[name].label.lower(), stackgroup=f"parts{panel}",
                hovertemplate="%{y:.4f}", **settings,
            )  # fmt: skip
        low, high = column(course.rows, "kl_min", None), column(course.rows, "kl_max", None)
        if (high > low).any():
            panels.band(panel, steps, low, high, "KL, least to most", "rgba(128, 140, 152, 0.30)")
        panels.line(panel, steps, kl, "KL", KL_LINE, 1.75, hovertemplate="%{y:.4f}")
        if len(course.layer):
            panels.line(
                panel, course.layer_x, course.median("kl"), "layer median of KL", GHOST, 1.5,
                line={"dash": "dot"}, hovertemplate="%{y:.4f}",
            )  # fmt: skip
    alt = f"KL and its parts over steps of {', '.join(course.name for course in courses)}"
    return panels.over_steps(alt, courses, step, axis, vertical={"rangemode": "tozero"})


def parts(course: NeuronSeries) -> dict[str, np.ndarray]:
    """Information, mismatch and past of a neuron over its steps, nats; empty without information."""
    if "information" not in course.rows:
        return {}
    information, past = course.values("information"), np.nan_to_num(course.values("past"))
    mismatch = (
        course.values("mismatch") if "mismatch" in course.rows else course.values("kl") - information - past
    )
    return {"information": information, "mismatch": mismatch, "past": past}
