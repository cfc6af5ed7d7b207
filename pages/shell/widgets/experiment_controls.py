"""Starting an experiment with its settings, and following it while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from pages.shell.data import experiments
from pages.shell.server import jobs
from pages.shell.session import options, state, url
from pages.shell.session.runs import RunContext
from probes.experiments.kinds import EXPERIMENTS
from probes.storage import is_store

SPLITS = ("test", "validation", "train")
EVERY = 1.0  # seconds between two looks at a running experiment
_REFUSED = "refused"  # session: whether the last start was refused, until it has been said


def why_not(context: RunContext) -> str:
    """Why no experiment can be started on a run from here; empty if one can."""
    if options.read_only():
        return "The dashboard was started with `--read-only`: it starts no experiments."
    if is_store(context.entry.path):
        return "Runs in a store are only read: start experiments where the run's own folder is."
    return jobs.can_start(context.entry.path, context.run.config)


def form(context: RunContext, name: str, again: bool) -> None:
    """Settings and the button that starts, or why it cannot be started. again: a result is stored."""
    reason = why_not(context)
    if reason:
        st.caption(reason)
        return
    pins = state.pinned(context) if name == "traversal" else []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        settings = {
            item.flag: int(
                st.number_input(item.label, 1, item.largest, item.value, key=f"{name}_{item.flag}", width=150)
            )
            for item in EXPERIMENTS[name].settings
        }
        split = str(st.selectbox("Split", SPLITS, key=f"{name}_split", width=150))
        told = "The pinned neuron" if len(pins) == 1 else f"The {len(pins)} pinned neurons"
        pinned = bool(pins) and st.toggle(told, key="walk_pinned")
        at = _position(context) if name == "traversal" else None
        split = split if at is None else "validation"  # whose first sequence that page shows
        st.button(
            "Run again" if again else "Run", type="secondary" if again else "primary",
            icon=":material/play_arrow:", key="start",
            on_click=_start, args=(context.entry.path, name, settings, split, pins if pinned else [], at),
            help="Replaces the stored result" if again else None,
        )  # fmt: skip
    if st.session_state.pop(_REFUSED, None):
        st.warning("Another experiment is running on this server; one runs at a time.")


def _position(context: RunContext) -> int | None:
    """The position that the page Sequence looks at, where neurons are to be held there."""
    t = url.get("t")
    if not experiments.of_sequences(context.run.config) or t is None or not t.isdecimal():
        return None
    return int(t) if st.toggle(f"At position {t} of the page Sequence", True, key="held_at") else None


def _start(
    run: Path,
    name: str,
    settings: Mapping[str, int],
    split: str,
    neurons: Sequence[tuple[int, int]],
    at: int | None,
) -> None:
    if not jobs.job_manager().start(run, name, jobs.command(run, name, settings, split, neurons, at)):
        st.session_state[_REFUSED] = True


def progress(run: Path, name: str) -> None:
    """Progress of a running experiment with a way to stop it; the page is drawn anew once it has ended."""

    @st.fragment(run_every=EVERY)
    def tick() -> None:
        manager = jobs.job_manager()
        now = manager.status(run, name)
        if now.state != "running":
            st.rerun()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(
                min(now.share, 1.0),
                text=f"Running, {now.share:.0%}" + (f" · {now.message}" if now.message else ""),
            )
            if now.ours and not options.read_only():
                st.button(
                    "Cancel", key="cancel", icon=":material/stop:", on_click=manager.cancel, args=(run, name)
                )

    tick()
