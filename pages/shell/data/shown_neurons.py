"""Which neurons the page Neurons shows, under which names and colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pages.shell.data import neuron_series
from pages.shell.data.neuron_search import Found
from pages.shell.session import cache, pins, state, url
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from pages.shell.session.url import Pin
from probes import palette
from probes.spacing import evenly_spaced

INFORMATIVE = ("information", "kl", "spread")  # what neurons are told by, the first that is recorded
PREVIEWED = 4  # neurons that are shown while nothing is asked for


@dataclass(frozen=True)
class Shown:
    """The neurons that are drawn, and those of the second run, which stand dashed beside them.

    why: "pinned", "found" or "preview". partners: place in `neurons` whose colour a neuron of the second run
    shares, by its place in `second`.
    """

    neurons: list[Pinned]
    why: str
    second: tuple[Pinned, ...] = ()
    partners: tuple[int, ...] = ()

    @property
    def all(self) -> list[Pinned]:
        return [*self.neurons, *self.second]

    @property
    def colors(self) -> list[str]:
        """One for each of `all`."""
        own = [palette.OKABE_ITO[place % len(palette.OKABE_ITO)] for place in range(len(self.neurons))]
        partners = self.partners or range(len(self.second))
        return own + [palette.OKABE_ITO[place % len(palette.OKABE_ITO)] for place in partners]

    @property
    def dashed(self) -> list[bool]:
        """One for each of `all`."""
        return [False] * len(self.neurons) + [True] * len(self.second)

    def for_panels(self) -> Shown:
        """As many as small multiples hold: of two runs half as many of each."""
        if not self.second:
            return self
        half = pins.PLOTTED // 2
        return Shown(self.neurons[:half], self.why, self.second[:half], self.partners[:half])


def choose(context: RunContext, step: int, found: Found | None) -> Shown:
    """The pinned neurons that have distributions, and the one that is looked at; where there are none, what
    was found; where nothing is asked for (`found` is None) a preview.
    """
    pinned = [one for one in pins.resolve(url.pins(), context) if state.has_distributions(one.context)]
    looked_at = state.chosen_neuron(context)
    if looked_at:
        one = Pinned(Pin(context.entry.name, *looked_at), context)
        if one.pin not in url.pins():
            pinned = [*pinned[: pins.PLOTTED - 1], one]
    if pinned:
        return Shown(pinned[: pins.PLOTTED], "pinned")
    if found is not None:
        return Shown(found.pinned(context, pins.PLOTTED), "found")
    return Shown(preview(context, step), "preview")


def telling(context: RunContext) -> str:
    """The statistic that neurons of a run are told by: the first of INFORMATIVE that is recorded, else their
    contraction; that too of posteriors that all inputs share, which hold no information of an input.
    """
    if state.is_shared(context):
        return "contraction"
    return next((name for name in INFORMATIVE if name in context.run.statistics), "contraction")


def _told(rows: pd.DataFrame, name: str) -> bool:
    return name in rows and bool(rows[name].notna().any())


def preview(context: RunContext, step: int) -> list[Pinned]:
    """While nothing is asked for: the first neurons of each layer by `telling`, of layers spread over the
    depth.
    """
    now = neuron_series.rows_at(context, cache.recorded_step(context.run.steps, step))
    found = []
    for layer in evenly_spaced(len(context.layers), PREVIEWED):
        part = now[now["layer"] == layer]
        name = next((one for one in (telling(context), *INFORMATIVE, "entropy") if _told(part, one)), None)
        values = part[name].to_numpy(dtype=float, na_value=np.nan) if name else np.zeros(len(part))
        order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
        numbers = part["neuron"].to_numpy()[order[: max(PREVIEWED // len(context.layers), 1)]]
        found += [Pinned(Pin(context.entry.name, int(layer), int(number)), context) for number in numbers]
    return found
