"""Where chosen neurons' distributions lie over steps: mean ± sd fans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.panels import GHOST, GHOST_FILL, NeuronSeries, Panels, StepScale


def fans(
    courses: Sequence[NeuronSeries], *, step: int | None = None, axis: StepScale = "linear"
) -> go.Figure:
    """One panel a neuron: its mean, ± the sd of the mean posterior (dark) and of the aggregate (light), prior
    sds.

    The mean posterior has variance E[σ²], the aggregate E[σ²] + Var[μ]. Grey: the layer's median mean ± its
    median sd.
    Dashed: ± 1 sd of the prior.
    """
    panels = Panels([course.name for course in courses], "z (prior sd)")
    for panel, course in enumerate(courses):
        if len(course.layer):
            steps, mean = course.layer_x, course.median("mean")
            sd = np.sqrt(course.median("variance"))
            panels.band(panel, steps, mean - sd, mean + sd, "layer median", GHOST_FILL)
            for edge in (mean - sd, mean + sd):
                panels.line(panel, steps, edge, None, GHOST, 1)
        steps, mean = course.x, course.values("mean")
        variance, spread = course.values("variance"), course.values("spread")
        aggregate, sd = np.sqrt(variance + spread), np.sqrt(variance)
        panels.band(
            panel,
            steps,
            mean - aggregate,
            mean + aggregate,
            "aggregate sd",
            style.translucent(course.color, 0.20),
        )
        panels.band(panel, steps, mean - sd, mean + sd, "posterior sd", style.translucent(course.color, 0.36))
        hover = "%{y:.3f} ± %{customdata[0]:.3f} (aggregate ± %{customdata[1]:.3f})<extra>mean ± sd</extra>"
        both = np.stack([sd, aggregate], axis=1).astype(np.float32)
        panels.line(panel, steps, mean, "mean", course.color, customdata=both, hovertemplate=hover)
        if not len(steps):
            continue
        ends = [steps[0], steps[-1]] if len(steps) > 1 else [steps[0] - 1, steps[0] + 1]
        for level in (-1, 1):
            panels.line(
                panel,
                ends,
                [level, level],
                "prior sd",
                style.AXIS,
                1.25,
                line={"dash": "dash"},
                hoverinfo="skip",
            )
    return panels.over_steps(
        f"Posterior mean and standard deviations over steps of {_named(courses)}", courses, step, axis
    )


def _named(courses: Sequence[NeuronSeries]) -> str:
    return ", ".join(course.name for course in courses)
