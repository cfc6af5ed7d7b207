"""What the pages look at: which pages there are, the run, the cursor, the neuron that is chosen and those
that are pinned.
"""

from __future__ import annotations

import streamlit as st

from pages.shell.session import cache, runs, url
from pages.shell.session.runs import RunContext
from probes.analysis import layer_families
from probes.neuron_names import neuron_name

PAGES = (
    ("runs", "Runs", "folder_open"),
    ("replay", "Replay", "play_circle"),
    ("health", "Health", "monitor_heart"),
    ("layers", "Layers", "stacks"),
    ("uncertainty", "Uncertainty", "blur_on"),
    ("sequence", "Sequence", "text_fields"),
    ("persistence", "Persistence", "timeline"),
    ("experiments", "Experiments", "experiment"),
    ("neurons", "Neurons", "scatter_plot"),
    ("reference", "Reference", "menu_book"),
)
"""File stem, title and icon of each page, in the order of the navigation."""
DEFAULT_PAGE = "replay"

SHARED = {
    "weights": "posteriors over weights, not activations",
    "shared variables": "posteriors of variables, not activations",
}
"""What a watched layer may be of instead of activations, in words."""

# session: the title of the page that is shown, whether it was another before
_PAGE, _ENTERED = "_page", "_entered"


def enter(page: str) -> None:
    """Note which page this run of the app shows, by its title."""
    st.session_state[_ENTERED] = page_shown() != page
    st.session_state[_PAGE] = page


def page_shown() -> str | None:
    """The title of the page that is shown."""
    return st.session_state.get(_PAGE)


def entered() -> bool:
    """Whether this run of the app is the first on its page, coming from another."""
    return bool(st.session_state.get(_ENTERED))


def cursor(context: RunContext) -> int | None:
    """The step that all pages look at: the recorded one at or before the URL's, else the last; None if
    nothing is recorded.
    """
    steps = context.run.steps
    asked = url.get("step")
    if len(steps) == 0:
        return _last_scalar(context)
    if asked is None or not asked.isdecimal():
        if asked is not None:
            url.unknown("step", asked, f"step {int(steps[-1]):,}")
            url.put("step", None)
        return int(steps[-1])
    return cache.recorded_step(steps, int(asked))


def _last_scalar(context: RunContext) -> int | None:
    """A twin records no neurons: its last step is that of its last score."""
    steps = cache.scalars(context)["step"]
    return int(steps.max()) if len(steps) else None


def chosen_neuron(context: RunContext) -> tuple[int, int] | None:
    """The neuron of this run that is looked at, (layer, neuron): the first of `neurons` in the URL, which
    names the run where it is not the one shown but the one beside it.
    """
    first = (url.get("neurons") or "").split(",")[0]
    if not first:
        return None
    shown = url.get("run") or context.entry.name
    found = url.read_pin(first, shown)
    if found and found.run == context.entry.name and exists(context, *found[1:]):
        return found[1:]
    if found and found.run != context.entry.name and found.run in (shown, url.get("vs")):
        return None
    if not found or found.run not in runs.entries() or found.run == context.entry.name:
        url.unknown("neuron", first, "none")
    url.put("neurons", None)
    return None


def choose_neuron(run: str, layer: int, neuron: int) -> None:
    """Look at a neuron, on all pages."""
    own = run == url.get("run")
    url.put("neurons", neuron_name(layer, neuron) if own else url.write_pin(url.Pin(run, layer, neuron)))


def pinned(context: RunContext) -> list[tuple[int, int]]:
    """The pinned neurons of this run, (layer, neuron)."""
    return [
        (pin.layer, pin.neuron)
        for pin in url.pins()
        if pin.run == context.entry.name and exists(context, *pin[1:])
    ]


def exists(context: RunContext, layer: int, neuron: int) -> bool:
    """Whether the run has this neuron."""
    return layer < len(context.layers) and neuron < context.layers[layer]["neurons"]


def is_shared(context: RunContext) -> bool:
    """Whether all distributions are the same for every input: of weights or of variables, not of
    activations.
    """
    return all(layer.get("of") in SHARED for layer in context.layers)


def has_distributions(context: RunContext) -> bool:
    """Whether the run has something to show of neurons' distributions."""
    return layer_families.has_distributions(context.run)
