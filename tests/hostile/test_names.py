"""Names of runs are texts from anywhere: read and shown as they are, never a path, a command or a terminal's
control code.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import bases
import damage
import pytest
from streamlit.testing.v1 import AppTest

from pages.shell.session import runs
from probes import Recorder, Run, catalog
from probes.__main__ import main
from probes.errors import RunError

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 60  # seconds: the first run imports plotly and pyarrow
NAMES = {
    "quotes": 'it\'s "quoted" `and` $(touch pwned)',
    "HTML": "<img src=x onerror=alert(1)><b>bold<!--",
    "emoji": "🧠🇬🇧 ünïcödé \u202egnp.exe",
    "long": "n" * 255,  # the most that a file system takes
    "newline": "two\nlines\ttab",
    "escape": "\x1b[31mred\x1b]0;title\x07",
    "dots": "..run",
    "percent": "%2e%2e%2fetc:0:1,a=b&c#d",
    "markdown": "**b** [l](javascript:alert(1)) $x^2$ :red[r] ~~s~~",
}


@pytest.fixture(params=NAMES)
def named(request: pytest.FixtureRequest, sound: Path, tmp_path: Path) -> Path:
    """A run whose folder has a hostile name, which its manifest repeats."""
    path = tmp_path / "runs" / NAMES[request.param]
    bases.link_copy(sound, path)
    rename(path, path.name)
    return path


def rename(run: Path, name: str) -> None:
    """Another name in a run's manifest."""
    content = json.loads((run / "run.json").read_bytes()) | {"name": name}
    damage.replace(run / "run.json", json.dumps(content).encode())


def test_a_run_of_any_name_is_read_and_listed(named: Path) -> None:
    run = Run(named)
    assert run.name == named.name
    assert len(run.history(0, [0])) == bases.STEPS
    (row,) = catalog(named.parent).to_dict("records")
    assert (row["name"], row["path"], row["error"]) == (named.name, str(named), None)


def test_the_command_line_prints_no_control_code(named: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["ls", str(named.parent)],
        ["show", str(named)],
        ["show", "--json", str(named)],
        ["check", str(named)],
    ):
        assert main(arguments) == 0
    damage.replace(named / "run.json", b"{")
    assert main(["ls", str(named.parent)]) == 0
    assert main(["check", str(named)]) == 1
    assert main(["show", str(named)]) == 2
    said = capsys.readouterr()
    assert all(letter.isprintable() or letter == "\n" for letter in said.out + said.err)
    assert not (Path.cwd() / "pwned").exists()


@pytest.mark.parametrize("page", ["health", "neurons", "runs"])
def test_the_dashboard_opens_a_run_of_any_name(
    named: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(named.parent)])
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
    app.query_params["run"] = named.name
    app.switch_page(f"pages/{page}.py")
    app.run()
    assert not app.exception
    assert not app.warning, "the link names the run"
    assert app.session_state["choose_run"] == named.name


def test_a_folder_whose_name_is_no_text_is_said_and_leaves_the_others(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes that are not UTF-8: neither pyarrow nor a browser takes them."""
    bases.link_copy(sound, tmp_path / "runs" / "sound")
    bad = tmp_path / "runs" / os.fsdecode(b"bad\xff")
    bases.link_copy(sound, bad)
    rows = catalog(tmp_path / "runs").set_index("name")
    assert rows["error"].isna().to_dict() == {"run": True, "bad\\udcff": False}
    with pytest.raises(RunError, match="not UTF-8"):
        Run(bad)
    assert main(["ls", str(bad.parent)]) == 0
    assert main(["show", str(bad)]) == 2
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(bad.parent)])
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
    app.switch_page("pages/runs.py")
    app.run()
    assert not app.exception
    assert any("1 of them cannot be read" in item.label for item in app.expander)


def test_a_name_in_the_manifest_is_no_path(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dashboard calls a run by its folder, so that no manifest can stand for another run."""
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(tmp_path / "runs")])
    for name in ("one", "two"):
        bases.link_copy(sound, tmp_path / "runs" / name)
        rename(tmp_path / "runs" / name, "../two")
    entries = runs.entries()
    assert set(entries) == {"one", "two"}
    assert {entry.path.name for entry in entries.values()} == {"one", "two"}


@pytest.mark.parametrize("name", ["../../outside", "a\x00b", "'; --"])
def test_names_of_layers_and_scalars_are_data(tmp_path: Path, name: str) -> None:
    with Recorder(tmp_path / "run", [{"name": name, "neurons": 2}], config={name: name}) as recorder:
        recorder.record(0, name, mean=[0, 1])
        recorder.scalar(0, name, 1.0, split=name)
        recorder.event(0, name, layer=name, text=name)
    run = Run(tmp_path / "run")
    assert run.layers[0]["name"] == name
    assert run.scalars()["name"].tolist() == [name]
    assert run.events()["text"].tolist() == [name]
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
