"""Stores that `pyarrow.fs` knows (S3, GCS, HDFS ...): read with one request after the other, not written."""

from __future__ import annotations

from typing import NoReturn

import pyarrow as pa
from pyarrow import fs as pafs

from probes.errors import RunError
from probes.storage import Content, Entry, Storage, refuse_size
from probes.storage.local import LocalStorage


def open_uri(uri: str) -> Storage:
    """The storage of a URI; a `LocalStorage` for `file://`. Raises RunError for one of an unknown kind."""
    try:
        filesystem, path = pafs.FileSystem.from_uri(uri)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(
            f"{uri} names no store that can be read: {error}; use a path, or copy the run"
        ) from error
    return (
        LocalStorage(path)
        if isinstance(filesystem, pafs.LocalFileSystem)
        else ArrowStorage(filesystem, path, uri)
    )


class ArrowStorage(Storage):
    """A folder of a file system of `pyarrow.fs`; its writing methods raise RunError.

    Parameters
    ----------
    filesystem
        What reads it.
    path
        Of the folder, as the file system knows it.
    root
        How the folder is named in messages, such as its URI.
    """

    def __init__(self, filesystem: pafs.FileSystem, path: str, root: str) -> None:
        self.root = root
        self._filesystem = filesystem
        self._folder = path.rstrip("/")

    def within(self, folder: str) -> ArrowStorage:
        return ArrowStorage(self._filesystem, self._path(folder), self.address(folder))

    def _path(self, path: str) -> str:
        return f"{self._folder}/{path}" if path else self._folder

    def entries(self, folder: str = "") -> list[Entry]:
        selector = pafs.FileSelector(self._path(folder), allow_not_found=True)
        try:
            return sorted(_entry(info) for info in self._filesystem.get_file_info(selector))
        except OSError as error:
            raise RunError(f"{self.address(folder)} cannot be listed: {error}") from error

    def stamp(self, path: str) -> str | None:
        return _entry(self._filesystem.get_file_info(self._path(path))).stamp

    def read(self, path: str, limit: int) -> bytes:
        with self.open(path) as file:
            refuse_size(self.address(path), file.size(), limit)
            return bytes(file.read_at(file.size(), 0))

    def open(self, path: str) -> pa.NativeFile:
        try:
            return self._filesystem.open_input_file(self._path(path))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise RunError(f"{self.address(path)} cannot be read: {error}") from error

    def put(self, path: str, content: Content) -> None:
        self._refuse(path)

    def put_if_absent(self, path: str, content: bytes) -> bool:
        self._refuse(path)

    def move(self, source: str, target: str) -> None:
        self._refuse(source)

    def delete(self, path: str) -> None:
        self._refuse(path)

    def remove_unfinished(self) -> None:
        self._refuse("")

    def _refuse(self, path: str) -> NoReturn:
        raise RunError(
            f"{self.address(path)} cannot be written: a store is only read; write to a local folder and copy"
            " that"
        )


def _entry(info: pafs.FileInfo) -> Entry:
    if info.type != pafs.FileType.File:
        return Entry(info.base_name, None, None)
    return Entry(info.base_name, info.size, f"{info.mtime_ns or 0:x}-{info.size:x}")
