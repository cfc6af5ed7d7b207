"""What a canvas was told of what the pages look at: the cursor, the neuron that is chosen.

A canvas that moves these itself knows them. It is then told the same as before, so that its payload, of up to a megabyte,
stays the same: the browser has it and is sent its hash.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.shell import state

_KNOWN, _TOLD = "_known_{}", "_told_{}"  # session: what the canvas knows, and what it was last told


def report(canvas: str, now: Any) -> None:
    """The canvas has made it so."""
    st.session_state[_KNOWN.format(canvas)] = now


def tell(canvas: str, now: Any, words: Any) -> Any:
    """`words`, which say that it is so now; or, while the canvas knows, what it was told before."""
    known, told = _KNOWN.format(canvas), _TOLD.format(canvas)
    if state.entered() or told not in st.session_state or st.session_state.get(known) != now:
        st.session_state[told], st.session_state[known] = words, now
    return st.session_state[told]
