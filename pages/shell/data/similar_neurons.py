"""Which neurons move like a chosen one on the probe batch: in its own run, and its partner in another."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from pages.shell.data import neuron_series
from pages.shell.session import cache
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from probes.analysis import neuron_summary, posteriors

NEIGHBOURS_KEPT = 64  # tables of a few rows
MATCHED = 600  # neurons a layer up to which the matching takes about a second


@dataclass(frozen=True)
class Similar:
    """Neurons of another run, or of the same, by correlation with a chosen one.

    steps: at which the probe batch was stored in both. inputs: how many were compared. found: layer, neuron,
    correlation; empty where the chosen one's mean does not move. partner: neuron and correlation of its
    partner where every neuron of the layer gets one; None within one run or in a wide layer.
    """

    steps: tuple[int, int]
    inputs: int
    found: pd.DataFrame
    partner: tuple[int, float] | None


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
    found = _neighbours((own, other), (at, there), layer, number, rows)
    theirs = cache.probe_layer(other, there, layer) if layer < len(other.layers) else None
    partner = None
    same = own.entry.name == other.entry.name
    if not same and theirs is not None and max(mine[0].shape[1], theirs[0].shape[1]) <= MATCHED:
        matched = neuron_summary.partners(mine[0], theirs[0], [number])
        if len(matched):
            partner = int(matched["partner"].iloc[0]), float(matched["correlation"].iloc[0])
    return Similar((at, there), len(mine[0]), found, partner)


@cache.of_run(keep=NEIGHBOURS_KEPT)
def _neighbours(
    contexts: tuple[RunContext, RunContext],
    steps: tuple[int, int],
    layer: int,
    number: int,
    rows: tuple[int, int],
) -> pd.DataFrame:
    """`rows`: how many had come of each step that may still grow."""
    own, other = contexts
    mine = cache.probe_layer(own, steps[0], layer)
    assert mine is not None  # the caller has looked
    tables = {index: cache.probe_layer(other, steps[1], index) for index in range(len(other.layers))}
    means = {index: table[0] for index, table in tables.items() if table is not None}
    same = own.entry.name == other.entry.name
    return neuron_summary.neighbours(mine[0], number, means, layer if same else None)
