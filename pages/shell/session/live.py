"""Following a run that is being written: numbers grow with it, and the page is drawn anew when the pictures
would change. Once the run has ended nothing is asked any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from pages.shell.session import runs
from pages.shell.session.runs import RunContext

EVERY = 5  # seconds: the recorder's own flush interval
NUMBERS_EVERY = 10  # seconds: each answer carries 1.6 KB of Streamlit's own beside a few numbers
# the page is drawn anew when the run has so many times the steps: less would not be seen in its figures
GROWTH = 1.1


def is_live(context: RunContext) -> bool:
    """Whether the run was being written when it was opened."""
    return bool(context.run.status == "running")


def follow(context: RunContext) -> None:
    """Say how far a run is that is being written; the page runs anew once it has ended, has grown by GROWTH,
    or is another run.
    """
    if not is_live(context):
        return
    shown = len(context.run.steps)
    ticks = [0]

    @st.fragment(run_every=EVERY)
    def tick() -> None:
        now = _now(context)
        # Not in the page's own run: of a run that grows faster than its page is drawn, there would be no end.
        if ticks[0] and (not is_live(now) or len(now.run.steps) > GROWTH * shown):
            st.rerun()
        ticks[0] += 1
        steps = now.run.steps
        st.caption(
            f":material/sensors: Being written: step {int(steps[-1]):,}" if len(steps) else "Being written"
        )

    tick()


def growing(context: RunContext, draw: Callable[[RunContext], None]) -> None:
    """Call `draw` now and, while the run is live, every few seconds with what has been written since."""
    if not is_live(context):
        draw(context)
        return

    @st.fragment(run_every=NUMBERS_EVERY)
    def tick() -> None:
        draw(_now(context))

    tick()


def _now(context: RunContext) -> RunContext:
    """The run as it stands now. The page runs anew when this is no longer the same run: resumed, replaced,
    deleted, unreadable.
    """
    try:
        now = runs.open_run(context.entry)
    except runs.RunError:
        st.rerun()
    if now.identity != context.identity:
        st.rerun()
    return now


def follow_all(live: Mapping[str, Any]) -> None:
    """Run the page anew when one of these runs, by name, has grown or ended. `live` holds what the page shows
    of each.
    """
    if not live:
        return
    ticks = [0]

    @st.fragment(run_every=EVERY)
    def tick() -> None:
        found = runs.entries()
        now = {
            name: found[name].row["steps"]
            for name in live
            if name in found and found[name].row["status"] == "running"
        }
        if ticks[0] and now != dict(live):
            st.rerun()
        ticks[0] += 1

    tick()


def follow_silence() -> None:
    """Run the page anew once a store has answered that did not when there was nothing else to show."""
    ticks = [0]

    @st.fragment(run_every=EVERY)
    def tick() -> None:
        try:
            if ticks[0]:
                runs.entries()
                st.rerun()
        except runs.NoAnswerError:
            pass
        ticks[0] += 1
        st.caption(":material/cloud_off: This page shows the runs as soon as there is an answer.")

    tick()
