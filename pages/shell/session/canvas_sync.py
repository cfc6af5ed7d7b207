"""Synchronising a canvas with what the pages look at: the cursor, the neuron that is chosen.

A canvas that moves these itself shows them already. It is then sent the same as before, so that its payload,
of up to a megabyte, stays the same: the browser has it and is sent its hash.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.shell.session import state

# session: the state that the canvas shows; the revision and the message that it was sent last
_SHOWN, _SENT = "_canvas_shown_{}", "_canvas_sent_{}"


def record(canvas: str, shown: Any) -> None:
    """Note that the canvas shows this state by itself: a person has moved it there."""
    st.session_state[_SHOWN.format(canvas)] = shown


def to_send(canvas: str, shown: Any, message: Any) -> tuple[int, Any]:
    """(revision, message) that bring the canvas to the state `shown`; the last ones while it shows that.

    The revision tells a message that is repeated, because the canvas has been moved in between, from one that
    was merely sent again.
    """
    shown_key, sent_key = _SHOWN.format(canvas), _SENT.format(canvas)
    revision, last = st.session_state.get(sent_key, (0, None))
    if state.entered() or not revision or st.session_state.get(shown_key) != shown:
        revision, last = revision + 1, message
        st.session_state[sent_key], st.session_state[shown_key] = (revision, message), shown
    return revision, last
