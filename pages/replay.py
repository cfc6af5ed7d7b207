"""How do the distributions contract, over time and across layers?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.shell import components, state, url, views

COLUMNS = 6  # layers side by side unless more are asked for: beyond, ridges become too narrow to compare
RIDGES = (8, 16, 32, 64)

state.guard()
opened = state.pick_run()
state.needs_distributions(opened)
asked = state.cursor(opened) if url.get("step") else None

with st.sidebar:
    ridges = st.select_slider("Neurons per layer", RIDGES, value=32, key="ridges", persist_state="session")
    order = st.segmented_control(
        "Order by", list(views.ORDERS), default="spread", required=True, key="order", persist_state="session"
    )
    shown = list(range(len(opened.names)))
    if len(shown) > COLUMNS:
        spaced = np.unique(np.linspace(0, len(shown) - 1, COLUMNS).round().astype(int)).tolist()
        picked = st.multiselect("Layers", shown, default=spaced, format_func=lambda i: opened.names[i], key="replay_layers")
        shown = sorted(picked) or spaced
    pins = [
        (layer, neuron) for layer, neuron in url.pins() if layer < len(opened.names) and neuron < opened.layers[layer]["neurons"]
    ]
    if len(pins) < len(url.pins()):
        st.warning("The link pins neurons that this run does not have; they are left out.")
    if pins:
        st.pills(
            "Pinned", [f"{opened.names[layer]} · n{neuron}" for layer, neuron in pins], disabled=True, key=f"pins_{len(pins)}"
        )
        st.button("Unpin all", on_click=url.put, args=("pin", None), type="tertiary")
    total = sum(layer["neurons"] for layer in opened.layers)
    st.caption(f"Layers {len(opened.names)} · neurons {total:,} · recorded steps {len(opened.run.steps):,}")
    st.caption("Keys: space plays, ← → one frame, with shift ten, [ ] speed. Click a ridge to pin it.")

state.header(
    "Replay",
    opened,
    "Each ridge is one neuron's distribution. It starts as wide as its prior (dashed) and narrows as training goes on: "
    "bright and narrow is certain, dark and wide still knows nothing.",
)


def moved() -> None:
    """The cursor rests: remember its step; the last step is the default and stays out of the URL."""
    step = int(st.session_state["replay"]["cursor"])
    url.put("step", None if step == int(opened.run.steps[-1]) else step)


def picked_neuron() -> None:
    """A ridge was clicked: pin or unpin it."""
    pick = st.session_state["replay"]["pick"]
    url.toggle_pin(int(pick["layer"]), int(pick["neuron"]))


payload = views.replay_payload(opened, shown, int(ridges), str(order), pins, asked)


@st.fragment
def picture(data: bytes) -> None:
    """The canvas alone: the cursor's rest reruns this and nothing else."""
    result = components.replay(data, "replay", moved, picked_neuron)
    if result.pick is not None:
        st.rerun()


picture(payload)
if (opened.run.status == "crashed") and len(opened.run.steps):
    st.caption(f"This run stopped without saying so. All that it had written is shown, up to step {int(opened.run.steps[-1]):,}.")
