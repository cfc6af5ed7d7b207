"""Named sets of pinned neurons: saved with a run, offered for every run, deleted; nothing else in the notes
changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from planted import write_run
from shown import query, texts
from streamlit.testing.v1 import AppTest

from probes import notes

Open = Callable[..., AppTest]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path / "one", steps=5)
    write_run(tmp_path / "two", steps=5, seed=1)
    notes.write(tmp_path / "one", ["keep"], "note")
    return tmp_path


def save(app: AppTest, name: str) -> None:
    app.text_input(key="pin_set_name").set_value(name).run()
    app.button(key="save_pin_set").click().run()
    assert not app.exception


def test_a_set_is_kept_over_pages_runs_and_sessions(open_page: Open, folder: Path) -> None:
    app = open_page("neurons", folder, run="one", pin="one:0:3,two:1:4")
    save(app, " the  dead ")
    assert "Saved" in texts(app)
    assert notes.read(folder / "one") == notes.Notes(("keep",), "note", {"the dead": ("1:3", "two/2:4")})
    later = open_page("layers", folder, run="two")
    assert "pin" not in later.query_params
    later.button(key="pin_set:one:the dead").click().run()
    assert query(later, "pin") == "one/1:3,two/2:4"
    assert later.sidebar.multiselect(key="tray").options == ["1:3 · one", "2:4"]


def test_saving_under_a_name_replaces_and_deleting_takes_away(open_page: Open, folder: Path) -> None:
    app = open_page("layers", folder, run="one", pin="one:0:3")
    save(app, "a")
    save(app, "b")
    app.query_params["pin"] = "one:2:1"
    save(app, "a")
    assert notes.read(folder / "one").sets == {"a": ("3:1",), "b": ("1:3",)}
    app.button(key="delete pin_set:one:a").click().run()
    assert notes.read(folder / "one").sets == {"b": ("1:3",)}
    assert query(app, "pin") == "one/3:1"


def test_what_cannot_be_saved_says_why(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "read-only folder")

    app = open_page("layers", folder, run="one", pin="one:0:3")
    app.button(key="save_pin_set").click().run()
    assert "give the set a name" in texts(app)
    monkeypatch.setattr(notes, "write_sets", refuse)
    save(app, "dead")
    assert "Not written" in texts(app)
    assert "read-only folder" in texts(app)
    assert not notes.read(folder / "one").sets


def test_neurons_of_a_set_that_are_gone_are_said(open_page: Open, folder: Path) -> None:
    notes.write_sets(folder / "one", {"<b>old</b>": ["0.3", "0.999", "nowhere:0:1", "rubbish"]})
    app = open_page("layers", folder, run="one")
    assert r"\<b\>old\</b\>" in app.button(key="pin_set:one:<b>old</b>").label
    app.button(key="pin_set:one:<b>old</b>").click().run()
    assert query(app, "pin") == "one/1:3"
    assert "999" in app.warning[0].value
    assert "nowhere" in app.warning[0].value


def test_without_pins_and_sets_there_is_no_menu(open_page: Open, folder: Path) -> None:
    app = open_page("layers", folder, run="one")
    assert "Sets of neurons" not in [getattr(block, "label", "") for block in app.sidebar]
    assert not [button for button in app.button if (button.key or "").startswith("pin_set")]
