"""A storage in memory: what an object store gives, and a count of what it is asked for."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa

from probes.storage import Content, Entry, Storage, refuse_size


class MemoryStorage(Storage):
    """Objects by path, in a dictionary that the storages of its folders share, as they share `requests`.

    requests: how often each kind of request was made; an opened object asks once for each range that is read.
    """

    def __init__(self, root: str = "memory") -> None:
        self.root = root
        self.requests: Counter[str] = Counter()
        self._objects: dict[str, tuple[bytes, int]] = {}  # path -> content, and the number of its put
        self._prefix = ""

    @classmethod
    def copy_of(cls, folder: Path, root: str = "memory") -> MemoryStorage:
        """A storage that holds the files of a folder."""
        storage = cls(root)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                storage.put(str(path.relative_to(folder)), path.read_bytes())
        storage.requests.clear()
        return storage

    def within(self, folder: str) -> MemoryStorage:
        storage = MemoryStorage(self.address(folder))
        storage.requests, storage._objects = self.requests, self._objects
        storage._prefix = f"{self._prefix}{folder}/"
        return storage

    def entries(self, folder: str = "") -> list[Entry]:
        self.requests["list"] += 1
        prefix = f"{self._prefix}{folder}/" if folder else self._prefix
        found = {}
        for path, (content, number) in self._objects.items():
            if path.startswith(prefix):
                name, _, below = path[len(prefix) :].partition("/")
                found[name] = Entry(name, None, None) if below else Entry(name, len(content), str(number))
        return sorted(found.values())

    def stamp(self, path: str) -> str | None:
        self.requests["head"] += 1
        entry = self._objects.get(self._prefix + path)
        return entry and str(entry[1])

    def read(self, path: str, limit: int) -> bytes:
        content = self._get(path)
        self.requests["get"] += 1
        refuse_size(self.address(path), len(content), limit)
        return content

    def open(self, path: str) -> pa.NativeFile:
        return pa.PythonFile(_CountedReader(self._get(path), self.requests), mode="r")

    def _get(self, path: str) -> bytes:
        if self._prefix + path not in self._objects:
            raise FileNotFoundError(self.address(path))
        return self._objects[self._prefix + path][0]

    def put(self, path: str, content: Content) -> None:
        self.requests["put"] += 1
        if not isinstance(content, bytes):
            with tempfile.TemporaryDirectory() as folder:
                content(Path(folder, "object"))
                content = Path(folder, "object").read_bytes()
        self._objects[self._prefix + path] = content, self.requests["put"]

    def put_if_absent(self, path: str, content: bytes) -> bool:
        absent = self._prefix + path not in self._objects
        if absent:
            self.put(path, content)
        return absent

    def move(self, source: str, target: str) -> None:
        self.put(target, self._get(source))
        self.delete(source)

    def delete(self, path: str) -> None:
        self.requests["delete"] += 1
        self._objects.pop(self._prefix + path, None)

    def remove_unfinished(self) -> None:
        """A put is all or nothing: nothing is left half written."""


class _CountedReader(io.BytesIO):
    """Counts what is read of an object as requests of ranges."""

    def __init__(self, content: bytes, requests: Counter[str]) -> None:
        super().__init__(content)
        self._requests = requests

    def read(self, size: int | None = -1) -> bytes:
        self._requests["range"] += 1
        return super().read(size)
