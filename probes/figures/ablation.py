"""What silencing neurons costs, and whether a statistic of theirs would have told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.experiments.estimates import NORMAL_95
from probes.figures import style
from probes.schema import REGIMES, SCORES, STATISTICS

MODES = {"mean": "held at the prior's mean", "resampled": "drawn from the prior"}


def score_label(score: str) -> str:
    """A score's name with its unit, as axes show it; a name that is not known stands as it is."""
    return SCORES[score].title if score in SCORES else style.text(score)


def _select(effects: pd.DataFrame, score: str, mode: str) -> pd.DataFrame:
    part = effects[(effects["score"] == score) & (effects["mode"] == mode)]
    if part.empty:
        known = sorted({f"{s}, {m}" for s, m in zip(effects["score"], effects["mode"], strict=True)})
        raise ValueError(f"no effects on {score!r} in mode {mode!r}; there are {'; '.join(known)}")
    return part


def ablation_effects(effects: pd.DataFrame, score: str, mode: str, layers: Sequence[str]) -> go.Figure:
    """Neurons of each layer from the most to the least needed, with 95 % intervals. `effects` as `ablate`
    gives them.

    Raises ValueError for a score or mode that is not among them.
    """
    part = _select(effects, score, mode)
    figure = go.Figure()
    for layer, name in enumerate(layers):
        rows = part[part["layer"] == layer].sort_values("effect", ascending=False)
        color = style.layer_color(layer)
        figure.add_trace(
            go.Scatter(
                x=np.arange(1, len(rows) + 1),
                y=rows["effect"].to_numpy(np.float32),
                name=style.text(name),
                mode="markers",
                marker={"color": color, "size": 5},
                customdata=rows["neuron"].to_numpy(),
                error_y={
                    "array": NORMAL_95 * rows["standard_error"].to_numpy(np.float32),
                    "thickness": 1,
                    "width": 0,
                },
                hovertemplate="neuron %{customdata}: %{y:.3g} ± %{error_y.array:.2g}",
            )
        )
    figure.add_hline(y=0, line={"color": style.CURSOR, "width": 1})
    figure.update_xaxes(title_text="neurons of the layer, most needed first")
    figure.update_yaxes(title_text=f"change of {score_label(score)}")
    alt = (
        f"Change of {score_label(score)} when each neuron is {MODES.get(mode, mode)}, with 95 % intervals,"
        f" {len(layers)} layers"
    )
    return style.finish(figure, 320, alt).update_layout(hovermode="closest")


def ablation_prediction(
    effects: pd.DataFrame, neurons: pd.DataFrame, statistic: str, score: str, mode: str, layers: Sequence[str]
) -> go.Figure:
    """Effect against a statistic, one dot a neuron, coloured by regime and shaped by layer.

    neurons: columns layer, neuron, regime and the statistic. Raises KeyError for a statistic that is not in
    the registry.
    """
    entry = STATISTICS[statistic]
    part = _select(effects, score, mode).merge(
        neurons[["layer", "neuron", "regime", statistic]], on=["layer", "neuron"]
    )
    figure = go.Figure()
    symbols = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star", "hexagon")
    for (code, layer), rows in part.groupby(["regime", "layer"], sort=True):
        regime, place = REGIMES[int(str(code))], int(str(layer))
        figure.add_trace(
            go.Scatter(
                x=rows[statistic].to_numpy(np.float32), y=rows["effect"].to_numpy(np.float32), mode="markers",
                name=f"{regime.name}, {style.text(layers[place])}",
                marker={"color": regime.color, "size": 7, "symbol": symbols[place % len(symbols)]},
                customdata=np.column_stack([rows["neuron"], rows["standard_error"]]),
                hovertemplate="neuron %{customdata[0]}: %{y:.3g} ± %{customdata[1]:.2g} at %{x:.3g}",
            )
        )  # fmt: skip
    figure.add_hline(y=0, line={"color": style.CURSOR, "width": 1})
    figure.update_xaxes(title_text=entry.title)
    figure.update_yaxes(title_text=f"change of {score_label(score)}")
    alt = (
        f"Change of {score_label(score)} when a neuron is {MODES.get(mode, mode)}, against its {entry.title}"
    )
    return style.finish(figure, 380, alt).update_layout(hovermode="closest")


def ablation_predictors(predictors: pd.DataFrame, score: str, mode: str, layers: Sequence[str]) -> go.Figure:
    """How well each statistic ranks the neurons as their silencing does, per layer and over all, with 95 %
    intervals.
    """
    part = predictors[(predictors["score"] == score) & (predictors["mode"] == mode)]
    names = list(dict.fromkeys(part["predictor"]))
    groups = [(-1, "all layers", style.CURSOR)] + [
        (i, style.text(n), style.layer_color(i)) for i, n in enumerate(layers)
    ]
    figure = go.Figure()
    for place, (layer, label, color) in enumerate(groups):
        rows = part[part["layer"] == layer].set_index("predictor").reindex(names)
        figure.add_trace(
            go.Scatter(
                x=np.arange(len(names)) + 0.6 * ((place + 0.5) / len(groups) - 0.5),
                y=rows["value"].to_numpy(np.float32),
                name=label, mode="markers", marker={"color": color, "size": 8},
                error_y={
                    "array": (rows["high"] - rows["value"]).to_numpy(np.float32),
                    "arrayminus": (rows["value"] - rows["low"]).to_numpy(np.float32), "symmetric": False,
                    "width": 0,
                },
                customdata=np.column_stack([rows["low"], rows["high"]]),
                hovertemplate="%{y:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f})",
            )
        )  # fmt: skip
    figure.add_hline(y=0, line={"color": style.CURSOR, "width": 1})
    labels = [
        "regime (share of ranks' variance)" if name == "regime" else STATISTICS[name].label for name in names
    ]
    figure.update_xaxes(
        title_text="statistic of the neuron", tickvals=np.arange(len(names)), ticktext=labels, showgrid=False
    )
    figure.update_yaxes(title_text="rank correlation with the effect", range=[-1, 1])
    alt = (
        f"Spearman's correlation of {', '.join(labels)} with the change of {score_label(score)}, per layer,"
        " with 95 % intervals"
    )
    return style.finish(figure, 340, alt).update_layout(hovermode="closest")
