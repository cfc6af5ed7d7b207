"""What can be done with a neuron wherever it is selected: pin it, open it in Neurons.

A figure names its neurons in the first field of their `customdata` (`probes.neuron_names`); `select` makes a
click on one the neuron that all pages look at.
"""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from pages.shell.session import state, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards
from probes.neuron_names import full_name, neuron_name, read_neuron


def actions(context: RunContext, key: str, beside: RunContext | None = None) -> None:
    """Name of the selected neuron, of the run or of the one beside it, with its buttons, in one line; a hint
    while none is selected. `key` must be unique on the page.
    """
    for run in (context, beside):
        chosen = state.chosen_neuron(run) if run else None
        if run and chosen:
            name = full_name(*chosen, run.names[chosen[0]])
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                whose = f"{run.entry.name} " if beside else ""
                st.markdown(f"**{url.plain(whose + name)}**", width="content")
                buttons(run, *chosen, key)
            return
    st.caption("Click a neuron to pin it or to open it in Neurons.")


def buttons(context: RunContext, layer: int, neuron: int, key: str) -> None:
    """“Pin” and “Open in Neurons” of a neuron, for a horizontal container."""
    st.button(
        "Unpin" if (layer, neuron) in state.pinned(context) else "Pin",
        key=f"pin_{key}",
        icon=":material/keep:",
        on_click=url.toggle_pin,
        args=(layer, neuron, context.entry.name),
    )
    if st.button("Open in Neurons", key=f"open_{key}", icon=":material/scatter_plot:"):
        run, shown = context.entry.name, url.get("run")
        swapped = {} if run == shown else {"run": run, "vs": shown, "layer": None}
        url.put_all({"neurons": neuron_name(layer, neuron), "find": None, **swapped})
        st.switch_page("pages/neurons.py")


def chart(figure: go.Figure, key: str) -> None:
    """A figure of neurons on a page: a click on one selects it."""
    cards.show(figure, key, on_select=lambda: select(key), selection_mode="points")


def select(key: str) -> None:
    """A point of the figure `key` was clicked: its neuron is looked at on all pages."""
    for point in st.session_state[key]["selection"]["points"]:
        said = point.get("customdata")
        name = str(said[0] if isinstance(said, list | tuple) else said)
        found = read_neuron(name) if ":" in name else None  # a number is no name
        if found:
            url.put("neurons", neuron_name(*found))
            return
