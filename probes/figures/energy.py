"""How loud chosen neurons are, and what the control did about it: mean energy with its band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.neuron_panels import NeuronPanels
from probes.figures.neuron_series import NeuronSeries
from probes.schema import STATISTICS


def energy(
    neurons: Sequence[NeuronSeries], *, step: int | None = None, axis: style.StepScale = "linear"
) -> go.Figure:
    """Mean energy E[μ²] of neurons over steps, one panel a neuron.

    Parameters
    ----------
    neurons : sequence of NeuronSeries
        With mu2 and, where a control keeps it in a band, band_low and band_high.
    step : int, optional
        The cursor.
    axis : {"linear", "log"}
        Of the steps; neurons with a clock are laid out by it.

    Returns
    -------
    go.Figure
        Line: the energy. Shaded: the band. Triangles: interventions. Grey dots: the layer's median.

    Notes
    -----
    The vertical axis is logarithmic, since bands span orders of magnitude; values of 0 are left out.
    """
    figure = NeuronPanels([series.name for series in neurons], STATISTICS["mu2"].title)
    shade = palette.translucent(palette.ALLOWED_BAND, 0.22)
    for panel, series in enumerate(neurons):
        row, col = figure.cell(panel)
        x, low, high = series.x, series.values("band_low"), series.values("band_high")
        if np.isfinite(low).any():
            figure.band(x, _positive(low), _positive(high), "band", color=shade, row=row, col=col)
        figure.layer_median(panel, series, _positive(series.layer_median("mu2")), hovertemplate="%{y:.3g}")
        mu2 = _positive(series.values("mu2"))
        figure.line(x, mu2, "mean energy", color=series.color, hovertemplate="%{y:.4g}", row=row, col=col)
        if len(series.events):
            figure.interventions(panel, series, _below(mu2, low))
    figure.update_yaxes(type="log", exponentformat="power")
    alt = f"Mean energy over steps of {', '.join(series.name for series in neurons)}"
    return figure.finish_over_steps(alt, neurons, step, axis)


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)


def _below(*values: np.ndarray) -> float:
    """Where triangles stand: just under all that is drawn."""
    finite = np.concatenate([v[np.isfinite(v) & (v > 0)] for v in values])
    return float(finite.min()) * 0.8 if finite.size else 1.0
