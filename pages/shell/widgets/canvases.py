"""The canvas components: html, css and js files beside this module, and the payload they read.

A payload is a little-endian uint32 (length of the header), the header as JSON padded to a multiple of four
bytes, then the arrays that `header["arrays"]` lists, float32, float16 or uint8, each padded to a multiple of
four. Nothing of a run
is ever put into html or js: names travel in the header and are drawn as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

_HERE = Path(__file__).parent.parent


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """One message for a canvas component; arrays are sent as uint8, float16 or else as float32, in C
    order.
    """
    parts, listed = [], []
    for name, values in arrays.items():
        data = np.ascontiguousarray(
            values, dtype=values.dtype if values.dtype in (np.uint8, np.float16) else np.float32
        )
        listed.append({"name": name, "dtype": str(data.dtype), "size": int(data.size)})
        raw = data.tobytes()
        parts.append(raw + b"\0" * (-len(raw) % 4))
    text = json.dumps({**header, "arrays": listed}, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + b"".join(parts)


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _component(name: str, *parts: str, transport: bool = False) -> Callable[..., Any]:
    """Register a component; `parts` are further js files that its own file builds on."""
    html = _read(f"{name}.html").replace("<!--transport-->", _read("transport.html") if transport else "")
    css = (_read("transport.css") if transport else "") + _read(f"{name}.css")
    js = _read("canvas.js") + (_read("transport.js") if transport else "")
    js += "".join(_read(f"{part}.js") for part in (*parts, name))
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
_replay = _component("replay", "ridges", "strip", transport=True)
_regimes = _component("regimes", transport=True)
_heatmap = _component("heatmap")


def number_cards(items: list[dict[str, Any]], key: str) -> None:
    """A row of cards: `label`, `value`, and optionally `unit`, `note`, `help`, `spark` (numbers),
    `colour`.
    """
    _cards(data={"cards": items}, key=key)


def replay(payload: bytes, key: str, on_cursor: Callable[[], None], on_pick: Callable[[], None]) -> Any:
    """Ridges over steps; triggers `cursor` (a step, once it rests) and `pick` ({run, layer, neuron, step}).

    A pick carries the step, null while playing: a cursor's message right beside it could replace it.
    """
    return _replay(
        data=payload,
        key=key,
        on_cursor_change=_if_mounted(key, on_cursor),
        on_pick_change=_if_mounted(key, on_pick),
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
