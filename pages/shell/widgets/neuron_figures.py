"""Figures of chosen neurons that have controls of their own: densities at two steps, forces, one statistic of
all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from pages.shell.data import neuron_series, shown_neurons
from pages.shell.session import url
from pages.shell.session.pins import Pinned
from pages.shell.widgets import cards, downloads, step_axis
from probes.figures.densities import densities
from probes.figures.force_balance import force_balance
from probes.figures.neuron_series import NeuronSeries
from probes.figures.overlay import all_positive, overlay
from probes.figures.style import StepAxis
from probes.schema import FORCES, STATISTICS


def two_steps(shown: Sequence[Pinned], series: Sequence[NeuronSeries], step: int) -> None:
    """Each neuron's density at the cursor and at an earlier step."""
    names = [one.name for one in series]
    with st.container(border=True):
        steps = neuron_series.comparison_steps(shown[0].context)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.markdown(
                "**Distribution at two steps** · grey: earlier, colour: at the cursor, dashed: the prior",
                width="stretch",
            )
            earlier = (
                st.select_slider("Earlier step", steps, key="earlier", width=260)
                if len(steps) > 1
                else steps[0]
            )
            before, after = ([neuron_series.moment(neuron, at) for neuron in shown] for at in (earlier, step))
            figure = densities(names, before, after, [one.color for one in series])
            rows = partial(neuron_series.moments_table, names, [before, after])
            downloads.menu(figure, rows, "neurons densities")
        st.caption(neuron_series.moments_caption(before, after))
        cards.show(figure, "densities")


def together(
    series: Sequence[NeuronSeries], view: step_axis.View, axes: Sequence[StepAxis], cursor: int | None
) -> None:
    """One statistic of all neurons in one figure."""
    offered = neuron_series.recorded_statistics(series)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Together** · one line a neuron, interventions as triangles", width="stretch")
            menu = st.container(width="content")
        with st.container(horizontal=True):
            statistic = url.choice(
                st.selectbox,
                "Statistic",
                offered,
                "statistic",
                next((name for name in ("beta", "information") if name in offered), offered[0]),
                format_func=lambda name: STATISTICS[name].label,
                width=220,
            )
            positive = all_positive(series, statistic)
            usual = "log" if STATISTICS[statistic].log and positive else "linear"
            scale = step_axis.value_scale(usual, positive)
            figure = overlay(
                series, statistic, step=cursor, axis=view.scale, scale=scale, half_life=step_axis.smoothing()
            )
        with menu:
            rows = partial(neuron_series.table, series, (statistic,))
            downloads.menu(figure, rows, f"neurons together {statistic}")
        step_axis.chart(figure, "together", view, axes[:1])


def forces(shown: Sequence[Pinned], step: int) -> None:
    """Who pulls, at the last stored probe step up to the cursor; only where a run has it."""
    table = neuron_series.forces(shown, step)
    if table.empty:
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.markdown("**Who pulls** · force of each term of the loss on the neuron", width="stretch")
            entry = st.selectbox(
                "Force", FORCES, format_func=lambda name: STATISTICS[name].label, key="force", width=260
            )
            figure = force_balance(table, shown_neurons.labels(shown), str(entry))
            downloads.menu(figure, table, "neurons forces")
        st.caption(
            f"{STATISTICS[str(entry)].meaning} {STATISTICS[str(entry)].caveat} Stored at"
            f" {neuron_series.force_steps_caption(table)}."
        )
        cards.show(figure, "forces")
