"""Which files below a folder are opened or read, by whatever process: the kernel's inotify."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

IN_ACCESS, IN_OPEN, IN_ISDIR = 0x1, 0x20, 0x40000000  # inotify(7)
EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
BUFFER = 1 << 20


class Accesses:
    """Notes accesses from its making on; a context manager. Linux alone has inotify: OSError elsewhere.

    Memory that was mapped earlier can be read unnoticed; the log's reader maps nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._checked(self._libc.inotify_init1(os.O_NONBLOCK))
        self._folders: dict[int, str] = {}  # by watch, relative to `folder`
        for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            watch = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), IN_ACCESS | IN_OPEN)
            self._folders[self._checked(watch)] = str(path.relative_to(folder))

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def names(self) -> set[str]:
        """Names of the files that were opened or read since the last call; listing a folder is no reading of
        a file.
        """
        return {path.rsplit("/", 1)[-1] for path, _ in self._events()}

    def opened(self) -> list[str]:
        """Paths below the folder of the files that were opened since the last call, once for each time."""
        return [path for path, mask in self._events() if mask & IN_OPEN]

    def _events(self) -> list[tuple[str, int]]:
        """(path, mask) of what has been done to files since the last call."""
        found: list[tuple[str, int]] = []
        while True:
            try:
                data = os.read(self._descriptor, BUFFER)
            except BlockingIOError:
                return found
            place = 0
            while place < len(data):
                watch, mask, _, length = EVENT.unpack_from(data, place)
                name = data[place + EVENT.size : place + EVENT.size + length].rstrip(b"\0").decode()
                place += EVENT.size + length
                if not mask & IN_ISDIR and name:
                    found.append((f"{self._folders[watch]}/{name}", mask))
