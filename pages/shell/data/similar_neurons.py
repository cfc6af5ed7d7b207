"""Which neurons move like a chosen one on the probe batch: in its own run, and its partner in another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pages.shell.data import neuron_series
from pages.shell.session import cache
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from probes.analysis import likeness, neuron_summary, posteriors

NEIGHBOURS_KEPT = 64  # tables of a few rows
MATCHED = 1024  # neurons a layer up to which the matching and its chance take about a second


@dataclass(frozen=True)
class Similar:
    """Neurons of another run, or of the same, by correlation with a chosen one.

    steps: at which the probe batch was stored in both. inputs: how many were compared. found: layer, neuron,
    correlation; empty where the chosen one's mean does not move. among: of how many they are the nearest.
    chance: of the nearest of so many. untrained: what half of the layer's neurons found before training, NaN
    where step 0 is not stored. match: None within one run or in a wide layer.
    """

    steps: tuple[int, int]
    inputs: int
    found: pd.DataFrame
    among: int
    chance: likeness.Chance
    untrained: float
    match: Match | None


@dataclass(frozen=True)
class Match:
    """A layer of one run against that of another.

    partner: neuron and correlation of the chosen one's partner where every neuron of the layer gets one; None
    where it gets none. chance: of partners that have nothing in common. alike: of the layers as wholes.
    untrained, untrained_alike: the median |correlation| of partners, and the layers, before training; None
    where step 0 is not stored in both.
    """

    partner: tuple[int, float] | None
    chance: likeness.Chance
    alike: likeness.Likeness
    untrained: float | None
    untrained_alike: likeness.Likeness | None


def not_comparable(neuron: Pinned, other: RunContext | None) -> str | None:
    """Why the two runs cannot be compared input by input; None if they can."""
    if other is None:
        return "That run cannot be read."
    if not len(cache.probe_steps(other)):
        return "That run stores no probe batch."
    own = neuron.context
    if other.entry.name != own.entry.name and not posteriors.same_inputs(
        cache.predictions(own), cache.predictions(other)
    ):
        return (
            "That run was probed with other inputs: correlation would compare answers to different questions."
        )
    return None


def similar(neuron: Pinned, other: RunContext, step: int) -> Similar | None:
    """Neurons of `other` by correlation of means over the probe inputs stored at or before `step`; None if
    the neuron's layer has no stored probe batch.
    """
    own, layer, number = neuron.context, neuron.pin.layer, neuron.pin.neuron
    at, there = (neuron_series.probe_step(run, step) for run in (own, other))
    mine = None if at is None else cache.probe_layer(own, at, layer)
    if mine is None or at is None or there is None:
        return None
    rows = cache.probe_rows(own, at), cache.probe_rows(other, there)
    near = _neighbours((own, other), (at, there), layer, number, rows)
    match = None
    if own.entry.name != other.entry.name and layer < len(other.layers):
        match = _match((own, other), (at, there), layer, rows, number)
    return Similar((at, there), len(mine[0]), *near, _untrained_nearest((own, other), layer), match)


def means(context: RunContext, step: int) -> dict[int, np.ndarray]:
    """Layer -> mu (inputs, neurons) of the stored ones."""
    tables = {layer: cache.probe_layer(context, step, layer) for layer in range(len(context.layers))}
    return {layer: table[0] for layer, table in tables.items() if table is not None}


def _before_training(contexts: tuple[RunContext, RunContext]) -> bool:
    """Whether both runs hold the probe batch of step 0."""
    return all(0 in cache.probe_steps(context) for context in contexts)


@cache.of_run(keep=NEIGHBOURS_KEPT)
def _untrained_nearest(contexts: tuple[RunContext, RunContext], layer: int) -> float:
    """|Correlation| with the nearest of all layers before training, the median of a layer's neurons."""
    own, other = contexts
    if not _before_training(contexts):
        return float("nan")
    mine, theirs = means(own, 0).get(layer), means(other, 0)
    same = own.entry.name == other.entry.name
    if mine is None or not theirs:
        return float("nan")
    others = np.hstack([theirs[index] for index in sorted(theirs, key=lambda index: index != layer)])
    best = likeness.nearest_in_layers(mine, others, own=same)
    return float(np.nanmedian(best)) if np.isfinite(best).any() else float("nan")


@cache.of_run(keep=NEIGHBOURS_KEPT)
def _match(
    contexts: tuple[RunContext, RunContext],
    steps: tuple[int, int],
    layer: int,
    rows: tuple[int, int],
    number: int,
) -> Match | None:
    """`rows`: as of `_neighbours`."""
    mine, theirs = (
        cache.probe_layer(context, step, layer) for context, step in zip(contexts, steps, strict=True)
    )
    if mine is None or theirs is None or max(mine[0].shape[1], theirs[0].shape[1]) > MATCHED:
        return None
    matched = neuron_summary.partners(mine[0], theirs[0], [number])
    partner = (
        (int(matched["partner"].iloc[0]), float(matched["correlation"].iloc[0])) if len(matched) else None
    )
    untrained = untrained_alike = None
    if _before_training(contexts):
        first = [cache.probe_layer(context, 0, layer) for context in contexts]
        if first[0] is not None and first[1] is not None:
            before = first[0][0], first[1][0]
            untrained = float(posteriors.match(*before)["correlation"].abs().median())
            untrained_alike = likeness.layers_alike(*before)
    return Match(
        partner,
        likeness.chance_of_match(mine[0], theirs[0]),
        likeness.layers_alike(mine[0], theirs[0]),
        untrained,
        untrained_alike,
    )


@cache.of_run(keep=NEIGHBOURS_KEPT)
def _neighbours(
    contexts: tuple[RunContext, RunContext],
    steps: tuple[int, int],
    layer: int,
    number: int,
    rows: tuple[int, int],
) -> tuple[pd.DataFrame, int, likeness.Chance]:
    """The nearest, of how many, and the chance of so many. `rows`: how many had come of each step that may
    still grow.
    """
    own, other = contexts
    mine = cache.probe_layer(own, steps[0], layer)
    assert mine is not None  # the caller has looked
    theirs = means(other, steps[1])
    same = own.entry.name == other.entry.name
    found = neuron_summary.neighbours(mine[0], number, theirs, layer if same else None)
    others = [np.delete(mu, number, axis=1) if same and i == layer else mu for i, mu in theirs.items()]
    among = np.hstack(others) if others else mine[0][:, :0]
    return found, among.shape[1], likeness.chance_of_nearest(mine[0][:, number], among)
