"""Where chosen neurons' distributions lie over steps: mean ± sd, or what the family of the neuron holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from probes import palette
from probes.families import FAMILIES, by_moments
from probes.figures import style
from probes.figures.neuron_panels import LAYER_MEDIAN, LAYER_MEDIAN_FILL, NeuronPanels
from probes.figures.neuron_series import NeuronSeries

TURN = 2 * np.pi
ANGLES = {"range": [-np.pi, np.pi], "tickvals": [-np.pi, 0, np.pi], "ticktext": ["−π", "0", "π"]}
SUPPORTS: dict[str, dict[str, Any]] = {
    "circle": ANGLES,
    "unit": {"range": [0, 1]},
    "positive": {"rangemode": "tozero"},
    "counts": {"rangemode": "tozero"},
}
"""Support of a family -> its vertical axis."""


def fans(
    neurons: Sequence[NeuronSeries],
    *,
    step: int | None = None,
    axis: style.StepScale = "linear",
) -> go.Figure:
    """Mean and standard deviations of Gaussian neurons over steps, one panel a neuron, in prior sds.

    Parameters
    ----------
    neurons : sequence of NeuronSeries
        With mean, variance and spread.
    step : int, optional
        The cursor.
    axis : {"linear", "log"}
        Of the steps; neurons with a clock are laid out by it.

    Returns
    -------
    go.Figure
        Dark: mean ± sd of the mean posterior, whose variance is E[σ²]. Light: ± sd of the aggregate,
        E[σ²] + Var[μ]. Grey: the layer's median mean ± its median sd. Dashed: ± 1 sd of the prior.
    """
    figure = NeuronPanels([series.name for series in neurons], "z (prior sd)")
    for panel, series in enumerate(neurons):
        row, col = figure.cell(panel)
        _fan(figure, panel, series)
        x = series.x
        if not len(x):
            continue
        ends = [x[0], x[-1]] if len(x) > 1 else [x[0] - 1, x[0] + 1]
        for level in (-1, 1):
            figure.line(
                ends, [level, level], "prior sd", color=style.AXIS, width=1.25, dash="dash",
                row=row, col=col, hoverinfo="skip",
            )  # fmt: skip
    names = ", ".join(series.name for series in neurons)
    return figure.finish_over_steps(
        f"Posterior mean and standard deviations over steps of {names}", neurons, step, axis
    )


def family_fans(
    neurons: Sequence[NeuronSeries],
    *,
    step: int | None = None,
    axis: style.StepScale = "linear",
) -> go.Figure:
    """Mean and central 68 % of neurons of other families over steps, one panel a neuron on its own support.

    Parameters
    ----------
    neurons : sequence of NeuronSeries
        With mean, variance and, where recorded, spread.
    step : int, optional
        The cursor.
    axis : {"linear", "log"}
        Of the steps; neurons with a clock are laid out by it.

    Returns
    -------
    go.Figure
        Dark: the central 68 % (`families.by_moments.central`) of the member of the family that has the mean
        and the variance within an input. Light: of the aggregate. Grey: of the layer's medians. Of families
        that two moments do not tell mean ± sd.
    """
    figure = NeuronPanels([series.name for series in neurons], "z", shared=False)
    for panel, series in enumerate(neurons):
        row, col = figure.cell(panel)
        _fan(figure, panel, series)
        support = FAMILIES[series.family].support if series.family in FAMILIES else "real"
        figure.update_yaxes(row=row, col=col, **SUPPORTS.get(support, {}))
    names = ", ".join(series.name for series in neurons)
    return figure.finish_over_steps(
        f"Mean and central 68 % over steps of the distributions of {names}", neurons, step, axis
    )


def _fan(figure: NeuronPanels, panel: int, series: NeuronSeries) -> None:
    row, col = figure.cell(panel)
    x, mean, angle = series.x, series.values("mean"), series.family == "von_mises"
    if angle:
        known = np.isfinite(mean)
        mean = mean.copy()
        mean[known] = np.unwrap(mean[known])
    elif len(series.layer):  # a median of angles would depend on where the circle is cut
        middle = series.layer_median("mean")
        low, high = by_moments.central(series.family, middle, series.layer_median("variance"))
        figure.band(series.layer_x, low, high, "layer median", color=LAYER_MEDIAN_FILL, row=row, col=col)
        for edge in (low, high):
            figure.line(series.layer_x, edge, color=LAYER_MEDIAN, width=1, row=row, col=col)
    variance, spread = series.values("variance"), series.values("spread")
    inner = by_moments.central(series.family, mean, variance)
    outer = by_moments.central(series.family, mean, variance + spread)
    symmetric = series.family not in by_moments.WITH_INTERVALS
    word = "sd" if symmetric else "68 %"
    for (low, high), name, alpha in ((outer, "aggregate", 0.20), (inner, "posterior", 0.36)):
        shade = palette.translucent(series.color, alpha)
        for turn, seen in _turns(low, high) if angle else WHOLE:
            figure.band(
                x[seen], low[seen] + turn, high[seen] + turn, f"{name} {word}", color=shade, row=row, col=col
            )
    half = (inner[1] - inner[0]) / 2, (outer[1] - outer[0]) / 2
    told = np.stack(half if symmetric else (*inner, *outer), axis=1).astype(np.float32)
    hover = (
        "%{y:.3f} ± %{customdata[0]:.3f} (aggregate ± %{customdata[1]:.3f})<extra>mean ± sd</extra>"
        if symmetric
        else "%{y:.3g}, %{customdata[0]:.3g} to %{customdata[1]:.3g} (aggregate %{customdata[2]:.3g} to"
        " %{customdata[3]:.3g})<extra>mean, 68 %</extra>"
    )
    for turn, seen in _turns(mean, mean) if angle else WHOLE:
        figure.line(
            x[seen], mean[seen] + turn, "mean", color=series.color, row=row, col=col, customdata=told[seen],
            hovertemplate=hover,
        )  # fmt: skip


WHOLE = [(0.0, slice(None))]


def _turns(low: NDArray[np.float64], high: NDArray[np.float64]) -> list[tuple[float, slice]]:
    """Turns that bring an interval of angles into [−π, π], each with the steps from the first to the last at
    which it does.
    """
    if not np.isfinite(low).any():
        return WHOLE
    first = int(np.ceil((-np.pi - np.nanmax(high)) / TURN))
    last = int(np.floor((np.pi - np.nanmin(low)) / TURN))
    found = []
    for turn in TURN * np.arange(first, last + 1):
        seen = np.flatnonzero((high + turn >= -np.pi) & (low + turn <= np.pi))
        if len(seen):
            found.append((float(turn), slice(max(seen[0] - 1, 0), seen[-1] + 2)))
    return found
