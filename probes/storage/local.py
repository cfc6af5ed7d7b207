"""A folder of this machine. Nothing in it is trusted: links and devices are refused, sizes looked at first.

An object appears by the rename of a finished, fsynced temporary file beside it, and its folder is fsynced
then: after a crash or a power cut it is there whole, or not at all. A file system that cannot sync a folder
(CIFS, some FUSE) gives the second promise up, not the writing. Reading needs no permission but to read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from pyarrow import fs as pafs

from probes.errors import REMEDY, RunError, WriteError, as_text
from probes.storage import Content, Entry, Storage, refuse_size

TEMPORARY = ".tmp-"
"""Prefix of a file that is being written; readers never list it, the next writer removes it."""
_FILES = pafs.LocalFileSystem()
_LOST = {errno.EIO, errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""What a sync says when data did not reach the disk; all else says that there is no sync of this kind."""


class LocalStorage(Storage):
    """A folder of this machine.

    Parameters
    ----------
    root
        Path of the folder. It may itself be a link, what lies in it may not. With "" paths are taken as they
        are, from the working directory.

    Notes
    -----
    See `Storage` for what the methods do and raise.
    """

    def __init__(self, root: str | Path = "") -> None:
        self.root = str(root)
        self._prefix = f"{self.root.rstrip('/')}/" if self.root else ""

    def address(self, path: str) -> str:
        return self._prefix + path if path else self.root

    def within(self, folder: str) -> LocalStorage:
        address = self.address(folder)
        if not address.isascii() and as_text(address) != address:
            raise RunError(f"{as_text(address)} has a name that is not UTF-8: rename it")
        if os.path.islink(address):
            target = Path(os.path.realpath(address)).parent
            if target != Path(os.path.realpath(self.root)):
                raise RunError(
                    f"{address} is a link that leaves its folder of runs: name {target} as a folder of runs"
                    " instead, or copy the run"
                )
        return LocalStorage(address)

    # ---- reading

    def entries(self, folder: str = "") -> list[Entry]:
        return sorted(entry for item in self._scan(folder) if (entry := _entry(item)))

    def names(self, folder: str = "") -> list[str]:
        return sorted(item.name for item in self._scan(folder))

    def _scan(self, folder: str) -> list[os.DirEntry[str]]:
        address = self.address(folder)
        self._refuse_links(folder)
        try:
            with os.scandir(address or ".") as found:
                return list(found)
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            remedy = REMEDY if folder else "name a folder of runs, or that of a run"
            raise RunError(f"{address} is not a folder; {remedy}") from error
        except OSError as error:
            raise RunError(f"{address} cannot be listed: {error}") from error

    def stamp(self, path: str) -> str | None:
        try:
            return _stamp(os.lstat(self.address(path)))
        except (OSError, ValueError):
            return None

    def read(self, path: str, limit: int) -> bytes:
        address = self.address(path)
        with self.open(path) as file, _reading(address):
            size = file.size()
            refuse_size(address, size, limit)
            return bytes(file.read_at(size, 0))

    def open(self, path: str) -> pa.NativeFile:
        address = self.address(path)
        with _reading(address):
            mode = os.lstat(address).st_mode
            if stat.S_ISLNK(mode):
                raise RunError(f"{address} is a link, which may lead anywhere: put the file itself there")
            if not stat.S_ISREG(mode):
                raise RunError(f"{address} is not a file; {REMEDY}")
            return _FILES.open_input_file(address)

    def _refuse_links(self, folder: str) -> None:
        """Raise RunError where a folder below the root is a link: a run cannot name files beyond itself."""
        while folder:
            if os.path.islink(address := self.address(folder)):
                raise RunError(f"{address} is a link, which may lead anywhere: put the folder itself there")
            # without a root, what a path begins with is the user's own choice
            folder = folder.rpartition("/")[0] if self.root else ""

    # ---- writing

    def put(self, path: str, content: Content) -> None:
        if isinstance(content, bytes):
            write_atomic(Path(self.address(path)), lambda temporary: temporary.write_bytes(content))
        else:
            write_atomic(Path(self.address(path)), content)

    def put_if_absent(self, path: str, content: bytes) -> bool:
        target = Path(self.address(path))
        try:
            _publish(target, lambda temporary: temporary.write_bytes(content), _rename_if_absent)
        except FileExistsError:
            return False
        return True

    def move(self, source: str, target: str) -> None:
        before, after = Path(self.address(source)), Path(self.address(target))
        after.parent.mkdir(parents=True, exist_ok=True)
        os.replace(before, after)
        _sync_folder(after.parent)
        _sync_folder(before.parent)

    def delete(self, path: str) -> None:
        Path(self.address(path)).unlink(missing_ok=True)

    def remove_unfinished(self) -> None:
        for path in Path(self.root).rglob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)


LOCAL = LocalStorage()
"""Every path of this machine, as it is."""


@contextmanager
def _reading(address: str) -> Iterator[None]:
    """Whatever is in the way of reading a file, as a RunError; FileNotFoundError where it is not there."""
    try:
        yield
    except FileNotFoundError:
        raise
    except UnicodeError as error:
        raise RunError(f"{as_text(address)} cannot be read: the path is not UTF-8; rename it") from error
    except OSError as error:
        raise RunError(f"{address} cannot be read: {error}") from error


def _entry(item: os.DirEntry[str]) -> Entry | None:
    """A name as it was listed, None where it was deleted since."""
    try:
        folder = item.is_dir()
    except OSError:  # a link round in a circle
        folder = False
    if folder:
        return Entry(item.name, None, None)
    try:
        info = item.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{as_text(item.path)} cannot be read: {error}") from error
    return Entry(item.name, info.st_size, _stamp(info))


def _stamp(info: os.stat_result) -> str:
    return f"{info.st_ino}-{info.st_mtime_ns}-{info.st_size}"


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let a function make a file that appears whole or not at all.

    Parameters
    ----------
    path
        The file, new or to be replaced; its folder is made if missing.
    write
        Is given the path of a temporary file beside it, which is made durable and then renamed.

    Raises
    ------
    OSError
        Disk full, read-only, ...; nothing is left behind and `path` is as it was.
    """
    _publish(path, write, os.replace)


def write_text(path: Path, text: str) -> None:
    """`write_atomic` of a text, as UTF-8."""
    write_atomic(path, lambda temporary: temporary.write_bytes(text.encode()))


def _publish(path: Path, write: Callable[[Path], object], rename: Callable[[Path, Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():  # a rename would put a file in the place of a device
        raise WriteError(f"{path} is not a file, and is not replaced by one: name another")
    temporary = path.parent.absolute() / f"{TEMPORARY}{path.name}"  # relative, pyarrow takes "a:b" for a URI
    try:
        write(temporary)
        _sync_file(temporary)
        rename(temporary, path)
    except BaseException:
        with suppress(OSError):  # of a disk that has become read-only; the next writer removes it
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _rename_if_absent(temporary: Path, path: Path) -> None:
    """Raises FileExistsError where `path` is there."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the name is taken first, and empty for a moment
        with open(path, "xb"):
            pass
        try:
            os.replace(temporary, path)
        except BaseException:
            path.unlink()
            raise
    else:
        temporary.unlink()


def _sync_file(path: Path) -> None:
    """Make the content of a file durable."""
    descriptor = os.open(path, os.O_RDWR)  # Windows syncs no file that is open for reading alone
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    """Make the renames in a folder durable, where the system opens folders and its file system syncs them."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in _LOST:
            raise
