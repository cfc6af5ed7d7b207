"""One neuron walked over its prior: how the prediction follows, as curves or as images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import get_colorscale

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.neuron_names import neuron_name
from probes.spacing import evenly_spaced

COLORS = get_colorscale("Cividis")
SHOWN_VALUES = 7
"""Curves of a fan, or images of a strip: more would not be distinguished."""


def _of(curves: pd.DataFrame, layer: int, neuron: int, index: int) -> pd.DataFrame:
    part = curves[(curves["layer"] == layer) & (curves["neuron"] == neuron) & (curves["input"] == index)]
    if part.empty:
        raise ValueError(f"neuron {neuron_name(layer, neuron)} was not walked on input {index}")
    return part


def _shown(part: pd.DataFrame) -> np.ndarray:
    """The values of the neuron that are drawn, ascending."""
    values = np.sort(part["value"].unique())
    return values[evenly_spaced(len(values), SHOWN_VALUES)]


def traversal_curves(
    curves: pd.DataFrame,
    layer: int,
    neuron: int,
    index: int,
    *,
    targets: pd.DataFrame | None = None,
    output: str = "horizon",
) -> go.Figure:
    """Predicted mean over the outputs on one input, one curve for each of some values of a neuron.

    Parameters
    ----------
    curves : DataFrame
        As `probes.experiments.traversal.traverse` gives them.
    layer, neuron : int
        Which neuron was walked.
    index : int
        The input.
    targets : DataFrame, optional
        Columns input, output, y; dotted.
    output : str
        Title of the horizontal axis.

    Returns
    -------
    go.Figure
        Curves from -3 (dark) to 3 prior sds (light).

    Raises
    ------
    ValueError
        For a neuron or input that was not walked.
    """
    part = _of(curves, layer, neuron, index)
    figure = FigureBuilder()
    shown = _shown(part)
    for place, value in enumerate(shown):
        color = style.ordered_color(place, len(shown))
        rows = part[part["value"] == value].sort_values("output")
        figure.line(rows["output"] + 1, rows["mean"], _in_sds(value), color=color, width=1.75)
    if targets is not None:
        rows = targets[targets["input"] == index].sort_values("output")
        figure.line(rows["output"] + 1, rows["y"], "target", color=style.CURSOR, width=1.5, dash="dot")
    figure.update_xaxes(title=output)
    figure.update_yaxes(title="predicted mean")
    alt = (
        f"Predicted mean over {output} with neuron {neuron_name(layer, neuron)} held at {len(shown)} values,"
        f" input {index}"
    )
    return figure.finish(340, alt)


def traversal_response(
    curves: pd.DataFrame, posteriors: pd.DataFrame, layer: int, neuron: int, index: int, *, output: int = 0
) -> go.Figure:
    """One output against the value of a neuron, on one input.

    Parameters
    ----------
    curves, posteriors : DataFrame
        As `probes.experiments.traversal.traverse` gives them.
    layer, neuron : int
        Which neuron was walked.
    index : int
        The input.
    output : int
        The output.

    Returns
    -------
    go.Figure
        Line and band: predicted mean ± predictive sd. Shaded: the input's own posterior ± sd.

    Raises
    ------
    ValueError
        For a neuron or input that was not walked.
    """
    rows = _of(curves, layer, neuron, index)
    rows = rows[rows["output"] == output].sort_values("value")
    x, mean, sd = (rows[name].to_numpy(np.float32) for name in ("value", "mean", "sd"))
    color = palette.PREDICTED
    figure = FigureBuilder()
    figure.band(x, mean - sd, mean + sd, "± predictive sd", color=palette.translucent(color, 0.2))
    figure.line(x, mean, "predicted mean", color=color)
    own = posteriors[
        (posteriors["layer"] == layer) & (posteriors["neuron"] == neuron) & (posteriors["input"] == index)
    ].iloc[0]
    left, right = own["mu"] - own["sigma"], own["mu"] + own["sigma"]
    figure.add_vrect(left, right, line={"width": 0}, fillcolor=style.GRID)
    late = left > (float(x[0]) + float(x[-1])) / 2  # there is room at its left
    figure.add_annotation(
        text="own posterior ± sd", x=left, xref="x", xanchor="right" if late else "left",
        y=1, yref="y domain", yanchor="top", showarrow=False,
    )  # fmt: skip
    figure.update_xaxes(title="value of the neuron (prior sd)", range=[float(x[0]), float(x[-1])])
    figure.update_yaxes(title=f"predicted mean, output {output + 1}")
    alt = f"Output {output + 1} against the value of neuron {neuron_name(layer, neuron)} on input {index}"
    return figure.finish(300, alt)


def traversal_images(
    curves: pd.DataFrame, layer: int, neuron: int, index: int, shape: tuple[int, int]
) -> go.Figure:
    """The prediction on one input as images, one for each of some values of a neuron, on one colour scale.

    Parameters
    ----------
    curves : DataFrame
        As `probes.experiments.traversal.traverse` gives them.
    layer, neuron : int
        Which neuron was walked.
    index : int
        The input.
    shape : (int, int)
        Height and width of an image.

    Returns
    -------
    go.Figure

    Raises
    ------
    ValueError
        When the outputs do not fill the shape, and for a neuron or input that was not walked.
    """
    part = _of(curves, layer, neuron, index)
    outputs = part["output"].nunique()
    if outputs != shape[0] * shape[1]:
        raise ValueError(f"{outputs} outputs are no image of {shape[0]} x {shape[1]}")
    shown = _shown(part)
    titles = [_in_sds(value) for value in shown]
    figure = FigureBuilder(1, len(shown), titles=titles, horizontal_spacing=0.01)
    low, high = float(part["mean"].min()), float(part["mean"].max())
    for column, value in enumerate(shown, 1):
        image = part[part["value"] == value].sort_values("output")["mean"].to_numpy(np.float32).reshape(shape)
        trace = {
            "type": "heatmap", "z": image[::-1], "zmin": low, "zmax": high, "colorscale": COLORS,
            "showscale": column == len(shown), "colorbar": {"title": {"text": "predicted mean"}},
        }  # fmt: skip
        figure.add_trace(trace, col=column)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    alt = (
        f"Predicted images with neuron {neuron_name(layer, neuron)} held at {len(shown)} values, input"
        f" {index}"
    )
    return figure.finish(220, alt, hovermode="closest")


def _in_sds(value: float) -> str:
    """A value of a neuron, in prior sds."""
    return f"{value:+.1f} sd".replace("-", "−") if value else "0 sd"
