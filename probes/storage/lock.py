"""One writer a run, on this machine."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path
from typing import TextIO

from probes.errors import RunError

FILE = ".lock"


class Lock:
    """One writer a run: an advisory lock that the kernel drops with the process, so that a crash leaves it
    open.

    Raises RunError when another writer holds it. A forked child (a data loader's worker) lets go of its copy,
    or it would keep a dead writer's lock.
    """

    _held: weakref.WeakSet[Lock] = weakref.WeakSet()

    def __init__(self, folder: Path) -> None:
        self._file: TextIO | None = open(folder / FILE, "a", encoding="utf-8")  # noqa: SIM115 - held open by design
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise RunError(f"{folder} is being written by another recorder: one writer a run") from error
        Lock._held.add(self)

    def release(self) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._forget()

    def _forget(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @classmethod
    def forget_all(cls) -> None:
        """Close this process's copies without unlocking: for a child just forked."""
        for lock in list(cls._held):
            lock._forget()


os.register_at_fork(after_in_child=Lock.forget_all)
