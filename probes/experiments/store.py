"""Results of experiments beside their run: RUN/experiments/NAME/ with settings.json and one Parquet file a
table; progress.json.

settings.json is written last and taken away first, so that a result with it is whole. No torch here: pages
read with this.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd
import pyarrow as pa

from probes.errors import RunError
from probes.log import manifest, opening
from probes.log.config import plain
from probes.log.footer_checksum import checksummed_writer
from probes.storage import Folder, Storage, open_folder

FOLDER = "experiments"
DECODED = "decoded"  # the result that `probes.Inputs(decoder=...)` leaves
SETTINGS, PROGRESS = "settings.json", "progress.json"
PROGRESS_SECONDS = 0.25  # between two writes of the progress file
SILENT_SECONDS = 60.0  # an experiment that says running and has not been heard of for so long has died

Progress = Callable[[int, int], None]
"""(done, total) in units of the experiment's own; it may raise `Cancelled`, which ends the experiment."""


class Cancelled(Exception):
    """An experiment was asked to stop; nothing of it is stored."""


def silent(done: int, total: int) -> None:
    """Progress that nobody looks at.

    Parameters
    ----------
    done, total
        Ignored.
    """


@dataclass(frozen=True)
class Result:
    """A stored experiment.

    Attributes
    ----------
    name
        Of the experiment.
    settings
        What it ran with.
    tables
        Name -> table.
    """

    name: str
    settings: dict[str, Any]
    tables: dict[str, pd.DataFrame]


def folder_of(run: str | Path, name: str) -> Path:
    """RUN/experiments/NAME.

    Parameters
    ----------
    run
        Folder of the run.
    name
        Of the experiment.

    Returns
    -------
    Path
        The folder, there or not.

    Raises
    ------
    ValueError
        For a name that is not letters, digits, `-` and `_`.
    """
    return Path(run) / _path(name)


def _path(name: str) -> str:
    """The folder of an experiment, as the storage of its run has it."""
    if not _is_name(name):
        raise ValueError(f"an experiment's name is made of letters, digits, - and _, this is {name!r}")
    return f"{FOLDER}/{name}"


def _is_name(name: str) -> bool:
    return bool(name) and all(letter.isalnum() or letter in "-_" for letter in name)


def save(run: Folder, name: str, tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> Path:
    """Store a result, replacing what has the name.

    Parameters
    ----------
    run
        Folder of the run.
    name
        Of the experiment.
    tables
        Name -> table.
    settings
        What it ran with, JSON-like.

    Returns
    -------
    Path
        The result's folder.

    Raises
    ------
    ValueError
        For a name that is not letters, digits, `-` and `_`.
    OSError
        When it cannot be written.
    """
    path = _path(name)
    storage = open_folder(run)
    storage.delete(f"{path}/{SETTINGS}")
    for table, frame in tables.items():
        content = pa.Table.from_pandas(frame, preserve_index=False)

        def write(temporary: Path, content: pa.Table = content) -> None:
            with checksummed_writer(temporary, content.schema, compression="zstd") as writer:
                writer.write_table(content)

        storage.put(f"{path}/{table}.parquet", write)
    for entry in storage.entries(path):
        table, suffix = os.path.splitext(entry.name)
        if suffix == ".parquet" and table not in tables:
            storage.delete(f"{path}/{entry.name}")
    finished = {"finished": manifest.now(), "tables": sorted(tables), **settings}
    _write_json(storage, f"{path}/{SETTINGS}", finished)
    return Path(storage.address(path))


def load(run: Folder, name: str) -> Result:
    """A stored result.

    Parameters
    ----------
    run
        Folder of the run.
    name
        Of the experiment.

    Returns
    -------
    Result
        Settings and tables.

    Raises
    ------
    ValueError
        For a name that is not letters, digits, `-` and `_`.
    RunError
        When there is none, it is not whole, or a file of it cannot be read.
    """
    storage, path = open_folder(run), _path(name)
    try:
        storage.entries(path)  # which refuses a folder that is a link
        settings = opening.read_json(f"{path}/{SETTINGS}", storage)
        tables = {str(table): _read_table(storage, path, str(table)) for table in settings["tables"]}
    except FileNotFoundError as error:
        place = storage.root
        raise RunError(
            f"{place} holds no finished experiment {name!r}: run `python -m vdn probe {place} {name}`"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{storage.address(path)} cannot be read ({error}); run the experiment again"
        ) from error
    return Result(name, settings, tables)


def _read_table(storage: Storage, path: str, name: str) -> pd.DataFrame:
    if Path(name).name != name:
        raise ValueError(f"{name!r} is no table of this folder")
    with opening.open_parquet(f"{path}/{name}.parquet", storage) as file:
        return opening.read(file, range(file.num_row_groups)).to_pandas()


def stored(run: Folder) -> list[str]:
    """Names of the finished experiments of a run.

    Parameters
    ----------
    run
        Folder of the run.

    Returns
    -------
    list of str
        Those that `load` takes.

    Raises
    ------
    RunError
        Where their folder is a link.
    """
    storage = open_folder(run)
    names = (entry.name for entry in storage.entries(FOLDER) if entry.is_folder and _is_name(entry.name))
    return [name for name in names if storage.stamp(f"{FOLDER}/{name}/{SETTINGS}")]


@dataclass(frozen=True)
class Status:
    """How an experiment stands.

    Attributes
    ----------
    status
        "running", "finished", "cancelled", "failed" or "lost" (said running, then nothing).
    done, total
        In units of the experiment's own.
    message
        What went wrong.
    pid
        Process that runs it.
    """

    status: str
    done: int
    total: int
    message: str
    pid: int

    @property
    def share(self) -> float:
        """Part that is done, in [0, 1]."""
        return self.done / self.total if self.total else 0.0


def progress_of(run: Folder, name: str) -> Status | None:
    """How the last start of an experiment stands.

    Parameters
    ----------
    run
        Folder of the run.
    name
        Of the experiment.

    Returns
    -------
    Status or None
        None when there was none or its note cannot be read.
    """
    try:
        noted = opening.read_json(f"{_path(name)}/{PROGRESS}", open_folder(run))
        status = str(noted["status"])
        if status == "running" and time.time() - float(noted["time"]) > SILENT_SECONDS:
            status = "lost"
        return Status(
            status, int(noted["done"]), int(noted["total"]), str(noted["message"]), int(noted["pid"])
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


class Tracker:
    """Progress that is written to the experiment's folder; it raises `Cancelled` once `cancel` was called.

    Parameters
    ----------
    run
        Folder of the run.
    name
        Of the experiment.
    shown
        Is called with the progress too.
    """

    def __init__(self, run: Folder, name: str, shown: Progress = silent) -> None:
        self._storage, self._path = open_folder(run), f"{_path(name)}/{PROGRESS}"
        self._shown = shown
        self._written = 0.0
        self._done = self._total = 0
        self._cancelled = False
        self.note("running")

    def cancel(self) -> None:
        """Ask the experiment to stop at its next sign of progress."""
        self._cancelled = True

    def __call__(self, done: int, total: int) -> None:
        if self._cancelled:
            raise Cancelled("cancelled")
        self._done, self._total = done, total
        self._shown(done, total)
        if time.monotonic() - self._written > PROGRESS_SECONDS:
            self.note("running")

    def note(self, status: str, message: str = "") -> None:
        """Write how the experiment stands.

        Parameters
        ----------
        status
            As in `Status`.
        message
            What went wrong.
        """
        self._written = time.monotonic()
        values = {"status": status, "done": self._done, "total": self._total, "message": message}
        _write_json(self._storage, self._path, {**values, "pid": os.getpid(), "time": time.time()})


@contextmanager
def tracked(run: Folder, name: str, shown: Progress = silent) -> Iterator[Tracker]:
    """A `Tracker` that listens for SIGINT and SIGTERM and notes how the block ended.

    Parameters
    ----------
    run, name, shown
        As for `Tracker`.

    Yields
    ------
    Tracker
        To be called with the progress. What ended the block is raised on.
    """
    tracker = Tracker(run, name, shown)

    def ask(signum: int, frame: FrameType | None) -> None:
        tracker.cancel()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield tracker
    except Cancelled:
        tracker.note("cancelled")
        raise
    except BaseException as error:
        tracker.note("failed", f"{type(error).__name__}: {error}")
        raise
    else:
        tracker.note("finished")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_json(storage: Storage, path: str, values: dict[str, Any]) -> None:
    text = json.dumps(plain(values), allow_nan=False, ensure_ascii=False, indent=1) + "\n"
    storage.put(path, text.encode())
