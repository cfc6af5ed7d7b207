"""Where chosen neurons' distributions lie over steps: mean ± sd fans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.neuron_panels import LAYER_MEDIAN, LAYER_MEDIAN_FILL, NeuronPanels
from probes.figures.neuron_series import NeuronSeries


def fans(
    neurons: Sequence[NeuronSeries],
    *,
    step: int | None = None,
    axis: style.StepScale = "linear",
    own: bool = False,
) -> go.Figure:
    """Mean and standard deviations of neurons over steps, one panel a neuron, in prior sds.

    Parameters
    ----------
    neurons : sequence of NeuronSeries
        With mean, variance and spread.
    step : int, optional
        The cursor.
    axis : {"linear", "log"}
        Of the steps; neurons with a clock are laid out by it.
    own : bool
        Whether each panel is in the unit of its neuron's z, without the prior's sd: of families that are no
        Gaussians.

    Returns
    -------
    go.Figure
        Dark: mean ± sd of the mean posterior, whose variance is E[σ²]. Light: ± sd of the aggregate,
        E[σ²] + Var[μ]. Grey: the layer's median mean ± its median sd. Dashed: ± 1 sd of the prior.
    """
    figure = NeuronPanels([series.name for series in neurons], "z" if own else "z (prior sd)", shared=not own)
    for panel, series in enumerate(neurons):
        row, col = figure.cell(panel)
        if len(series.layer):
            x, mean = series.layer_x, series.layer_median("mean")
            sd = np.sqrt(series.layer_median("variance"))
            figure.band(x, mean - sd, mean + sd, "layer median", color=LAYER_MEDIAN_FILL, row=row, col=col)
            for edge in (mean - sd, mean + sd):
                figure.line(x, edge, color=LAYER_MEDIAN, width=1, row=row, col=col)
        x, mean = series.x, series.values("mean")
        variance, spread = series.values("variance"), series.values("spread")
        aggregate, sd = np.sqrt(variance + spread), np.sqrt(variance)
        for half, name, alpha in ((aggregate, "aggregate sd", 0.20), (sd, "posterior sd", 0.36)):
            shade = palette.translucent(series.color, alpha)
            figure.band(x, mean - half, mean + half, name, color=shade, row=row, col=col)
        hover = "%{y:.3f} ± %{customdata[0]:.3f} (aggregate ± %{customdata[1]:.3f})<extra>mean ± sd</extra>"
        both = np.stack([sd, aggregate], axis=1).astype(np.float32)
        figure.line(
            x, mean, "mean", color=series.color, row=row, col=col, customdata=both, hovertemplate=hover
        )
        if not len(x) or own:
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
