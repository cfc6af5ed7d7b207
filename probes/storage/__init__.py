"""Where runs lie: the seam between the log and whatever holds its bytes.

A `Storage` is one folder, and offers what a local folder and an object store can both give: a listing, whole
objects, byte ranges, and a put that is all or nothing. Nothing is appended to or changed in place, and no
reader relies on a rename. `open_folder` chooses the implementation; a further one is a module here and one
line there.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import pyarrow as pa

from probes.errors import REMEDY, RunError

__all__ = ["Content", "Entry", "Folder", "Storage", "local_folder", "open_folder"]

Content: TypeAlias = bytes | Callable[[Path], object]
"""What is put: the bytes, or a function that writes them to the local file it is given, which is then put."""


class Entry(NamedTuple):
    """A name in a folder.

    Parameters
    ----------
    name
        Without the folder.
    size
        Bytes; None for a folder.
    stamp
        Differs whenever the content does, as an etag; None for a folder.
    """

    name: str
    size: int | None
    stamp: str | None

    @property
    def is_folder(self) -> bool:
        """Whether the name is that of a folder."""
        return self.size is None


class Storage(Protocol):
    """One folder of objects. Their paths are relative to it, with `/` between the parts.

    Attributes
    ----------
    root
        The folder as messages and `Run.path` name it.

    Raises
    ------
    FileNotFoundError
        On reading an object that is not there: a live run may just have compacted it away.
    RunError
        On reading, for whatever else is in the way; it names the object and the remedy.
    OSError
        On writing, with the object as it was before.

    Notes
    -----
    What is asked for is what object stores answer with one request each: LIST, HEAD, GET, GET of ranges, PUT,
    PUT with `If-None-Match: *`, DELETE; `move` is a copy and a DELETE there. Implementations may be used by
    several threads at once.
    """

    root: str

    def address(self, path: str) -> str:
        """An object's full name, for messages."""
        return f"{self.root.rstrip('/')}/{path}" if path else self.root

    @abstractmethod
    def within(self, folder: str) -> Storage:
        """A folder of this one as a storage of its own. Raises RunError where it leads out of this one."""

    # ---- reading

    @abstractmethod
    def entries(self, folder: str = "") -> list[Entry]:
        """List a folder.

        Parameters
        ----------
        folder
            This one by default.

        Returns
        -------
        list of Entry
            One level deep, in order of name; nothing where the folder is not there.

        Raises
        ------
        RunError
            Where it cannot be listed.
        """

    def names(self, folder: str = "") -> list[str]:
        """The names among `entries`, for readers that need no sizes and stamps: they may cost something."""
        return [entry.name for entry in self.entries(folder)]

    @abstractmethod
    def stamp(self, path: str) -> str | None:
        """The stamp of one object as `entries` would give it, None where there is no such object."""

    @abstractmethod
    def read(self, path: str, limit: int) -> bytes:
        """Read a whole object.

        Parameters
        ----------
        path
            The object.
        limit
            Most bytes that it may have; looked at before anything is read.

        Returns
        -------
        bytes
            Its content.

        Raises
        ------
        RunError
            Where it is larger.
        """

    @abstractmethod
    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several ranges of an object at once.

        Parameters
        ----------
        path
            The object.
        ranges
            (start, stop) in bytes, the stop exclusive.

        Returns
        -------
        list of bytes
            One for each range, shorter where the object ends before it.
        """

    @abstractmethod
    def open(self, path: str) -> pa.NativeFile:
        """Open an object to be read here and there, as Parquet readers do.

        Returns
        -------
        pyarrow.NativeFile
            With `size`, and `read_at` that several threads may call. The caller closes it.
        """

    # ---- writing

    @abstractmethod
    def put(self, path: str, content: Content) -> None:
        """Write an object: readers see what was there before or all of the new one, never a part.

        Parameters
        ----------
        path
            The object, new or to be replaced; folders need not be made.
        content
            Bytes, or a function that writes them to the local file whose path it is given.
        """

    @abstractmethod
    def put_if_absent(self, path: str, content: bytes) -> bool:
        """Write an object unless there is one of its name; of several writers one succeeds.

        Returns
        -------
        bool
            Whether it was written.
        """

    @abstractmethod
    def move(self, source: str, target: str) -> None:
        """Give an object another path. What is stopped midway may leave it at both, never at neither."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove an object. One that is not there is no error."""

    @abstractmethod
    def remove_unfinished(self) -> None:
        """Remove what writers that were killed have left half written, here and in all folders below."""


_URI = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""How the URI of a store begins, also after `Path` has taken `//` for `/`; a drive is one letter."""

Folder: TypeAlias = str | Path | Storage
"""What names a folder: a path, a URI, or its storage."""


def open_folder(folder: Folder) -> Storage:
    """The storage of a folder.

    Parameters
    ----------
    folder
        A path, a URI that `pyarrow.fs` knows (read only, but for `file://`), or a storage, which is
        returned as it is.

    Returns
    -------
    Storage
        Nothing is looked at yet: whether the folder is there shows when it is read.

    Raises
    ------
    RunError
        For a URI of an unknown kind.
    """
    if not isinstance(folder, str | Path):
        return folder
    if "://" in str(folder) and _URI.match(str(folder)):
        from probes.storage.arrow import open_uri

        return open_uri(str(folder))
    from probes.storage.local import LocalStorage

    return LocalStorage(folder)


def local_folder(path: str | Path) -> Path:
    """A folder of this machine to write to.

    Parameters
    ----------
    path
        As it was given.

    Returns
    -------
    Path
        The same; nothing is looked at.

    Raises
    ------
    RunError
        For the URI of a store, and for a name that no file can have.
    """
    if "\0" in str(path):
        raise RunError(f"{str(path)!r} holds a NUL character, which no name of a folder can")
    if _URI.match(str(path)):
        raise RunError(
            f"{path} cannot be written: stores are read, not written yet; name a local folder, and copy that"
            " there"
        )
    return Path(path)


def refuse_size(address: str, size: int, limit: int) -> None:
    """Raise RunError for an object of more than `limit` bytes: for implementations of `Storage.read`."""
    if size > limit:
        raise RunError(
            f"{address} has {size / 2**20:,.0f} MB, a file of its kind has at most"
            f" {limit / 2**20:,.0f} MB; {REMEDY}"
        )
