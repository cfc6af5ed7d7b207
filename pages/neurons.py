"""All about chosen neurons, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from pages.shell import frame
from pages.shell.data import neuron_series, shown_neurons
from pages.shell.session import state, url
from pages.shell.widgets import (
    cards,
    neuron_explanations,
    neuron_figures,
    probe_batch,
    probe_inputs,
    search,
    similar_neurons,
    step_axis,
)
from probes.figures.clock import Clock
from probes.figures.energy import energy
from probes.figures.fans import fans
from probes.figures.kl_parts import kl_parts
from probes.figures.persistence import persistence_over_steps

frame.guard()
context = frame.pick_run()
frame.header(
    "Neurons",
    context,
    "Chosen neurons side by side: where they lie, what they pay, what they remember, and why.",
    state.cursor(context),
)
step = frame.needs_distributions(context)
shown = shown_neurons.chosen(context)
search.find(context, step, show_all=not url.pins())
if not shown:
    shown, most = shown_neurons.preview(context, step), shown_neurons.previewed_by(context)
    st.caption(
        f"Nothing is pinned yet: these are the most {most} neurons. Tick rows above, or click ridges in"
        " Replay."
    )
with st.sidebar:
    view = step_axis.choose([neuron.context for neuron in shown])
    frame.link_to_reference()
along = [view.axis(neuron.context) for neuron in shown]
series = [
    replace(one, clock=axis if isinstance(axis, Clock) else None)
    for one, axis in zip(neuron_series.over_steps(shown, view.span), along, strict=True)
]
cursor, scale = view.cursor(step), view.scale


def card(title: str, figure: go.Figure, key: str, statistics: Sequence[str]) -> None:
    """A figure of the shown neurons over steps, with the rows of `statistics` to take away."""
    rows = partial(neuron_series.table, series, statistics)
    cards.card(title, figure, key, rows, of="neurons", draw=partial(step_axis.chart, view=view, axes=along))


neuron_explanations.show(shown, step)
if len({neuron.pin.run for neuron in shown}) > 1:
    st.caption(
        "These are neurons of several runs. A number names another neuron in each run: 17 of one seed is not"
        " 17 of another. “Who moves alike” below finds partners where runs share a probe batch."
    )
per_point = neuron_series.steps_per_point(series, shown)
note = f" · late points are means of {per_point} recorded steps" if per_point > 1 else ""
has = {name for one in series for name in one.rows.columns}
title = f"**Distribution over steps** · mean ± sd, against the layer's median{note}"
card(title, fans(series, step=cursor, axis=scale), "fans", ("mean", "variance", "spread"))
if "kl" in has:
    parts = ("kl", "information", "mismatch", "past")
    card(
        f"**What it pays** · KL = information + mismatch (+ past){note}",
        kl_parts(series, step=cursor, axis=scale),
        "kl",
        parts,
    )
if "mu2" in has:
    figure = energy(series, step=cursor, axis=scale)
    card(
        f"**How loud it is** · mean energy, its band, interventions{note}",
        figure,
        "energy",
        ("mu2", "band_low", "band_high"),
    )
if "persistence" in has:
    figure = persistence_over_steps(series, step=cursor, axis=scale)
    title = f"**What it remembers** · persistence against the prior's and the input's own{note}"
    card(
        title,
        figure,
        "persistence",
        ("persistence", "persistence_low", "persistence_high", "phi", "input_persistence"),
    )

probe_batch.of_neurons(shown, step)
probe_inputs.of_neurons(shown, step)
neuron_figures.two_steps(shown, series, step)
neuron_figures.together(series, view, along, cursor)
neuron_figures.forces(shown, step)
similar_neurons.section(shown, step)
