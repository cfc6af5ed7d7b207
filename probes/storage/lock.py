"""One writer a run, on this machine."""

from __future__ import annotations

import os
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from probes.errors import RunError, writing
from probes.forks import forget_in_children

FILE = ".lock"
MOMENT_SECONDS = 0.05


class Lock:
    """One writer a run: an advisory lock that the system drops with the process, so that a crash leaves it
    open.

    Raises RunError when another writer holds it, WriteError when its file cannot be written. On a file system
    without locks it warns and holds nothing. A forked child (a data loader's worker) lets go of its copy, or
    it would keep a dead writer's lock. name: of the file that is locked; holder: what holds it, in words.
    """

    def __init__(self, folder: Path, name: str = FILE, holder: str = "recorder") -> None:
        from filelock import lock_descriptor  # not at the top: what only reads needs no locks

        with writing(folder):
            self._file: TextIO | None = open(folder / name, "a", encoding="utf-8", opener=_open)  # noqa: SIM115 - held open by design
        try:
            free = lock_descriptor(self._file.fileno(), blocking=False)
            if not free:  # a mirror looks whether there is a writer by taking the lock for a moment
                time.sleep(MOMENT_SECONDS)
                free = lock_descriptor(self._file.fileno(), blocking=False)
        except OSError as error:  # Lustre, NFS and others without flock
            self.forget()
            warnings.warn(
                f"{folder} lies on a file system without locks ({error.strerror}): nothing keeps a second"
                f" {holder} out of this run, so start one alone",
                RuntimeWarning,
                stacklevel=3,
            )
            return
        if not free:
            self.forget()
            one = "writer" if name == FILE else holder
            raise RunError(f"{folder} is being written by another {holder}: one {one} a run")
        forget_in_children(self)

    def release(self) -> None:
        """Let the next writer in."""
        from filelock import unlock_descriptor

        if self._file is not None:
            with suppress(OSError):  # closing the file unlocks it too
                unlock_descriptor(self._file.fileno())
            self.forget()

    def forget(self) -> None:
        """Close this process's copy without unlocking."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _open(path: str, flags: int) -> int:
    """Follows no link and waits for no pipe that lies there under the lock's name."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
