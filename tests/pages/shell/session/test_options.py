"""The dashboard's command line: what its values may be, and that nothing is written under --read-only."""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from planted import write_run
from shown import texts
from streamlit.testing.v1 import AppTest

from pages.shell.server import jobs
from pages.shell.session import options
from probes import notes

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Dash.Example.org", "dash.example.org"),
        ("dash.example.org.", "dash.example.org"),
        ("*.example.org", "*.example.org"),
        ("*", "*"),
        ("gpu_7", "gpu_7"),
        ("10.0.0.5", "10.0.0.5"),
        ("[::1]", "::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
    ],
)
def test_hosts_are_read_as_they_are_compared(given: str, name: str) -> None:
    assert options.host_name(given) == name


@pytest.mark.parametrize(
    "given",
    [
        "", " ", "a b", "https://dash.example.org", "dash.example.org:8501", "dash.example.org/x", "a..b",
        "*x", "a.*.b", "**", "a,b", "a;b", "u@h", "[::1]:8501", "[x]",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(given: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no host"):
        options.host_name(given)


def test_sources_of_a_policy_cannot_end_it() -> None:
    assert [options.policy_source(text) for text in ("self", "none", "'self'", "https://a.example:*")] == [
        "'self'", "'none'", "'self'", "https://a.example:*",
    ]  # fmt: skip
    for text in ("", "a b", "a;script-src *", "a,b", "a\r\nx: y", "ü.example"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no source"):
            options.policy_source(text)


def test_base_paths_have_one_form() -> None:
    given = {"": "", "/": "", "dash": "/dash", "/dash/": "/dash", "/a/b-c.d/": "/a/b-c.d"}
    assert {text: options.base_path(text) for text in given} == given
    for text in ("/a//b", "/..", "/a/../b", "/.", "a b", "/a?b", "/a#b", "http://h/x", "/a%2f"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no path"):
            options.base_path(text)


def test_lists_come_at_once_or_one_by_one() -> None:
    found = options.parse(
        ["--allow-host", "A", "b", "--runs", "x", "--allow-host", "c", "--connect-src", "self", "d"]
    )
    assert found.allow_host == ["a", "b", "c"]
    assert found.connect_src == ["'self'", "d"]
    assert found.runs == [Path("x")]
    assert options.parse([]).allow_host == []  # what one line named is not kept for the next


def test_everybody_and_a_token_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        options.parse(["--unauthenticated", "--token", "x"])
    assert error.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


# ---- read only


def test_whatever_changes_something_asks_first() -> None:
    """Functions of the pages that write notes, start or end processes, or touch files."""
    changing = {
        "write", "write_sets", "write_shown_name", "write_archived", "change_tags", "move_to_trash",
        "write_text", "write_bytes", "unlink", "rmtree", "move", "mkdir", "rmdir", "touch", "copytree",
        "Popen", "terminate", "kill",
    }  # fmt: skip
    harmless = {"sys.stderr.write"}
    found, bare = set(), set()
    for path in (ROOT / "pages").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            named = [call for call in calls if isinstance(call, ast.Attribute)]
            changes = [c for c in named if c.attr in changing and ast.unparse(c) not in harmless]
            place = f"{path.stem}.{function.name}"
            if changes:
                found.add(place)
                if not any(call.attr == "require_writable" for call in named):
                    bare.add(place)
    assert {"run_actions._archive", "run_actions._change_tags", "run_actions._delete"} <= found
    assert {"run_details._save", "pin_sets._write", "jobs.start", "jobs.cancel"} <= found
    assert bare == set(), "these call `options.require_writable()` first"


def test_no_experiment_starts_or_is_cancelled(
    manager: jobs.JobManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", "--read-only"])
    made = tmp_path / "made"
    with pytest.raises(PermissionError, match="--read-only"):
        manager.start(tmp_path, "shift", [sys.executable, "-c", f"open({str(made)!r}, 'w')"])
    with pytest.raises(PermissionError, match="--read-only"):
        manager.cancel(tmp_path, "shift")
    assert manager.running() == []
    assert not made.exists()


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    """A folder with a run that has tags, a note and a set."""
    run = write_run(tmp_path / "runs" / "noted", neurons=4, steps=40)
    notes.write(run, ["first"], "what was seen")
    notes.write_sets(run, {"mine": ["0.1"]})
    return run


Open = Callable[..., AppTest]


def labels(app: AppTest) -> set[str]:
    return {button.label for button in app.button}


def test_notes_are_shown_and_not_edited(
    open_page: Open, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page("runs", noted.parent, ticked="noted")
    assert {"Save", "Archive", "Delete"} <= labels(app)
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--read-only"])
    app.run()
    assert not {"Save", "Archive", "Delete"} & labels(app)
    assert not app.text_area
    assert "Started with `--read-only`" in texts(app)
    assert "what was seen" in [text.value for text in app.text]


def test_a_form_that_was_open_before_saves_nothing(
    open_page: Open, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the server that refuses, not only a button that is missing."""
    before = (noted / "notes.json").read_bytes()
    app = open_page("layers", noted.parent, run="noted", pin="0.2")
    (save,) = [button for button in app.button if button.key == "save_pin_set"]
    (delete,) = [button for button in app.button if button.key and button.key.startswith("delete ")]
    app.text_input(key="pin_set_name").input("other")
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--read-only"])
    save.click()
    app.run()
    assert (noted / "notes.json").read_bytes() == before
    assert not {"save_pin_set", delete.key} & {button.key for button in app.button}
    assert "pin_set:noted:mine" in {button.key for button in app.button}  # a set can be looked at


def test_experiments_cannot_be_started(open_page: Open, noted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page("experiments", noted.parent, run="noted")
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--read-only"])
    app.run()
    assert "start" not in {button.key for button in app.button}
    assert any("--read-only" in caption.value for caption in app.caption)
