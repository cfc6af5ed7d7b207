"""What the replay shows: a second run beside the first, which layers, one probe input or the batch."""

from __future__ import annotations

import streamlit as st

from pages.shell.session import runs, state, url
from pages.shell.session.runs import RunContext

NO_RUN = "no other run"


def second_run(context: RunContext) -> RunContext | None:
    """A choice of the run beside it; None if none is asked for or it has nothing to show."""
    if url.get("vs") == context.entry.name:
        url.put("vs", None)
    names = [NO_RUN, *(name for name in runs.entries() if name != context.entry.name)]
    name = url.choice(st.selectbox, "Beside it", names, "vs", NO_RUN, what="the second run")
    if name == NO_RUN:
        return None
    other = runs.another_run(name)
    if other is None or not state.has_distributions(other):
        st.warning(
            f"{url.plain(name)} cannot be shown beside it: it cannot be read or holds no distributions."
        )
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
