"""What the replay shows: a second run beside the first, which layers, one probe input or the batch."""

from __future__ import annotations

import streamlit as st

from pages.shell.session import state, url
from pages.shell.session.runs import RunContext


def with_distributions(other: RunContext | None) -> RunContext | None:
    """The second run if it has something to show; says so where it has not."""
    if other is not None and not state.has_distributions(other):
        st.warning(f"{url.plain(other.entry.name)} cannot be shown beside it: it holds no distributions.")
        return None
    return other


def layers(context: RunContext, shown: list[int]) -> list[int]:
    """A choice of layers where not all are shown at first; `shown` are those that are."""
    if len(shown) == len(context.names):
        return shown
    everything = list(range(len(context.names)))
    picked = st.multiselect(
        "Layers", everything, default=shown, format_func=lambda i: context.names[i], key="replay_layers"
    )
    return sorted(picked) or shown


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
