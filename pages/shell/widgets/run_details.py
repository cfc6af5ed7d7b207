"""Under the table of runs: open a run, edit its tags and notes, read its settings or why it cannot be read,
compare several.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from pages.shell.session import options, runs, state, url
from probes import RunError, notes
from probes.analysis import run_groups

SINGLE_PAGES = ("replay", "health", "layers")
PAIR_PAGES = ("replay", "neurons", "uncertainty")
"""Pages that show one run, and those that show a second one beside it."""

_MESSAGE = "_notes_message"  # session: how saving went, shown once


def show_one(entry: runs.Entry, tags: list[str]) -> None:
    """A single run. `tags` are those in use, to choose from."""
    if entry.row["error"]:
        st.markdown(f"**{url.plain(entry.name)}** cannot be read")
        st.code(str(entry.row["error"]), language=None, wrap_lines=True)
        st.caption(
            "Its folder is left as it is. `python -m probes check` names what is wrong with a run, "
            "`python -m probes compact` writes what a killed run left out."
        )
        return
    _links([entry])
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if entry.row["notes_error"]:
            anew = "" if options.read_only() else ", and saving writes them anew"
            st.warning(f"Its tags and notes cannot be read{anew}: {url.plain(entry.row['notes_error'])}.")
        if options.read_only():
            _show(entry)
        else:
            _edit(entry, tags)
    with right:
        _settings(entry)


def _links(entries: list[runs.Entry]) -> None:
    first, second = entries[0], entries[1] if len(entries) > 1 else None
    query = {"run": first.name} | ({"vs": second.name} if second else {})
    with st.container(horizontal=True, vertical_alignment="center"):
        beside = f" beside **{url.plain(second.name)}**" if second else ""
        st.markdown(f"Open **{url.plain(first.name)}**{beside} in", width="content")
        for page, title, _ in state.PAGES:
            if page in (PAIR_PAGES if second else SINGLE_PAGES):
                st.page_link(
                    f"pages/{page}.py", label=title, query_params=query, icon=":material/arrow_forward:"
                )


def _show(entry: runs.Entry) -> None:
    """Tags and notes of a run, where nothing may be written."""
    stored = notes.parse(entry.row.get("tags"), entry.row.get("notes"))
    st.markdown(":small[Tags]")
    st.markdown(" ".join(f":gray-badge[{url.plain(tag)}]" for tag in stored.tags) or "none")
    st.markdown(":small[Notes]")
    st.text(stored.text or "none")
    st.caption("The dashboard was started with `--read-only`.")


def _edit(entry: runs.Entry, tags: list[str]) -> None:
    """Tags and notes of a run, saved beside its log."""
    stored = notes.parse(entry.row.get("tags"), entry.row.get("notes"))
    keys = f"tags of {entry.name}", f"note of {entry.name}"
    with st.form(f"notes of {entry.name}", border=False):
        st.multiselect(
            "Tags", sorted({*tags, *stored.tags}), default=list(stored.tags), accept_new_options=True,
            placeholder="Type a tag",
            max_selections=notes.TAGS, key=keys[0],
        )  # fmt: skip
        st.text_area(
            "Notes",
            stored.text,
            height=94,
            max_chars=notes.NOTE_CHARACTERS,
            placeholder="What was tried, and seen",
            key=keys[1],
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            st.form_submit_button("Save", on_click=_save, args=(entry, *keys))
            message = st.session_state.pop(_MESSAGE, None)
            if message:
                st.markdown(message, width="content")


def _save(entry: runs.Entry, tags: str, text: str) -> None:
    """Write what the form holds, before the page reads the notes again."""
    try:
        options.require_writable()
        notes.write(entry.path, st.session_state[tags], st.session_state[text])
    except (RunError, OSError) as error:
        st.session_state[_MESSAGE] = f":red[Not saved: {url.plain(error)}.]"
    else:
        st.session_state[_MESSAGE] = ":green[:material/check: Saved]"


def _settings(entry: runs.Entry) -> None:
    config = entry.row.get("config") or {}
    st.markdown(":small[Settings]")
    if not config:
        st.caption("The run was recorded without any. `Recorder(path, layers, config={...})` keeps them.")
        return
    table = pd.DataFrame({"setting": list(config), "value": [str(value) for value in config.values()]})
    st.dataframe(
        table, hide_index=True, width="stretch", height=214, key="settings", alt="Settings of the run"
    )


def show_several(chosen: Mapping[str, runs.Entry]) -> None:
    """Two or more runs: open the first two side by side, and what differs between all."""
    readable = [entry for entry in chosen.values() if not entry.row["error"]]
    left_out = [entry.name for entry in chosen.values() if entry.row["error"]]
    if left_out:
        st.caption(f"Left out, since they cannot be read: {url.plain(', '.join(left_out))}.")
    if len(readable) < 2:
        if readable:
            _links(readable)
        return
    _links(readable)
    if len(readable) > 2:
        st.caption("Pages show two runs at once: the first two of those ticked.")
    table = run_groups.differences({entry.name: entry.row.get("config") or {} for entry in readable})
    if table.empty:
        st.caption(
            "Their settings are the same."
            if readable[0].row.get("config")
            else "They were recorded without settings."
        )
        return
    same = len({key for entry in readable for key in entry.row.get("config") or {}}) - len(table)
    st.markdown(f"**What differs** · {len(table)} of their settings; {same} are the same")
    st.dataframe(
        table,
        width="stretch",
        height="content" if len(table) < 12 else 420,
        key="differences",
        alt="Settings that differ",
    )
