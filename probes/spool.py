"""Runs that are recorded into an object store: written to a folder of this machine first, the spool, from
which a process of its own mirrors them (`probes.mirror`).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

from probes.errors import RunError, writing
from probes.log import manifest
from probes.log.segments import listed_anew
from probes.storage import open_folder
from probes.storage.local import LocalStorage

VARIABLE = "PROBES_SPOOL"
"""Environment variable of the folder in which spools lie."""
WAIT_SECONDS = 120.0
"""So long the end of a recording waits for the store to have all of it."""
PAUSE_SECONDS, LONGEST_PAUSE = 1.0, 30.0
"""Before a mirror that has died is started again; each time that it dies at once twice as long."""
LOG = ".mirror.log"
COMPLETE = "complete"
"""What the mirror says when all of a run that has ended is in the store."""
UNMET = 2
"""Exit status of a mirror that cannot do what it was asked for."""


def spool_folder(url: str) -> Path:
    """The folder in which the run of a URL is written first: of its name, and of no other URL."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    base = Path(os.environ.get(VARIABLE) or Path(cache, "probes", "spool"))
    name = re.sub(r"[^A-Za-z0-9._-]", "_", url.rstrip("/").rpartition("/")[2])
    return base / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


class Spool:
    """The local side of one run in a store.

    Parameters
    ----------
    url
        Where the run is to lie.

    Attributes
    ----------
    folder
        Where it is written first.

    Raises
    ------
    RunError
        For a URL that holds credentials or names no bucket.
    MissingPackageError
        Where the extra `store` is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = open_folder(url).root  # refuses what is none
        self.folder = spool_folder(self.url)
        self._complete, self._refused = threading.Event(), threading.Event()
        self._said = ""

    def refuse_second(self) -> None:
        """Raise RunError where the store holds a run already; of one that does not answer it is only said."""
        try:
            there = open_folder(self.url).stamp(manifest.FILE) is not None
        except RunError as error:
            warnings.warn(
                f"{error}: recording goes on in {self.folder}, and is mirrored when the store answers",
                RuntimeWarning,
                stacklevel=4,
            )
            return
        if there:
            raise RunError(
                f"{self.url} holds a run already: continue it with Recorder.resume(url, step), or name"
                " another place"
            )

    def fetch(self) -> None:
        """Bring the run here where this machine does not have it, to be resumed.

        Raises RunError where the store has none, or has one that this machine's does not go on from;
        WriteError where it cannot be written here.
        """
        if (self.folder / manifest.FILE).exists():
            self._refuse_left_behind()
            return
        if open_folder(self.url).stamp(manifest.FILE) is None:
            raise RunError(f"{self.url} holds no run to resume, and neither does {self.folder}")
        listed_anew(self._fetch)  # a mirror elsewhere may still be at its last round

    def _refuse_left_behind(self) -> None:
        """Raise RunError where the store's run is not the one here as it once was: no mirror would put it."""
        try:
            stored = manifest.read(open_folder(self.url))
        except RunError:
            return  # nothing was mirrored yet, or the store does not answer: the run is here
        if not manifest.continues(manifest.read(LocalStorage(self.folder)), stored):
            raise RunError(
                f"{self.url} was resumed elsewhere, or holds another run than {self.folder}, which would go"
                " on here: move that folder away, so that the run is fetched, or name another place"
            )

    def _fetch(self) -> None:
        storage, here = open_folder(self.url), LocalStorage(self.folder)
        paths = [path for path in _objects(self.url) if path != manifest.FILE]
        for path in (*paths, manifest.FILE):  # without it nothing is there yet
            content = storage.read(path, sys.maxsize)
            with writing(self.folder):
                here.put(path, content)

    def begin(self) -> None:
        """Start the mirror, and start it again whenever it dies."""
        threading.Thread(target=self._keep, name=f"mirror {self.folder}", daemon=True).start()

    def _keep(self) -> None:
        pause = PAUSE_SECONDS
        while not self._complete.is_set():
            began = time.monotonic()
            with self._started() as mirror:
                for line in mirror.stdout or ():
                    self._said = line.strip()
                    if self._said == COMPLETE:
                        self._complete.set()
            if mirror.returncode == UNMET:
                self._refused.set()
                return
            lived = time.monotonic() - began
            pause = PAUSE_SECONDS if lived > LONGEST_PAUSE else pause
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _started(self) -> subprocess.Popen[str]:
        package = str(Path(__file__).resolve().parents[1])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        with open(self.folder / LOG, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "probes.mirror", str(self.folder.absolute()), self.url],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # what stops the training leaves the mirror at its work
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            )

    def finish(self) -> None:
        """Wait until the store has all of the run, which has ended; warn where that takes too long."""
        until = time.monotonic() + WAIT_SECONDS
        while not self._complete.wait(0.1) and not self._refused.is_set() and time.monotonic() < until:
            pass
        if not self._complete.is_set():
            why = f" ({self._said})" if self._said else ""
            warnings.warn(
                f"{self.url} has not all of the run yet{why}: it is in {self.folder}, and `probes mirror"
                f" {self.folder} {self.url}` goes on with it",
                RuntimeWarning,
                stacklevel=4,
            )


def _objects(url: str) -> list[str]:
    from probes.storage.object_store import ObjectStorage

    storage = open_folder(url)
    assert isinstance(storage, ObjectStorage)
    return sorted(storage.listed().objects)
