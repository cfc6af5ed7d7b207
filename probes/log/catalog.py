"""The catalog of a folder of runs: one row a run, from manifests alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from probes.log import manifest
from probes.log.notes import NAME, Notes, read
from probes.log.opening import LOCAL, RunError, as_text

COLUMNS = (
    "path", "name", "status", "created", "seed", "group", "layers", "neurons", "steps", "last_step",
    "living_share", "scores", "sparklines", "config", "tags", "notes", "sets", "notes_error", "dropped",
    "error",
)  # fmt: skip

FOLDERS_KEPT = 16  # whose rows are kept between two looks: a server has a few
_kept: dict[str, dict[str, tuple[Any, dict[str, Any]]]] = {}
"""Folder -> path of a run -> the stamps of its files and its row: only what was there at the last look."""


def catalog(folder: str | Path) -> pd.DataFrame:
    """One row a run below `folder` (its direct subfolders), newest first; a run that cannot be read has its
    reason in `error`.

    Columns: path, name, status, created, seed, group (config minus seed), layers, neurons, steps, last_step,
    living_share (a list, one a layer), scores ({"split/name": {"step", "value"}}), sparklines ({name: [[step,
    value], ...]}), config, tags, notes, sets ({name: [neuron, ...]}), notes_error (why notes.json cannot be
    read), dropped, error. A link counts as a run where it leads to one of the same folder. Raises RunError
    when the folder is not there.
    """
    # None stays None: an absent error is not a number
    return pd.DataFrame(rows(folder), columns=list(COLUMNS), dtype=object)


def rows(folder: str | Path) -> list[dict[str, Any]]:
    """The rows of `catalog` as dictionaries with its columns as keys, in a tenth of the time."""
    root = Path(folder)
    try:
        with os.scandir(root) as entries:
            names = sorted(entry.path for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(f"{root} is not a folder: name one that holds runs, or make a run first") from error
    except OSError as error:
        raise RunError(f"{root} cannot be listed: {error}") from error
    before, now, found = _kept.get(str(root), {}), {}, []
    for path in names:
        stamp = _stamp(f"{path}/{manifest.FILE}")
        if stamp is None:
            continue
        stamps = stamp, _stamp(f"{path}/{NAME}")
        leads_out = os.path.islink(path) and Path(path).resolve().parent != root.resolve()
        if leads_out or as_text(path) != path:
            row = _refused(path)
        else:
            known = before.get(path)
            now[path] = (
                known
                if known and known[0] == stamps
                else (stamps, _row(path, with_notes=stamps[1] is not None))
            )
            row = dict(now[path][1])
        row["status"] = manifest.status(row.pop("_manifest")) if row["error"] is None else "unreadable"
        found.append(row)
    _kept.pop(str(root), None)  # to the end: the folders looked at last are kept
    _kept[str(root)] = now
    for folder_of_runs in list(_kept)[:-FOLDERS_KEPT]:
        _kept.pop(folder_of_runs, None)
    return sorted(found, key=lambda row: row["created"] or "", reverse=True)


def _stamp(path: str) -> tuple[int, int] | None:
    """(modified, size) of a file or link, None when it is not there: what decides whether it is read
    again.
    """
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return info.st_mtime_ns, info.st_size


def _refused(path: str) -> dict[str, Any]:
    """The row of a folder that is not looked into: a link to somewhere else, or a name that no other program
    would take.
    """
    shown = as_text(path)
    if shown != path:
        error = f"{shown} has a name that is not UTF-8: rename it"
    else:
        target = Path(path).resolve().parent
        error = (
            f"{path} is a link that leaves its folder of runs: name {target} as a folder of runs instead, or"
            " copy the run"
        )
    return dict.fromkeys(COLUMNS) | {"path": shown, "name": Path(shown).name, "error": error}


def _row(path: str, with_notes: bool) -> dict[str, Any]:
    """The row of a run as its manifest has it."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"path": path, "name": Path(path).name}
    try:
        data = manifest.read(LOCAL, path)
    except RunError as error:
        return row | {"error": str(error)}
    try:
        notes = read(path) if with_notes else Notes()
        trouble = None
    except RunError as error:  # the run itself is none the worse
        notes, trouble = Notes(), str(error)
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
        "sparklines": data.get("sparklines") or {},
        "config": data.get("config") or {},
        "tags": list(notes.tags),
        "notes": notes.text,
        "sets": notes.sets,
        "notes_error": trouble,
        "dropped": data.get("dropped") or {},
        "_manifest": {"status": data.get("status"), "heartbeat": data.get("heartbeat")},
    }
