"""The run beside the one that is shown on Uncertainty: the one that was asked for, else the twin."""

from __future__ import annotations

import streamlit as st

from pages.shell.data import forecasts
from pages.shell.session import runs, url
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
