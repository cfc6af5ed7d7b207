"""A ticked run: its whole name, the one it is shown under, tags and notes, its settings, or why it cannot be
read.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.shell.session import options, runs, url
from probes import RunError, notes
from probes.analysis.run_groups import flat_config

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
    st.markdown(f"**{url.plain(entry.name)}**")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if entry.row["notes_error"]:
            anew = "" if options.why_read_only(entry.path) else ", and saving writes them anew"
            st.warning(f"Its tags and notes cannot be read{anew}: {url.plain(entry.row['notes_error'])}.")
        if why := options.why_read_only(entry.path):
            _show(entry, why)
        else:
            _edit(entry, tags)
    with right:
        _settings(entry)


def _show(entry: runs.Entry, why: str) -> None:
    """Tags and notes of a run, where nothing may be written, and why."""
    stored = notes.parse(entry.row.get("tags"), entry.row.get("notes"))
    st.markdown(":small[Tags]")
    st.markdown(" ".join(f":gray-badge[{url.plain(tag)}]" for tag in stored.tags) or "none")
    st.markdown(":small[Notes]")
    st.text(stored.text or "none")
    st.caption(why)


def _edit(entry: runs.Entry, tags: list[str]) -> None:
    """Tags and notes of a run, saved beside its log."""
    stored = notes.parse(entry.row.get("tags"), entry.row.get("notes"))
    keys = f"tags of {entry.name}", f"note of {entry.name}", f"name of {entry.name}"
    with st.form(f"notes of {entry.name}", border=False):
        st.text_input(
            "Shown as", entry.row.get("shown_name") or "", max_chars=notes.SHOWN_CHARACTERS,
            placeholder=entry.name, key=keys[2],
            help="Of this dashboard: folder and links keep the run's own name",
        )  # fmt: skip
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
            st.form_submit_button("Save", key="save_notes", on_click=_save, args=(entry, *keys))
            message = st.session_state.pop(_MESSAGE, None)
            if message:
                st.markdown(message, width="content")


def _save(entry: runs.Entry, tags: str, text: str, name: str) -> None:
    """Write what the form holds, before the page reads the notes again."""
    try:
        options.require_writable(entry.path)
        notes.write(entry.path, st.session_state[tags], st.session_state[text])
        notes.write_shown_name(entry.path, st.session_state[name])
    except (RunError, OSError) as error:
        st.session_state[_MESSAGE] = f":red[Not saved: {url.plain(error)}.]"
    else:
        st.session_state[_MESSAGE] = ":green[:material/check: Saved]"


def _settings(entry: runs.Entry) -> None:
    config = entry.row.get("config") or {}
    st.markdown(":small[Settings]")
    if not config:
        st.caption(
            "The run was recorded without any. `Recorder(..., config={...})` and `watch(..., config={...})`"
            " keep them."
        )
        return
    flat = flat_config(config)
    table = pd.DataFrame({"setting": list(flat), "value": [str(value) for value in flat.values()]})
    st.dataframe(
        table, hide_index=True, width="stretch", height=330, key="settings", alt="Settings of the run"
    )
