"""How do the distributions contract, over time and across layers?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell import frame
from pages.shell.data import replay
from pages.shell.session import cache, canvas_sync, state, url
from pages.shell.widgets import canvases, downloads
from probes.figures.frames import RAW_STEPS
from probes.spacing import evenly_spaced

COLUMNS = 6  # layers side by side unless more are asked for: beyond, ridges become too narrow to compare
RIDGES = (8, 16, 32, 64)

frame.guard()
context = frame.pick_run()
frame.header(
    "Replay",
    context,
    "Each ridge is one neuron. It starts as wide as its prior (dashed) and contracts as training goes on: "
    "narrow and bright is certain.",
)
frame.needs_distributions(context)
NONE = "no other run"


def spaced(context: state.RunContext, columns: int) -> list[int]:
    """Layers that are shown of a run that has more than fit side by side."""
    return evenly_spaced(len(context.names), columns).tolist()


def beside() -> state.RunContext | None:
    """The second run, if one is asked for and it has something to show."""
    if url.get("vs") == context.entry.name:
        url.put("vs", None)
    names = [NONE, *(name for name in cache.entries() if name != context.entry.name)]
    name = url.choice(st.selectbox, "Beside it", names, "vs", NONE, what="the second run")
    other = None if name == NONE else state.another_run(name)
    if name != NONE and (other is None or not state.has_distributions(other)):
        st.warning(
            f"{url.plain(name)} cannot be shown beside it: it cannot be read or holds no distributions."
        )
        return None
    return other


def one_input(count: int) -> int | None:
    """Which probe input's posteriors are shown; None: the batch's moments."""
    asked = url.get("input")
    if asked is not None and not (asked.isdecimal() and int(asked) < count):
        url.unknown("probe input", asked, "the mean over the batch")
        url.put("input", None)
    st.session_state["one_input"] = url.get("input") is not None
    missing = "The log holds no posteriors of single inputs for all that is shown." if count == 0 else None
    st.toggle(
        "One probe input",
        key="one_input",
        disabled=count == 0,
        on_change=toggle_input,
        help=missing
        or "Its exact posterior instead of the mean over the batch, at the steps at which it was stored.",
    )
    if url.get("input") is None:
        return None
    st.session_state["input_number"] = int(str(url.get("input")))

    def changed() -> None:
        url.put("input", st.session_state["input_number"])

    return int(
        st.number_input(f"Input, 0 to {count - 1}", 0, count - 1, key="input_number", on_change=changed)
    )


def toggle_input() -> None:
    """Switch between the batch and its first probe input."""
    url.put("input", 0 if st.session_state["one_input"] else None)


with st.sidebar:
    ridges = st.select_slider("Neurons per layer", RIDGES, value=32, key="ridges", persist_state="session")
    order = st.segmented_control(
        "Order by",
        list(replay.ORDERS),
        default="spread",
        required=True,
        key="order",
        persist_state="session",
    )
    other = beside()
    columns = COLUMNS // 2 if other else COLUMNS
    shown = spaced(context, columns)
    if len(shown) < len(context.names):
        everything = list(range(len(context.names)))
        picked = st.multiselect(
            "Layers", everything, default=shown, format_func=lambda i: context.names[i], key="replay_layers"
        )
        shown = sorted(picked) or shown
    both = [(context, shown), *([(other, spaced(other, columns))] if other else [])]
    probe_input = one_input(replay.probe_inputs([replay.Side(one, layers, ()) for one, layers in both]))
    st.caption(
        "Space plays, ← and → move one frame, with shift ten, [ and ] change the speed. A click "
        "pins a ridge; so do ↑ ↓ and Enter once the picture has the focus."
    )
    frame.link_to_reference()


last = max(int(one.run.steps[-1]) for one, _ in both)


def moved() -> None:
    """The cursor rests."""
    rest(int(st.session_state["replay"]["cursor"]))


def rest(step: int) -> None:
    """Remember the cursor's step; the last one is the default and stays out of the URL."""
    url.put("step", None if step == last else step)
    canvas_sync.report("replay", url.get("step"))


def cursor() -> int | None:
    """The cursor, which may lie beyond the end of one of two runs."""
    own = state.cursor(context)
    return min(int(str(url.get("step"))), last) if other and url.get("step") else own


def opening_step() -> int | None:
    """Where the canvas opens: the URL's step, None to play from the start."""
    _, step = canvas_sync.tell("replay", url.get("step"), cursor() if url.get("step") else None)
    return step


def clicked() -> None:
    """A ridge was clicked: pin or unpin it. The step where the cursor rests comes with it."""
    pick = st.session_state["replay"]["pick"]
    if pick.get("step") is not None:
        rest(int(pick["step"]))
    url.toggle_pin(int(pick["layer"]), int(pick["neuron"]), str(pick["run"]))


opens_at = opening_step()


def exact(one: state.RunContext) -> int | None:
    """Long runs are drawn from means of steps while they play; at rest the exact step is sent."""
    at = cursor() if url.get("step") and len(one.run.steps) > RAW_STEPS else opens_at
    return None if at is None else cache.recorded_step(one.run.steps, at)


sides = [replay.Side(one, layers, state.pinned(one), exact(one)) for one, layers in both]
canvases.replay(
    replay.payload(sides, int(ridges), str(order), opens_at, probe_input), "replay", moved, clicked
)
with st.container(horizontal=True, horizontal_alignment="right"):
    downloads.beside(None, partial(replay.table, sides, int(ridges), str(order), probe_input), "replay")
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
