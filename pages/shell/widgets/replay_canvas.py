"""The replay on a page: ridges of one run or two under the cursor that all pages share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from pages.shell.data import replay
from pages.shell.session import canvas_sync, state, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, downloads, selected_neuron
from probes.export import replay_page

_KEY = "replay"


def show(shown: Sequence[tuple[RunContext, list[int]]], choice: replay.Choice) -> None:
    """The canvas and its download. `shown`: runs with the layers that are shown of them; the first is the one
    that the page shows.
    """
    last = replay.last_step([context for context, _ in shown])
    cursor = _cursor(shown[0][0], last, several=len(shown) > 1)
    _, opens_at = canvas_sync.to_send(_KEY, url.get("step"), cursor)  # None: it plays from the start
    sides = [
        replay.Side(
            context,
            layers,
            state.pinned(context),
            state.chosen_neuron(context),
            replay.exact_step(context, cursor, opens_at),
        )
        for context, layers in shown
    ]
    sent = replay.payload(sides, choice, opens_at)
    canvases.replay(sent, _KEY, partial(_cursor_moved, last), partial(_pick, last), _speed_changed)
    names = " and ".join(side.context.entry.name for side in sides)
    page = partial(_page, sides, choice, names)
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container():
            if any(replay.has_ridges(run, layer) for run, layers in shown for layer in layers):
                selected_neuron.actions(shown[0][0], "ridge", shown[1][0] if len(shown) > 1 else None)
        downloads.menu(
            None, partial(replay.table, sides, choice), f"{names} replay", html=("Replay, HTML", page)
        )


def _page(sides: Sequence[replay.Side], choice: replay.Choice, names: str) -> bytes:
    """The replay as one file, which opens on its last step and plays once it is seen."""
    return replay_page.page(replay.payload(sides, choice, None, autoplay=False), names).encode()


def _cursor(context: RunContext, last: int, several: bool) -> int | None:
    """The cursor, which may lie beyond the end of one of two runs; None: nowhere yet."""
    if not url.get("step"):
        return None
    own = state.cursor(context)  # a step that is none is reported there, and becomes the last one
    step = url.get("step")
    return min(int(step), last) if several and step else own


def _cursor_moved(last: int) -> None:
    """The cursor rests."""
    _put_step(int(st.session_state[_KEY]["cursor"]), last)


def _speed_changed() -> None:
    """Another speed was chosen; 1 is the default and stays out of the URL."""
    speed = str(st.session_state[_KEY]["speed"])
    url.put("speed", None if speed == replay.Choice.speed else speed)


def _pick(last: int) -> None:
    """A ridge was clicked: its neuron is looked at. The step where the cursor rests comes with it."""
    pick = st.session_state[_KEY]["pick"]
    if pick.get("step") is not None:
        _put_step(int(pick["step"]), last)
    state.choose_neuron(str(pick["run"]), int(pick["layer"]), int(pick["neuron"]))


def _put_step(step: int, last: int) -> None:
    """Remember the cursor's step; the last one is the default and stays out of the URL."""
    url.put("step", None if step == last else step)
    canvas_sync.record(_KEY, url.get("step"))
