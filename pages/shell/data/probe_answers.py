"""How the neurons of a layer answered to the probe batch, whatever their family."""

from __future__ import annotations

import numpy as np

from pages.shell.session import cache
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from probes.analysis import answers
from probes.analysis.layer_families import is_code_book, is_gaussian
from probes.families import family_of


def steps(context: RunContext, layer: int) -> np.ndarray:
    """At which posteriors of single inputs were stored of a layer; empty where they never were."""
    about = context.layers[layer]
    if is_code_book(about):
        return np.zeros(0, np.int64)
    return cache.probe_steps(context) if is_gaussian(about) else cache.parameter_steps(context)


def stored_step(neuron: Pinned, step: int) -> int | None:
    """The step at or before the cursor (else the first) of a neuron's stored posteriors; None: of none."""
    stored = steps(neuron.context, neuron.pin.layer)
    return cache.recorded_step(stored, step) if len(stored) else None


def of_layer(context: RunContext, step: int, layer: int) -> np.ndarray | None:
    """(inputs, neurons) means, or (inputs, neurons, D) of classes and angles, at a stored step; None where
    the layer has none there.
    """
    about = context.layers[layer]
    if step not in steps(context, layer):
        return None
    if is_gaussian(about):
        found = cache.probe_layer(context, step, layer)
        return None if found is None else found[0]
    return answers.answers(family_of(about).name, cache.parameter_table(context, step, layer))


def of_layers(context: RunContext, step: int, inputs: int) -> dict[int, np.ndarray]:
    """Layer -> `of_layer`, of those that have stored as many inputs there."""
    found = {layer: of_layer(context, step, layer) for layer in range(len(context.layers))}
    return {layer: held for layer, held in found.items() if held is not None and len(held) == inputs}


def extent(context: RunContext, step: int) -> tuple[int, int]:
    """To be cached with what is read of the stored posteriors at a step: it changes while it grows."""
    gaussian = cache.probe_rows(context, step) if len(cache.probe_steps(context)) else 0
    others = cache.parameter_steps(context)
    newest = len(others) and step == others[-1]
    return gaussian, context.run.extent("parameters") if newest else 0
