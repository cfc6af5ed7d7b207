"""What a canvas was told of what the pages look at: the cursor, the neuron that is chosen.

A canvas that moves these itself knows them. It is then told the same as before, so that its payload, of up to
a megabyte,
stays the same: the browser has it and is sent its hash.
"""

from __future__ import annotations

from typing import TypeVar

import streamlit as st

from pages.shell.session import state

_Words = TypeVar("_Words")
# session: what the canvas knows; how often it was told, and what the last time
_KNOWN, _TOLD = "_known_{}", "_told_{}"


def report(canvas: str, now: object) -> None:
    """The canvas has made it so."""
    st.session_state[_KNOWN.format(canvas)] = now


def tell(canvas: str, now: object, words: _Words) -> tuple[int, _Words]:
    """`words`, which say that it is so now; or, while the canvas knows, what it was told before. With them
    how often it was told: the same words may be told again after the canvas has moved on, and are then news.
    """
    known, told = _KNOWN.format(canvas), _TOLD.format(canvas)
    count, before = st.session_state.get(told, (0, None))
    if state.entered() or not count or st.session_state.get(known) != now:
        count, before = count + 1, words
        st.session_state[told], st.session_state[known] = (count, words), now
    return count, before
