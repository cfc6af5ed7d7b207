"""Files of one folder of a run: their names, which of them count, and how one appears whole or not at all.

A file is called `FIRST-LAST.parquet`, both numbers inclusive: recorded steps in `neurons/`, `pyramid/` and
`layers/`, row numbers elsewhere. A file whose range lies inside another's is that other's past (it was
compacted into it and not yet deleted), so what counts is decided by names alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from pyarrow import fs as pafs

from probes.log.opening import RunError, refuse_link

_NAME = re.compile(r"([0-9]{12,19})-([0-9]{12,19})\.parquet")
LARGEST = 2**53
"""Largest step or row number: beyond it a browser's numbers, which are float64, would no longer tell two
apart.
"""
TEMPORARY = ".tmp-"
"""Prefix of a file that is being written; readers never list it, the next writer removes it."""


class Segment(NamedTuple):
    """A Parquet file and the inclusive range of steps (or rows) that its name promises."""

    first: int
    last: int

    @property
    def name(self) -> str:
        return f"{self.first:012d}-{self.last:012d}.parquet"

    @property
    def span(self) -> int:
        return self.last - self.first + 1


def parse(name: str) -> Segment | None:
    """The part that a file name means, None for any other file."""
    match = _NAME.fullmatch(name)
    part = Segment(int(match[1]), int(match[2])) if match else None
    return part if part and part.name == name and part.first <= part.last <= LARGEST else None


def visible(names: Iterable[str]) -> tuple[list[Segment], list[Segment]]:
    """Split names into the parts that count, in order, and those that a larger part covers."""
    parts = sorted(
        {part for name in names if (part := parse(name))}, key=lambda part: (part.first, -part.last)
    )
    counted: list[Segment] = []
    covered: list[Segment] = []
    for part in parts:
        (covered if counted and part.last <= counted[-1].last else counted).append(part)
    return counted, covered


def uncovered(part: Segment, others: Iterable[Segment]) -> list[tuple[int, int]]:
    """Inclusive ranges of `part` that lie in none of `others` (in order, as `visible` gives them)."""
    gaps = []
    first = part.first
    for other in others:
        if other.last < first:
            continue
        if other.first > part.last:
            break
        if other.first > first:
            gaps.append((first, other.first - 1))
        first = other.last + 1
    if first <= part.last:
        gaps.append((first, part.last))
    return gaps


def list_segments(filesystem: pafs.FileSystem, folder: str) -> tuple[list[Segment], list[Segment]]:
    """`visible` over a folder of any file system; a folder that is not there holds nothing.

    Raises RunError for a folder that cannot be listed or is a link.
    """
    refuse_link(folder, filesystem)
    try:
        infos = filesystem.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    except OSError as error:
        raise RunError(f"{folder} cannot be listed: {error}") from error
    return visible(info.base_name for info in infos)


def counted_segments(filesystem: pafs.FileSystem, folder: str) -> list[Segment]:
    """The parts that count, for a reader: in order, none overlapping. Raises RunError as `list_segments`, and
    where two overlap.
    """
    parts = list_segments(filesystem, folder)[0]
    for before, after in zip(parts, parts[1:], strict=False):
        if after.first <= before.last:
            raise RunError(
                f"{folder}: {before.name} and {after.name} overlap, so that rows are doubled: remove one of"
                " them"
            )
    return parts


def sync_folder(folder: Path) -> None:
    """Make the renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a temporary file beside `path`, make it durable, then rename it to `path`.

    Raises OSError (disk full, read-only, ...) with nothing left behind and `path` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{path.name}"
    try:
        write(temporary)
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_atomic` of a text, as UTF-8."""
    write_atomic(path, lambda temporary: temporary.write_bytes(text.encode()))


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed writer left half written, in a run's folder and those below it."""
    for path in folder.rglob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)
