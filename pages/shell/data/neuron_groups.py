"""Groups of neurons, as the page Neurons compares them: what they are of, and a statistic over steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pages.shell.data import neuron_search
from pages.shell.session import cache, pins, url
from pages.shell.session.runs import RunContext
from pages.shell.session.url import Pin
from probes.analysis.layer_families import is_gaussian
from probes.figures.group_bands import Group

PINNED, REST, SECOND = "pinned neurons", "all others", "same query in the second run"
"""Groups that have no name of their own; others are a stored set's, or a query."""
SET = "set "
COLUMNS = 400  # of steps


@dataclass(frozen=True)
class Members:
    """A group's name and its neurons by run: (layer, neuron)."""

    name: str
    neurons: list[tuple[RunContext, frozenset[tuple[int, int]]]]

    @property
    def count(self) -> int:
        return sum(len(found) for _, found in self.neurons)


def of_pins(name: str, chosen: Sequence[Pin], context: RunContext) -> Members:
    """Pinned neurons of any runs, or those of a set."""
    there = pins.resolve(chosen, context)
    contexts = {one.pin.run: one.context for one in there}
    return Members(
        name,
        [
            (run, frozenset((one.pin.layer, one.pin.neuron) for one in there if one.pin.run == name_of_run))
            for name_of_run, run in contexts.items()
        ],
    )


def of_set(name: str, items: Sequence[str], run: str, context: RunContext) -> Members:
    """A stored set, whose items without a run are of `run`."""
    return of_pins(name, [pin for item in items if (pin := url.read_pin(item, run))], context)


def of_query(name: str, text: str, context: RunContext, step: int) -> Members:
    """What a query finds at the cursor. Raises QueryError."""
    rows = neuron_search.find(context, text, cache.recorded_step(context.run.steps, step)).rows
    return Members(name, [(context, frozenset(zip(rows["layer"], rows["neuron"], strict=True)))])


def rest(members: Members, context: RunContext) -> Members:
    """All other neurons of a run."""
    everything = {
        (index, neuron)
        for index, layer in enumerate(context.layers)
        for neuron in range(int(layer["neurons"]))
    }
    own = next((found for run, found in members.neurons if run.entry.name == context.entry.name), frozenset())
    return Members(REST, [(context, frozenset(everything - own))])


def over_steps(members: Members, statistic: str, color: str, span: tuple[int, int]) -> Group:
    """One statistic of a group's neurons over the steps within `span`, runs and layers on the steps of the
    first.
    """
    steps: np.ndarray | None = None
    parts = []
    for context, neurons in members.neurons:
        if statistic not in context.run.available:
            continue
        for layer in sorted({layer for layer, _ in neurons}):
            values, edges = cache.matrix(context, layer, statistic, COLUMNS, span)
            if not values.shape[1]:
                continue
            steps = edges[:-1] if steps is None else steps
            mine = values[sorted(neuron for at, neuron in neurons if at == layer)]
            parts.append(mine if np.array_equal(edges[:-1], steps) else _at(mine, edges, steps))
    if steps is None:
        return Group(members.name, np.zeros(0, np.int64), np.zeros((0, 0), np.float32), color)
    gaussian = all(is_gaussian(run.layers[layer]) for run, found in members.neurons for layer, _ in found)
    return Group(members.name, steps, np.concatenate(parts), color, gaussian)


def _at(values: np.ndarray, edges: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Columns that hold at `steps`; NaN outside the steps that are held."""
    place = np.searchsorted(edges, steps, side="right") - 1
    inside = (place >= 0) & (place < values.shape[1])
    return np.where(inside, values[:, np.clip(place, 0, values.shape[1] - 1)], np.float32("nan"))
