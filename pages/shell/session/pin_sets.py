"""Named sets of pinned neurons: saved in the notes of the run that is shown, offered on every page and for
every run.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from pages.shell.session import options, runs, url
from pages.shell.session.runs import RunContext
from probes import RunError, notes
from probes.neuron_names import neuron_name

_NAME, _MESSAGE = "pin_set_name", "_pin_set_message"


def show(context: RunContext, entries: Mapping[str, runs.Entry]) -> None:
    """A menu in the sidebar: save what is pinned, pin a set instead, delete one. Absent while there is
    neither pin nor set. entries: all runs.
    """
    owners = sorted(
        (entry for entry in entries.values() if entry.row["sets"]),
        key=lambda entry: entry.name != context.entry.name,
    )
    pinned = [] if options.why_read_only(context.entry.path) else url.pins()  # what could be saved
    if not pinned and not owners:
        return
    with (
        st.sidebar,
        st.popover("Sets of neurons", icon=":material/bookmarks:", type="tertiary", key="pin_sets"),
    ):
        if pinned:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                st.text_input(
                    "Save the pinned neurons as",
                    key=_NAME,
                    max_chars=notes.SET_CHARACTERS,
                    placeholder="a name",
                )
                st.button("Save", key="save_pin_set", on_click=_save, args=(context.entry,))
            st.caption(
                f"Kept in the notes of {url.plain(context.entry.name)}; a name that it has is replaced."
            )
        message = st.session_state.pop(_MESSAGE, None)
        if message:
            st.markdown(message)
        for owner in owners:
            st.caption(f"In {url.plain(owner.name)}")
            for name, items in list(owner.row["sets"].items())[: notes.SETS]:
                key = f"pin_set:{owner.name}:{name}"
                with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
                    st.button(
                        f"{url.plain(name)} · {len(items)}", key=key, width="stretch", on_click=_recall,
                        args=(owner.name, items),
                        help="Pin these neurons instead of those that are pinned",
                    )  # fmt: skip
                    if not options.why_read_only(owner.path):
                        st.button(
                            "", icon=":material/delete:", type="tertiary", key=f"delete {key}",
                            on_click=_delete,
                            args=(owner, name),
                            help=f"Delete the set {url.plain(name)}",
                        )  # fmt: skip


def _save(entry: runs.Entry) -> None:
    name = " ".join(str(st.session_state[_NAME]).split())
    if not name:
        st.session_state[_MESSAGE] = ":red[Not saved: give the set a name.]"
        return
    own = [neuron_name(*pin[1:]) if pin.run == entry.name else url.write_pin(pin) for pin in url.pins()]
    if _write(entry, {**entry.row["sets"], name: own}):
        st.session_state[_NAME] = ""
        st.session_state[_MESSAGE] = ":green[:material/check: Saved]"


def _delete(entry: runs.Entry, name: str) -> None:
    _write(entry, {other: items for other, items in entry.row["sets"].items() if other != name})


def _write(entry: runs.Entry, sets: dict[str, list[str]]) -> bool:
    """Whether it went well; if not, the reason is shown where the menu is drawn."""
    try:
        options.require_writable(entry.path)
        notes.write_sets(entry.path, sets)
    except (RunError, OSError) as error:
        st.session_state[_MESSAGE] = f":red[Not written: {url.plain(error)}.]"
        return False
    return True


def _recall(run: str, items: tuple[str, ...]) -> None:
    url.put_pins(pin for pin in (url.read_pin(item, run) for item in items[: notes.SET_NEURONS]) if pin)
