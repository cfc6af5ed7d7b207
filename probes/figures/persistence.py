"""What chosen neurons carry over from one position of the data to the next, over steps of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.panels import GHOST, NeuronSeries, Panels, StepScale

INPUT, PRIOR = "#E69F00", "#CC79A7"


def memory(
    courses: Sequence[NeuronSeries], *, step: int | None = None, axis: StepScale = "linear"
) -> go.Figure:
    """One panel a neuron: measured persistence with its 95 % interval, the prior's φ (dashed), the input's
    own (dotted).

    Memory is what exceeds the input's own persistence. Grey dots: the layer's median.
    """
    panels = Panels([course.name for course in courses], "Persistence φ̂")
    for panel, course in enumerate(courses):
        steps = course.x
        if "persistence_low" in course.rows and "persistence_high" in course.rows:
            shade = style.translucent(course.color, 0.25)
            panels.band(
                panel,
                steps,
                course.values("persistence_low"),
                course.values("persistence_high"),
                "95 % interval",
                shade,
            )
        if len(course.layer):
            panels.line(
                panel, course.layer_x, course.median("persistence"), "layer median", GHOST, 1.5,
                line={"dash": "dot"}, hovertemplate="%{y:.3f}",
            )  # fmt: skip
        panels.line(
            panel, steps, course.values("persistence"), "measured", course.color, hovertemplate="%{y:.3f}"
        )
        for name, label, color, dash in (
            ("phi", "prior's φ", PRIOR, "dash"), ("input_persistence", "the input's own", INPUT, "dot")
        ):  # fmt: skip
            if name in course.rows and np.isfinite(course.values(name)).any():
                panels.line(
                    panel,
                    steps,
                    course.values(name),
                    label,
                    color,
                    1.75,
                    line={"dash": dash},
                    hovertemplate="%{y:.3f}",
                )
    return panels.over_steps(
        f"Persistence over steps of {', '.join(course.name for course in courses)}", courses, step, axis
    )
