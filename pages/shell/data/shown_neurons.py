"""Which neurons the page Neurons shows, under which names and colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pages.shell.data.neuron_search import Found
from pages.shell.session import cache, pins, state, url
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from pages.shell.session.url import Pin
from probes import palette
from probes.spacing import evenly_spaced

INFORMATIVE = ("information", "spread", "kl")  # what a preview goes by, the first that is recorded
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


def previewed_by(context: RunContext) -> str:
    """What `preview` goes by, as an adjective."""
    return "informative" if set(INFORMATIVE) & set(context.run.statistics) else "contracted"


def preview(context: RunContext, step: int) -> list[Pinned]:
    """While nothing is asked for: the most informative neuron of each layer, of layers spread over the depth.

    Where information was not recorded, that of most spread or KL; where these are not either, the most
    contracted.
    """
    now = cache.at(context, step)
    key = next((name for name in INFORMATIVE if name in now), "variance")
    found = []
    for layer in evenly_spaced(len(context.layers), PREVIEWED):
        part = now[now["layer"] == layer]
        if len(part):
            values = part[key].to_numpy(dtype=float, na_value=np.nan) * (-1 if key == "variance" else 1)
            best = int(np.argmax(np.nan_to_num(values, nan=-np.inf)))
            found.append(Pinned(Pin(context.entry.name, int(layer), int(part["neuron"].iloc[best])), context))
    return found
