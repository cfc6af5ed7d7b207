"""Following a run that is being written: numbers grow with it, and the page is drawn anew when the pictures
would change.

One reader a run is kept for this, and asks for new files alone: what it has read is not read again. Once the
run has ended nothing is asked any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

import probes
from pages.shell.session import cache
from pages.shell.session.state import RunContext
from probes.run_reader import RunReader

EVERY = 5  # seconds: the recorder's own flush interval
# the page is drawn anew when the run has so many times the steps: less would not be seen in its figures
GROWTH = 1.1
FOLLOWED = 4  # runs with a reader; more than a person watches at once


@st.cache_resource(max_entries=FOLLOWED, show_spinner=False)
def _reader(path: str) -> RunReader:
    return probes.Run(path)


def is_live(context: RunContext) -> bool:
    """Whether the run was being written when it was context."""
    return bool(context.run.status == "running")


def follow(context: RunContext) -> None:
    """Say how far a run is that is being written; the page runs anew once it has ended or grown by GROWTH."""
    if not is_live(context):
        return
    seen = len(context.run.steps)
    ticks = [0]

    @st.fragment(run_every=EVERY)
    def tick() -> None:
        run = _refreshed(context)
        # Not in the page's own run: were its reader behind this one, the page would run anew without end.
        if ticks[0] and (run.status != "running" or len(run.steps) > GROWTH * seen):
            st.rerun()
        ticks[0] += 1
        st.caption(
            f":material/sensors: Being written: step {int(run.steps[-1]):,}"
            if len(run.steps)
            else "Being written"
        )

    tick()


def growing(context: RunContext, draw: Callable[[RunReader], None]) -> None:
    """Call `draw(run)` now and, while the run is live, every few seconds with what has been written since."""
    if not is_live(context):
        draw(context.run)
        return

    @st.fragment(run_every=EVERY)
    def tick() -> None:
        draw(_refreshed(context))

    tick()


def follow_all(live: Mapping[str, object]) -> None:
    """Run the page anew when one of these runs, by name, has grown or ended. `live` holds what the page shows
    of each.
    """
    if not live:
        return
    ticks = [0]

    @st.fragment(run_every=EVERY)
    def tick() -> None:
        found = cache.entries()
        now = {
            name: found[name].row["steps"]
            for name in live
            if name in found and found[name].row["status"] == "running"
        }
        if ticks[0] and now != dict(live):
            st.rerun()
        ticks[0] += 1

    tick()


def _refreshed(context: RunContext) -> RunReader:
    run = _reader(str(context.entry.path))
    run.refresh()
    return run
