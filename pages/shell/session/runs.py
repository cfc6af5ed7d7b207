"""The runs in the folders of runs, and the one reader that each has on this server.

A run that is being written changes by additions alone, so that its reader lives as long as the run does and
looks for new files only. It is replaced when the run is: deleted and made anew, or resumed, which sets rows
aside.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

import probes
from pages.shell.session import options
from pages.shell.session.stored_runs import PATIENCE_SECONDS, stored_runs
from probes import RunError
from probes.storage import is_store, open_folder

__all__ = [
    "Entry",
    "NoAnswerError",
    "RunContext",
    "RunError",
    "another_run",
    "entries",
    "holding",
    "open_run",
    "unanswered",
]

READERS_KEPT = 8  # each keeps its files and footers open


class NoAnswerError(RunError):
    """A store does not answer, and there is nothing else to show."""


@dataclass(frozen=True)
class Entry:
    """One run of the catalog: `name` is its unique name in the dashboard, `row` what the catalog says of
    it.
    """

    name: str
    path: Path
    row: dict[str, Any]

    @property
    def created(self) -> str:
        """When the run began, UTC; empty for a run that cannot be read."""
        return self.row["created"] if isinstance(self.row["created"], str) else ""


@dataclass(frozen=True)
class RunContext:
    """A run as one run of a page sees it, and what caches know it by.

    entry: its row in the catalog. run: its reader, which stays as it is while the page is drawn, although the
    run may grow meanwhile. identity: the same for as long as what was written of the run is only added to;
    another one once the run has been replaced or resumed, so that nothing cached of the former is shown.
    """

    entry: Entry
    run: Any
    identity: str

    @property
    def layers(self) -> list[dict[str, Any]]:
        return list(self.run.layers)

    @property
    def names(self) -> list[str]:
        return [str(layer["name"]) for layer in self.run.layers]

    @property
    def last(self) -> int:
        """The last recorded step of neurons, -1 without any: what lies before it stays as it is."""
        return int(self.run.extent("neurons"))

    def version(self, *tables: str) -> tuple[int, ...]:
        """How far the run's rows of these tables reach ("neurons", "scalars", ...). Within one identity it
        tells an answer about the whole run so far from a later one; a heartbeat is no new version.
        """
        return tuple(self.run.extent(table) for table in tables)

    def until_now(self, steps: tuple[int, int]) -> tuple[int, int]:
        """The range of steps, ended where the recorded ones end: what a run holds of it never changes."""
        return steps[0], min(steps[1], self.last)


def entries() -> dict[str, Entry]:
    """All runs in the folders of runs, latest first and unreadable ones last, by name.

    A run is called by its folder; where two are called the same, the later ones carry the name of the folder
    that they lie in. A folder of runs may hold further ones: sweeps. Raises NoAnswerError where a
    store does not answer and there is nothing else to show.
    """
    found: dict[str, Entry] = {}
    problem: RunError | None = None
    folders = sorted(options.run_folders(), key=is_store)  # those of this machine first
    for folder in folders:
        rows: list[dict[str, Any]] = []
        if is_store(folder):
            try:
                rows = stored_runs(str(folder)).rows(PATIENCE_SECONDS if found else None)
            except RunError as error:
                problem = problem or error
        elif folder.is_dir():
            rows = probes.catalog_rows(folder, nested=True)
        for row in rows:
            path = Path(str(row["path"]))
            name = probes.run_name(path, found)
            found[name] = Entry(name, path, row)
    if problem and not found:
        raise NoAnswerError(problem) from problem
    return dict(sorted(found.items(), key=lambda item: item[1].created, reverse=True))


def holding(table: str) -> Iterator[str]:
    """Names of the runs on this machine that hold rows of a table of their own ("sequence", ...), latest
    first. Runs in a store are not asked.
    """
    for entry in entries().values():
        if not is_store(entry.path) and (entry.path / table).is_dir():
            yield entry.name


def unanswered() -> list[str]:
    """Why folders in stores have no runs to show, of those that did not answer when `entries` asked."""
    found = []
    for folder in filter(is_store, options.run_folders()):
        try:
            stored_runs(str(folder)).rows(patience=0)
        except RunError as problem:
            found.append(str(problem))
    return found


def open_run(entry: Entry) -> RunContext:
    """The run as it stands now. Raises RunError if it cannot be read, or the catalog would not look into
    it.
    """
    if entry.row["error"]:
        raise RunError(entry.row["error"])
    return RunContext(entry, *_reader(str(entry.path)).now())


def another_run(name: str) -> RunContext | None:
    """A run beside the one that is shown; None if there is none of this name, or it cannot be read."""
    entry = entries().get(name)
    if entry is None:
        return None
    try:
        return open_run(entry)
    except RunError:
        return None


@st.cache_resource(max_entries=READERS_KEPT, show_spinner=False)
def _reader(path: str) -> _Reader:
    return _Reader(Path(path))


class _Reader:
    """The reader of one run's folder, shared by all sessions, which ask from threads of their own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[Any, ...] | None = None  # the manifest's stamp and the status when last refreshed
        self._run: Any = None  # is refreshed; pages have `_fixed`
        self._fixed: Any = None
        self._identity = ""

    def now(self) -> tuple[Any, str]:
        """A snapshot of the run and its identity. Files are looked for only when its manifest has been
        written anew, or when the run has fallen silent: a killed writer leaves rows that no manifest names.
        """
        with self._lock:
            stamp = (
                self._stamp()
            )  # before the manifest is read: what is written after it is seen the next time
            if self._run is None or self._seen != (stamp, self._fixed.status):
                try:
                    self._refresh()
                except RunError:
                    self._run = None  # halfway: begin anew the next time
                    raise
                self._seen = stamp, self._fixed.status
            return self._fixed, self._identity

    def _refresh(self) -> None:
        grown = self._run is not None and self._run.refresh()
        if self._run is None or self._run.identity != self._identity:
            self._run = probes.Run(self._path)
            self._identity, grown = self._run.identity, True
        if grown:
            self._fixed = self._run.snapshot()
        else:  # a heartbeat: what was put together of its rows stays with the snapshot
            self._fixed.manifest = self._run.manifest

    def _stamp(self) -> str:
        stamp = open_folder(self._path).stamp("run.json")
        if stamp is None:
            raise RunError(f"{self._path.name} holds no run any more: there is no run.json in it")
        return stamp
