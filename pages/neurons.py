"""All about chosen neurons, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.shell import frame
from pages.shell.data import neuron_series
from pages.shell.session import pins, state, url
from pages.shell.widgets import cards, downloads, neuron_stories, search, similar_neurons, step_axis
from probes.figures.clock import Clock
from probes.figures.densities import densities
from probes.figures.energy import energy
from probes.figures.fans import fans
from probes.figures.force_balance import force_balance
from probes.figures.kl_parts import kl_parts
from probes.figures.overlay import all_positive, overlay
from probes.figures.persistence import persistence_over_steps
from probes.schema import FORCES, STATISTICS

frame.guard()
context = frame.pick_run()
frame.header(
    "Neurons",
    context,
    "Chosen neurons side by side: where they lie, what they pay, what they remember, and why.",
    state.cursor(context),
)
step = frame.needs_distributions(context)
shown = [neuron for neuron in pins.resolve(url.pins(), context) if state.has_distributions(neuron.context)][
    : pins.PLOTTED
]
chosen = state.chosen_neuron(context)
if chosen and len(shown) < pins.PLOTTED:
    looked_at = pins.Pinned(url.Pin(context.entry.name, *chosen), context)
    shown += [looked_at] if looked_at.pin not in url.pins() else []
pinned = bool(url.pins())
search.find(context, step, show_all=not pinned)
if not shown:
    shown = neuron_series.preview(context, step)
    most = "informative" if {"information", "spread", "kl"} & set(context.run.statistics) else "contracted"
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
mark, scale = view.mark(step), view.scale
names = neuron_series.labels(shown)


def card(title: str, figure: go.Figure, key: str, statistics: Sequence[str]) -> None:
    """A figure of the shown neurons over steps, with the rows of `statistics` to take away."""
    rows = partial(neuron_series.table, series, statistics)
    cards.card(title, figure, key, rows, of="neurons", draw=partial(step_axis.chart, view=view, axes=along))


neuron_stories.show(shown, step)
if len({neuron.pin.run for neuron in shown}) > 1:
    st.caption(
        "These are neurons of several runs. A number names another neuron in each run: 17 of one seed is not"
        " 17 of another. “Who moves alike” below finds partners where runs share a probe batch."
    )
steps_per_point = neuron_series.reduced(series, shown)
note = f" · late points are means of {steps_per_point} recorded steps" if steps_per_point > 1 else ""
has = {name for one in series for name in one.rows.columns}
title = f"**Distribution over steps** · mean ± sd, against the layer's median{note}"
card(title, fans(series, step=mark, axis=scale), "fans", ("mean", "variance", "spread"))
if "kl" in has:
    parts = ("kl", "information", "mismatch", "past")
    card(
        f"**What it pays** · KL = information + mismatch (+ past){note}",
        kl_parts(series, step=mark, axis=scale),
        "kl",
        parts,
    )
if "mu2" in has:
    figure = energy(series, step=mark, axis=scale)
    card(
        f"**How loud it is** · mean energy, its band, interventions{note}",
        figure,
        "energy",
        ("mu2", "band_low", "band_high"),
    )
if "persistence" in has:
    figure = persistence_over_steps(series, step=mark, axis=scale)
    title = f"**What it remembers** · persistence against the prior's and the input's own{note}"
    card(
        title,
        figure,
        "persistence",
        ("persistence", "persistence_low", "persistence_high", "phi", "input_persistence"),
    )

with st.container(border=True):
    steps = neuron_series.comparable(shown[0].context)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown(
            "**Distribution at two steps** · grey: earlier, colour: at the cursor, dashed: the prior",
            width="stretch",
        )
        earlier = (
            st.select_slider("Earlier step", steps, key="earlier", width=260) if len(steps) > 1 else steps[0]
        )
        before, after = ([neuron_series.moment(neuron, at) for neuron in shown] for at in (earlier, step))
        figure = densities(names, before, after, [one.color for one in series])
        downloads.beside(
            figure, partial(neuron_series.moments_table, names, [before, after]), "neurons densities"
        )
    st.caption(neuron_series.say_moments(before, after))
    cards.show(figure, "densities")


def forces_card() -> None:
    """Who pulls, at the last stored probe step up to the cursor; only where a run has it."""
    pulled = neuron_series.forces(shown, step)
    if pulled.empty:
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.markdown("**Who pulls** · force of each term of the loss on the neuron", width="stretch")
            entry = st.selectbox(
                "Force", FORCES, format_func=lambda name: STATISTICS[name].label, key="force", width=260
            )
            figure = force_balance(pulled, names, str(entry))
            downloads.beside(figure, pulled, "neurons forces")
        st.caption(
            f"{STATISTICS[str(entry)].meaning} {STATISTICS[str(entry)].caveat} Stored at"
            f" {neuron_series.force_steps(pulled)}."
        )
        cards.show(figure, "forces")


with st.container(border=True):
    offered = [name for name in STATISTICS if any(np.isfinite(one.values(name)).any() for one in series)]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Together** · one line a neuron, interventions as triangles", width="stretch")
        menu = st.container(width="content")
    with st.container(horizontal=True):
        default = "beta" if "beta" in offered else "information" if "information" in offered else offered[0]
        statistic = url.choice(
            st.selectbox,
            "Statistic",
            offered,
            "statistic",
            default,
            format_func=lambda n: STATISTICS[n].label,
            width=220,
        )
        positive = all_positive(series, statistic)
        usual = "log" if STATISTICS[statistic].log and positive else "linear"
        value_axis = step_axis.value_scale(usual, positive)
        figure = overlay(
            series, statistic, scale=value_axis, half_life=step_axis.smoothing(), step=mark, axis=scale
        )
    with menu:
        downloads.beside(
            figure, partial(neuron_series.table, series, (statistic,)), f"neurons together {statistic}"
        )
    step_axis.chart(figure, "together", view, along[:1])

forces_card()
similar_neurons.section(shown, step)
