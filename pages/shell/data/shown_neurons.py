"""Which neurons the page Neurons shows, under which names and colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pages.shell.session import cache, pins, state, url
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from pages.shell.session.url import Pin
from probes import palette
from probes.spacing import evenly_spaced

INFORMATIVE = ("information", "spread", "kl")  # what a preview goes by, the first that is recorded
PREVIEWED = 4  # neurons that are shown while nothing is pinned


def chosen(context: RunContext) -> list[Pinned]:
    """The pinned neurons that have distributions, and the chosen one if there is room."""
    shown = [
        neuron for neuron in pins.resolve(url.pins(), context) if state.has_distributions(neuron.context)
    ][: pins.PLOTTED]
    looked_at = state.chosen_neuron(context)
    if looked_at and len(shown) < pins.PLOTTED:
        pin = Pin(context.entry.name, *looked_at)
        shown += [Pinned(pin, context)] if pin not in url.pins() else []
    return shown


def previewed_by(context: RunContext) -> str:
    """What `preview` goes by, as an adjective."""
    return "informative" if set(INFORMATIVE) & set(context.run.statistics) else "contracted"


def preview(context: RunContext, step: int) -> list[Pinned]:
    """While nothing is pinned: the most informative neuron of each layer, of layers spread over the depth.

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


def labels(shown: Sequence[Pinned]) -> list[str]:
    """Names for panels, all different: without the run where all are of one."""
    one = len({neuron.pin.run for neuron in shown}) == 1
    names = [neuron.short(neuron.pin.run if one else "") for neuron in shown]
    return names if len(set(names)) == len(names) else [neuron.name for neuron in shown]


def colors(count: int) -> list[str]:
    """A colour for each shown neuron, by its place."""
    return [palette.OKABE_ITO[place % len(palette.OKABE_ITO)] for place in range(min(count, pins.PLOTTED))]
