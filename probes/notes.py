"""notes.json: a user's tags and notes about a run. It stands beside the log and never changes it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probes.manifest import FILE
from probes.opening import RunError, read_json
from probes.parts import write_atomic

NAME = "notes.json"
TAG_CHARACTERS = 40
TAGS = 24
NOTE_CHARACTERS = 20_000
"""Limits that keep a table of runs readable and its reading quick."""


@dataclass(frozen=True)
class Notes:
    """Tags in the order given, and free text."""

    tags: tuple[str, ...] = ()
    text: str = ""


def parse(tags: Any, text: Any) -> Notes:
    """Notes from what a JSON file may hold: a tag or note that is no text is left out."""
    kept = (" ".join(tag.split()) for tag in tags if isinstance(tag, str)) if isinstance(tags, list | tuple) else ()
    return Notes(tuple(dict.fromkeys(tag for tag in kept if tag)), text if isinstance(text, str) else "")


def read(folder: str | Path) -> Notes:
    """The notes of a run's folder, empty ones if it has none. Raises RunError for a file that cannot be read as JSON."""
    try:
        content = read_json(str(Path(folder, NAME)))
    except FileNotFoundError:
        return Notes()
    return parse(content.get("tags"), content.get("notes")) if isinstance(content, dict) else Notes()


def write(folder: str | Path, tags: Iterable[str], text: str) -> Notes:
    """Write the notes of a run by rename and return them as written. Last writer wins.

    Raises RunError where there is no run, for a tag longer than TAG_CHARACTERS, more than TAGS of them, or a text
    longer than NOTE_CHARACTERS; OSError if the folder cannot be written.
    """
    path = Path(folder)
    if not (path / FILE).is_file():
        raise RunError(f"{path} holds no run: notes belong beside a {FILE}")
    notes = parse(list(tags), text.strip())
    long = next((tag for tag in notes.tags if len(tag) > TAG_CHARACTERS), None)
    if long is not None:
        raise RunError(f"the tag {long[:TAG_CHARACTERS]!r}… has {len(long)} characters; shorten it to {TAG_CHARACTERS}")
    if len(notes.tags) > TAGS:
        raise RunError(f"{len(notes.tags)} tags are more than {TAGS}: remove some")
    if len(notes.text) > NOTE_CHARACTERS:
        raise RunError(f"the note has {len(notes.text):,} characters; shorten it to {NOTE_CHARACTERS:,}")
    content = json.dumps({"tags": notes.tags, "notes": notes.text}, ensure_ascii=False, indent=1) + "\n"
    write_atomic(path / NAME, lambda temporary: _write_text(temporary, content))
    return notes


def _write_text(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
