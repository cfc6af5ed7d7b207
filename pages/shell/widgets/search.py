"""Finding neurons: a line of text, and a table whose rows are pinned by a click."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.shell.data import probe_batch
from pages.shell.session import cache, pins, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import downloads
from pages.shell.widgets import probe_batch as widget
from probes.analysis.neuron_query import QueryError, parse
from probes.neuron_names import neuron_names
from probes.schema import REGIMES

EXAMPLE = "layer:2 regime:dead kl>0.3 sort:-kl"
COLUMNS = (
    "information", "kl", "contraction", "spread", "share_from_input", "persistence", "active_share", "mu2",
)  # fmt: skip
"""Statistics that the table shows beside those that the query names, as far as the run has them."""
ROWS = 500  # of the table; the best of a sorted query
HEIGHT = 246  # pixels: six rows, so that the figures stay in sight
HELP = (
    'Terms, all of which must hold: `layer:2` (counted from 1, or its name: `layer:"my layer"`), `neuron:17`,'
    " `neuron:3,20-40`, `regime:dead,frozen`, a statistic with < <= > >= = and a number, `sort:-kl` for the"
    " largest first."
)


def find(context: RunContext, step: int, show_all: bool) -> None:
    """The search line and, when something is asked for (or `show_all`), the table of neurons at the
    cursor.
    """
    text = st.text_input(
        "Find neurons", placeholder=EXAMPLE, key="neuron_search", help=HELP, persist_state="session",
    ).strip()  # fmt: skip
    if not text and not show_all:
        return
    recorded = context.run.available
    known = [*recorded, *probe_batch.offered(context)]
    try:
        query = parse(
            text or f"sort:-{'information' if 'information' in known else known[0]}", context.names, known
        )
    except QueryError as error:
        st.error(f"{url.plain(error)}.", icon=":material/search_off:")
        return
    asked = [*(name for name, _, _ in query.limits), *(name for name, _ in query.order)]
    named = [name for name in dict.fromkeys([*asked, *COLUMNS]) if name in known]
    now = probe_batch.beside(context, cache.at(context, step, ("settled", *recorded)), step, named)
    found = query.select(now)
    if found.empty:
        st.info("No neuron matches at this step. Relax a term, or move the cursor on Replay or Health.")
        return
    _table(context, found.head(ROWS), named)
    more = f"; the first {ROWS} are listed" if len(found) > ROWS else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{len(found):,} of {len(now):,} neurons at step {step:,}{more}. Tick a row to pin it.",
            width="stretch",
        )
        downloads.menu(None, found, f"neurons found in {context.entry.name}")


def _table(context: RunContext, found: pd.DataFrame, statistics: list[str]) -> None:
    names = {regime.code: regime.name for regime in REGIMES}
    shown = pd.DataFrame(
        {
            "neuron": neuron_names(found),
            "layer": [context.names[layer] for layer in found["layer"]],
            "regime": [names.get(int(code), "?") for code in found["settled"]],
        }
        | {name: probe_batch.shown(found, name) for name in statistics}
    )
    key = "found_neurons"
    st.session_state[key] = {
        "selection": {"rows": pins.pinned_rows(found, context.entry.name), "columns": [], "cells": []}
    }

    def picked() -> None:
        pins.pick_rows(found, context.entry.name, st.session_state[key]["selection"]["rows"])

    st.dataframe(
        shown, hide_index=True, width="stretch", height=min(HEIGHT, 37 + 35 * len(shown)), key=key,
        on_select=picked,
        selection_mode="multi-row", placeholder="–",
        column_config={name: widget.column(name) for name in statistics},
        alt="Neurons that match the search, with their regime and statistics; ticked rows are pinned",
    )  # fmt: skip
