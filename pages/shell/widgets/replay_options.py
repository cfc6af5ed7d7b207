"""What the replay shows: a second run beside the first, which layers, one probe input or the batch."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.shell.data.neuron_search import families
from pages.shell.data.replay import ORDERS, SPEEDS, Choice, Side, has_ridges, probe_inputs
from pages.shell.session import state, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import search
from probes.analysis.neuron_query import QueryError, parse
from probes.canvas.replay_neurons import SHOWS
from probes.canvas.replay_shapes import has_trail
from probes.families import family_of

RIDGES = ("8", "16", "32", "64")
_LAYERS, _QUERY, _TRAIL = "replay_layers", "replay_query", "replay_trail"


def with_distributions(other: RunContext | None) -> RunContext | None:
    """The second run if it has something to show; says so where it has not."""
    if other is not None and not state.has_distributions(other):
        st.warning(f"{url.plain(other.entry.name)} cannot be shown beside it: it holds no distributions.")
        return None
    return other


def layers(context: RunContext, shown: list[int]) -> list[int]:
    """A choice of layers where not all are shown at first; `shown` are those that are.

    In the URL `layers=1,4`, counted from 1.
    """
    if len(shown) == len(context.names):
        return shown
    asked = _asked_layers(context)
    st.session_state[_LAYERS] = asked or shown

    def changed() -> None:
        picked = sorted(st.session_state[_LAYERS])
        url.put("layers", None if picked in ([], shown) else ",".join(str(layer + 1) for layer in picked))

    everything = list(range(len(context.names)))
    name = context.names.__getitem__
    picked = st.multiselect("Layers", everything, format_func=name, key=_LAYERS, on_change=changed)
    return sorted(picked) or shown


def _asked_layers(context: RunContext) -> list[int]:
    text = url.get("layers")
    if text is None:
        return []
    count = len(context.names)
    numbers = [int(item) for item in text.split(",") if item.isdecimal() and 1 <= int(item) <= count]
    if len(numbers) < len(text.split(",")):
        url.unknown("layers", text, "those that it has")
        url.put("layers", ",".join(map(str, numbers)) or None)
    return sorted({number - 1 for number in numbers})


def choice(sides: Sequence[Side]) -> Choice:
    """Which neurons are drawn, and how: each choice lives in the URL. What does nothing to the shown layers
    is left out: a code book has no ridges to choose.
    """
    default = Choice()
    shown = [(side.context, layer) for side in sides for layer in side.layers]
    if not any(has_ridges(context, layer) for context, layer in shown):
        return Choice(speed=_speed(default.speed))
    show = url.choice(st.selectbox, "Show", list(SHOWS), "show", default.show, format_func=SHOWS.__getitem__)
    query = _query([side.context for side in sides]) if show == "found" else ""
    if show == "found" and not query:
        show = default.show
    if show == "pinned" and not any(state.pinned(side.context) for side in sides):
        st.caption("Nothing is pinned: the most informative neuron of each layer is shown.")
    count = url.choice(st.select_slider, "Neurons per layer", RIDGES, "count", str(default.count))
    order = _order(shown, default.order)
    return Choice(
        show=show,
        count=int(count),
        order=order,
        query=query,
        trail=any(has_trail(context.layers[layer]) for context, layer in shown) and _trail(),
        speed=_speed(default.speed),
        probe_input=probe_input(probe_inputs(sides)),
    )


def _order(shown: Sequence[tuple[RunContext, int]], default: str) -> str:
    """By what ridges can be ordered here; by width they come as they are chosen, of classes by entropy."""
    offered = [
        order
        for order, key in ORDERS.items()
        if key in (None, "neuron") or any(key in context.run.statistics for context, _ in shown)
    ]
    by_entropy = all(family_of(context.layers[layer]).by_entropy for context, layer in shown)
    return url.choice(
        st.segmented_control, "Order by", offered, "order", default, required=True,
        format_func=lambda order: "entropy" if order == default and by_entropy else order,
    )  # fmt: skip


def _query(contexts: Sequence[RunContext]) -> str:
    """The search that Neurons and this page share; empty where it cannot be understood."""
    st.session_state[_QUERY] = url.get("find") or ""

    def changed() -> None:
        url.put("find", st.session_state[_QUERY].strip() or None)

    text = st.text_input(
        "Find neurons", key=_QUERY, on_change=changed, placeholder=search.EXAMPLE, help=search.HELP
    ).strip()
    try:
        for context in contexts if text else ():
            parse(text, context.names, context.run.available, families=families(context))
    except QueryError as error:
        st.error(f"{url.plain(error)}.", icon=":material/search_off:")
        return ""
    return text


def _trail() -> bool:
    """Whether earlier steps stand behind the present one; they do unless the URL says `trail=0`."""
    st.session_state[_TRAIL] = url.get("trail") != "0"

    def changed() -> None:
        url.put("trail", None if st.session_state[_TRAIL] else 0)

    return bool(
        st.toggle("Trail", key=_TRAIL, on_change=changed, help="Earlier steps, faint behind the present one.")
    )


def _speed(default: str) -> str:
    speed = url.get("speed")
    if speed is not None and speed not in SPEEDS:
        url.unknown("speed", speed, f"{default}×")
        url.put("speed", None)
        return default
    return speed or default


def probe_input(count: int) -> int | None:
    """Which probe input's posteriors are shown, of `count`; None: the batch's moments."""
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
        on_change=_toggle_input,
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


def _toggle_input() -> None:
    """Switch between the batch and its first probe input."""
    url.put("input", 0 if st.session_state["one_input"] else None)
