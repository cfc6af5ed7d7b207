"""The table of the page Neurons; ticked rows are pinned."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.shell.data import neuron_search, shown_neurons
from pages.shell.data import neuron_table as data
from pages.shell.data.neuron_search import Found
from pages.shell.data.shown_neurons import Shown
from pages.shell.session import cache, pins, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import downloads, ticked_rows
from pages.shell.widgets import probe_batch as widget
from probes.analysis.neuron_query import EVENTS, SIMILARITY
from probes.schema import STATISTICS

SEEN = 8  # rows at once, so that the figures stay in sight
HEAD, ROW = 37, 35  # pixels


def tables(context: RunContext, found: Found | None, shown: Shown, step: int) -> None:
    """What is drawn and what was found: one table where both are the same."""
    if shown.why == "preview":
        by = shown_neurons.telling(context)
        asks = f"sort:-{by}"
        everything = neuron_search.find(context, asks, cache.recorded_step(context.run.steps, step))
        title = f"Drawn: the first of each layer by {STATISTICS[by].label.lower()}. Tick a row to pin it."
        show(data.of_found(context, everything, shown, first=True), "neurons", title, asks=asks)
    if found is not None and len(found.rows):
        show(data.of_found(context, found, shown), "neurons", data.in_words(found, shown, step))
    if shown.why == "pinned":
        title = f"Drawn, at step {step:,}. Untick a row to unpin it."
        if len({neuron.pin.run for neuron in shown.neurons}) > 1:
            title += " A number names another neuron in each run: 17 of one seed is not 17 of another."
        show(data.of_shown(shown, step), "pinned neurons", title)
    if shown.second and shown.why != "pinned":
        other = shown.second[0].context
        name, at = url.plain(other.entry.name), cache.recorded_step(other.run.steps, step)
        show(data.of_second(shown, step), "neurons of the second run", f"Dashed: {name}, at step {at:,}")


def show(table: data.Table, name: str, title: str, *, asks: str | None = None) -> None:
    """A table under its title (markdown). `asks`: the query that a tick leaves in the search line, so that
    what was found stays.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(title, width="stretch")
        downloads.menu(None, table.rows.drop(columns="drawn"), name)
    key = ticked_rows.key_of(f"{name}_rows", map(url.write_pin, table.pins))
    pinned = set(url.pins())
    rows = [place for place, pin in enumerate(table.pins) if pin in pinned]
    st.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}

    def picked() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        wanted = [table.pins[place] for place in chosen if place < len(table.pins)]
        pins.pick(table.pins, wanted, find=asks)

    st.dataframe(
        table.rows, hide_index=True, width="stretch", height=HEAD + ROW * min(SEEN, len(table.rows)), key=key,
        on_select=picked,
        selection_mode="multi-row", placeholder="–",
        column_config={
            "drawn": st.column_config.ImageColumn("", width=44),
            "run": st.column_config.TextColumn("run", width="medium"),
            **{event: _event(event) for event in table.events},
            **{name: _statistic(name, table.gaussian) for name in table.statistics},
        },
        alt="Neurons with their regime and statistics; ticked rows are pinned",
    )  # fmt: skip


def _event(name: str) -> Any:
    return st.column_config.NumberColumn(f"{name} (step)", help=EVENTS[name], format="localized")


def _statistic(name: str, gaussian: bool) -> Any:
    if name == SIMILARITY:
        return st.column_config.NumberColumn(
            "correlation of μ", help="On the probe batch, with the neuron that is asked for", format="%.3f"
        )
    return widget.column(name, gaussian)
