"""The probe inputs that a neuron answers to most, and what they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pages.shell.data import neuron_series
from pages.shell.session import cache
from pages.shell.session.pins import Pinned
from probes.analysis.telling_inputs import telling_inputs

SHOWN = 8  # inputs of a group


@dataclass(frozen=True)
class Telling:
    """Of one neuron: group, rank, input, mu, sigma, information, kind and content, at a stored step."""

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
    contents = cache.input_contents(neuron.context)
    stored = neuron_series.probe_step(neuron.context, step) if len(contents) else None
    number = neuron.pin.neuron
    found = (
        None if stored is None else cache.probe_neurons(neuron.context, stored, neuron.pin.layer, [number])
    )
    if stored is None or found is None:
        return None
    mu, sigma = (np.asarray(values[:, 0], float) for values in found)
    table = telling_inputs(mu, sigma, SHOWN).merge(contents, on="input", how="left")
    return Telling(stored, table)
