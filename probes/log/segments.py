"""The files of one folder of a run: their names, and which of them count.

A segment is called `FIRST-LAST.parquet`, both numbers inclusive: recorded steps in `neurons/`, `pyramid/` and
`layers/`, row numbers elsewhere. One whose range lies inside another's is covered (it was compacted into the
other and not yet deleted) and does not count, so that names alone decide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from probes.errors import RunError
from probes.log.limits import LARGEST
from probes.storage import Listing

T = TypeVar("T")
ATTEMPTS = 5
"""How often a reader lists anew: a live run may compact a file away after each listing."""
_NAME = re.compile(r"([0-9]{12,19})-([0-9]{12,19})\.parquet")


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
    """The segment that a file name means, None for any other file."""
    match = _NAME.fullmatch(name)
    segment = Segment(int(match[1]), int(match[2])) if match else None
    valid = segment and segment.name == name and segment.first <= segment.last <= LARGEST
    return segment if valid else None


def split_by_coverage(names: Iterable[str]) -> tuple[list[Segment], list[Segment]]:
    """Split names into the segments that count, in order, and those that a larger one covers."""
    segments = sorted(
        {segment for name in names if (segment := parse(name))}, key=_earliest_and_longest_first
    )
    counted: list[Segment] = []
    covered: list[Segment] = []
    for segment in segments:
        (covered if counted and segment.last <= counted[-1].last else counted).append(segment)
    return counted, covered


def _earliest_and_longest_first(segment: Segment) -> tuple[int, int]:
    return segment.first, -segment.last


def uncovered(segment: Segment, others: Iterable[Segment]) -> list[tuple[int, int]]:
    """Inclusive ranges of `segment` that lie in none of `others`, which are in order and do not overlap."""
    gaps = []
    first = segment.first
    for other in others:
        if other.last < first:
            continue
        if other.first > segment.last:
            break
        if other.first > first:
            gaps.append((first, other.first - 1))
        first = other.last + 1
    if first <= segment.last:
        gaps.append((first, segment.last))
    return gaps


def list_segments(storage: Listing, folder: str) -> tuple[list[Segment], list[Segment]]:
    """`split_by_coverage` over a folder; one that is not there holds nothing.

    Raises RunError for a folder that cannot be listed or is a link.
    """
    return split_by_coverage(storage.names(folder))


def listed_anew(read: Callable[[], T], refresh: Callable[[], object] = lambda: None) -> T:
    """What `read` gives, which opens files that were listed; tried again, after `refresh`, where one has been
    compacted away between its listing and its opening or reading.

    Raises FileNotFoundError where that does not end.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return read()
        except FileNotFoundError:
            refresh()
    return read()


def counted_segments(storage: Listing, folder: str) -> list[Segment]:
    """The segments that count, for a reader: in order, none overlapping.

    Raises RunError as `list_segments`, and where two overlap.
    """
    segments = list_segments(storage, folder)[0]
    for before, after in zip(segments, segments[1:], strict=False):
        if after.first <= before.last:
            raise RunError(
                f"{storage.address(folder)}: {before.name} and {after.name} overlap, so that rows are"
                " doubled: remove one of them"
            )
    return segments
