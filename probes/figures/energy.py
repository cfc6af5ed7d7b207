"""How loud chosen neurons are, and what the control did about it: mean energy with its band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.panels import GHOST, NeuronSeries, Panels, StepScale
from probes.schema import STATISTICS


def energy(
    courses: Sequence[NeuronSeries], *, step: int | None = None, axis: StepScale = "linear"
) -> go.Figure:
    """One panel a neuron: E[μ²] over steps on the band that the control keeps it in; interventions are
    triangles.

    Grey dots: the layer's median energy. A log axis, since bands span orders of magnitude; values of 0 are
    left out.
    """
    panels = Panels([course.name for course in courses], STATISTICS["mu2"].title)
    for panel, course in enumerate(courses):
        steps, low, high = course.x, course.values("band_low"), course.values("band_high")
        if np.isfinite(low).any():
            panels.band(
                panel, steps, _positive(low), _positive(high), "band", style.translucent("#009E73", 0.22)
            )
        if len(course.layer):
            panels.line(
                panel, course.layer_x, _positive(course.median("mu2")), "layer median", GHOST, 1.5,
                line={"dash": "dot"}, hovertemplate="%{y:.3g}",
            )  # fmt: skip
        mu2 = _positive(course.values("mu2"))
        panels.line(panel, steps, mu2, "mean energy", course.color, hovertemplate="%{y:.4g}")
        if len(course.events):
            panels.events(panel, course, _lowest(mu2, low))
    alt = f"Mean energy over steps of {', '.join(course.name for course in courses)}"
    return panels.over_steps(alt, courses, step, axis, vertical={"type": "log", "exponentformat": "power"})


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)


def _lowest(*values: np.ndarray) -> float:
    """Where ticks stand: just under all that is drawn."""
    finite = np.concatenate([v[np.isfinite(v) & (v > 0)] for v in values])
    return float(finite.min()) * 0.8 if finite.size else 1.0
