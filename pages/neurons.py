"""All about chosen neurons, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import streamlit as st

from pages.shell import (
    axes,
    downloads,
    figures,
    kin,
    page_frame,
    portraits,
    search,
    state,
    stories,
    tray,
    url,
)
from probes.figures.clock import Clock
from probes.figures.densities import densities
from probes.figures.energy import energy
from probes.figures.fans import fans
from probes.figures.force_balance import force_balance
from probes.figures.kl_parts import kl_parts
from probes.figures.memory import memory
from probes.figures.together import all_positive, together
from probes.schema import FORCES, STATISTICS

page_frame.guard()
opened = page_frame.pick_run()
step = state.cursor(opened)
page_frame.header(
    "Neurons",
    opened,
    "Chosen neurons side by side: where they lie, what they pay, what they remember, and why.",
    step,
)
page_frame.needs_distributions(opened)
shown = [neuron for neuron in tray.resolve(url.pins(), opened) if state.has_distributions(neuron.opened)][
    : tray.PLOTTED
]
chosen = state.chosen_neuron(opened)
if chosen and len(shown) < tray.PLOTTED:
    looked_at = tray.Pinned(url.Pin(opened.entry.name, *chosen), opened)
    shown += [looked_at] if looked_at.pin not in url.pins() else []
pinned = bool(url.pins())
search.find(opened, step, show_all=not pinned)
if not shown:
    shown = portraits.preview(opened, step)
    most = "informative" if {"information", "spread", "kl"} & set(opened.run.statistics) else "contracted"
    st.caption(
        f"Nothing is pinned yet: these are the most {most} neurons. Tick rows above, or click ridges in"
        " Replay."
    )
with st.sidebar:
    view = axes.choose([neuron.opened for neuron in shown])
    page_frame.link_to_reference()
along = [view.axis(neuron.opened) for neuron in shown]
courses = [
    replace(course, clock=axis if isinstance(axis, Clock) else None)
    for course, axis in zip(portraits.courses(shown, view.span), along, strict=True)
]
settings = {"step": view.mark(step), "axis": view.scale}
names = portraits.labels(shown)


def card(title: str, figure, key: str, statistics: Sequence[str]) -> None:
    """A figure of the shown neurons over steps, with the rows of `statistics` to take away."""
    rows = partial(portraits.table, courses, statistics)
    figures.card(title, figure, key, rows, of="neurons", draw=partial(axes.chart, view=view, axes=along))


stories.show(shown, step)
if len({neuron.pin.run for neuron in shown}) > 1:
    st.caption(
        "These are neurons of several runs. A number names another neuron in each run: 17 of one seed is not"
        " 17 of another. “Who moves alike” below finds partners where runs share a probe batch."
    )
together_now = portraits.reduced(courses, shown)
note = f" · late points are means of {together_now} recorded steps" if together_now > 1 else ""
has = {name for course in courses for name in course.rows.columns}
title = f"**Distribution over steps** · mean ± sd, against the layer's median{note}"
card(title, fans(courses, **settings), "fans", ("mean", "variance", "spread"))
if "kl" in has:
    parts = ("kl", "information", "mismatch", "past")
    card(
        f"**What it pays** · KL = information + mismatch (+ past){note}",
        kl_parts(courses, **settings),
        "kl",
        parts,
    )
if "mu2" in has:
    figure = energy(courses, **settings)
    card(
        f"**How loud it is** · mean energy, its band, interventions{note}",
        figure,
        "energy",
        ("mu2", "band_low", "band_high"),
    )
if "persistence" in has:
    figure = memory(courses, **settings)
    title = f"**What it remembers** · persistence against the prior's and the input's own{note}"
    card(
        title,
        figure,
        "persistence",
        ("persistence", "persistence_low", "persistence_high", "phi", "input_persistence"),
    )

with st.container(border=True):
    steps = portraits.comparable(shown[0].opened)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown(
            "**Distribution at two steps** · grey: earlier, colour: at the cursor, dashed: the prior",
            width="stretch",
        )
        earlier = (
            st.select_slider("Earlier step", steps, key="earlier", width=260) if len(steps) > 1 else steps[0]
        )
        before, after = ([portraits.moment(neuron, at) for neuron in shown] for at in (earlier, step))
        figure = densities(names, before, after, [course.color for course in courses])
        downloads.beside(
            figure, partial(portraits.moments_table, names, [before, after]), "neurons densities"
        )
    st.caption(portraits.say_moments(before, after))
    figures.show(figure, "densities")


def forces_card() -> None:
    """Who pulls, at the last stored probe step up to the cursor; only where a run has it."""
    pulled = portraits.forces(shown, step)
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
            f" {portraits.force_steps(pulled)}."
        )
        figures.show(figure, "forces")


with st.container(border=True):
    offered = [
        name for name in STATISTICS if any(np.isfinite(course.values(name)).any() for course in courses)
    ]
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
        positive = all_positive(courses, statistic)
        usual = "log" if STATISTICS[statistic].log and positive else "linear"
        scale = axes.value_scale(usual, positive)
        figure = together(courses, statistic, scale=scale, half_life=axes.smoothing(), **settings)
    with menu:
        downloads.beside(
            figure, partial(portraits.table, courses, (statistic,)), f"neurons together {statistic}"
        )
    axes.chart(figure, "together", view, along[:1])

forces_card()
kin.section(shown, step)
