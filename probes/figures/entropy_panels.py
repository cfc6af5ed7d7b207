"""How open neurons without a width are, over steps: entropy of the mean posterior and of the aggregate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.neuron_panels import NeuronPanels
from probes.figures.neuron_series import NeuronSeries
from probes.schema import STATISTICS


def entropy_panels(
    neurons: Sequence[NeuronSeries], *, step: int | None = None, axis: style.StepScale = "linear"
) -> go.Figure:
    """Entropy of neurons over steps, one panel a neuron, nats.

    Parameters
    ----------
    neurons : sequence of NeuronSeries
        With entropy and, where recorded, perplexity and prior_entropy.
    step : int, optional
        The cursor.
    axis : {"linear", "log"}
        Of the steps; neurons with a clock are laid out by it.

    Returns
    -------
    go.Figure
        Filled: E[H(q)], of one input's posterior. Line: H(E[q]), the logarithm of the perplexity. Dashed: the
        prior. Grey dots: the layer's median entropy.
    """
    figure = NeuronPanels([series.name for series in neurons], STATISTICS["entropy"].title)
    for panel, series in enumerate(neurons):
        row, col = figure.cell(panel)
        figure.line(
            series.x, series.values("entropy"), "entropy", color=series.color, width=1.2, fill="tozeroy",
            fillcolor=palette.translucent(series.color, 0.3), row=row, col=col, hovertemplate="%{y:.3f} nats",
        )  # fmt: skip
        perplexity = series.values("perplexity")
        if np.isfinite(perplexity).any():
            figure.line(
                series.x, np.log(perplexity), "of the aggregate: ln perplexity", color=series.color, row=row,
                col=col, customdata=perplexity, hovertemplate="%{y:.3f} nats, perplexity %{customdata:.3g}",
            )  # fmt: skip
        prior = series.values("prior_entropy")
        if np.isfinite(prior).any():
            figure.line(
                series.x, prior, "prior", color=style.AXIS, width=1.25, dash="dash", row=row, col=col,
                hoverinfo="skip",
            )  # fmt: skip
        figure.layer_median(panel, series, series.layer_median("entropy"), hovertemplate="%{y:.3f}")
    figure.update_yaxes(rangemode="tozero")
    alt = f"Entropy over steps of {', '.join(series.name for series in neurons)}"
    return figure.finish_over_steps(alt, neurons, step, axis)


def statistic_panels(
    neurons: Sequence[NeuronSeries],
    statistic: str,
    *,
    step: int | None = None,
    axis: style.StepScale = "linear",
) -> go.Figure:
    """One statistic of neurons over steps, one panel a neuron, with its layer's median dotted.

    Parameters
    ----------
    neurons : sequence of NeuronSeries
        With the statistic.
    statistic : str
        A key of `schema.STATISTICS`.
    step : int, optional
        The cursor.
    axis : {"linear", "log"}
        Of the steps; neurons with a clock are laid out by it.

    Raises
    ------
    KeyError
        For a statistic that is not in the registry.
    """
    entry = STATISTICS[statistic]
    figure = NeuronPanels([series.name for series in neurons], entry.title)
    for panel, series in enumerate(neurons):
        row, col = figure.cell(panel)
        values = series.values(statistic)
        figure.line(
            series.x, values, entry.label.lower(), color=series.color, row=row, col=col,
            hovertemplate=f"%{{y:.4g}} {entry.unit}",
        )  # fmt: skip
        figure.layer_median(panel, series, series.layer_median(statistic), hovertemplate="%{y:.4g}")
    figure.update_yaxes(rangemode="tozero")
    alt = f"{entry.label} over steps of {', '.join(series.name for series in neurons)}"
    return figure.finish_over_steps(alt, neurons, step, axis)
