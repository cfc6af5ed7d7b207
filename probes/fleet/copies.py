"""What a fleet reads of runs in stores: copies on this machine, fetched 16 at once, until it is closed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from probes.errors import RunError, writing
from probes.log import manifest
from probes.log.segments import listed_anew
from probes.storage import Listing, Storage, is_store, open_folder

AT_ONCE = 16
MOST_BYTES = 8e9
"""So much at most is copied for one fleet: `history` of many runs is more than a question should fetch."""


class Copies:
    """Copies of files of stored runs, in a temporary folder.

    Attributes
    ----------
    folder
        Where they lie, a folder a run.
    """

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="probes-fleet-")
        self.folder = str(Path(self._temporary.name).resolve())
        self._places: dict[str, str] = {}
        self._storages: dict[str, Storage] = {}
        self._listings: dict[str, Listing | RunError] = {}
        self._bytes = 0

    def place(self, path: str) -> str:
        """Where a run's files are read: its own folder, or that of its copies."""
        if not is_store(path):
            return path
        return self._places.setdefault(path, f"{self.folder}/{len(self._places)}")

    def look(self, paths: Sequence[str]) -> None:
        """List some stored runs, at once, unless they are known."""
        new = [path for path in paths if path not in self._listings]
        for path in new:
            self._storages[path] = open_folder(path)
        with ThreadPoolExecutor(AT_ONCE) as workers:
            self._listings |= zip(new, workers.map(self._listed, new), strict=True)

    def _listed(self, path: str) -> Listing | RunError:
        try:
            storage = self._storages[path]
            return manifest.in_listing(storage, storage.listed())
        except RunError as error:
            return error

    def listing(self, path: str) -> Listing:
        """What there is of a stored run. Raises RunError where it cannot be listed."""
        self.look([path])
        found = self._listings[path]
        if isinstance(found, RunError):
            raise found
        return found

    def forget(self) -> None:
        """List anew at the next look."""
        self._listings.clear()

    def bring(self, files: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Copy files, unless they are there; names, by stored run.

        Returns
        -------
        dict
            Run -> why it could not be read.

        Raises
        ------
        RunError
            Where they are more than MOST_BYTES.
        """
        self.look(list(files))
        jobs = [
            (path, name, Path(self.place(path), name))
            for path, names in files.items()
            for name in names
            if not Path(self.place(path), name).exists()
        ]
        wanted = sum(self._storages[path].size(name) for path, name, _ in jobs)
        if self._bytes + wanted > MOST_BYTES:
            raise RunError(
                f"the question needs {(self._bytes + wanted) / 1e9:,.0f} GB of {len(files):,} stored runs, at"
                f" most {MOST_BYTES / 1e9:.0f} GB are fetched: ask `neurons` or `layers`, or fewer runs"
            )
        self._bytes += wanted
        refused: dict[str, str] = {}
        with ThreadPoolExecutor(AT_ONCE) as workers:
            for (path, _, _), problem in zip(
                jobs, workers.map(lambda job: self._copy(*job), jobs), strict=True
            ):
                if problem is not None:
                    refused[path] = problem
        return refused

    def _copy(self, path: str, name: str, target: Path) -> str | None:
        """One file; returns why not. One that was compacted away is found out by the next look."""
        storage = self._storages[path]
        try:
            content = listed_anew(lambda: storage.read(name, int(MOST_BYTES)))
        except (RunError, FileNotFoundError) as error:
            return str(error)
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}")
            part.write_bytes(content)
            part.rename(target)
        return None

    def close(self) -> None:
        """Remove them."""
        self._temporary.cleanup()
