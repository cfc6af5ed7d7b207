"""The catalog of a folder of runs in a store: as few requests as can be.

A mirror leaves `_catalog/NAME.json` beside a run: its manifest and notes in one file. One LIST then says
which runs have changed. Where there is no such folder all objects are listed, a thousand a request, which
says the same of the manifests themselves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from probes import notes
from probes.errors import RunError
from probes.log import manifest
from probes.log.catalog import row_of, unreadable, with_status
from probes.log.config import plain
from probes.log.limits import JSON_BYTES
from probes.log.opening import parse_json
from probes.storage import Storage

INDEX = "_catalog"
NAMES_SECONDS = 60.0
"""So long the runs of a folder with an index are those that it had, and what the index has added."""
CACHED_FOLDERS = 16
LOOKED_AT = 8
"""So many entries of a folder that is no run are looked at for one."""

Stamps = tuple[str | None, ...]


@dataclass
class _Look:
    """What was found at the last look at a folder."""

    indexed: bool = False
    looked_at: float = float("-inf")
    names: list[str] = field(default_factory=list)
    rows: dict[str, tuple[Stamps, dict[str, Any]]] = field(default_factory=dict)


_looks: dict[str, _Look] = {}


def index_path(name: str) -> str:
    """Where the index of a folder of runs has the run `name`."""
    return f"{INDEX}/{name}.json"


def index_entry(run: Storage, state: Mapping[str, Any]) -> bytes:
    """What the index holds of a run: its manifest, as the store has it, and its notes as they are."""
    try:
        noted = json.loads(run.read(notes.NAME, JSON_BYTES))
    except (FileNotFoundError, RunError, ValueError):
        noted = None
    return json.dumps({"run": plain(dict(state)), "notes": noted}, allow_nan=False).encode()


def rows(storage: Storage, nested: bool = False) -> list[dict[str, Any]]:
    """The rows of `catalog_rows`, in any order. Raises RunError where the folder holds nothing."""
    look = _looks.pop(storage.root, None) or _Look()
    _looks[storage.root] = look  # to the end: the folders looked at last are kept
    for earlier in list(_looks)[:-CACHED_FOLDERS]:
        del _looks[earlier]
    anew = time.monotonic() - look.looked_at > NAMES_SECONDS
    known: dict[str, Stamps] = {}
    if look.indexed and (not anew or look.rows):
        entries = storage.entries(INDEX)
        known = {entry.name.removesuffix(".json"): (entry.stamp,) for entry in entries}
    if anew or not look.indexed:
        look.names = [name for name in storage.names() if not name.startswith(".")]
        look.indexed, look.looked_at = INDEX in look.names, time.monotonic()
        if not look.names:
            raise RunError(f"{storage.root} holds nothing: name a folder of runs, or mirror a run to it")
    else:
        added = [name for name in known if name not in look.names]
        look.names += [name for name in added if storage.stamp(f"{name}/{manifest.FILE}") is not None]
    names = [name for name in look.names if name != INDEX]
    if not look.indexed:
        listing = storage.listed()
        paths = {name: (f"{name}/{manifest.FILE}", f"{name}/{notes.NAME}") for name in names}
        known = {name: tuple(map(listing.stamp, both)) for name, both in paths.items()}
        folders = [name for name in names if known[name][0] is None]
        names = [name for name in names if known[name][0] is not None]
    else:
        folders = []
    fresh = {
        name: before
        for name in names
        if (before := look.rows.get(name)) is not None and name in known and before[0] == known[name]
    }
    missing = [name for name in names if name not in fresh]
    if look.indexed:
        missing = _read_index(storage, missing, fresh)
    folders += _read_manifests(storage, missing, known if not look.indexed else {}, fresh)
    look.rows = fresh
    found = [with_status(row) for _, row in fresh.values()]
    if nested:
        for name in folders:
            inner = storage.within(name)
            if _holds_runs(inner):
                found += rows(inner)
    return found


def _holds_runs(folder: Storage) -> bool:
    """Whether the first of its subfolders are runs."""
    names = [name for name in folder.names()[:LOOKED_AT] if not name.startswith(".")]
    return any(folder.stamp(f"{name}/{manifest.FILE}") is not None for name in names)


def _read_index(
    storage: Storage, names: list[str], into: dict[str, tuple[Stamps, dict[str, Any]]]
) -> list[str]:
    """Rows of the runs that the index has; returns the names of the others."""
    missing = []
    read = storage.read_each([index_path(name) for name in names], 2 * JSON_BYTES)
    for name, found in zip(names, read, strict=True):
        try:
            if isinstance(found, Exception):
                raise found
            content = parse_json(found[0], storage.address(index_path(name)))
            data = content["run"] if isinstance(content, dict) else None
            into[name] = (found[1],), _row(storage, name, data, content.get("notes"))
        except (FileNotFoundError, RunError, KeyError, TypeError, AttributeError):  # the run itself is asked
            missing.append(name)
    return missing


def _read_manifests(
    storage: Storage,
    names: list[str],
    stamps: Mapping[str, Stamps],
    into: dict[str, tuple[Stamps, dict[str, Any]]],
) -> list[str]:
    """Rows of runs by their own files, of which `stamps` may say that they have no notes; returns the names
    of what are no runs.
    """
    folders = []
    states = storage.read_each([f"{name}/{manifest.FILE}" for name in names], JSON_BYTES)
    noted = [name for name in names if stamps.get(name, ("", ""))[1] is not None]
    read = storage.read_each([f"{name}/{notes.NAME}" for name in noted], JSON_BYTES)
    found_notes = dict(zip(noted, read, strict=True))
    for name, state in zip(names, states, strict=True):
        if isinstance(state, FileNotFoundError):
            folders.append(name)
            continue
        stamp = stamps.get(name, ("", ""))
        if isinstance(state, Exception):
            into[name] = stamp, unreadable(storage.address(name), state)
            continue
        content = found_notes.get(name)
        error, told = None, None
        if isinstance(content, RunError):
            error = str(content)
        elif isinstance(content, tuple):
            try:
                told = parse_json(content[0], storage.address(f"{name}/{notes.NAME}"))
            except RunError as problem:
                error = str(problem)
        try:
            state_read = parse_json(state[0], storage.address(f"{name}/{manifest.FILE}"))
            row = _row(storage, name, state_read, told)
        except RunError as problem:
            row = unreadable(storage.address(name), problem)
        else:
            row |= {"notes_error": error}
        into[name] = stamp, row
    return folders


def _row(storage: Storage, name: str, state: Any, noted: Any) -> dict[str, Any]:
    """The row of a run. Raises RunError for a manifest that is none."""
    where = storage.address(name)
    told = noted if isinstance(noted, dict) else {}
    keys = ("tags", "notes", "sets", "shown_name", "archived")
    return row_of(where, manifest.checked(state, where), notes.parse(*(told.get(key) for key in keys)))
