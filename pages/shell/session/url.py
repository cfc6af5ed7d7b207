"""What the user has chosen, in the URL: the query is the truth, widgets follow it, and it survives a change
of page.

Streamlit clears the query when another page is chosen, so the last values are kept for the session and put
back. Values that name nothing are reported once and fall back; nothing from the URL is used as a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import quote, unquote

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.mutable_tab_container import TabContainer

from probes.neuron_names import neuron_name, read_neuron

KEYS = (
    "run",
    "vs",
    "layer",
    "neurons",
    "step",
    "from",
    "to",
    "statistic",
    "axis",
    "scale",
    "pin",
    "input",
    "experiment",
    "inputs",
    "steps",
    "smooth",
    "find",
    "detail",
    "earlier",
    "force",
    "second",
    "a",
    "b",
    "like",
    "among",
    "show",
    "count",
    "order",
    "trail",
    "speed",
    "layers",
    "split",
    "sort",
    "tiles",
    "codes",
    *("t", "quantity", "sort_sequence", "follows", "along", "over"),
    *("filter", "view", "rows", "sort_runs", "ticked", "columns", "archived", "of"),
    *("compared_layer", "compared_statistic"),  # of the page Runs
    *("sweep_of", "sweep_x", "sweep_y", "sweep_score", "sweep_value", "sweep_by", "sweep_color"),
)

OF_RUN = ("step", "layer", "neurons", "from", "to", "input", "t")
"""Keys that name parts of one run, and mean nothing in another."""

_SAVED = "_url"


def sync() -> None:
    """Put back what an earlier page of this session had chosen. Called once at the start of each run of the
    app.
    """
    saved = st.session_state.setdefault(_SAVED, {})
    asked = st.query_params.to_dict()
    before = saved.get("run")
    if before and asked.get("run", before) != before:  # a link to another run
        pinned = [write_pin(pin) for item in _items(saved.get("pin")) if (pin := read_pin(item, before))]
        saved["pin"] = ",".join(pinned)
        for key in (*OF_RUN, *(() if pinned else ("pin",))):
            saved.pop(key, None)
    saved |= {key: asked[key] for key in KEYS if key in asked}
    if not saved.keys() <= asked.keys():
        st.query_params.from_dict(asked | saved)  # in one assignment: each is a message to the browser


def get(key: str) -> str | None:
    """The value of a query key, None if it is absent or empty."""
    return st.query_params.get(key) or None


def put(key: str, value: object | None) -> None:
    """Set a query key; None removes it."""
    put_all({key: value})


def put_all(values: Mapping[str, object | None]) -> None:
    """Set query keys in one assignment, since each is a message to the browser; None removes a key."""
    saved = st.session_state.setdefault(_SAVED, {})
    gone = {key for key, value in values.items() if value is None}
    given = {key: str(value) for key, value in values.items() if value is not None}
    for key in gone:
        saved.pop(key, None)
    saved |= given
    before = st.query_params.to_dict()
    after = {key: value for key, value in before.items() if key not in gone} | given
    if after != before:
        st.query_params.from_dict(after)


def unknown(what: str, value: str, instead: str) -> None:
    """Say that the link names something that is not there, and what is shown instead."""
    st.warning(
        f"The link asks for {what} “{plain(value)}”, which is unknown here. Shown instead: {plain(instead)}."
    )


def choice(
    widget: Callable[..., object],
    label: str,
    options: Sequence[str],
    key: str,
    default: str,
    *,
    what: str | None = None,
    note: DeltaGenerator | None = None,
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


def text(label: str, key: str, *, clears: Sequence[str] = (), **settings: Any) -> str:
    """A text field whose content lives in the URL under `key`; another content removes the keys of
    `clears`.
    """
    name = f"write_{key}"
    st.session_state[name] = get(key) or ""

    def changed() -> None:
        put_all({**dict.fromkeys(clears), key: st.session_state[name].strip() or None})

    return str(st.text_input(label, key=name, on_change=changed, **settings)).strip()


def tabs(key: str, names: Sequence[str]) -> Sequence[TabContainer]:
    """Tabs, of which the open one is in the URL under `key`; the first one stays out of it. Only what is in
    the open one is to be drawn.
    """
    value, name = get(key), f"open_{key}"
    if value is not None and value not in names:
        unknown("the tab", value, names[0])
        put(key, None)
        value = None

    def changed() -> None:
        chosen = st.session_state[name]
        put(key, None if chosen == names[0] else chosen)

    return st.tabs(names, default=value or names[0], key=name, on_change=changed)


def span(first: int, last: int) -> tuple[int, int]:
    """A slider for the range of steps that figures show, `from` and `to` in the URL; all of them by default.

    A range that reaches beyond `first` or `last` is cut and not forgotten: it may be one of a longer run
    beside this one.
    """
    asked: list[int] = []
    for key, default in (("from", first), ("to", last)):
        value = get(key)
        if value is not None and not value.isdecimal():
            unknown(f"{key} step", value, f"{default:,}")
            put(key, None)
            value = None
        asked.append(int(value) if value is not None else default)
    if first == last:
        return first, last
    start, end = (min(max(step, first), last) for step in asked)
    if start >= end:
        unknown("steps", f"{asked[0]:,} to {asked[1]:,}", f"{first:,} to {last:,}")
        put_span(first, last, (first, last))
        start, end = first, last
    # A widget for each extent: of a run that grows, a browser that has not seen the new end yet would else
    # choose the old one.
    name = f"choose_span_{first}_{last}"
    st.session_state[name] = (start, end)

    def changed() -> None:
        now_first, now_last = st.session_state[name]
        put_span(now_first, now_last, (first, last))

    chosen = st.slider(
        "Steps shown", first, last, key=name, on_change=changed, help="Or drag over a figure that has steps."
    )
    low, high = cast("tuple[int, int]", chosen)  # as the session's value is
    if (low, high) != (first, last):
        st.button(
            "Show all steps",
            key="show_all_steps",
            icon=":material/unfold_more:",
            type="tertiary",
            on_click=put_span,
            args=(first, last, (first, last)),
        )
    return int(low), int(high)


def put_span(low: int, high: int, ends: tuple[int, int]) -> None:
    """Show the steps from `low` to `high`, of all from `ends[0]` to `ends[1]`; the ends stay out of the
    URL.
    """
    put_all({"from": None if low == ends[0] else low, "to": None if high == ends[1] else high})


class Pin(NamedTuple):
    """A neuron of a run; `layer` and `neuron` count from 0, as in the log."""

    run: str
    layer: int
    neuron: int


def pins() -> list[Pin]:
    """Pinned neurons of all runs, in the order of pinning.

    In the URL `pin=healthy/1:17,other/3:5`, a run's name percent-encoded; `1:17` is a neuron of the run that
    is shown.
    """
    found = (read_pin(item, get("run") or "") for item in _pin_items())
    return list(dict.fromkeys(pin for pin in found if pin))


def unread_pins() -> list[str]:
    """What `pin` holds that names no neuron in either form."""
    return [item for item in _pin_items() if not read_pin(item, get("run") or "")]


def _pin_items() -> list[str]:
    return _items(get("pin"))


def _items(pinned: str | None) -> list[str]:
    return [item for item in (pinned or "").split(",") if item]


def read_pin(item: str, run: str) -> Pin | None:
    """A neuron as the URL and a run's notes write it; one without a run is of `run`. None if it names
    none.

    `run:0:17`, as earlier versions wrote it, counts layers from 0, like `0.17`.
    """
    name, slash, own = item.rpartition("/")
    if not slash and item.count(":") == 2:
        name, _, own = item.partition(":")
        slash, own = ":", own.replace(":", ".")
    of, found = unquote(name) if slash else run, read_neuron(own)
    return Pin(of, *found) if of and found else None


def put_pins(pinned: Iterable[Pin]) -> None:
    """Pin exactly these."""
    put("pin", _written(pinned))


def _written(pinned: Iterable[Pin]) -> str | None:
    return ",".join(map(write_pin, pinned)) or None


def write_pin(pin: Pin) -> str:
    """A neuron with its run, as `read_pin` reads it."""
    return f"{quote(pin.run, safe='')}/{neuron_name(*pin[1:])}"


def show_run(name: str) -> None:
    """Show another run. What names parts of one means nothing in another; pinned neurons name theirs and
    stay.
    """
    put_all({**dict.fromkeys(OF_RUN), "pin": _written(pins()), "run": name})


def toggle_pin(layer: int, neuron: int, run: str | None = None) -> None:
    """Pin a neuron (of the run that is shown), or unpin it if it is pinned."""
    item = Pin(run or str(get("run")), layer, neuron)
    pinned = pins()
    put_pins([other for other in pinned if other != item] if item in pinned else [*pinned, item])


_MARKDOWN = str.maketrans({character: f"\\{character}" for character in r"\`*_{}[]()<>#+-.!|~$:&"})


_LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)
_JOINER = "\u2060"  # no width, no break: an address that it stands in is not made a link of, escaped or not


def plain(value: object) -> str:
    """Text of a run (its name, a layer's, a note) as markdown that shows it literally, on one line."""
    return _LINK.sub(_JOINER, " ".join(str(value).split())).translate(_MARKDOWN)
