"""notes.json: a user's name for a run, its tags and notes, named sets of neurons, whether it is archived. It
stands beside the log and never changes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from probes.errors import RunError
from probes.log.manifest import FILE
from probes.log.opening import read_json
from probes.storage import Folder, open_folder

NAME = "notes.json"
SHOWN_CHARACTERS = 80
TAG_CHARACTERS = 40
TAGS = 24
NOTE_CHARACTERS = 20_000
SET_CHARACTERS = 40
SETS = 24
SET_NEURONS = 64
"""Limits that keep a table of runs readable and its reading quick."""


@dataclass(frozen=True)
class Notes:
    """Tags in the order given, free text, sets of neurons by name, the name that is shown instead of the
    folder's ("" for none), and whether the run is put away.

    A neuron of the run itself is written `layer:neuron` (`probes.neuron_names`), one of another run
    `run/layer:neuron`, the name percent-encoded. Earlier versions wrote `layer.neuron` and
    `run:layer:neuron`, layers counted from 0.
    """

    tags: tuple[str, ...] = ()
    text: str = ""
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shown_name: str = ""
    archived: bool = False


def parse(tags: Any, text: Any, sets: Any = None, shown_name: Any = None, archived: Any = None) -> Notes:
    """Notes from what a JSON file may hold: a tag, note, neuron or name that is no text is left out."""
    texts = (
        (" ".join(tag.split()) for tag in tags if isinstance(tag, str))
        if isinstance(tags, list | tuple)
        else ()
    )
    named = {
        " ".join(name.split()): tuple(dict.fromkeys(item for item in items if isinstance(item, str)))
        for name, items in (sets.items() if isinstance(sets, dict) else ())
        if name.strip() and isinstance(items, list | tuple)
    }
    return Notes(
        tuple(dict.fromkeys(tag for tag in texts if tag)),
        text if isinstance(text, str) else "",
        named,
        " ".join(shown_name.split()) if isinstance(shown_name, str) else "",
        archived is True,
    )


def read(folder: Folder) -> Notes:
    """The notes of a run's folder, empty ones if it has none. Raises RunError for a file that cannot be read
    as JSON.
    """
    try:
        content = read_json(NAME, open_folder(folder))
    except FileNotFoundError:
        return Notes()
    if not isinstance(content, dict):
        return Notes()
    return parse(*(content.get(key) for key in ("tags", "notes", "sets", "shown_name", "archived")))


def write(folder: Folder, tags: Iterable[str], text: str) -> Notes:
    """Write tags and note of a run by rename and return the notes as written; the rest stays. Last writer
    wins.

    Raises RunError where there is no run, for a tag longer than TAG_CHARACTERS, more than TAGS of them, or a
    text longer than NOTE_CHARACTERS; OSError if the folder cannot be written.
    """
    given = parse(list(tags), text.strip())
    notes = replace(_present(folder), tags=given.tags, text=given.text)
    long = next((tag for tag in notes.tags if len(tag) > TAG_CHARACTERS), None)
    if long is not None:
        raise RunError(
            f"the tag {long[:TAG_CHARACTERS]!r}… has {len(long)} characters; shorten it to {TAG_CHARACTERS}"
        )
    if len(notes.tags) > TAGS:
        raise RunError(f"{len(notes.tags)} tags are more than {TAGS}: remove some")
    if len(notes.text) > NOTE_CHARACTERS:
        raise RunError(f"the note has {len(notes.text):,} characters; shorten it to {NOTE_CHARACTERS:,}")
    return _write(folder, notes)


def write_sets(folder: Folder, sets: Mapping[str, Iterable[str]]) -> Notes:
    """Write the named sets of neurons of a run, all of them, and return the notes as written; the rest
    stays.

    Raises RunError where there is no run, for a name longer than SET_CHARACTERS, more than SETS of them, or
    one of more than SET_NEURONS neurons; OSError if the folder cannot be written.
    """
    given = parse(None, None, {name: list(items) for name, items in sets.items()})
    notes = replace(_present(folder), sets=given.sets)
    long = next((name for name in notes.sets if len(name) > SET_CHARACTERS), None)
    if long is not None:
        raise RunError(
            f"the name {long[:SET_CHARACTERS]!r}… has {len(long)} characters; shorten it to {SET_CHARACTERS}"
        )
    if len(notes.sets) > SETS:
        raise RunError(f"{len(notes.sets)} sets are more than {SETS}: delete some")
    large = next((name for name, items in notes.sets.items() if len(items) > SET_NEURONS), None)
    if large is not None:
        raise RunError(
            f"the set {large!r} has {len(notes.sets[large])} neurons; at most {SET_NEURONS} can be kept"
        )
    return _write(folder, notes)


def write_shown_name(folder: Folder, name: str) -> Notes:
    """Write the name that a run is shown under, "" for its folder's, and return the notes as written; the
    rest stays.

    Raises RunError where there is no run or for a name longer than SHOWN_CHARACTERS; OSError if the folder
    cannot be written.
    """
    given = parse(None, None, shown_name=name).shown_name
    if len(given) > SHOWN_CHARACTERS:
        raise RunError(f"the name has {len(given)} characters; shorten it to {SHOWN_CHARACTERS}")
    return _write(folder, replace(_present(folder), shown_name=given))


def write_archived(folder: Folder, archived: bool) -> Notes:
    """Write whether a run is put away, and return the notes as written; the rest stays.

    Raises RunError where there is no run; OSError if the folder cannot be written.
    """
    return _write(folder, replace(_present(folder), archived=archived))


def change_tags(folder: Folder, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Notes:
    """Add tags to those of a run and take others away; returns the notes as written. Raises as `write`."""
    present, away = _present(folder), set(remove)
    return write(
        folder, [tag for tag in dict.fromkeys([*present.tags, *add]) if tag not in away], present.text
    )


def _present(folder: Folder) -> Notes:
    """What the run's notes hold; nothing where they cannot be read. Raises RunError where there is no run."""
    storage = open_folder(folder)
    if storage.stamp(FILE) is None:
        raise RunError(f"{storage.root} holds no run: notes belong beside a {FILE}")
    try:
        return read(storage)
    except RunError:  # the reader was told so when it was read, and that writing begins anew
        return Notes()


def _write(folder: Folder, notes: Notes) -> Notes:
    content: dict[str, Any] = {"tags": notes.tags, "notes": notes.text}
    for key, value in (
        ("sets", dict(notes.sets)),
        ("shown_name", notes.shown_name),
        ("archived", notes.archived),
    ):
        if value:
            content[key] = value
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    open_folder(folder).put(NAME, text.encode())
    return notes
