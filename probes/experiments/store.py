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

from probes.log import manifest, opening
from probes.log.footer_checksum import checksummed_writer
from probes.log.opening import RunError
from probes.log.segments import write_atomic, write_text

FOLDER = "experiments"
SETTINGS, PROGRESS = "settings.json", "progress.json"
PROGRESS_SECONDS = 0.25  # between two writes of the progress file
SILENT_SECONDS = 60.0  # an experiment that says running and has not been heard of for so long has died

Progress = Callable[[int, int], None]
"""(done, total) in units of the experiment's own; it may raise `Cancelled`, which ends the experiment."""


class Cancelled(Exception):
    """An experiment was asked to stop; nothing of it is stored."""


def silent(done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Result:
    """A stored experiment: its name, the settings it ran with, and its tables by name."""

    name: str
    settings: dict[str, Any]
    tables: dict[str, pd.DataFrame]


def folder_of(run: str | Path, name: str) -> Path:
    """RUN/experiments/NAME. Raises ValueError for a name that is not letters, digits, `-` and `_`."""
    if not _is_name(name):
        raise ValueError(f"an experiment's name is made of letters, digits, - and _, this is {name!r}")
    return Path(run) / FOLDER / name


def _is_name(name: str) -> bool:
    return bool(name) and all(letter.isalnum() or letter in "-_" for letter in name)


def save(run: str | Path, name: str, tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> Path:
    """Store a result, replacing what has the name; returns its folder. Raises OSError when it cannot be
    written.
    """
    folder = folder_of(run, name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS).unlink(missing_ok=True)
    for table, frame in tables.items():
        content = pa.Table.from_pandas(frame, preserve_index=False)

        def write(path: Path, content: pa.Table = content) -> None:
            with checksummed_writer(path, content.schema, compression="zstd") as writer:
                writer.write_table(content)

        write_atomic(folder / f"{table}.parquet", write)
    for stale in folder.glob("*.parquet"):
        if stale.stem not in tables:
            stale.unlink()
    _write_json(folder / SETTINGS, {"finished": manifest.now(), "tables": sorted(tables), **settings})
    return folder


def load(run: str | Path, name: str) -> Result:
    """A stored result. Raises RunError when there is none, it is not whole, or a file of it cannot be
    read.
    """
    folder = folder_of(run, name)
    try:
        settings = opening.read_json(str(folder / SETTINGS))
        tables = {str(table): _read_table(folder, str(table)) for table in settings["tables"]}
    except FileNotFoundError as error:
        raise RunError(
            f"{run} holds no finished experiment {name!r}: run `python -m vdn probe {run} {name}`"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder} cannot be read ({error}); run the experiment again") from error
    return Result(name, settings, tables)


def _read_table(folder: Path, name: str) -> pd.DataFrame:
    if Path(name).name != name:
        raise ValueError(f"{name!r} is no table of this folder")
    path = str(folder / f"{name}.parquet")
    with opening.open_parquet(path) as file:
        return opening.read(file, path, range(file.num_row_groups)).to_pandas()


def stored(run: str | Path) -> list[str]:
    """Names of the finished experiments of a run."""
    names = (path.parent.name for path in Path(run).glob(f"{FOLDER}/*/{SETTINGS}"))
    return sorted(name for name in names if _is_name(name))


@dataclass(frozen=True)
class Status:
    """How an experiment stands: "running", "finished", "cancelled", "failed" or "lost" (said running, then
    nothing).
    """

    status: str
    done: int
    total: int
    message: str
    pid: int

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 0.0


def progress_of(run: str | Path, name: str) -> Status | None:
    """How the last start of an experiment stands; None when there was none or its note cannot be read."""
    try:
        noted = opening.read_json(str(folder_of(run, name) / PROGRESS))
        status = str(noted["status"])
        if status == "running" and time.time() - float(noted["time"]) > SILENT_SECONDS:
            status = "lost"
        return Status(
            status, int(noted["done"]), int(noted["total"]), str(noted["message"]), int(noted["pid"])
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


class Tracker:
    """Progress that is written to the experiment's folder, and that raises `Cancelled` once `cancel` was
    called.
    """

    def __init__(self, run: str | Path, name: str, shown: Progress = silent) -> None:
        self._path = folder_of(run, name) / PROGRESS
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
        """Write how the experiment stands."""
        self._written = time.monotonic()
        values = {"status": status, "done": self._done, "total": self._total, "message": message}
        _write_json(self._path, {**values, "pid": os.getpid(), "time": time.time()})


@contextmanager
def tracked(run: str | Path, name: str, shown: Progress = silent) -> Iterator[Tracker]:
    """A `Tracker` that listens for SIGINT and SIGTERM and notes how the block ended; what ended it is raised
    on.
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


def _write_json(path: Path, values: dict[str, Any]) -> None:
    write_text(path, json.dumps(manifest.plain(values), allow_nan=False, ensure_ascii=False, indent=1) + "\n")
