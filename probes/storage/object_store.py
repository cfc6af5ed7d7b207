"""Object stores (S3 and what is compatible, Google Cloud Storage, Azure), by `obstore`: the extra `store`.

A request takes tens of milliseconds, so that few are made, many at once: what is listed is listed with sizes
and etags, what a reader says that it will need (`fetch`) is asked for in parallel and kept in memory, and
neighbouring ranges are one request. A range is asked for of the object that was listed (If-Match): one that
was replaced since is as gone as one that was deleted.

Credentials come from where `obstore` looks for them, the environment or the machine, and from nowhere else; a
URL that holds some is refused, and no message repeats them.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from probes.errors import RunError, WriteError, first_line
from probes.extras import named
from probes.storage import Content, Entry, Listing, Storage, Wanted, refuse_size, without_secrets

AT_ONCE = 16
"""Requests in flight."""
NEAR_BYTES = 2**18
"""Ranges that are no further apart are one request: at 100 MB/s a tenth of what a request waits."""
FAR_BYTES = 2**21
"""The same while there are more ranges than go at once."""
SMALL_BYTES = 2**18
"""An object no larger is fetched whole."""
READ_AHEAD = 2**20
"""What nobody has said to be needed is read in pieces of this many bytes at least."""
KEPT_BYTES = 128 * 2**20
"""So much of what was fetched is kept in memory, what was used last; what one call fetches is kept whole."""
PART_BYTES = 16 * 2**20
"""What is larger is put in parts of so many bytes: each passes within a request's 60 s, and may have 5 GB."""
PARTS_AT_ONCE = 4
SECRETS = re.compile("SECRET|TOKEN|KEY|PASSWORD|SIGNATURE|CREDENTIAL|SAS|CONNECTION", re.IGNORECASE)
"""Names of environment variables whose values no message repeats."""
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that `obstore` takes in no key: control characters, and what was no UTF-8."""
_CONFIGURED = ("AWS_", "GOOGLE_", "AZURE_", "OBJECT_STORE_")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT")


def open_store(url: str) -> ObjectStorage:
    """The storage of a URL such as `s3://bucket/folder`.

    Raises RunError for a URL that holds credentials or names no bucket, MissingPackageError without obstore.
    """
    parts = urlsplit(url)
    of_azure = parts.scheme.lower().startswith("abfs")  # container@account
    plain = parts.netloc.replace("@", "", 1) + parts.path if of_azure else parts.netloc + parts.path
    if "@" in plain or ":" in parts.netloc or parts.query or parts.fragment:
        raise RunError(
            f"{without_secrets(url)}: a URL of a store has no user, password, @, ? or #; credentials are"
            " taken from the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if not parts.netloc:
        raise RunError(f"{url} names no bucket: write such as {parts.scheme}://bucket/folder")
    root = f"{parts.scheme}://{parts.netloc}"
    prefix = parts.path.strip("/")
    if prefix and not is_key(prefix):
        raise RunError(f"{url!r} has a part that is empty, '.' or '..', or a control character: leave it out")
    return ObjectStorage(_client(root, _environment()), prefix, f"{root}/{prefix}".rstrip("/"))


def _environment() -> str:
    """A digest of what a client is made from: no frame of a traceback that shows variables has it itself."""
    configured = sorted(item for item in os.environ.items() if item[0].startswith(_CONFIGURED))
    return hashlib.sha256(repr(configured).encode()).hexdigest()


def is_key(path: str) -> bool:
    """Whether an object can have this name: no part of it is empty, `.` or `..`, and no character unfit."""
    return not _UNFIT.search(path) and not {"", ".", ".."} & set(path.split("/"))


def stamp_of(content: bytes | Path) -> str:
    """The stamp that S3 gives to what a storage puts: the MD5 of it, or of the MD5s of its parts."""
    with io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb") as file:
        parts = [_md5(part) for part in iter(lambda: file.read(PART_BYTES), b"")] or [_md5(b"")]
    if len(parts) == 1:
        return f'"{parts[0].hex()}"'
    return f'"{_md5(b"".join(parts)).hex()}-{len(parts)}"'


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


class _Client:
    """One bucket: its connections, and what was fetched of it."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.workers = ThreadPoolExecutor(AT_ONCE, "object store")
        self.kept = _Kept()


@lru_cache(maxsize=8)
def _client(root: str, _configured: str) -> _Client:
    """The client of a bucket; another one where the environment has changed, which it was made from."""
    with named("reading and writing object stores"):
        from obstore.store import from_url
    options: dict[str, Any] = {"timeout": "60s", "connect_timeout": "5s"}
    if any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS):
        options["allow_http"] = True
    retries = {"max_retries": 4, "retry_timeout": timedelta(seconds=20)}
    try:
        return _Client(from_url(root, client_options=options, retry_config=retries))
    except Exception as error:  # noqa: BLE001 - of a library whose errors share no class of their own
        raise RunError(f"{root} cannot be opened: {_cleared(error)}") from None


class _Kept:
    """Ranges of objects in memory, by (path, stamp); what was used last stays."""

    def __init__(self) -> None:
        self._parts: OrderedDict[tuple[str, str | None], list[tuple[int, bytes]]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def find(self, key: tuple[str, str | None], start: int, stop: int) -> bytes | None:
        """The bytes of a range that is there as a whole, not copied where it is all of a part."""
        with self._lock:
            if key not in self._parts:
                return None
            self._parts.move_to_end(key)
            for begin, content in self._parts[key]:
                if begin <= start and stop <= begin + len(content):
                    whole = (begin, begin + len(content)) == (start, stop)
                    return content if whole else content[start - begin : stop - begin]
            return None

    def put(self, found: Mapping[tuple[str, str | None], Sequence[tuple[int, bytes]]]) -> None:
        """Keep these, and of the others what there is room for."""
        with self._lock:
            for key, parts in found.items():
                self._parts.setdefault(key, []).extend(parts)
                self._parts.move_to_end(key)
                self._size += sum(len(content) for _, content in parts)
            while self._size > KEPT_BYTES and len(self._parts) > len(found):
                _, dropped = self._parts.popitem(last=False)
                self._size -= sum(len(content) for _, content in dropped)


class ObjectStorage(Storage):
    """A folder of a bucket: the objects whose names begin with its own and `/`.

    client: of the bucket. prefix: the folder's name in it, "" for the bucket itself. root: its URL, for
    messages.
    """

    remote = True

    def __init__(self, client: _Client, prefix: str, root: str) -> None:
        self.root = root
        self._client, self._prefix = client, prefix
        self._listed: dict[str, Entry] = {}  # what is known of objects without asking again

    def within(self, folder: str) -> ObjectStorage:
        return ObjectStorage(self._client, self._path(folder), self.address(folder))

    def parent(self) -> tuple[ObjectStorage, str] | None:
        """The folder that this one lies in, and its own name there; None for a bucket."""
        above, _, name = self._prefix.rpartition("/")
        if not name:
            return None
        return ObjectStorage(self._client, above, self.root.removesuffix(name).rstrip("/")), name

    def _path(self, path: str) -> str:
        if ".." in PurePosixPath(path).parts:
            raise RunError(f"{self.address(path)} leads out of {self.root}: name the folder itself")
        return f"{self._prefix}/{path}" if self._prefix and path else self._prefix or path

    # ---- reading

    def entries(self, folder: str = "") -> list[Entry]:
        import obstore

        prefix = self._path(folder)
        with self._reading(folder, "listed"):
            found = obstore.list_with_delimiter(self._client.store, prefix or None)
        folders = {path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]}
        below = f"{prefix}/" if prefix else ""  # some servers list a folder that was emptied as an object
        objects = [item for item in found["objects"] if item["path"].startswith(below)]
        files = [_entry(item["path"].rpartition("/")[2], item) for item in objects]
        files = [entry for entry in files if entry.size or entry.name not in folders]
        return sorted([*files, *(Entry(name, None, None) for name in folders)])

    def listed(self) -> ListedObjects:
        import obstore

        below = f"{self._prefix}/" if self._prefix else ""
        with self._reading("", "listed"):
            chunks = obstore.list(self._client.store, self._prefix or None, chunk_size=1000)
            found = [item for chunk in chunks for item in chunk if item["path"].startswith(below)]
        folders = {str(above) for item in found for above in PurePosixPath(item["path"]).parents}
        found = [item for item in found if item["size"] or item["path"] not in folders]  # what marks a folder
        names = [item["path"].removeprefix(below) for item in found]
        self._listed = {name: _entry(name, item) for name, item in zip(names, found, strict=True)}
        return ListedObjects(self, self._listed)

    def stamp(self, path: str) -> str | None:
        try:
            return self._head(path).stamp
        except FileNotFoundError:
            return None

    def size(self, path: str) -> int:
        entry = self._listed.get(path)
        return entry.size or 0 if entry else 0

    def _head(self, path: str) -> Entry:
        import obstore

        with self._reading(path):
            return _entry(path, obstore.head(self._client.store, self._path(path)))

    def read(self, path: str, limit: int) -> bytes:
        return self._read(path, limit)[0]

    def read_each(self, paths: Sequence[str], limit: int) -> list[tuple[bytes, str | None] | Exception]:
        def one(path: str) -> tuple[bytes, str | None] | Exception:
            try:
                return self._read(path, limit)
            except (FileNotFoundError, RunError) as error:
                return error

        return list(self._client.workers.map(one, paths))

    def _read(self, path: str, limit: int) -> tuple[bytes, str | None]:
        import obstore

        with self._reading(path):
            found = obstore.get(self._client.store, self._path(path))  # its body comes when it is asked for
            refuse_size(self.address(path), found.meta["size"], limit)
            content = bytes(found.bytes())
        self._refuse_torn(path, content, found.meta["size"])
        return content, _entry(path, found.meta).stamp

    def fetch(self, wanted: Sequence[Wanted]) -> None:
        ranges: dict[str, list[tuple[int, int]]] = {}
        for path, start, stop in wanted:
            entry = self._listed.get(path) or self._head(path)
            self._listed[path] = entry
            size = entry.size or 0
            if size <= SMALL_BYTES:
                start, stop = 0, size
            start, stop = max(start, 0), min(stop, size)
            if start < stop and self._client.kept.find(self._key(path, entry), start, stop) is None:
                ranges.setdefault(path, []).append((start, stop))
        joined = _joined(ranges)
        entries = {path: self._listed[path] for path in ranges}
        contents = self._client.workers.map(
            lambda one: self._get(one[0], entries[one[0]], one[1], one[2]), joined
        )
        found: dict[tuple[str, str | None], list[tuple[int, bytes]]] = {}
        for (path, start, _), content in zip(joined, contents, strict=True):
            found.setdefault(self._key(path, entries[path]), []).append((start, content))
        self._client.kept.put(found)

    def open(self, path: str) -> pa.NativeFile:
        entry = self._listed.get(path) or self._head(path)
        size = entry.size or 0
        whole = self._client.kept.find(self._key(path, entry), 0, size)
        if whole is not None or not size:
            return pa.BufferReader(whole or b"")
        return pa.PythonFile(_Reader(self, path, entry), mode="r")

    def range_of(self, path: str, entry: Entry, start: int, stop: int) -> bytes:
        """Bytes of an object as it was listed, from memory where they are there."""
        found = self._client.kept.find(self._key(path, entry), start, stop)
        if found is None:
            end = min(max(stop, start + READ_AHEAD), entry.size or 0)
            content = self._get(path, entry, start, end)
            self._client.kept.put({self._key(path, entry): [(start, content)]})
            found = content[: stop - start]
        return found

    def _key(self, path: str, entry: Entry) -> tuple[str, str | None]:
        return self._path(path), entry.stamp

    def _get(self, path: str, entry: Entry, start: int, stop: int) -> bytes:
        """Bytes of an object as it was listed; b"" where there are none. Raises FileNotFoundError where it
        was deleted or replaced since.
        """
        import obstore

        if start >= stop:
            return b""
        options: dict[str, Any] = {"range": (start, stop)}
        if entry.stamp and entry.stamp.startswith('"'):
            options["if_match"] = entry.stamp
        with self._reading(path):
            content = bytes(obstore.get(self._client.store, self._path(path), options=options).bytes())
        self._refuse_torn(path, content, stop - start)
        return content

    def _refuse_torn(self, path: str, content: bytes, size: int) -> None:
        if len(content) != size:
            sent = f"the store sent {len(content):,} of {size:,} bytes"
            raise RunError(f"{self.address(path)} cannot be read: {sent}")

    @contextmanager
    def _reading(self, path: str, done: str = "read") -> Iterator[None]:
        """Whatever the store says, as a RunError without what may hold secrets; FileNotFoundError of an
        object that is not there, or not as it was listed.
        """
        from obstore.exceptions import BaseError, PreconditionError

        try:
            yield
        except RunError:
            raise
        except (FileNotFoundError, PreconditionError) as error:
            _cleared(error)
            raise FileNotFoundError(errno.ENOENT, "not in the store", self.address(path)) from None
        except (BaseError, OSError, ValueError) as error:
            raise RunError(f"{self.address(path)} cannot be {done}: {_cleared(error)}") from None

    # ---- writing

    def put(self, path: str, content: Content) -> None:
        if not callable(content):
            self.put_stamped(path, content)
            return
        with tempfile.TemporaryDirectory() as folder:
            content(Path(folder, "object"))
            self.put_stamped(path, Path(folder, "object"))

    def put_stamped(self, path: str, content: bytes | Path) -> str | None:
        """`put` of bytes or of a file; returns the stamp that `entries` will give the object."""
        import obstore

        with io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            whole = file.read() if size <= PART_BYTES else None
            with self._writing(path):
                done = obstore.put(
                    self._client.store, self._path(path), file if whole is None else whole,
                    use_multipart=whole is None, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE,
                )  # fmt: skip
        return _tag(done["e_tag"])

    def put_if_absent(self, path: str, content: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._writing(path):
            try:
                obstore.put(self._client.store, self._path(path), content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def move(self, source: str, target: str) -> None:
        import obstore

        with self._writing(target):
            obstore.copy(self._client.store, self._path(source), self._path(target))
        self.delete(source)

    def delete(self, path: str) -> None:
        import obstore

        with self._writing(path):
            try:
                obstore.delete(self._client.store, self._path(path))
            except FileNotFoundError:
                return

    def remove_unfinished(self) -> None:
        """A put is all or nothing: nothing is left half written."""

    @contextmanager
    def _writing(self, path: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except WriteError:
            raise
        except (BaseError, OSError, ValueError) as error:
            raise WriteError(f"{self.address(path)} cannot be written: {_cleared(error)}") from None


class ListedObjects(Listing):
    """All objects of a storage as one LIST gave them. objects: by path."""

    def __init__(self, storage: ObjectStorage, objects: dict[str, Entry]) -> None:
        self._storage, self.objects = storage, objects
        self._folders: dict[str, dict[str, Entry]] = {}
        for path, entry in objects.items():
            folder, _, name = path.rpartition("/")
            self._folders.setdefault(folder, {})[name] = entry._replace(name=name)
            while folder:
                folder, _, name = folder.rpartition("/")
                self._folders.setdefault(folder, {}).setdefault(name, Entry(name, None, None))

    def address(self, path: str) -> str:
        return self._storage.address(path)

    def entries(self, folder: str = "") -> list[Entry]:
        return sorted(self._folders.get(folder, {}).values())

    def names(self, folder: str = "") -> list[str]:
        return sorted(self._folders.get(folder, {}))

    def stamp(self, path: str) -> str | None:
        entry = self.objects.get(path)
        return entry and entry.stamp


class _Reader(io.RawIOBase):
    """An object to be read here and there."""

    def __init__(self, storage: ObjectStorage, path: str, entry: Entry) -> None:
        self._storage, self._name, self._entry = storage, path, entry
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._entry.size or 0}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._entry.size or 0
        stop = end if size is None or size < 0 else min(self._at + size, end)
        if self._at >= stop:
            return b""
        content = self._storage.range_of(self._name, self._entry, self._at, stop)
        self._at = stop
        return content


def _tag(said: str | None) -> str | None:
    """An etag as all of a store's answers are to have it: Azure quotes it in some, proxies call it weak."""
    return said and '"' + said.removeprefix("W/").strip('"') + '"'


def _entry(name: str, item: Mapping[str, Any]) -> Entry:
    stamp = _tag(item["e_tag"]) or f"{item['last_modified'].isoformat()}-{item['size']}"
    return Entry(name, item["size"], stamp)


def _joined(ranges: Mapping[str, list[tuple[int, int]]]) -> list[Wanted]:
    """Ranges as few requests: near ones of an object as one, further ones too while there are too many."""
    for near in (NEAR_BYTES, FAR_BYTES):
        joined: list[Wanted] = []
        for path, parts in ranges.items():
            for start, stop in sorted(parts):
                if joined and joined[-1][0] == path and start - joined[-1][2] <= near:
                    joined[-1] = path, joined[-1][1], max(stop, joined[-1][2])
                else:
                    joined.append((path, start, stop))
        if len(joined) <= max(AT_ONCE // 2, len(ranges)):
            break
    return joined


def _cleared(error: Exception) -> str:
    """What `_said` says; the error says no more itself, for whoever shows what an error was raised from."""
    error.args = (_said(error),)
    return str(error.args[0])


def _said(error: Exception) -> str:
    """What a store or its client says, in one line, without secrets; the remedy where access is refused."""
    told = re.search(r"<Message>([^<]*)</Message>", str(error))
    said = re.sub(r"<[^>]*>", " ", first_line(error)).strip().rstrip(":") + (f": {told[1]}" if told else "")
    for name, value in os.environ.items():
        if SECRETS.search(name) and len(value) >= 4:
            said = said.replace(value, "...")
    said = " ".join(without_secrets(said).split())[:300]
    refused = type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError")
    if "invalid path" in said:
        said += "; an object has a name that no run's has: give it another one, or put it elsewhere"
    if refused or "credential" in said.lower():
        said += (
            "; credentials are taken from the environment (such as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,"
            " AWS_REGION, AWS_ENDPOINT_URL) or the machine's role"
        )
    return said
