"""The replay along the probe sequence on a page: a switch, and the ridges under a cursor over positions."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell.data import replay, replay_sequence
from pages.shell.session import cache, canvas_sync, state, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, downloads
from probes.analysis.layer_families import is_gaussian

TRAINING, ALONG = "training", "sequence"
_LABELS = {TRAINING: "training", ALONG: "the sequence"}
_KEY = "replay_sequence"


def is_asked(context: RunContext) -> bool:
    """A switch between steps of training and positions of the probe sequence, where the run has one; `over`
    in the URL.
    """
    drawn = any(map(is_gaussian, context.layers))
    if not len(cache.sequence_steps(context)) or not drawn:
        if url.get("over") == ALONG:
            lacks = "Gaussian layer" if len(cache.sequence_steps(context)) else "probe sequence"
            st.warning(f"This run holds no {lacks} to replay along a sequence: shown over training.")
            url.put("over", None)
        return False
    chosen = url.choice(
        st.segmented_control, "Over", tuple(_LABELS), "over", TRAINING, format_func=_LABELS.__getitem__,
        required=True,
    )  # fmt: skip
    return chosen == ALONG


def show(context: RunContext, layers: list[int], choice: replay.Choice) -> None:
    """The canvas and its download, at the stored step at or before the cursor of all pages."""
    side = replay.Side(context, layers, state.pinned(context))
    cursor = state.cursor(context) if url.get("step") else None
    step = replay_sequence.stored_step(side, cursor)
    asked = url.get("t")
    t = int(asked) if asked is not None and asked.isdecimal() else None
    _, opens_at = canvas_sync.to_send(_KEY, asked, t)
    sent = replay_sequence.payload(side, choice, step, opens_at)
    canvases.replay(sent, _KEY, _moved, _pick, _speed_changed)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Beliefs at training step {step:,}, along the probe sequence.", width="stretch")
        rows = partial(replay_sequence.table, side, choice, step)
        downloads.menu(None, rows, f"{context.entry.name} replay along the sequence")


def _moved() -> None:
    """The cursor rests on a position."""
    _put(int(st.session_state[_KEY]["cursor"]))


def _pick() -> None:
    """A ridge was clicked: pin or unpin it."""
    pick = st.session_state[_KEY]["pick"]
    if pick.get("step") is not None:
        _put(int(pick["step"]))
    url.toggle_pin(int(pick["layer"]), int(pick["neuron"]), str(pick["run"]))


def _put(t: int) -> None:
    url.put("t", t)
    canvas_sync.record(_KEY, url.get("t"))


def _speed_changed() -> None:
    """Another speed was chosen; the default stays out of the URL."""
    speed = str(st.session_state[_KEY]["speed"])
    url.put("speed", None if speed == replay.Choice.speed else speed)
