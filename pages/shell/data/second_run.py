"""Neurons of a second run beside those that are shown: of the same query, same numbers, or their partners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pages.shell.data import neuron_search, neuron_series, similar_neurons
from pages.shell.data.shown_neurons import Shown
from pages.shell.session import cache, pins, state
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from pages.shell.session.url import Pin
from probes.analysis import likeness, posteriors
from probes.neuron_names import neuron_name

QUERY, SAME, MATCHED = "same query", "same numbers", "matched"
"""How neurons of the second run are chosen; MATCHED: by Hungarian matching on the same probe inputs."""
LAYERS_KEPT = 16


@dataclass(frozen=True)
class Beside:
    """The shown neurons with those of the second run, and what is to be said of these."""

    shown: Shown
    note: str


def of_query(shown: Shown, other: RunContext, text: str, step: int) -> Beside:
    """What the same query finds in the other run. Raises QueryError for what that run does not hold."""
    found = neuron_search.find(other, text, cache.recorded_step(other.run.steps, step))
    second = tuple(found.pinned(other, pins.PLOTTED))
    return Beside(
        replace(shown, second=second),
        f"{len(found.rows):,} of {found.total:,} neurons match there.",
    )


def of_numbers(shown: Shown, other: RunContext) -> Beside:
    """The neurons of the same layer and number."""
    own = {one.pin for one in shown.neurons}
    there = [
        place
        for place, one in enumerate(shown.neurons)
        if state.exists(other, one.pin.layer, one.pin.neuron)
        and Pin(other.entry.name, *one.pin[1:]) not in own
    ]
    second = tuple(Pinned(Pin(other.entry.name, *shown.neurons[place].pin[1:]), other) for place in there)
    return Beside(
        replace(shown, second=second, partners=tuple(there)),
        "The same numbers, which are other neurons: 17 of one seed is not 17 of another.",
    )


def why_not_matched(context: RunContext, other: RunContext) -> str | None:
    """Why neurons of two runs have no partners; None if they have."""
    if not len(cache.probe_steps(context)):
        return "this run stores no probe batch"
    if not len(cache.probe_steps(other)):
        return "that run stores no probe batch"
    if not posteriors.same_inputs(cache.predictions(context), cache.predictions(other)):
        return "the runs were probed with different inputs"
    return None


def of_partners(shown: Shown, context: RunContext, other: RunContext, step: int) -> Beside:
    """The shown neurons' partners, where every neuron of a layer gets one of the other run's."""
    second, places, said, chances = [], [], [], []
    for place, one in enumerate(shown.neurons):
        if one.context.entry.name != context.entry.name or one.pin.layer >= len(other.layers):
            continue
        steps = neuron_series.probe_step(context, step), neuron_series.probe_step(other, step)
        if steps[0] is None or steps[1] is None:
            continue
        partners, chance = _partners((context, other), (steps[0], steps[1]), one.pin.layer)
        if one.pin.neuron in partners:
            number, size = partners[one.pin.neuron]
            second.append(Pinned(Pin(other.entry.name, one.pin.layer, number), other))
            places.append(place)
            name = neuron_name(one.pin.layer, number)
            said.append(f"{one.own_name} ↔ {name} ({size:.2f})".replace("-", "−"))
            chances.append(chance)
    note = (
        f"Hungarian matching on the same probe inputs; correlation of means: {', '.join(said)}; by chance"
        f" {max(chances, default=0):.2f}."
    )
    none = "None of these neurons has a partner there."
    return Beside(replace(shown, second=tuple(second), partners=tuple(places)), note if said else none)


@cache.of_run("probe", keep=LAYERS_KEPT)
def _partners(
    contexts: tuple[RunContext, RunContext], steps: tuple[int, int], layer: int
) -> tuple[dict[int, tuple[int, float]], float]:
    """Neuron -> (partner, correlation) of a layer, and the median |correlation| by chance."""
    mine, theirs = (
        cache.probe_layer(context, step, layer) for context, step in zip(contexts, steps, strict=True)
    )
    if mine is None or theirs is None:
        return {}, float("nan")
    if max(mine[0].shape[1], theirs[0].shape[1]) > similar_neurons.MATCHED:
        return {}, float("nan")
    matched = posteriors.match(mine[0], theirs[0])
    values = zip(matched["partner"].tolist(), matched["correlation"].tolist(), strict=True)
    partners = dict(zip(matched["neuron"].tolist(), values, strict=True))
    return partners, likeness.chance_of_match(mine[0], theirs[0]).median


def offered(text: str | None, matchable: bool) -> Sequence[str]:
    """The ways that can be chosen, the default first."""
    return [*([QUERY] if text else []), SAME, *([MATCHED] if matchable else [])]
