"""Which runs the page Runs is of: a filter, and whether archived ones are among them."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from pages.shell.data import runs_catalog
from pages.shell.session import url
from pages.shell.session.runs import Entry
from probes.analysis import run_filter


def find() -> str:
    """The field for a filter, `filter` in the URL."""
    st.session_state["filter"] = url.get("filter") or ""
    return st.text_input(
        "Find runs",
        key="filter",
        on_change=lambda: url.put("filter", st.session_state["filter"] or None),
        width=300,
        placeholder="layers=3 beta<0.05 status:finished",
        help=(
            "Words that the name, status, tags or notes contain, and conditions on settings: `layers=3"
            " beta<0.05`. Also `tag:`, `status:`, `nll<`, `living>` (per cent), `recorded>` (steps),"
            " `created>2026-11`, `archived:yes`. All have to hold."
        ),
    )


def ask_archived(entries: Mapping[str, Entry]) -> bool:
    """A switch for archived runs, where there are some; `archived` in the URL."""
    count = sum(bool(entry.row.get("archived")) for entry in entries.values())
    if not count:
        return False
    st.session_state["show_archived"] = url.get("archived") == "1"
    return st.toggle(
        f"{count:,} archived",
        key="show_archived",
        on_change=lambda: url.put("archived", "1" if st.session_state["show_archived"] else None),
    )


def filtered(
    entries: Mapping[str, Entry], configs: runs_catalog.Configs, text: str, archived: bool
) -> dict[str, Entry]:
    """Runs that a filter leaves. One that cannot be applied is reported, and leaves all."""
    try:
        return runs_catalog.filtered(entries, configs, text, archived)
    except run_filter.FilterError as error:
        st.error(f"This filter cannot be applied, so all runs are shown: {url.plain(error)}.")
        return runs_catalog.filtered(entries, configs, "", archived)
