"""Which neurons move like a chosen one on the probe batch: in its own run, and its partner in another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pages.shell.data import probe_answers
from pages.shell.session import cache
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from probes.analysis import likeness, posteriors

NEIGHBOURS_KEPT = 64  # tables of a few rows
UNTRAINED = 10_000_000  # pairs of numbers of two layers that are compared within a second
MATCHED = 1024  # neurons a layer up to which the matching and its chance take about a second


@dataclass(frozen=True)
class Similar:
    """Neurons of another run, or of the same, by correlation with a chosen one.

    steps: at which the probe batch was stored in both. inputs: how many were compared. several: whether the
    chosen one answers by several numbers, such as probabilities of classes. found: layer, neuron,
    correlation; empty where the chosen one's answer does not move. among: of how many they are the nearest.
    chance: of the nearest of so many. untrained: what half of the layer's neurons found before training, NaN
    where step 0 is not stored. match: None within one run or in a wide layer.
    """

    steps: tuple[int, int]
    inputs: int
    several: bool
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
    if not any(len(probe_answers.steps(other, layer)) for layer in range(len(other.layers))):
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
    at = probe_answers.stored_step(neuron, step)
    there = at if other.entry.name == own.entry.name else _stored_step(other, layer, step)
    mine = None if at is None else probe_answers.of_layer(own, at, layer)
    if mine is None or at is None or there is None:
        return None
    extents = probe_answers.extent(own, at), probe_answers.extent(other, there)
    near = _neighbours((own, other), (at, there), layer, number, extents)
    match = None
    if own.entry.name != other.entry.name and layer < len(other.layers):
        match = _match((own, other), (at, there), layer, extents, number)
    untrained = _untrained_nearest((own, other), layer)
    return Similar((at, there), len(mine), mine[0, 0].size > 1, *near, untrained, match)


def _stored_step(context: RunContext, layer: int, step: int) -> int | None:
    """The step of another run's stored posteriors: of the same layer, else of the first that has some."""
    order = sorted(range(len(context.layers)), key=lambda one: one != layer)
    stored = next((held for one in order if len(held := probe_answers.steps(context, one))), None)
    return None if stored is None else cache.recorded_step(stored, step)


@cache.of_run(keep=NEIGHBOURS_KEPT)
def _untrained_nearest(contexts: tuple[RunContext, RunContext], layer: int) -> float:
    """|Correlation| with the nearest of all layers before training, the median of a layer's neurons."""
    own, other = contexts
    mine = probe_answers.of_layer(own, 0, layer)
    theirs = {} if mine is None else probe_answers.of_layers(other, 0, len(mine))
    if mine is None or not theirs or mine[0].size * sum(held[0].size for held in theirs.values()) > UNTRAINED:
        return float("nan")
    same = own.entry.name == other.entry.name
    others = [theirs[index] for index in sorted(theirs, key=lambda index: index != layer)]
    best = likeness.nearest_in_layers(mine, others, own=same)
    return float(np.nanmedian(best)) if np.isfinite(best).any() else float("nan")


@cache.of_run(keep=NEIGHBOURS_KEPT)
def _match(
    contexts: tuple[RunContext, RunContext],
    steps: tuple[int, int],
    layer: int,
    extents: tuple[tuple[int, int], tuple[int, int]],
    number: int,
) -> Match | None:
    """`extents`: as of `_neighbours`."""
    mine, theirs = (
        probe_answers.of_layer(context, step, layer) for context, step in zip(contexts, steps, strict=True)
    )
    if mine is None or theirs is None or len(mine) != len(theirs):
        return None
    if max(mine[0].size, theirs[0].size) > MATCHED:
        return None
    matched = posteriors.partners(mine, theirs, [number])
    partner = (
        (int(matched["partner"].iloc[0]), float(matched["correlation"].iloc[0])) if len(matched) else None
    )
    untrained = untrained_alike = None
    first, second = (probe_answers.of_layer(context, 0, layer) for context in contexts)
    if first is not None and second is not None and len(first) == len(second):
        untrained = float(posteriors.match(first, second)["correlation"].abs().median())
        untrained_alike = likeness.layers_alike(first, second)
    return Match(
        partner,
        likeness.chance_of_match(mine, theirs),
        likeness.layers_alike(mine, theirs),
        untrained,
        untrained_alike,
    )


@cache.of_run(keep=NEIGHBOURS_KEPT)
def _neighbours(
    contexts: tuple[RunContext, RunContext],
    steps: tuple[int, int],
    layer: int,
    number: int,
    extents: tuple[tuple[int, int], tuple[int, int]],
) -> tuple[pd.DataFrame, int, likeness.Chance]:
    """The nearest, of how many, and the chance of so many. `extents`: how far the rows of each step reach."""
    own, other = contexts
    mine = probe_answers.of_layer(own, steps[0], layer)
    assert mine is not None  # the caller has looked
    theirs = probe_answers.of_layers(other, steps[1], len(mine))
    same = own.entry.name == other.entry.name
    found = posteriors.neighbours(mine, number, theirs, layer if same else None)
    others = [np.delete(mu, number, axis=1) if same and i == layer else mu for i, mu in theirs.items()]
    among = sum(mu.shape[1] for mu in others)
    return found, among, likeness.chance_of_nearest(mine[:, number], others)
