"""How do the distributions contract, over time and across layers?"""

from __future__ import annotations

import streamlit as st

from pages.shell import frame
from pages.shell.data import replay
from pages.shell.session import url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import replay_canvas, replay_options
from probes.analysis import layer_families

GAUSSIAN = (
    "Each ridge is one neuron. It starts as wide as its prior (dashed) and contracts as training goes on: "
    "narrow and bright is certain."
)
OTHERS = "Each row is one neuron, drawn as its own family; its prior is dashed. Narrow and bright is certain."
BOOK = "Each bar is one code of the code book: how often it is picked. Marks under the line are dead codes."


def caption_of(run: RunContext) -> str:
    """What is seen, in a line."""
    if all(layer_families.is_code_book(layer) for layer in run.layers):
        return BOOK
    return GAUSSIAN if any(layer_families.is_gaussian(layer) for layer in run.layers) else OTHERS


frame.guard()
context = frame.pick_run()
frame.header(
    "Replay",
    context,
    caption_of(context),
)
frame.needs_distributions(context)
with st.sidebar:
    other = replay_options.with_distributions(frame.compared(context))
    shown = [(context, replay_options.layers(context, replay.layers_at_first(context, 2 if other else 1)))]
    if other:
        shown.append((other, replay.layers_at_first(other, 2)))
    choice = replay_options.choice([replay.Side(run, layers, ()) for run, layers in shown])
    st.caption(
        "Space plays, ← and → move one frame, with shift ten, Home and End go to the first and last, [ and ]"
        " change the speed, F fills the screen. A click pins a ridge; so do ↑ ↓ and Enter once the picture"
        " has the focus."
    )
    frame.link_to_reference()
replay_canvas.show(shown, choice)
if other:
    st.caption(
        f"Left {url.plain(context.entry.name)}, right {url.plain(other.entry.name)}, both at the cursor's"
        " step; a run that has ended stays as it was. A number names another neuron in each run."
    )
if context.run.status == "crashed":
    st.caption(
        "This run stopped without saying so. All that it had written is shown, up to step"
        f" {int(context.run.steps[-1]):,}."
    )
