"""`probes ui`: its words become those of Streamlit's command and of the dashboard's own command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from streamlit.web import cli

from pages.shell.session import options
from probes import ui
from probes.__main__ import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Command lines that Streamlit is run with, of which it does nothing."""
    lines: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["probes"])
    monkeypatch.setattr(cli, "main", lambda words, **named: lines.append(words))
    return lines


def test_folders_and_the_servers_options(called: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b b").mkdir()
    words = [
        "ui",
        str(tmp_path / "a"),
        str(tmp_path / "b b"),
        "--port",
        "80",
        "--host",
        "::1",
        "--no-browser",
    ]
    assert main(words) == 0
    [line] = called
    assert line == [
        "run", str(ROOT / "app.py"), "--server.port", "80", "--server.address", "::1",
        "--server.headless", "true", "--", "--runs", str(tmp_path / "a"), str(tmp_path / "b b"),
    ]  # fmt: skip


def test_what_concerns_the_dashboard_goes_to_its_own_command_line(
    called: list[list[str]], tmp_path: Path
) -> None:
    folder = str(tmp_path)
    main(
        [
            "ui",
            "--allow-host",
            "a.example",
            "--allow-host",
            "b.example",
            folder,
            "--base-path",
            "/x",
            "--token",
        ]
    )
    [line] = called
    assert line[line.index("--") + 1 :] == [
        "--runs", folder, "--allow-host", "a.example", "b.example", "--base-path", "/x", "--token",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "variable"), [(["--token"], ""), (["--token", "s3cret"], ""), ([], "s3cret")]
)
def test_with_a_token_the_printed_link_opens_it(
    called: list[list[str]], monkeypatch: pytest.MonkeyPatch, words: list[str], variable: str
) -> None:
    monkeypatch.setenv(ui.TOKEN_VARIABLE, variable)
    main(["ui", *words])
    assert called[0][2:4] == ["--server.headless", "true"]


def test_every_option_of_the_dashboard_can_be_given() -> None:
    known = {flag for action in options._parser()._actions for flag in action.option_strings}
    assert known - {"-h", "--help", "--runs"} <= ui.PASSED_ON.keys()


def test_a_run_is_shown_among_those_beside_it(called: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "run.json").touch()
    main(["ui", str(tmp_path / "runs" / "one")])
    assert called[0][-2:] == ["--runs", str(tmp_path / "runs")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "nowhere is not a folder of runs: name one that is there"),
        (["--port", "0"], "'0' is no port"),
        (["--port", "99999"], "'99999' is no port"),
        (["--prot", "1"], "--prot"),
        (["--token", "."], "name folders before --token"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_status_2(
    called: list[list[str]], capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    try:
        status: Any = main(["ui", *words])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert called == []
    [line] = capsys.readouterr().err.splitlines()
    assert says in line


def test_the_demo_is_a_copy_that_goes_when_the_server_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def serve(*given: object, **named: object) -> None:
        folder = Path(sys.argv[-1])
        seen.append(folder)
        assert (folder / "healthy" / "run.json").is_file()
        (folder / "healthy" / "notes.json").write_text("{}")
        raise SystemExit(3)

    monkeypatch.setattr(sys, "argv", ["probes"])
    monkeypatch.setattr(cli, "main", serve)
    assert main(["ui", "--demo"]) == 3
    assert not seen[0].exists()
    assert not (ui.DEMO / "healthy" / "notes.json").exists()


@pytest.mark.parametrize(
    ("raised", "status"),
    [(click.Abort(), 0), (KeyboardInterrupt(), 0), (click.UsageError("no such port"), 2)],
)
def test_to_stop_it_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    status: int,
) -> None:
    def serve(*given: object, **named: object) -> None:
        raise raised

    monkeypatch.setattr(sys, "argv", ["probes"])
    monkeypatch.setattr(cli, "main", serve)
    assert main(["ui", str(tmp_path)]) == status
    assert ("Dashboard: stopped" if status == 0 else "no such port") in capsys.readouterr().err


def test_defaults_are_where_it_was_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert options.run_folders([]) == [tmp_path / "runs", ROOT / "sample_runs"]
    assert isinstance(ui.command(argparse.Namespace(port=None, host=None, no_browser=False), []), list)
