"""How do the distributions contract, over time and across layers?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.shell import components, state, url, views
from probes.figures.frames import RAW_STEPS

COLUMNS = 6  # layers side by side unless more are asked for: beyond, ridges become too narrow to compare
RIDGES = (8, 16, 32, 64)
REPORTED, OPENED_AT = "_replay_reported", "_replay_opened_at"  # session: the canvas's own last step; where it opened

state.guard()
opened = state.pick_run()
state.header(
    "Replay",
    opened,
    "Each ridge is one neuron. It starts as wide as its prior (dashed) and contracts as training goes on: "
    "narrow and bright is certain.",
)
state.needs_distributions(opened)
shown = list(range(len(opened.names)))
pins = state.pinned(opened)

with st.sidebar:
    ridges = st.select_slider("Neurons per layer", RIDGES, value=32, key="ridges", persist_state="session")
    order = st.segmented_control(
        "Order by", list(views.ORDERS), default="spread", required=True, key="order", persist_state="session"
    )
    if len(shown) > COLUMNS:
        spaced = np.unique(np.linspace(0, len(shown) - 1, COLUMNS).round().astype(int)).tolist()
        picked = st.multiselect("Layers", shown, default=spaced, format_func=lambda i: opened.names[i], key="replay_layers")
        shown = sorted(picked) or spaced
    if pins:
        st.caption("Pinned: " + ", ".join(f"{url.plain(opened.names[layer])} n{neuron}" for layer, neuron in pins))
        st.button("Unpin all", on_click=url.put, args=("pin", None))
    st.caption("Space plays, ← and → move one frame, with shift ten, [ and ] change the speed. Click a ridge to pin it.")
    state.link_to_reference()


def moved() -> None:
    """The cursor rests: remember its step; the last step is the default and stays out of the URL."""
    step = int(st.session_state["replay"]["cursor"])
    url.put("step", None if step == int(opened.run.steps[-1]) else step)
    st.session_state[REPORTED] = url.get("step")


def opening_step() -> int | None:
    """Where the canvas opens: the URL's step, None to play from the start.

    It stays what it was while the canvas itself moves the cursor, so that the same payload is not sent again.
    """
    if state.entered() or url.get("step") != st.session_state.get(REPORTED):
        st.session_state[OPENED_AT] = state.cursor(opened) if url.get("step") else None
        st.session_state[REPORTED] = url.get("step")
    return st.session_state[OPENED_AT]


def clicked() -> None:
    """A ridge was clicked: pin or unpin it."""
    pick = st.session_state["replay"]["pick"]
    url.toggle_pin(int(pick["layer"]), int(pick["neuron"]))


opens_at = opening_step()
# Long runs are drawn from means of steps while they play; at rest the exact step is sent.
exact = state.cursor(opened) if url.get("step") and len(opened.run.steps) > RAW_STEPS else opens_at
payload = views.replay_payload(opened, shown, int(ridges), str(order), pins, opens_at, exact)
components.replay(payload, "replay", moved, clicked)
if opened.run.status == "crashed":
    st.caption(f"This run stopped without saying so. All that it had written is shown, up to step {int(opened.run.steps[-1]):,}.")
