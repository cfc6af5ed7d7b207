"""The run beside the one that is shown: the one that was asked for, or the twin."""

from __future__ import annotations

import streamlit as st

from pages.shell.data import forecasts
from pages.shell.session import runs, state, url
from pages.shell.session.runs import RunContext


def or_twin(context: RunContext, asked: RunContext | None) -> tuple[RunContext | None, str]:
    """The run to show beside `context` and what figures call it; to be called in the sidebar.

    Without one that was asked for it is the newest run of the same settings that is a deterministic twin, if
    there is one, until that is switched off.
    """
    if asked is not None:
        return asked, asked.entry.name
    twin = forecasts.find_twin(context)
    if twin is None or not st.toggle("Twin beside it", True, key="beside", help=url.plain(twin.name)):
        return None, ""
    try:
        return runs.open_run(twin), "twin"
    except runs.RunError as error:
        st.warning(f"The twin cannot be read: {url.plain(error)}.")
        return None, ""


def with_distributions(asked: RunContext | None) -> RunContext | None:
    """The run that was asked for, if it has neurons to show; says so where it has none."""
    if asked is not None and not state.has_distributions(asked):
        st.caption(f"{url.plain(asked.entry.name)} is not shown here: it holds no distributions.")
        return None
    return asked
