"""A second run on the page Neurons: how its neurons are chosen, and what is to be said of them."""

from __future__ import annotations

import streamlit as st

from pages.shell.data import second_run as data
from pages.shell.data.shown_neurons import Shown
from pages.shell.session import state, url
from pages.shell.session.runs import RunContext
from probes.analysis.neuron_query import QueryError


def beside(shown: Shown, context: RunContext, other: RunContext, step: int) -> Shown:
    """The shown neurons with those of the second run; says why where it has none to show."""
    name = url.plain(other.entry.name)
    if not state.has_distributions(other):
        st.info(f"{name} cannot be shown beside it: it holds no distributions.")
        return shown
    text = url.get("find") if shown.why == "found" else None
    why_not = data.why_not_matched(context, other)
    ways = data.offered(text, why_not is None)
    with st.container(horizontal=True, vertical_alignment="center"):
        how = url.choice(
            st.segmented_control, f"Neurons of {name}", ways, "second", ways[0], required=True,
            help=f"Matching is not offered: {why_not}." if why_not else None, width="content",
        )  # fmt: skip
        note = st.container(width="stretch")
    try:
        if how == data.QUERY and text:
            found = data.of_query(shown, other, text, step)
        elif how == data.MATCHED:
            found = data.of_partners(shown, context, other, step)
        else:
            found = data.of_numbers(shown, other)
    except QueryError as error:
        note.caption(f"{name} cannot be asked the same: {url.plain(error)}.")
        return shown
    note.caption(f"Dashed: {name}. {url.plain(found.note)}")
    return found.shown
