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

__all__ = [
    "Content",
    "Entry",
    "Folder",
    "Listing",
    "Storage",
    "Wanted",
    "is_store",
    "local_folder",
    "open_folder",
]

Content: TypeAlias = bytes | Callable[[Path], object]
"""What is put: the bytes, or a function that writes them to the local file it is given, which is then put."""
Wanted: TypeAlias = tuple[str, int, int]
"""A range of an object that will be read: its path, and start and stop in bytes, the stop exclusive."""


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


class Listing(Protocol):
    """What there is in a folder and below."""

    @abstractmethod
    def address(self, path: str) -> str:
        """An object's full name, for messages."""

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


class Storage(Listing, Protocol):
    """One folder of objects. Their paths are relative to it, with `/` between the parts.

    Attributes
    ----------
    root
        The folder as messages and `Run.path` name it.
    remote
        Whether a request takes long, so that readers say first what they will need: `listed`, `fetch`.

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
    remote: bool = False

    def address(self, path: str) -> str:
        """An object's full name, for messages."""
        return f"{self.root.rstrip('/')}/{path}" if path else self.root

    @abstractmethod
    def within(self, folder: str) -> Storage:
        """A folder of this one as a storage of its own. Raises RunError where it leads out of this one."""

    # ---- reading

    def listed(self) -> Listing:
        """This folder and all below it as they are now, listed at once where each folder costs a request."""
        return self

    def fetch(self, wanted: Sequence[Wanted]) -> None:
        """Say what will be read of which objects: where requests take long they are all made now, at once.

        Parameters
        ----------
        wanted
            Ranges, each within its object or ending where that does.

        Raises
        ------
        FileNotFoundError
            For an object that is not there, or was replaced since it was listed.
        RunError
            For whatever else is in the way.
        """
        return None

    def size(self, path: str) -> int:
        """Bytes of an object that `listed` has found, 0 where that is not known."""
        return 0

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

    def read_each(self, paths: Sequence[str], limit: int) -> list[tuple[bytes, str | None] | Exception]:
        """Read several whole objects, at once where requests take long.

        Parameters
        ----------
        paths
            The objects.
        limit
            As of `read`.

        Returns
        -------
        list of tuple
            Content and stamp of each, or the FileNotFoundError or RunError that `read` would have raised.
        """
        found: list[tuple[bytes, str | None] | Exception] = []
        for path in paths:
            try:
                found.append((self.read(path, limit), self.stamp(path)))
            except (FileNotFoundError, RunError) as error:
                found.append(error)
        return found

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


_URI = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)
"""How the URI of a store begins, also after `Path` has taken `//` for `/`; a drive is one letter."""
OBJECT_STORES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")
"""Schemes that `obstore` reads and writes."""

Folder: TypeAlias = str | Path | Storage
"""What names a folder: a path, a URI, or its storage."""


def open_folder(folder: Folder) -> Storage:
    """The storage of a folder.

    Parameters
    ----------
    folder
        A path, the URL of an object store (`s3://bucket/folder`), a further URI that `pyarrow.fs` knows (read
        only), or a storage, which is returned as it is.

    Returns
    -------
    Storage
        Nothing is looked at yet: whether the folder is there shows when it is read.

    Raises
    ------
    RunError
        For a URI of an unknown kind, and for one that holds credentials.
    MissingPackageError
        For an object store, where the extra `store` is not installed.
    """
    if not isinstance(folder, str | Path):
        return folder
    if scheme := _scheme(folder):
        uri = re.sub(":/+", "://", str(folder), count=1)
        if scheme in OBJECT_STORES:
            from probes.storage.object_store import open_store

            return open_store(uri)
        from probes.storage.arrow import open_uri

        return open_uri(str(folder))
    from probes.storage.local import LocalStorage

    return LocalStorage(folder)


def _scheme(folder: str | Path) -> str | None:
    """The scheme of a URI, lower case; None of a path. What was a `Path` has one slash after it."""
    found = _URI.match(str(folder))
    scheme = found[1].lower() if found else None
    return scheme if "://" in str(folder) or scheme in OBJECT_STORES else None


def is_store(folder: str | Path) -> bool:
    """Whether a folder is named by the URL of an object store, which `Path` may have shortened."""
    return _scheme(folder) in OBJECT_STORES


def without_secrets(text: str) -> str:
    """A text whose URLs have lost what may hold credentials: all before the last `@`, which a password with a
    slash may reach to, a bucket with a colon, and what follows `?` or `#`.
    """
    begin = r"([a-z][a-z0-9+.-]+:/+)"
    text = re.sub(begin + r"\S*@", r"\1...@", text, flags=re.IGNORECASE)
    text = re.sub(r"((?:s3a?|gs|az|azure|adl|abfss?):/+)[^/\s]*:\S*", r"\1...", text, flags=re.IGNORECASE)
    return re.sub(begin + r"([^\s?#]*)[?#][^\s)]*", r"\1\2?...", text, flags=re.IGNORECASE)


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
            f"{without_secrets(str(path))} cannot be written: name a local folder, and copy that there"
        )
    return Path(path)


def refuse_size(address: str, size: int, limit: int) -> None:
    """Raise RunError for an object of more than `limit` bytes: for implementations of `Storage.read`."""
    if size > limit:
        raise RunError(
            f"{address} has {size / 2**20:,.0f} MB, a file of its kind has at most"
            f" {limit / 2**20:,.0f} MB; {REMEDY}"
        )
