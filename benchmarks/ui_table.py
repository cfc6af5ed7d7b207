"""The table of `benchmarks.ui`, and its place between two comments in docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- benchmarks.ui: begin -->", "<!-- benchmarks.ui: end -->"


class Row(NamedTuple):
    """A measure, its goal, what was found, and whether that meets the goal."""

    measure: str
    goal: str
    found: str
    met: bool


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| measure | goal | found | met |", "|---|---|---|---|"]
    lines += [f"| {measure} | {goal} | {found} | {'yes' if met else '**no**'} |" for measure, goal, found, met in rows]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put `text` between the two comments of the document. Raises ValueError if it does not hold both, in order."""
    old = DOCUMENT.read_text("utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT} must hold {BEGIN} and, after it, {END}: they say where the table goes")
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}", "utf-8")
