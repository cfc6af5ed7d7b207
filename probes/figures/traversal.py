"""One neuron walked over its prior: how the prediction follows, as curves or as images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from probes.figures import style

SHOWN_VALUES = 7
"""Curves of a fan, or images of a strip: more would not be told apart."""


def _of(curves: pd.DataFrame, layer: int, neuron: int, index: int) -> pd.DataFrame:
    part = curves[(curves["layer"] == layer) & (curves["neuron"] == neuron) & (curves["input"] == index)]
    if part.empty:
        raise ValueError(f"neuron {neuron} of layer {layer} was not walked on input {index}")
    return part


def _shown(values: np.ndarray) -> np.ndarray:
    places = np.linspace(0, len(values) - 1, min(SHOWN_VALUES, len(values))).round().astype(int)
    return values[np.unique(places)]


def traversal_curves(
    curves: pd.DataFrame,
    layer: int,
    neuron: int,
    index: int,
    *,
    targets: pd.DataFrame | None = None,
    output: str = "horizon",
) -> go.Figure:
    """Prediction over its outputs, one curve for each of some values of the neuron, from -3 (dark) to 3 prior
    sds (light).

    curves: as `traverse` gives them; targets: input, output, y; output names the horizontal axis.
    Raises ValueError for a neuron or input that was not walked.
    """
    part = _of(curves, layer, neuron, index)
    figure = go.Figure()
    shown = _shown(np.sort(part["value"].unique()))
    colors = sample_colorscale("Viridis", np.linspace(0, 0.95, len(shown)))
    for value, color in zip(shown, colors, strict=True):
        rows = part[part["value"] == value].sort_values("output")
        figure.add_trace(
            go.Scatter(
                x=rows["output"].to_numpy() + 1, y=rows["mean"].to_numpy(np.float32), name=f"{value:+.1f} sd",
                mode="lines+markers" if len(rows) < 2 else "lines", line={"color": color, "width": 1.75},
            )
        )  # fmt: skip
    if targets is not None:
        rows = targets[targets["input"] == index].sort_values("output")
        target = {"color": style.CURSOR, "width": 1.5, "dash": "dot"}
        x = rows["output"].to_numpy() + 1
        figure.add_trace(
            go.Scatter(x=x, y=rows["y"].to_numpy(np.float32), name="target", mode="lines", line=target)
        )
    figure.update_xaxes(title_text=output)
    figure.update_yaxes(title_text="predicted mean")
    alt = (
        f"Predicted mean over {output} with neuron {neuron} of layer {layer + 1} held at {len(shown)} values,"
        f" input {index}"
    )
    return style.finish(figure, 340, alt)


def traversal_response(
    curves: pd.DataFrame, posteriors: pd.DataFrame, layer: int, neuron: int, index: int, *, output: int = 0
) -> go.Figure:
    """One output against the neuron's value with the predictive sd as a band; shaded, where the input's own
    posterior is.
    """
    rows = _of(curves, layer, neuron, index)
    rows = rows[rows["output"] == output].sort_values("value")
    x, mean, sd = (rows[name].to_numpy(np.float32) for name in ("value", "mean", "sd"))
    color = style.layer_color(layer)
    figure = go.Figure()
    edge = {"x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(y=mean - sd, showlegend=False, **edge))
    fill = {"fill": "tonexty", "fillcolor": style.translucent(color, 0.2)}
    figure.add_trace(go.Scatter(y=mean + sd, name="± predictive sd", **edge, **fill))
    figure.add_trace(
        go.Scatter(x=x, y=mean, name="predicted mean", mode="lines", line={"color": color, "width": 2})
    )
    own = posteriors[
        (posteriors["layer"] == layer) & (posteriors["neuron"] == neuron) & (posteriors["input"] == index)
    ].iloc[0]
    span = {
        "x0": own["mu"] - own["sigma"],
        "x1": own["mu"] + own["sigma"],
        "line_width": 0,
        "fillcolor": style.GRID,
    }
    figure.add_vrect(**span, annotation_text="own posterior ± sd", annotation_position="top left")
    figure.update_xaxes(title_text="value of the neuron (prior sd)", range=[float(x[0]), float(x[-1])])
    figure.update_yaxes(title_text=f"predicted mean, output {output + 1}")
    alt = f"Output {output + 1} against the value of neuron {neuron} of layer {layer + 1} on input {index}"
    return style.finish(figure, 300, alt)


def traversal_images(
    curves: pd.DataFrame, layer: int, neuron: int, index: int, shape: tuple[int, int]
) -> go.Figure:
    """The prediction as images of `shape` (height, width), one for each of some values of the neuron, on one
    colour scale.

    Raises ValueError when the outputs do not fill the shape.
    """
    part = _of(curves, layer, neuron, index)
    outputs = part["output"].nunique()
    if outputs != shape[0] * shape[1]:
        raise ValueError(f"{outputs} outputs are no image of {shape[0]} x {shape[1]}")
    shown = _shown(np.sort(part["value"].unique()))
    figure = make_subplots(
        1, len(shown), subplot_titles=[f"{value:+.1f} sd" for value in shown], horizontal_spacing=0.01
    )
    low, high = float(part["mean"].min()), float(part["mean"].max())
    for place, value in enumerate(shown, 1):
        image = part[part["value"] == value].sort_values("output")["mean"].to_numpy(np.float32).reshape(shape)
        scale = {"zmin": low, "zmax": high, "colorscale": "Cividis", "showscale": place == len(shown)}
        figure.add_trace(go.Heatmap(z=image[::-1], colorbar={"title": "predicted mean"}, **scale), 1, place)
    alt = (
        f"Predicted images with neuron {neuron} of layer {layer + 1} held at {len(shown)} values, input"
        f" {index}"
    )
    figure = style.finish(figure, 220, alt)
    figure.update_xaxes(visible=False)
    return figure.update_yaxes(visible=False, scaleanchor="x").update_layout(hovermode="closest")
