"""The table of `benchmarks.ui`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import sections


class Row(NamedTuple):
    """A measure, its goal, what was found, and whether that meets the goal."""

    measure: str
    goal: str
    found: str
    met: bool


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    return sections.table(Row._fields, [(*row[:3], "yes" if row.met else "**no**") for row in rows])
