"""What goes wrong with a run, wherever it lies."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REMEDY = "restore it from a copy, or remove it; `python -m probes check` looks at the whole run"

_ELSEWHERE = "name a folder that you may write to"
_WRITING_REMEDIES = {
    "ENOSPC": "the disk is full, free space there or name a folder on another disk",
    "EDQUOT": "your quota there is used up, free space or name a folder on another disk",
    "EFBIG": "files there may not grow so large, raise the limit (ulimit -f) or name another folder",
    "EROFS": f"it is mounted read-only, {_ELSEWHERE}",
    "EACCES": _ELSEWHERE,
    "EPERM": _ELSEWHERE,
    "ENAMETOOLONG": "shorten the name",
    "ENOTDIR": "a part of the path is a file, name a folder",
    "EEXIST": "a file has this name, name a folder",
    "EMFILE": "raise the limit of open files (ulimit -n)",
}
"""What to do where writing fails, by the name of the error number: not every system has every number."""


class RunError(ValueError):
    """A run that cannot be read or written as asked; the message names the run and the remedy."""


class WriteError(RunError, OSError):
    """A folder or file that cannot be written; the message says what is in the way and the remedy."""


def as_text(path: str) -> str:
    """A path as text that can be shown: bytes that are no UTF-8 as escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def first_line(error: Exception) -> str:
    """What an error says first, or its name where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def obstacle(error: Exception) -> str:
    """One line on what stands in the way of writing: what the system says and, where known, the remedy."""
    if isinstance(error, UnicodeEncodeError):
        return f"{as_text(error.object)} has a name that is not UTF-8: rename it"
    said = as_text(" ".join(str(error).split())) or type(error).__name__
    number = error.errno if isinstance(error, OSError) else None
    remedy = _WRITING_REMEDIES.get(errno.errorcode.get(number or 0, ""))
    return f"{said}; {remedy}" if remedy else said


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever the system has against writing there, as a WriteError."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {obstacle(error)}") from error
