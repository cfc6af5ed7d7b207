"""What the user has chosen, in the URL: the query is the truth, widgets follow it, and it survives a change of page.

Streamlit clears the query when another page is chosen, so the last values are kept for the session and put back.
Values that name nothing are reported once and fall back; nothing from the URL is used as a path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

KEYS = ("run", "vs", "layer", "neurons", "step", "from", "to", "statistic", "axis", "scale", "pin")

_KEPT = "_url"


def sync() -> None:
    """Put back what an earlier page of this session had chosen. Called once at the start of each run of the app."""
    kept = st.session_state.setdefault(_KEPT, {})
    for key in KEYS:
        if key in st.query_params:
            kept[key] = st.query_params[key]
        elif key in kept:
            st.query_params[key] = kept[key]


def get(key: str) -> str | None:
    """The value of a query key, None if it is absent or empty."""
    return st.query_params.get(key) or None


def put(key: str, value: object | None) -> None:
    """Set a query key; None removes it."""
    kept = st.session_state.setdefault(_KEPT, {})
    if value is None:
        kept.pop(key, None)
        if key in st.query_params:
            del st.query_params[key]
    else:
        kept[key] = str(value)
        if st.query_params.get(key) != str(value):
            st.query_params[key] = str(value)


def unknown(what: str, value: str, instead: str) -> None:
    """Say that the link names something that is not there, and what is shown instead."""
    st.warning(f"The link asks for {what} “{plain(value)}”, which this run does not have. Shown instead: {plain(instead)}.")


def choice(
    widget: Callable[..., Any],
    label: str,
    options: Sequence[str],
    key: str,
    default: str,
    *,
    what: str | None = None,
    note: Any = None,
    **settings: Any,
) -> str:
    """A select widget whose value lives in the URL under `key`; the default stays out of it.

    `note` is where to say that the URL's value is none of the options (default: here).
    """
    value = get(key)
    if value is not None and value not in options:
        with note or st.container():
            unknown(what or label.lower(), value, default)
        put(key, None)
        value = None
    name = f"choose_{key}"
    st.session_state[name] = value or default

    def changed() -> None:
        chosen = st.session_state[name]
        put(key, None if chosen in (None, default) else chosen)

    return str(widget(label, options, key=name, on_change=changed, **settings) or default)


def pins() -> list[tuple[int, int]]:
    """Pinned neurons as (layer, neuron), in the order of pinning; `pin=0.17,2.5` in the URL."""
    found = []
    for item in (get("pin") or "").split(","):
        layer, _, neuron = item.partition(".")
        if layer.isdecimal() and neuron.isdecimal():
            found.append((int(layer), int(neuron)))
    return list(dict.fromkeys(found))


def toggle_pin(layer: int, neuron: int) -> None:
    """Pin a neuron, or unpin it if it is pinned."""
    kept = pins()
    item = (layer, neuron)
    kept = [other for other in kept if other != item] if item in kept else [*kept, item]
    put("pin", ",".join(f"{one}.{two}" for one, two in kept) or None)


_MARKDOWN = str.maketrans({character: f"\\{character}" for character in r"\`*_{}[]()<>#+-.!|~$:&"})


def plain(value: object) -> str:
    """Text of a run (its name, a layer's, a note) as markdown that shows it literally, on one line."""
    return " ".join(str(value).split()).translate(_MARKDOWN)
