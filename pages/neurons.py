"""All about chosen neurons, side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from pages.shell import frame
from pages.shell.data import shown_neurons
from pages.shell.session import state, url
from pages.shell.widgets import (
    neuron_explanations,
    neuron_figures,
    neuron_groups,
    neuron_table,
    probe_batch,
    probe_inputs,
    search,
    second_run,
    similar_neurons,
    step_axis,
)

frame.guard()
st.html(Path(__file__).parent / "shell" / "widgets" / "wide_page.css")
context = frame.pick_run()
frame.header(
    "Neurons",
    context,
    "Find neurons, see them side by side: what they tell of the input, pay for it (KL) and remember.",
    state.cursor(context),
)
step = frame.needs_distributions(context)
found = search.line(context, step)
shown = shown_neurons.choose(context, step, found)
other = frame.compared(context)
if other is not None:
    shown = second_run.beside(shown, context, other, step)
with st.sidebar:
    view = step_axis.choose([neuron.context for neuron in shown.all] or [context])
    frame.link_to_reference()
neuron_table.tables(context, found, shown, step)
if not shown.all:
    st.stop()
neuron_explanations.show(shown, step)
drawn = neuron_figures.over_steps(shown, view)
if neuron_figures.have_distributions(shown):
    wide, narrow = st.columns([5, 3], gap="small")
    with narrow:
        neuron_figures.on_one_axis(shown, step)
else:
    wide = st.container()
with wide:
    statistic = neuron_figures.together(drawn, view, step)

panels = drawn.for_panels()
few = panels.shown


def similar() -> None:
    """What the probe batch says: neurons that move alike, statistics."""
    similar_neurons.section(few.all, step)
    probe_batch.of_neurons(few.all, step)


DETAILS: dict[str, Callable[[], None]] = {
    "Small multiples": partial(neuron_figures.panels, panels, view, step),
    "KL decomposition": partial(neuron_figures.decomposition, panels, view, step),
    "Gradients": partial(neuron_figures.forces, few, step),
    "Similar": similar,
    "Inputs": partial(probe_inputs.of_neurons, few.all, step),
    "Groups": partial(neuron_groups.section, context, other, step, view, statistic),
}
for tab, draw in zip(url.tabs("detail", list(DETAILS)), DETAILS.values(), strict=True):
    if tab.open:
        with tab:
            draw()
