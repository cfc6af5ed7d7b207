"""What chosen neurons pay, and for what: KL = information + mismatch + past."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import DOT_SIZE
from probes.figures.neuron_panels import NeuronPanels
from probes.figures.neuron_series import NeuronSeries, column
from probes.schema import STATISTICS


def kl_parts(
    neurons: Sequence[NeuronSeries], *, step: int | None = None, axis: style.StepScale = "linear"
) -> go.Figure:
    """KL of neurons over steps and what it consists of, one panel a neuron, in nats.

    Parameters
    ----------
    neurons : sequence of NeuronSeries
        With kl and, where recorded, information, mismatch and past.
    step : int, optional
        The cursor.
    axis : {"linear", "log"}
        Of the steps; neurons with a clock are laid out by it.

    Returns
    -------
    go.Figure
        Stacked: information, mismatch and past. Line: the KL. Grey dots: the layer's median KL.

    Notes
    -----
    The parts add up to the KL exactly. Where the mismatch was not recorded it is what remains. Without
    information there is only the line.
    """
    figure = NeuronPanels([series.name for series in neurons], STATISTICS["kl"].title)
    with_past = any((series.values("past") > 0).any() for series in neurons)
    for panel, series in enumerate(neurons):
        row, col = figure.cell(panel)
        x, kl = series.x, series.values("kl")
        for name, values in parts(series).items():
            if name == "past" and not with_past:
                continue
            color = palette.KL_PARTS[name]
            look = {
                "mode": "lines",
                "line": {"width": 0.5, "color": color},
                "fillcolor": palette.translucent(color, 0.62),
            }
            if len(x) == 1:
                look = {"mode": "markers", "marker": {"color": color, "size": DOT_SIZE, "symbol": "square"}}
            figure.scatter(
                x, values, STATISTICS[name].label.lower(), stackgroup=f"parts{panel}",
                hovertemplate="%{y:.4f}", row=row, col=col, **look,
            )  # fmt: skip
        low, high = column(series.rows, "kl_min", None), column(series.rows, "kl_max", None)
        if (high > low).any():
            shade = palette.translucent(palette.SLATE, 0.3)
            figure.band(x, low, high, "KL, least to most", color=shade, row=row, col=col)
        error = column(series.rows, "kl_error", None)
        if np.isfinite(error).any():
            shade = palette.translucent(palette.KL, 0.25)
            figure.band(x, kl - error, kl + error, "± standard error", color=shade, row=row, col=col)
        figure.line(x, kl, "KL", color=palette.KL, width=1.75, hovertemplate="%{y:.4f}", row=row, col=col)
        median = series.layer_median("kl")
        figure.layer_median(panel, series, median, "layer median of KL", hovertemplate="%{y:.4f}")
    figure.update_yaxes(rangemode="tozero")
    alt = f"KL and its parts over steps of {', '.join(series.name for series in neurons)}"
    return figure.finish_over_steps(alt, neurons, step, axis)


def parts(series: NeuronSeries) -> dict[str, np.ndarray]:
    """Information, mismatch and past of a neuron.

    Parameters
    ----------
    series : NeuronSeries
        Of T steps.

    Returns
    -------
    dict
        Name -> (T,) nats; empty where information was not recorded, without mismatch where that is not known.
    """
    if "information" not in series.rows or series.rows["information"].isna().all():
        return {}
    information, past = series.values("information"), np.nan_to_num(series.values("past"))
    if "mismatch" in series.rows or not series.is_gaussian:  # what remains is it under a Gaussian's identity
        mismatch = series.values("mismatch")
    else:
        mismatch = series.values("kl") - information - past
    found = {"information": information, "mismatch": mismatch, "past": past}
    return found if np.isfinite(mismatch).any() else {"information": information}
