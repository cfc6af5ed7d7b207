"""How do the distributions contract, over time and across layers?"""

from __future__ import annotations

import streamlit as st

from pages.shell import frame
from pages.shell.data import replay
from pages.shell.session import url
from pages.shell.widgets import replay_canvas, replay_options, replay_sequence
from probes.canvas import replay_shapes

frame.guard()
context = frame.pick_run()
frame.header(
    "Replay",
    context,
    replay_shapes.caption(context.layers),
)
frame.needs_distributions(context)
with st.sidebar:
    along = replay_sequence.is_asked(context)
    other = replay_options.with_distributions(frame.compared(context))
    shown = [(context, replay_options.layers(context, replay.layers_at_first(context, 2 if other else 1)))]
    if other:
        shown.append((other, replay.layers_at_first(other, 2)))
    choice = replay_options.choice([replay.Side(run, layers, ()) for run, layers in shown])
    selects = (
        " A click selects a ridge; so do ↑ ↓ and Enter once the picture has the focus."
        if any(replay.has_ridges(run, layer) for run, layers in shown for layer in layers)
        else ""
    )
    st.caption(
        "Space plays, ← and → move one frame, with shift ten, Home and End go to the first and last, [ and ]"
        f" change the speed, F fills the screen.{selects}"
    )
    frame.link_to_reference()
if along:
    replay_sequence.show(*shown[0], choice)
else:
    replay_canvas.show(shown, choice)
if other and along:
    st.caption(f"{url.plain(other.entry.name)} is shown beside it over training alone.")
elif other:
    st.caption(
        f"Left {url.plain(context.entry.name)}, right {url.plain(other.entry.name)}, both at the cursor's"
        " step; a run that has ended stays as it was. A number names another neuron in each run."
    )
if context.run.status == "crashed":
    st.caption(
        "This run ended by an error, or was killed. All that it had written is shown, up to step"
        f" {int(context.run.steps[-1]):,}."
    )
