"""A stranger finds the file: the first hit of a search for a task's own word is where the task is done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.compile(r"^\| [^|]+ \| (\w+) \| `([^`]+)` \|$", re.MULTILINE)
"""Rows of the table in docs/how_to_add.md: word, file."""


def sources() -> list[Path]:
    return [p for folder in ("probes", "vdn", "pages") for p in sorted((ROOT / folder).rglob("*.py"))]


def search(word: str) -> str:
    """The first hit of a search: a file or package that is called so, else the file where the word stands
    most.
    """
    names = {word.lower(), f"{word.lower()}s"}
    for path in sources():
        if path.stem.lower() in names or (path.stem == "__init__" and path.parent.name.lower() in names):
            return path.relative_to(ROOT).as_posix()
    count = {path: len(re.findall(rf"\b{word}\b", path.read_text())) for path in sources()}
    return max(count, key=lambda path: count[path]).relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    ("word", "file"), TABLE.findall((ROOT / "docs/how_to_add.md").read_text()), ids=lambda value: value
)
def test_the_first_hit_is_the_file(word: str, file: str) -> None:
    assert search(word) == file


def test_the_table_has_its_five_tasks() -> None:
    assert len(TABLE.findall((ROOT / "docs/how_to_add.md").read_text())) == 5
