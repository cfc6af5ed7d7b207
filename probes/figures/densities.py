"""Distributions of chosen neurons at two steps, as densities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.figures.neuron_panels import NeuronPanels
from probes.figures.overlay import HEIGHT as OVERLAY_HEIGHT

POINTS = 241  # of a panel's curves, evenly spaced; where one of them is narrow there are more
MOST_POINTS = 640
LOST = 1e-3  # of a curve's area between two points: beyond, one more is put between them
REACH = 3.5  # sds that the axis shows of the prior, and at least of each distribution
# times the prior's peak: taller ones are cut, or a single narrow neuron would flatten all others
TALLEST = 6.0
NAMED = 4  # neurons in a legend; of more the names appear where the pointer is
WIDEST = 8.0  # prior sds: beyond, a neuron far off would flatten all others


@dataclass(frozen=True)
class Moment:
    """One neuron's distribution at one step.

    Parameters
    ----------
    step : int
        Of the batch's moments.
    mean, variance, spread : float
        E[μ], E[σ²] and Var[μ] over the batch.
    mu, sigma : (B,) array, optional
        Posteriors of the probe inputs, where they were stored at that step.
    """

    step: int
    mean: float
    variance: float
    spread: float
    mu: NDArray[np.float64] | None = None
    sigma: NDArray[np.float64] | None = None


def _density_title(top: float, peak: float) -> str:
    """Of the vertical axis, which says so where it cuts a peak."""
    return "density (1 / prior sd)" + (", peaks cut" if top > TALLEST * peak else "")


def densities(
    names: Sequence[str], before: Sequence[Moment], after: Sequence[Moment], colors: Sequence[str]
) -> go.Figure:
    """Distributions of neurons at two steps against z in prior sds, one panel a neuron.

    Parameters
    ----------
    names : sequence of str
        Of the neurons.
    before, after : sequence of Moment
        The neurons at the earlier step (grey) and at the cursor (in the neuron's colour).
    colors : sequence of str
        "#rrggbb" of each neuron.

    Returns
    -------
    go.Figure
        Filled: the exact average of the posteriors of the probe inputs where those are stored, else the
        Gaussian mean posterior Normal(E[μ], E[σ²]). Line: the aggregate's Gaussian, Normal(E[μ], E[σ²] +
        Var[μ]). Dashed: the prior.

    Notes
    -----
    Peaks higher than TALLEST times the prior's are cut.
    """
    figure = NeuronPanels(names, "density (1 / prior sd)", "z (prior sd)")
    reach = _reach([*before, *after])
    peak = float(normal(0, 0, 1))
    top = peak
    for panel, (first, last, color) in enumerate(zip(before, after, colors, strict=True)):
        row, col = figure.cell(panel)
        z = places(reach, [first, last])
        figure.line(
            z, normal(z, 0, 1), "prior", color=style.CURSOR, width=1.5, dash="dash",
            row=row, col=col, hoverinfo="skip",
        )  # fmt: skip
        for moment, shade, when in ((first, palette.EARLIER, "earlier"), (last, color, "at the cursor")):
            if not _has_width(moment):
                continue
            area = filled(z, moment)
            top = max(top, float(np.nanmax(area)))
            figure.line(
                z, area, when, color=shade, width=1, fill="tozeroy",
                fillcolor=palette.translucent(shade, 0.35), hovertemplate="%{y:.3f}", row=row, col=col,
            )  # fmt: skip
            if np.isfinite(moment.spread):
                curve = normal(z, moment.mean, np.sqrt(moment.variance + moment.spread))
                name = f"{when}, aggregate"
                figure.line(z, curve, name, color=shade, hovertemplate="%{y:.3f}", row=row, col=col)
    figure.update_xaxes(range=[-reach, reach])
    figure.update_yaxes(range=[0, 1.08 * min(top, TALLEST * peak)])
    alt = (
        f"Densities at steps {before[0].step} and {after[0].step} of {', '.join(names)}"
        if names
        else "No neuron"
    )
    return figure.finish_panels(alt)


def densities_on_one_axis(
    names: Sequence[str],
    moments: Sequence[Moment],
    colors: Sequence[str],
    dashed: Sequence[bool] | None = None,
) -> go.Figure:
    """Distributions of neurons at one step against z in prior sds, all on one axis.

    Parameters
    ----------
    names : sequence of str
        Of the neurons.
    moments : sequence of Moment
        One each.
    colors : sequence of str
        "#rrggbb" of each neuron.
    dashed : sequence of bool, optional
        Whose outline is dashed; by default none.

    Returns
    -------
    go.Figure
        Areas and the dotted prior as in `densities`, without the aggregate.

    Notes
    -----
    Peaks higher than TALLEST times the prior's are cut.
    """
    figure = FigureBuilder()
    reach = _reach(moments, aggregate=False)
    z = places(reach, moments)
    top = peak = float(normal(0, 0, 1))
    figure.line(
        z, normal(z, 0, 1), "prior", color=style.CURSOR, width=1.5, dash="dot", hoverinfo="skip",
    )  # fmt: skip
    for place, (name, moment, color) in enumerate(zip(names, moments, colors, strict=True)):
        if not _has_width(moment):
            continue
        area = filled(z, moment)
        top = max(top, float(np.nanmax(area)))
        figure.line(
            z, area, style.text(name), color=color, dash="dash" if dashed and dashed[place] else None,
            fill="tozeroy", fillcolor=palette.translucent(color, 0.16), hovertemplate="%{y:.3f}",
        )  # fmt: skip
    figure.update_xaxes(range=[-reach, reach], title="z (prior sd)", automargin=True)
    figure.update_yaxes(range=[0, 1.08 * min(top, TALLEST * peak)], title=_density_title(top, peak))
    at = " / ".join(f"{step:,}" for step in sorted({moment.step for moment in moments}))
    alt = f"Densities at step {at} of {', '.join(names)} on one axis"
    return figure.finish(OVERLAY_HEIGHT, alt, showlegend=len(names) <= NAMED)


def places(reach: float, moments: Sequence[Moment]) -> NDArray[np.float64]:
    """Where a panel's curves are taken: evenly from -reach to reach, at the means, and closer where straight
    lines between the points would lose area of a curve or add some to it, up to MOST_POINTS.
    """
    shown = [moment for moment in moments if _has_width(moment)]
    means = [moment.mean for moment in shown if abs(moment.mean) < reach]
    z = np.union1d(np.linspace(-reach, reach, POINTS), means)
    while True:
        lost = np.zeros(len(z) - 1)
        for mean, sd in (component for moment in shown for component in _curves(moment)):
            below = ndtr((z[:, None] - mean) / sd).mean(axis=1)
            height = normal(z[:, None], mean, sd).mean(axis=1)
            lost = np.maximum(lost, np.abs((height[1:] + height[:-1]) / 2 * np.diff(z) - np.diff(below)))
        worst = np.argsort(-lost)[: max(MOST_POINTS - len(z), 0)]
        worst = worst[lost[worst] > LOST]
        if not len(worst):
            return z
        z = np.union1d(z, (z[worst] + z[worst + 1]) / 2)


def _curves(moment: Moment) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Means and sds of the Gaussians that each curve of a moment is the average of."""
    if moment.mu is None or moment.sigma is None:
        yield np.array([moment.mean]), np.sqrt([moment.variance])
    else:
        yield moment.mu, moment.sigma
    if np.isfinite(moment.spread):
        yield np.array([moment.mean]), np.sqrt([moment.variance + moment.spread])


def _has_width(moment: Moment) -> bool:
    return bool(np.isfinite(moment.variance) and moment.variance > 0)


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


def _reach(moments: Sequence[Moment], aggregate: bool = True) -> float:
    spreads = [np.nan_to_num(m.spread) if aggregate else 0.0 for m in moments]
    widths = [
        abs(m.mean) + REACH * np.sqrt(m.variance + spread) for m, spread in zip(moments, spreads, strict=True)
    ]
    return float(min(max([REACH, *(w for w in widths if np.isfinite(w))]), WIDEST))
