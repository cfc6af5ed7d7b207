"""The mirror of a run in an object store: `probes mirror RUN s3://...`, or started by a recorder of a URL.

A process of its own, so that training waits for no store. Each round puts what the run's folder has and the
store has not: plain rows, then the truth (`neurons/`), then what is derived of it, then run.json; a reader
therefore finds every file that a manifest tells of. A PUT is whole or not at all, so that nothing is renamed.
What a larger file covers is deleted one round later, when no reader should still be at it.

It keeps no journal. What the store has is what the store lists, compared by size and MD5 (the etag of an S3
object; with stores of other etags, a mirror that was started anew puts files once more): it may die at any
moment, and the next one goes on. Rows that a resume has set aside are deleted before those that take their
place are put.

A place belongs to the run whose manifest is there: the first PUT is one that only succeeds where there is
none, and a manifest that somebody else has written since is read before anything is put.

    round = LIST, PUT of each new file, PUT of run.json and its row in `_catalog/`, DELETE of what is covered
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from probes.errors import RunError, WriteError, as_text, obstacle
from probes.log import columns, footers, manifest, neuron_summary, rows, stored_catalog
from probes.log.footer_checksum import TRAILER_BYTES
from probes.log.maintenance import FOLDERS
from probes.log.segments import Segment, list_segments, parse, split_by_coverage
from probes.spool import COMPLETE, UNMET
from probes.storage import is_store, open_folder
from probes.storage.local import TEMPORARY, LocalStorage
from probes.storage.lock import FILE as LOCK_FILE
from probes.storage.lock import Lock
from probes.storage.object_store import ListedObjects, ObjectStorage, is_key, stamp_of

ROUND_SECONDS = 60.0
ROUND_VARIABLE = "PROBES_MIRROR_SECONDS"
"""Environment variable of the seconds between two rounds."""
LOCK = ".mirror.lock"
LOOK_SECONDS = 0.5
"""How often the mirror looks whether the run has ended, or a resume has begun."""
NICE = 10
"""How far behind the training the mirror that it has started stands in line for a core."""
ATTEMPTS = 5
"""So often what is put is listed anew within a round, where the writer has compacted it away meanwhile."""
_OTHERS = ("checkpoints", ".trash")
"""Folders of a run that stay where they are: what a trainer rewrites, and can be large."""
_TABLES = (*rows.SCHEMAS, "neurons", *(name for name in FOLDERS if name not in (*rows.SCHEMAS, "neurons")))
"""In the order in which they are put."""
_COLUMNS = tuple(f"{name}/{columns.FILE}" for name in _TABLES)


class OtherRunError(RunError):
    """A place in a store that holds another run than the one that is to be mirrored there."""


class Mirror:
    """Copies one run's folder into a store, a round at a time.

    Parameters
    ----------
    folder
        The run's, of this machine.
    target
        Where it is to lie in the store.
    seconds
        Between two rounds: how long what is covered stays, and what readers take for a sign of life.

    Raises
    ------
    RunError
        When the folder holds no run.
    """

    def __init__(self, folder: Path, target: ObjectStorage, seconds: float = ROUND_SECONDS) -> None:
        self._folder, self._local = folder, LocalStorage(folder)
        self._target, self._seconds = target, seconds
        self._stored: dict[str, Any] | None = None  # the manifest that the store has
        self._stored_stamp: str | None = None
        self._indexed: str | None = None  # stamp of what was last put into the index
        self.unfit: list[str] = []  # files whose names no object can have
        self._known: dict[str, tuple[str, str | None]] = {}  # stamps of the same content, here and there
        self._covered_since: dict[str, float] = {}
        self._listing: ListedObjects
        manifest.read(self._local)

    @property
    def waiting(self) -> bool:
        """Whether something is covered by a larger file and not deleted yet."""
        return bool(self._covered_since)

    def round(self) -> str:
        """Bring the store up to the run as it stands now.

        Returns
        -------
        str
            The run's status, as its manifest says, when it was looked at: all that this manifest tells of is
            in the store.

        Raises
        ------
        RunError
            Where the store holds another run; where it, or the folder, cannot be read.
        WriteError
            Where it cannot be written.
        """
        for attempt in range(ATTEMPTS):
            state = manifest.read(self._local)
            self._listing, counted = self._target.listed(), self._counted()
            try:
                self._put_all(state, counted)
                break
            except FileNotFoundError:  # compacted away since it was listed: it is in a larger file now
                if attempt == ATTEMPTS - 1:
                    raise
        self._delete_covered(counted)
        return str(state["status"])

    def _put_all(self, state: dict[str, Any], counted: Mapping[str, list[Segment]]) -> None:
        self._look_at_stored()
        if self._stored is None:
            self._claim(state)
        if self._is_resumed(state):
            self._delete_set_aside(state, counted)
        for name in _TABLES:
            for segment in counted[name]:
                self._put(f"{name}/{segment.name}")
        for path in self._other_files():
            self._put(path)
        if state["status"] != "running":
            self._put_footers(counted)
        self._put_manifest(state)

    def _counted(self) -> dict[str, list[Segment]]:
        """The segments that count here; what is derived is listed first: it has no more than the truth."""
        return {name: list_segments(self._local, name)[0] for name in FOLDERS}

    def _other_files(self) -> Iterator[str]:
        """What a run has beside its tables and manifest."""
        yield from (path for path in _COLUMNS if self._local.stamp(path) is not None)
        tables = {name.partition("/")[0] for name in _TABLES}
        for path in sorted(self._folder.rglob("*")):
            inner = path.relative_to(self._folder)
            hidden = any(part.startswith(".") for part in inner.parts)
            if (
                hidden
                or inner.parts[0] in tables
                or inner.parts[0] in _OTHERS
                or path.name.startswith(TEMPORARY)
            ):
                continue
            name = inner.as_posix()
            if name in (manifest.FILE, footers.FILE) or path.is_symlink() or not path.is_file():
                continue
            if is_key(name):
                yield name
            elif name not in self.unfit:
                self.unfit.append(name)

    # ---- whose place it is

    def _look_at_stored(self) -> None:
        """Read the store's manifest where it is not what this mirror has put."""
        stamp = self._listing.stamp(manifest.FILE)
        if stamp != self._stored_stamp:
            self._stored = None if stamp is None else manifest.read(self._target)
            self._stored_stamp = stamp

    def _claim(self, state: Mapping[str, Any]) -> None:
        """Put a manifest of no rows yet, unless somebody else has done so in the meantime."""
        none = {"count": 0, "first": None, "last": None}
        told = {**state, "status": "running", "steps": none, "mirror_seconds": self._seconds}
        try:
            self._target.put_if_absent(manifest.FILE, manifest.text(told))
        except WriteError as error:
            if "NotImplemented" not in str(error):
                raise
            return  # a store without conditional puts
        self._stored = manifest.read(self._target)

    # ---- a resumed run

    def _is_resumed(self, state: Mapping[str, Any]) -> bool:
        """Whether the run was resumed since the store's manifest was written. Raises RunError where that is
        of another run.
        """
        if self._stored is None:
            return False
        if not manifest.continues(state, self._stored):
            raise OtherRunError(
                f"{self._target.root} holds another run than {self._folder}, or one that was resumed"
                " elsewhere: name another place"
            )
        return len(state["segments"]) > len(self._stored["segments"])

    def _delete_set_aside(self, state: dict[str, Any], counted: Mapping[str, list[Segment]]) -> None:
        """Delete from the store what the run has set aside: before it, put what is left of such files."""
        old: list[str] = []
        for name in FOLDERS:  # what is derived first, the truth last
            for entry in self._listing.entries(name):
                segment = parse(entry.name)
                if segment is None or segment in counted[name]:
                    continue
                if not any(
                    other.first <= segment.first and segment.last <= other.last for other in counted[name]
                ):
                    old.append(f"{name}/{entry.name}")
                    for inner in counted[name]:
                        if segment.first <= inner.first and inner.last <= segment.last:
                            self._put(f"{name}/{inner.name}")
        left = [path for path in _COLUMNS if self._local.stamp(path) is None]
        for path in (*old, *left, neuron_summary.FILE, footers.FILE):
            if self._listing.stamp(path) is not None:
                self._target.delete(path)
                self._listing.objects.pop(path)
        self._put_manifest(state)

    # ---- putting

    def _put(self, path: str) -> None:
        """Put a file unless the store has it as it is here. Raises FileNotFoundError where it is gone."""
        here, there = self._local.stamp(path), self._listing.stamp(path)
        if here is None:
            raise FileNotFoundError(self._local.address(path))
        if there is None or self._known.get(path) != (here, there):
            there = self._put_content(path, self._folder / path)
            self._known[path] = here, there

    def _put_content(self, path: str, content: bytes | Path) -> str | None:
        """Put bytes or a file unless the store has them; returns the stamp that they have there."""
        entry = self._listing.objects.get(path)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if entry is not None and entry.size == size and entry.stamp == stamp_of(content):
            return entry.stamp
        return self._target.put_stamped(path, content)

    def _put_manifest(self, state: Mapping[str, Any]) -> None:
        """run.json, and its row for the folder of runs."""
        told = {**state, "mirror_seconds": self._seconds}
        if told != self._stored:
            self._stored_stamp = self._target.put_stamped(manifest.FILE, manifest.text(told))
            self._stored = json.loads(manifest.text(told))
        if (place := self._target.parent()) is not None:
            runs, name = place
            path = stored_catalog.index_path(name)
            row = stored_catalog.index_entry(self._local, told)
            if self._indexed is None:  # one before this may have been killed before it put the row
                self._indexed = runs.stamp(path)
            if self._indexed != stamp_of(row):
                runs.put(path, row)
                self._indexed = stamp_of(row)

    def _put_footers(self, counted: Mapping[str, list[Segment]]) -> None:
        found = {}
        for name, segments in counted.items():
            for segment in segments:
                path = f"{name}/{segment.name}"
                stamp = self._known[path][1]
                if stamp is not None:
                    size, footer = _footer(self._folder / path)
                    found[path] = size, stamp, footer
        self._put_content(footers.FILE, footers.packed(found))

    # ---- deleting

    def _delete_covered(self, counted: Mapping[str, list[Segment]]) -> None:
        """Delete what a larger file, which the store has by now, has covered for a round."""
        now = time.monotonic()
        covered = {}
        for name in _TABLES:
            stored = {*self._listing.names(name), *(segment.name for segment in counted[name])}
            for segment in split_by_coverage(stored)[1]:
                path = f"{name}/{segment.name}"
                if path in self._listing.objects:
                    covered[path] = self._covered_since.get(path, now)
        for path, since in list(covered.items()):
            if now - since >= self._seconds:
                self._target.delete(path)
                self._known.pop(path, None)
                del covered[path]
        self._covered_since = covered


def _footer(path: Path) -> tuple[int, bytes]:
    """Size and footer of a Parquet file that the writer has finished."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - TRAILER_BYTES)
        length = int.from_bytes(file.read(4), "little")
        file.seek(size - TRAILER_BYTES - length)
        return size, file.read(length)


def follow(
    folder: Path,
    target: ObjectStorage,
    seconds: float = ROUND_SECONDS,
    say: Callable[[str], object] = lambda line: None,
) -> None:
    """Mirror a run until it has ended and nothing is left to do.

    Parameters
    ----------
    folder, target, seconds
        As of `Mirror`.
    say
        Is told, in a line each, what is in the way, and `COMPLETE`.

    Raises
    ------
    RunError
        When there is no run, or the store holds another one.

    Notes
    -----
    Where another mirror is at work on the run, it is waited for.
    """
    mirror = Mirror(folder, target, seconds)
    lock = _lock(folder, say)
    said, told = "", 0
    try:
        while True:
            began, left, problem = time.monotonic(), _is_left(folder), ""
            try:
                mirror.round()
            except OtherRunError:
                raise
            except (RunError, OSError) as error:
                if not (folder / manifest.FILE).exists():
                    raise RunError(f"{folder} holds no run any more: there is nothing to mirror") from error
                problem = obstacle(error)
            if left and not problem:
                problem = COMPLETE
            for name in mirror.unfit[told:]:
                say(f"{as_text(name)} is left out: no object can have this name; rename it")
            told = len(mirror.unfit)
            if problem not in ("", said):
                say(problem)
            said = problem
            if said == COMPLETE and not mirror.waiting:
                return
            _wait(folder, began + seconds, left)
    finally:
        lock.release()


def _wait(folder: Path, until: float, left: bool) -> None:
    """Until the next round is due, or the writer has left the run, or come back to it."""
    while (rest := until - time.monotonic()) > 0:
        time.sleep(min(rest, LOOK_SECONDS))
        if _is_left(folder) != left:
            return


def _is_left(folder: Path) -> bool:
    """Whether a run has ended, by its manifest or by falling silent, and nobody writes it any more.

    The summary of its neurons is written after the final manifest, under the writer's lock.
    """
    try:
        if manifest.status(manifest.read(LocalStorage(folder))) == "running":
            return False
        Lock(folder, LOCK_FILE).release()
    except RunError:
        return False
    return True


def _lock(folder: Path, say: Callable[[str], object]) -> Lock:
    """The lock of a run's one mirror, waited for."""
    said = False
    while True:
        try:
            return Lock(folder, LOCK, "mirror")
        except WriteError:
            raise
        except RunError:
            if not said:
                say("another mirror of this run is at work: waiting for it")
                said = True
            time.sleep(LOOK_SECONDS)


def round_seconds() -> float:
    """Seconds between two rounds, by the environment. Raises RunError for what is no number of seconds."""
    text = os.environ.get(ROUND_VARIABLE, str(ROUND_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise RunError(f"{ROUND_VARIABLE} is {text!r}; it must be a number of seconds, up to 3600")
    return seconds


def target_of(url: str) -> ObjectStorage:
    """The place of a run in a store. Raises RunError for anything else."""
    storage = open_folder(url) if is_store(url) else None
    if not isinstance(storage, ObjectStorage):
        raise RunError(f"{url} is no URL of an object store: write such as s3://bucket/run")
    return storage


def run_command(options: argparse.Namespace) -> int:
    """Mirror a run as a command line asks; returns the exit status."""
    follow(Path(options.run), target_of(options.url), round_seconds(), _say)
    return 0


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:  # who has started it is gone
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - to the end of the process


def main(words: Sequence[str] | None = None) -> int:
    """`python -m probes.mirror RUN URL`: what a recorder starts."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    parser = argparse.ArgumentParser(prog="python -m probes.mirror")
    parser.add_argument("run")
    parser.add_argument("url")
    try:
        return run_command(parser.parse_args(words))
    except RunError as error:
        _say(str(error))
        return UNMET


if __name__ == "__main__":
    sys.exit(main())
