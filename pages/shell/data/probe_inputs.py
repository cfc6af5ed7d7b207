"""The probe inputs that a neuron answers to most, and what they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pages.shell.data import neuron_shapes, probe_answers
from pages.shell.session import cache
from pages.shell.session.pins import Pinned
from probes.analysis import answers
from probes.analysis.telling_inputs import telling_inputs
from probes.families import family_of

SHOWN = 8  # inputs of a group


@dataclass(frozen=True)
class Telling:
    """Of one neuron at a stored step: the columns of `telling_inputs.ranked`, kind and content."""

    step: int
    table: pd.DataFrame

    @property
    def images(self) -> dict[int, str]:
        """PNGs in base64 by input."""
        rows = self.table[self.table["kind"] == "image"]
        return dict(zip(rows["input"].tolist(), rows["content"].tolist(), strict=True))


def of_neuron(neuron: Pinned, step: int) -> Telling | None:
    """At the stored step at or before the cursor (else the first); None where the run does not say what its
    inputs are, or has no posteriors of them.
    """
    context, (_, layer, number) = neuron.context, neuron.pin
    contents = cache.input_contents(context)
    stored = probe_answers.stored_step(neuron, step) if len(contents) else None
    if stored is None:
        return None
    if neuron_shapes.gaussian(neuron):
        found = cache.probe_neurons(context, stored, layer, [number])
        if found is None:
            return None
        mu, sigma = (np.asarray(values[:, 0], float) for values in found)
        table = telling_inputs(mu, sigma, SHOWN)
    else:
        parameters = cache.parameter_table(context, stored, layer)
        if not parameters:
            return None
        table = answers.telling_inputs(family_of(context.layers[layer]).name, parameters, number, SHOWN)
    return Telling(stored, table.merge(contents, on="input", how="left"))
