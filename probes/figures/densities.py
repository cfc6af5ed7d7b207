"""Distributions of chosen neurons at two steps, as densities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from probes.figures import style
from probes.figures.panels import Panels

POINTS = 241  # of a curve
REACH = 3.5  # sds that the axis shows of the prior, and at least of each distribution
# times the prior's peak: taller ones are cut, or a single narrow neuron would flatten all others
TALLEST = 6.0
WIDEST = 8.0  # prior sds: beyond, a neuron far off would flatten all others
BEFORE = "#7F7F7F"


@dataclass(frozen=True)
class Moment:
    """One neuron at one step: `mean`, `variance`, `spread` of the batch; `mu`, `sigma` (B,) of the probe
    inputs, if stored.

    `probe_step` is the step of those, `step` that of the moments.
    """

    step: int
    mean: float
    variance: float
    spread: float
    mu: NDArray[np.float64] | None = None
    sigma: NDArray[np.float64] | None = None
    probe_step: int | None = None


def densities(
    names: Sequence[str], before: Sequence[Moment], after: Sequence[Moment], colors: Sequence[str]
) -> go.Figure:
    """One panel a neuron: its distribution at two steps (grey, then in its colour), the prior dashed.

    Filled: the exact average of the posteriors of the probe inputs where those are stored, else the Gaussian
    mean posterior Normal(E[μ], E[σ²]). Line: the aggregate's Gaussian, Normal(E[μ], E[σ²] + Var[μ]). Both
    against z in prior sds; peaks higher than TALLEST times the prior's are cut.
    """
    panels = Panels(names, "density (1 / prior sd)", "z (prior sd)")
    reach = _reach([*before, *after])
    z = np.linspace(-reach, reach, POINTS)
    top = float(normal(0, 0, 1))
    for panel, (first, last, color) in enumerate(zip(before, after, colors, strict=True)):
        panels.line(
            panel, z, normal(z, 0, 1), "prior", style.CURSOR, 1.5, line={"dash": "dash"}, hoverinfo="skip"
        )
        for moment, shade, when in ((first, BEFORE, "earlier"), (last, color, "at the cursor")):
            if not (np.isfinite(moment.variance) and moment.variance > 0):
                continue
            area = filled(z, moment)
            top = max(top, float(np.nanmax(area)))
            panels.trace(
                panel, z, area, when, mode="lines", line={"width": 1, "color": shade}, fill="tozeroy",
                fillcolor=style.translucent(shade, 0.35), hovertemplate="%{y:.3f}",
            )  # fmt: skip
            if np.isfinite(moment.spread):
                curve = normal(z, moment.mean, np.sqrt(moment.variance + moment.spread))
                panels.line(panel, z, curve, f"{when}, aggregate", shade, 2, hovertemplate="%{y:.3f}")
    alt = (
        f"Densities at steps {before[0].step} and {after[0].step} of {', '.join(names)}"
        if names
        else "No neuron"
    )
    highest = min(top, TALLEST * float(normal(0, 0, 1)))
    return panels.finish(alt, horizontal={"range": [-reach, reach]}, vertical={"range": [0, 1.08 * highest]})


def filled(z: ArrayLike, moment: Moment) -> NDArray[np.float64]:
    """The filled density at z: the mixture of the probe inputs' posteriors, else the Gaussian mean
    posterior.
    """
    if moment.mu is None or moment.sigma is None:
        return normal(z, moment.mean, np.sqrt(moment.variance))
    return normal(np.asarray(z)[:, None], moment.mu, moment.sigma).mean(axis=1)


def normal(z: ArrayLike, mean: ArrayLike, sd: ArrayLike) -> NDArray[np.float64]:
    """Density of Normal(mean, sd²) at z; broadcasts."""
    width = np.asarray(sd, np.float64)
    r = (np.asarray(z, np.float64) - np.asarray(mean, np.float64)) / width
    return np.exp(-0.5 * r * r) / (width * np.sqrt(2 * np.pi))


def _reach(moments: Sequence[Moment]) -> float:
    widths = [abs(m.mean) + REACH * np.sqrt(m.variance + np.nan_to_num(m.spread)) for m in moments]
    return float(min(max([REACH, *(w for w in widths if np.isfinite(w))]), WIDEST))
