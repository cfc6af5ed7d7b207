"""What can be done with the ticked runs: open them, read about one, archive, tag, delete."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from pages.shell.server import jobs
from pages.shell.session import options, runs, state, ticked_runs, url
from pages.shell.widgets import run_details
from probes import RunError, notes, trash
from probes.storage import is_store

SINGLE_PAGES = ("replay", "health", "layers")
PAIR_PAGES = ("replay", "health", "layers", "neurons", "uncertainty")
"""Pages that one run is opened on, and those that two are opened on beside each other."""
COMPARED = 6  # runs at most
DETAILS = 680  # pixels, where there is room
NAMED = 5  # runs named in a question
_MESSAGE = "_runs_message"  # session: what came of it, shown once
_TAGS = "bulk_tags"  # widget


def show(chosen: Mapping[str, runs.Entry], hidden: int, tags: Sequence[str], counted: str) -> None:
    """One line: how many runs are shown (`counted`), and what can be done with the ticked ones. `hidden` of
    those are not in the table; `tags` are those in use.
    """
    entries = list(chosen.values())
    with st.container(horizontal=True, vertical_alignment="center", key="run_actions"):
        st.caption(counted, width="content")
        if message := st.session_state.pop(_MESSAGE, None):
            st.markdown(message, width="content")
        if not entries:
            st.caption(f"Tick a run to open it, 2 to {COMPARED} to compare them.", width="content")
            return
        _open(entries)
        if len(entries) == 1:
            with st.popover("Details", icon=":material/info:", key="details"), st.container(width=DETAILS):
                run_details.show_one(entries[0], list(tags))
        elif len(entries) <= COMPARED:
            st.button(
                f"Compare {len(entries)}", icon=":material/compare_arrows:", key="compare", type="primary",
                on_click=url.put, args=("view", "compare"),
            )  # fmt: skip
        if options.read_only():
            st.caption("Started with `--read-only`: nothing is archived, tagged or deleted.", width="content")
        else:
            _change(entries, tags)
        beside = f", {hidden} of them not in the table" if hidden else ""
        st.button(
            f"Untick {len(entries)}{beside}",
            key="untick",
            type="tertiary",
            on_click=ticked_runs.put,
            args=([],),
        )
        if len(entries) > ticked_runs.MOST:
            st.caption(f"The link holds {ticked_runs.MOST} ticks at most: not these.", width="content")


def _open(entries: Sequence[runs.Entry]) -> None:
    readable = [entry for entry in entries if not entry.row["error"]][:2]
    if not readable or len(entries) > 2:
        return
    first, second = readable[0], readable[1] if len(readable) > 1 else None
    query = {"run": first.name} | ({"vs": second.name} if second else {})
    shown = url.plain(first.row.get("shown_name") or first.name)
    beside = f" beside **{url.plain(second.row.get('shown_name') or second.name)}**" if second else ""
    st.markdown(f"Open **{shown}**{beside} in", width="content")
    for page, title, _ in state.PAGES:
        if page in (PAIR_PAGES if second else SINGLE_PAGES):
            st.page_link(f"pages/{page}.py", label=title, query_params=query, icon=":material/arrow_forward:")


def _change(entries: Sequence[runs.Entry], tags: Sequence[str]) -> None:
    if any(is_store(entry.path) for entry in entries):
        st.caption("Runs in a store are only read: nothing is archived, tagged or deleted.", width="content")
        return
    locked = sorted({str(entry.path) for entry in entries if not os.access(entry.path, os.W_OK)})
    if locked:
        st.caption(f"{_listed(locked)} cannot be written: notes and runs stay as they are.", width="content")
        return
    readable = [entry for entry in entries if not entry.row["error"]]
    if readable:
        away = all(entry.row.get("archived") for entry in readable)
        st.button(
            "Unarchive" if away else "Archive",
            icon=":material/unarchive:" if away else ":material/archive:",
            key="archive", on_click=_archive, args=(readable, not away),
            help="Archived runs are hidden unless they are asked for; nothing of them is lost.",
        )  # fmt: skip
        if len(readable) > 1:
            _tag(readable, tags)
    _ask_to_delete(entries)


def _tag(entries: Sequence[runs.Entry], tags: Sequence[str]) -> None:
    with st.popover("Tag", icon=":material/label:"):
        st.multiselect(
            f"Tags of {len(entries)} runs",
            sorted(tags),
            accept_new_options=True,
            placeholder="Type a tag",
            key=_TAGS,
        )
        with st.container(horizontal=True):
            for label, add in (("Add", True), ("Remove", False)):
                st.button(label, key=f"tags_{label.lower()}", on_click=_change_tags, args=(entries, add))


def _ask_to_delete(entries: Sequence[runs.Entry]) -> None:
    reasons = list(dict.fromkeys(filter(None, map(why_kept, entries))))
    with st.popover(
        "Delete",
        icon=":material/delete:",
        disabled=bool(reasons),
        help="; ".join(reasons) or None,
        key="delete_runs",
    ):
        what = "this run" if len(entries) == 1 else f"these {len(entries)} runs"
        st.markdown(f"Delete {what}?")
        st.markdown(_listed([entry.name for entry in entries]))
        st.caption(f"Moved to `{trash.FOLDER}/` in the folder of runs, from where it can be moved back.")
        st.button("Delete", key="delete_confirmed", type="primary", on_click=_delete, args=(entries,))
    if reasons:
        st.caption(f"Cannot be deleted: {'; '.join(reasons)}.", width="content")


def why_kept(entry: runs.Entry) -> str:
    """Why a run cannot be deleted now, empty if it can."""
    if entry.row["status"] == "running":
        return f"{url.plain(entry.name)} is being written"
    if any(run == str(entry.path) for run, _ in jobs.job_manager().running()):
        return f"an experiment on {url.plain(entry.name)} is running"
    return ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(map(url.plain, names[:NAMED])) + more


def _archive(entries: Sequence[runs.Entry], away: bool) -> None:
    def change(entry: runs.Entry) -> None:
        options.require_writable(entry.path)
        notes.write_archived(entry.path, away)

    done = _each(entries, change)
    if away:
        ticked_runs.put([name for name in ticked_runs.ticked() if name not in done])
    _say(done, len(entries), "Archived" if away else "Unarchived")


def _change_tags(entries: Sequence[runs.Entry], add: bool) -> None:
    tags = list(st.session_state[_TAGS])
    new, old = (tags, []) if add else ([], tags)

    def change(entry: runs.Entry) -> None:
        options.require_writable(entry.path)
        notes.change_tags(entry.path, new, old)

    done = _each(entries, change)
    _say(done, len(entries), "Tagged" if add else "Tags taken from")


def _delete(entries: Sequence[runs.Entry]) -> None:
    def change(entry: runs.Entry) -> None:
        options.require_writable(entry.path)
        if why := why_kept(entry):
            raise RunError(why)
        trash.move_to_trash(entry.path)

    done = _each(entries, change)
    gone = {key: None for key in ("run", "vs") if url.get(key) in done}
    ticked_runs.put([name for name in ticked_runs.ticked() if name not in done], **gone)
    _say(done, len(entries), f"Moved to {trash.FOLDER}:")


def _each(entries: Sequence[runs.Entry], change: Callable[[runs.Entry], object]) -> list[str]:
    """Change each run; those that went well. The first that did not is told."""
    done = []
    for entry in entries:
        try:
            change(entry)
        except (RunError, OSError) as error:
            st.session_state[_MESSAGE] = f":red[{url.plain(entry.name)}: {url.plain(error)}.]"
            break
        done.append(entry.name)
    return done


def _say(done: Sequence[str], asked: int, word: str) -> None:
    failed = st.session_state.get(_MESSAGE) if len(done) < asked else None
    said = f":green[:material/check: {word} {len(done)} {'run' if len(done) == 1 else 'runs'}]"
    st.session_state[_MESSAGE] = " ".join(filter(None, [said if done else None, failed]))
