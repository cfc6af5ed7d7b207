"""The canvas components: `probes.canvas` as Streamlit registers it, and what a page calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from probes import canvas

__all__ = ["heatmap", "number_cards", "regimes", "replay", "tokens"]


def _component(name: str) -> Callable[..., Any]:
    html, css, js = canvas.markup(name), canvas.style(name), canvas.script(name)
    return st.components.v2.component(f"neurons_{name}", html=html, css=css, js=js)


def _no_callback() -> None:
    """A component's result names a trigger only if a callback is given for it."""


def _if_mounted(key: str, callback: Callable[[], None]) -> Callable[[], None]:
    """The callback, unless what it was to read has gone: a trigger may arrive when its page has just been
    left.
    """

    def call() -> None:
        if key in st.session_state:
            callback()

    return call


_cards = _component("cards")
_replay = _component("replay")
_regimes = _component("regimes")
_heatmap = _component("heatmap")
_tokens = _component("tokens")


def number_cards(items: list[dict[str, Any]], key: str) -> None:
    """A row of cards: `label`, `value`, and optionally `unit`, `note`, `help`, `spark` (numbers),
    `colour`.
    """
    _cards(data={"cards": items}, key=key)


def replay(
    payload: bytes,
    key: str,
    on_cursor: Callable[[], None],
    on_pick: Callable[[], None],
    on_speed: Callable[[], None],
) -> Any:
    """Ridges over steps; triggers `cursor` (a step, once it rests), `pick` ({run, layer, neuron, step}) and
    `speed` (as the control names it).

    A pick carries the step, null while playing: a cursor's message right beside it could replace it.
    """
    return _replay(
        data=payload,
        key=key,
        on_cursor_change=_if_mounted(key, on_cursor),
        on_pick_change=_if_mounted(key, on_pick),
        on_speed_change=_if_mounted(key, on_speed),
    )


def regimes(payload: bytes, key: str, on_cursor: Callable[[], None], on_pick: Callable[[], None]) -> Any:
    """Layer x neuron tiles coloured by regime, over steps; triggers as `replay`."""
    return _regimes(
        data=payload,
        key=key,
        on_cursor_change=_if_mounted(key, on_cursor),
        on_pick_change=_if_mounted(key, on_pick),
    )


def heatmap(payload: bytes, key: str, on_pick: Callable[[], None] = _no_callback) -> Any:
    """Neuron x step image; triggers `pick` ({neuron, step})."""
    return _heatmap(data=payload, key=key, on_pick_change=_if_mounted(key, on_pick))


def tokens(texts: dict[str, Any], key: str, on_pick: Callable[[], None] = _no_callback) -> Any:
    """Texts whose tokens carry numbers as colours (`Texts` of canvas/tokens.js); triggers `pick` ({t})."""
    return _tokens(data=texts, key=key, on_pick_change=_if_mounted(key, on_pick))
