"""What silencing neurons costs, and whether a statistic of theirs predicts it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from probes.experiments.estimates import half_width
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.neuron_names import neuron_names
from probes.schema import REGIMES, SCORES, STATISTICS

MODES = {"mean": "held at the prior's mean", "resampled": "drawn from the prior"}
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star", "hexagon")
"""Of layers, in order."""
ZERO_LINE = {"color": style.CURSOR, "width": 1}
SIDE_BY_SIDE = 380  # pixels: figures of one height, so that their axes are level


def score_label(score: str) -> str:
    """A score's name with its unit, as axes show it; a name that is not known stands as it is."""
    return SCORES[score].title if score in SCORES else style.text(score)


def _select(effects: pd.DataFrame, score: str, mode: str) -> pd.DataFrame:
    part = effects[(effects["score"] == score) & (effects["mode"] == mode)]
    if part.empty:
        known = sorted({f"{s}, {m}" for s, m in zip(effects["score"], effects["mode"], strict=True)})
        raise ValueError(f"no effects on {score!r} in mode {mode!r}; there are {'; '.join(known)}")
    return part


def _half_width(effects: pd.DataFrame) -> NDArray[np.float32]:
    """Of each effect's 95 % interval; a table without `freedom` is taken as one of many blocks."""
    return half_width(effects["standard_error"], effects.get("freedom", np.inf)).astype(np.float32)


def ablation_effects(effects: pd.DataFrame, score: str, mode: str, layers: Sequence[str]) -> go.Figure:
    """What silencing each neuron costs: neurons of each layer from the most to the least needed.

    Parameters
    ----------
    effects : DataFrame
        As `probes.experiments.ablation.ablate` gives them.
    score, mode : str
        Which of its scores and ways to silence.
    layers : sequence of str
        The layers' names.

    Returns
    -------
    go.Figure
        Dots with 95 % intervals, each neuron's own, in the unit of the score; above 0 the network is worse
        without the neuron.

    Raises
    ------
    ValueError
        For a score or mode that is not among the effects.
    """
    part = _select(effects, score, mode)
    figure = FigureBuilder()
    for layer, name in enumerate(layers):
        rows = part[part["layer"] == layer].sort_values("effect", ascending=False)
        half = _half_width(rows)
        figure.scatter(
            np.arange(1, len(rows) + 1), rows["effect"], style.text(name), mode="markers",
            marker={"color": style.layer_color(layer, len(layers)), "size": 5},
            error_y={"array": half, "thickness": 1, "width": 0}, customdata=neuron_names(rows),
            hovertemplate="%{customdata}: %{y:.3g} ± %{error_y.array:.2g}",
        )  # fmt: skip
    figure.add_hline(0, ZERO_LINE)
    figure.update_xaxes(title="neurons of the layer, most needed first")
    figure.update_yaxes(title=f"change of {score_label(score)}")
    alt = (
        f"Change of {score_label(score)} when each neuron is {MODES.get(mode, mode)}, with 95 % intervals,"
        f" {len(layers)} layers"
    )
    return figure.finish(SIDE_BY_SIDE, alt, hovermode="closest")


def ablation_prediction(
    effects: pd.DataFrame, neurons: pd.DataFrame, statistic: str, score: str, mode: str, layers: Sequence[str]
) -> go.Figure:
    """What silencing each neuron costs against a statistic of it, one dot a neuron.

    Parameters
    ----------
    effects : DataFrame
        As `probes.experiments.ablation.ablate` gives them.
    neurons : DataFrame
        Columns layer, neuron, regime and the statistic.
    statistic : str
        A key of `schema.STATISTICS`.
    score, mode : str
        Which of the scores and ways to silence.
    layers : sequence of str
        The layers' names.

    Returns
    -------
    go.Figure
        Dots coloured by regime, shaped by layer.

    Raises
    ------
    KeyError
        For a statistic that is not in the registry.
    ValueError
        For a score or mode that is not among the effects.
    """
    entry = STATISTICS[statistic]
    part = _select(effects, score, mode).merge(
        neurons[["layer", "neuron", "regime", statistic]], on=["layer", "neuron"]
    )
    figure = FigureBuilder()
    for (code, layer), rows in part.groupby(["regime", "layer"], sort=True):
        regime, place = REGIMES[int(str(code))], int(str(layer))
        figure.scatter(
            rows[statistic].to_numpy(np.float32), rows["effect"],
            f"{regime.name}, {style.text(layers[place])}", mode="markers",
            marker={"color": regime.color, "size": 7, "symbol": SYMBOLS[place % len(SYMBOLS)]},
            customdata=list(zip(neuron_names(rows), _half_width(rows).tolist(), strict=True)),
            hovertemplate="%{customdata[0]}: %{y:.3g} ± %{customdata[1]:.2g} at %{x:.3g}",
        )  # fmt: skip
    figure.add_hline(0, ZERO_LINE)
    figure.update_xaxes(title=entry.title)
    figure.update_yaxes(title=f"change of {score_label(score)}")
    alt = (
        f"Change of {score_label(score)} when a neuron is {MODES.get(mode, mode)}, against its {entry.title}"
    )
    return figure.finish(SIDE_BY_SIDE, alt, hovermode="closest")


def ablation_predictors(predictors: pd.DataFrame, score: str, mode: str, layers: Sequence[str]) -> go.Figure:
    """How well each statistic ranks the neurons as their silencing does, per layer and over all.

    Parameters
    ----------
    predictors : DataFrame
        The experiment's table: columns score, mode, layer (-1: all), predictor, value, low, high.
    score, mode : str
        Which of the scores and ways to silence.
    layers : sequence of str
        The layers' names.

    Returns
    -------
    go.Figure
        Spearman's correlations with 95 % intervals.
    """
    part = predictors[(predictors["score"] == score) & (predictors["mode"] == mode)]
    names = list(dict.fromkeys(part["predictor"]))
    groups = [(-1, "all layers", style.CURSOR)] + [
        (i, style.text(n), style.layer_color(i, len(layers))) for i, n in enumerate(layers)
    ]
    figure = FigureBuilder()
    for place, (layer, label, color) in enumerate(groups):
        rows = part[part["layer"] == layer].set_index("predictor").reindex(names)
        aside = 0.6 * ((place + 0.5) / len(groups) - 0.5)
        figure.scatter(
            np.arange(len(names)) + aside, rows["value"], label, mode="markers",
            marker={"color": color, "size": 8},
            error_y={
                "array": (rows["high"] - rows["value"]).to_numpy(np.float32),
                "arrayminus": (rows["value"] - rows["low"]).to_numpy(np.float32),
                "symmetric": False, "width": 0,
            },
            customdata=np.column_stack([rows["low"], rows["high"]]),
            hovertemplate="%{y:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f})",
        )  # fmt: skip
    figure.add_hline(0, ZERO_LINE)
    labels = [
        "regime (share of ranks' variance)" if name == "regime" else STATISTICS[name].label for name in names
    ]
    ticks = [label.partition(" (")[0] for label in labels]  # a longer one has no room on a phone
    figure.update_xaxes(
        title="statistic of the neuron", tickvals=np.arange(len(names)), ticktext=ticks, showgrid=False,
        autotickangles=[0, 35],
    )  # fmt: skip
    figure.update_yaxes(title="rank correlation with the effect", range=[-1, 1])
    alt = (
        f"Spearman's correlation of {', '.join(labels)} with the change of {score_label(score)}, per layer,"
        " with 95 % intervals"
    )
    return figure.finish(340, alt, hovermode="closest")
