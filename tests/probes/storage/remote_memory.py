"""A storage in memory that is asked as a store is: one listing, and what is read said before."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from memory import MemoryStorage

from probes.storage import Entry, Listing, Wanted


class RemoteMemory(MemoryStorage):
    """requests: "list", "head", "get", "put", "delete", and "fetch", one for each object of a `fetch`; ranges
    that nobody has said to be needed are "range".
    """

    remote = True

    def __init__(self, root: str = "memory") -> None:
        super().__init__(root)
        self.fetched: set[str] = set()

    @classmethod
    def copy_of(cls, folder: Path, root: str = "memory") -> RemoteMemory:
        found = super().copy_of(folder, root)
        assert isinstance(found, RemoteMemory)
        return found

    def listed(self) -> Listing:
        self.requests["list"] += 1
        return _Listed(self)

    def fetch(self, wanted: Sequence[Wanted]) -> None:
        for path in {path for path, _, _ in wanted}:
            self._get(path)
            self.requests["fetch"] += 1
            self.fetched.add(path)

    def open(self, path: str) -> pa.NativeFile:
        return pa.PythonFile(_Reader(self, path), mode="r")


class _Reader(io.BytesIO):
    """Counts what is read of an object that was not fetched before."""

    def __init__(self, storage: RemoteMemory, path: str) -> None:
        super().__init__(storage._get(path))
        self._storage, self._path = storage, path

    def read(self, size: int | None = -1) -> bytes:
        if self._path not in self._storage.fetched:
            self._storage.requests["range"] += 1
        return super().read(size)


class _Listed(Listing):
    """What the storage holds, without a request."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = MemoryStorage(storage.root)
        self._storage._objects, self._storage._prefix = dict(storage._objects), storage._prefix

    def address(self, path: str) -> str:
        return self._storage.address(path)

    def entries(self, folder: str = "") -> list[Entry]:
        return self._storage.entries(folder)

    def stamp(self, path: str) -> str | None:
        return self._storage.stamp(path)
