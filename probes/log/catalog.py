"""The catalog of a folder of runs: one row a run, from manifests alone."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import PurePath
from typing import Any

import pandas as pd

from probes.errors import RunError, as_text
from probes.families import family_of
from probes.log import manifest, neuron_summary
from probes.notes import NAME, Notes, read
from probes.storage import Folder, Storage, open_folder

COLUMNS = (
    "path", "name", "status", "created", "seed", "group", "layers", "neurons", "steps", "last_step",
    "living_share", "scores", "sparklines", "config", "tags", "notes", "sets", "shown_name",
    "archived", "notes_error", "dropped", "error", "layer_names", "layer_neurons",
    "layer_families", "extent",
)  # fmt: skip

MOST_LOOKED_AT = 1000
"""So many entries of a subfolder are looked at for a run: what holds others first is no folder of runs."""
CACHED_FOLDERS = 16  # whose rows are cached between two looks: a server has a few
_cache: dict[str, dict[str, tuple[Any, dict[str, Any]]]] = {}
"""Folder -> name of a run -> the stamps of its files and its row: only what was there at the last look."""


def catalog(folder: Folder) -> pd.DataFrame:
    """The runs of a folder, from their manifests alone.

    Parameters
    ----------
    folder
        A folder whose direct subfolders are runs.

    Returns
    -------
    pandas.DataFrame
        One row a run, newest first: path, name, status, created, seed, group (config minus seed), layers,
        neurons, steps, last_step, living_share (a list, one a layer), scores ({"split/name": {"step",
        "value"}}), sparklines ({name: [(step, value), ...]}), config, tags, notes, sets ({name: [neuron,
        ...]}), shown_name ("" for none), archived, notes_error (why notes.json cannot be read), dropped,
        error (why the run cannot be read), layer_names, layer_neurons, layer_families (a list each, one a
        layer), extent (a text that changes when rows come or are set aside).

    Raises
    ------
    RunError
        When the folder is not there or cannot be listed.

    Notes
    -----
    A link counts as a run where it leads to one of the same folder; one that leads out has its reason in
    `error`.
    """
    # None stays None: an absent error is not a number
    return pd.DataFrame(catalog_rows(folder), columns=list(COLUMNS), dtype=object)


def catalog_rows(folder: Folder, nested: bool = False) -> list[dict[str, Any]]:
    """The rows of `catalog` as dictionaries with its columns as keys, in a tenth of the time.

    Parameters
    ----------
    folder
        A folder whose direct subfolders are runs.
    nested
        Subfolders that are no runs and hold some, as a sweep does, are looked into too, one level deep.

    Returns
    -------
    list of dict
        Newest first.

    Raises
    ------
    RunError
        When the folder is not there or cannot be listed.
    """
    storage = open_folder(folder)
    if storage.remote:
        from probes.log import stored_catalog

        rows = stored_catalog.rows(storage, nested)
        return sorted(rows, key=lambda row: row["created"] or "", reverse=True)
    names = storage.names()
    if not names and storage.stamp("") is None:
        raise RunError(f"{storage.root} is not a folder: name one that holds runs, or make a run first")
    found = _rows(storage, names)
    if nested:
        for inner in _folders_of_runs(storage, names):
            found += _rows(inner, inner.names())
    return sorted(found, key=lambda row: row["created"] or "", reverse=True)


def run_name(path: PurePath, taken: Container[str]) -> str:
    """A name for a run that no other has.

    Parameters
    ----------
    path
        Its folder.
    taken
        Names of the others.

    Returns
    -------
    str
        The name of the folder, after as many of those that it lies in as tell it from the others.
    """
    parts = [part for part in path.parts if part != path.anchor]
    names = ("/".join(parts[-count:]) for count in range(1, len(parts) + 1))
    return next((name for name in names if name not in taken), str(path))


def _folders_of_runs(storage: Storage, names: list[str]) -> Iterator[Storage]:
    """Subfolders that are no runs and hold some. Hidden ones and links are not looked into."""
    for name in names:
        if name.startswith(".") or storage.stamp(f"{name}/{manifest.FILE}") is not None:
            continue
        try:
            inside = storage.names(name)[:MOST_LOOKED_AT]
            if any(storage.stamp(f"{name}/{inner}/{manifest.FILE}") is not None for inner in inside):
                yield storage.within(name)
        except RunError:  # a file, a link, a folder that may not be read: no folder of runs
            continue


def _rows(storage: Storage, names: list[str]) -> list[dict[str, Any]]:
    """The runs among the direct subfolders."""
    before, now, found = _cache.get(storage.root, {}), {}, []
    for name in names:
        stamp = storage.stamp(f"{name}/{manifest.FILE}")
        if stamp is None:
            continue
        stamps = stamp, storage.stamp(f"{name}/{NAME}")
        try:
            run = storage.within(name)
        except RunError as error:
            row = unreadable(storage.address(name), error)
        else:
            cached = before.get(name)
            if not cached or cached[0] != stamps:
                cached = stamps, _row(run, with_notes=stamps[1] is not None)
            now[name] = cached
            row = cached[1]
        found.append(with_status(row))
    _cache.pop(storage.root, None)  # to the end: the folders looked at last are kept
    _cache[storage.root] = now
    for looked_at_earlier in list(_cache)[:-CACHED_FOLDERS]:
        _cache.pop(looked_at_earlier, None)
    return found


def _empty_row(path: str) -> dict[str, Any]:
    shown = as_text(path)
    return dict.fromkeys(COLUMNS) | {"path": shown, "name": PurePath(shown).name}


def _row(run: Storage, with_notes: bool) -> dict[str, Any]:
    """The row of a run as its manifest has it."""
    try:
        data = manifest.read(run)
    except RunError as error:
        return unreadable(run.root, error)
    try:
        return row_of(run.root, data, read(run) if with_notes else Notes())
    except RunError as error:  # the run itself is none the worse
        return row_of(run.root, data, Notes()) | {"notes_error": str(error)}


def unreadable(path: str, error: Exception) -> dict[str, Any]:
    """The row of a run that cannot be read."""
    return _empty_row(path) | {"error": str(error)}


def with_status(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is now: a run that says `running` falls silent without a word."""
    told = row.get("_manifest")
    status = "unreadable" if told is None else manifest.status(told)
    return {name: value for name, value in row.items() if name != "_manifest"} | {"status": status}


def row_of(path: str, data: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """The row of a run by its manifest and notes, for `with_status`."""
    row = _empty_row(path)
    steps = data.get("steps") or {}
    return row | {
        "name": data.get("name", row["name"]),
        "created": data.get("created"),
        "seed": data.get("seed"),
        "group": data.get("group"),
        "layers": len(data["layers"]),
        "neurons": sum(layer["neurons"] for layer in data["layers"]),
        "steps": steps.get("count", 0),
        "last_step": steps.get("last"),
        "living_share": data.get("living_share") or [],
        "scores": data.get("scores") or {},
        # as tuples, which the garbage collector leaves alone: a thousand runs have some 400,000 points
        "sparklines": {
            name: list(map(tuple, points)) for name, points in (data.get("sparklines") or {}).items()
        },
        "config": data.get("config") or {},
        "tags": list(notes.tags),
        "notes": notes.text,
        "sets": notes.sets,
        "shown_name": notes.shown_name,
        "archived": notes.archived,
        "notes_error": None,
        "dropped": data.get("dropped") or {},
        "layer_names": [layer["name"] for layer in data["layers"]],
        "layer_neurons": [layer["neurons"] for layer in data["layers"]],
        "layer_families": [family_of(layer).name for layer in data["layers"]],
        "extent": neuron_summary.state_of(data),
        "_manifest": {key: data[key] for key in ("status", "heartbeat", "mirror_seconds") if key in data},
    }
