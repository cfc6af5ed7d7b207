"""All about chosen neurons, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import streamlit as st

from pages.shell import frame
from pages.shell.data import neuron_search, neuron_series, neuron_table, shown_neurons
from pages.shell.session import state, url
from pages.shell.widgets import (
    neuron_explanations,
    neuron_figures,
    neuron_groups,
    probe_batch,
    probe_inputs,
    search,
    second_run,
    similar_neurons,
    step_axis,
)
from pages.shell.widgets import neuron_table as table
from probes.figures.clock import Clock

frame.guard()
context = frame.pick_run()
frame.header(
    "Neurons",
    context,
    "Chosen neurons side by side: where they lie, what they pay, what they remember, and why.",
    state.cursor(context),
)
step = frame.needs_distributions(context)
found = search.line(context, step)
shown = shown_neurons.choose(context, step, found)
text = url.get("find") if found is not None else None
other = frame.compared(context)
if other is not None:
    shown = second_run.beside(shown, context, other, text, step)
with st.sidebar:
    view = step_axis.choose([neuron.context for neuron in shown.all])
    frame.link_to_reference()

if shown.why == "preview":
    asks = f"sort:-{'information' if 'information' in context.run.available else context.run.available[0]}"
    found, most = neuron_search.find(context, asks, step), shown_neurons.previewed_by(context)
    title = f"Nothing is asked for and nothing is pinned: the most {most} neuron of a layer is drawn."
    table.show(neuron_table.of_found(context, found, shown, first=True), "neurons", title, asks=asks)
else:
    if shown.why == "pinned":
        table.show(neuron_table.of_shown(shown, step), "pinned neurons", f"Drawn, at step {step:,}")
    if found is not None and len(found.rows):
        table.show(
            neuron_table.of_found(context, found, shown), "neurons", neuron_table.in_words(found, shown, step)
        )
    if shown.second and shown.why != "pinned":
        table.show(
            neuron_table.of_second(shown, step),
            "neurons of the second run",
            f"In {url.plain(other.entry.name)}",
        )
neuron_explanations.show(shown, step)


def series_of(drawn: shown_neurons.Shown) -> tuple[list, list]:
    """The drawn neurons over steps, and the axis of each."""
    axes = [view.axis(neuron.context) for neuron in drawn.all]
    series = neuron_series.over_steps(drawn.all, drawn.colors, drawn.dashed, view.span)
    clocked = [
        replace(one, clock=axis if isinstance(axis, Clock) else None)
        for one, axis in zip(series, axes, strict=True)
    ]
    return clocked, axes


wide, narrow = st.columns([3, 2], gap="small")
with wide:
    series, axes = series_of(shown)
    statistic = neuron_figures.together(series, view, axes, view.cursor(step))
with narrow:
    neuron_figures.on_one_axis(shown, step)

few = shown.for_panels()


def of_panels(draw: Callable[..., None]) -> None:
    series, axes = series_of(few)
    draw(few, series, view, axes, step)


def alike() -> None:
    similar_neurons.section(shown.all, step)
    probe_batch.of_neurons(shown.all, step)
    probe_inputs.of_neurons(shown.all, step)


DETAILS: dict[str, Callable[[], None]] = {
    "Small multiples": partial(of_panels, neuron_figures.panels),
    "KL decomposition": partial(of_panels, neuron_figures.decomposition),
    "Gradients": partial(neuron_figures.forces, few, step),
    "Similar": alike,
    "Groups": partial(neuron_groups.section, context, other, step, view, statistic),
}
for tab, draw in zip(url.tabs("detail", list(DETAILS)), DETAILS.values(), strict=True):
    if tab.open:
        with tab:
            draw()
