"""Whatever stands in a command line's way is one line on stderr and exit status 2, never a traceback."""

import argparse
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from log_truth import simple_run

import probes
from probes.__main__ import main
from probes.command_line import INTERRUPTED, UNMET, OneLine, enter, number, whole_number
from probes.recorder import RecorderError

ROOT = Path(probes.__file__).parents[1]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    simple_run(folder / "run", steps=11)
    return folder


HOSTILE = {
    "too long": "a" * 300,
    "path too long": "/".join(["folder"] * 900),
    "NUL": "a\0b",
    "newline": "a\nb",
    "escape": "\x1b[31mred",
    "not UTF-8": "a\udcffb",
    "empty": "",
    "folder": "{here}/folder",
    "file": "{here}/file",
    "below a file": "{here}/file/x",
    "FIFO": "{here}/pipe",
    "device": "/dev/null",
    "no end": "/dev/zero",
    "full": "/dev/full",
    "loop": "{here}/loop",
    "below a loop": "{here}/loop/x",
    "store of no kind": "nope://bucket/run",
}


def hostile(name, folder):
    (folder / "folder").mkdir()
    (folder / "file").write_text("x")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    return HOSTILE[name].format(here=folder)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_run_of_any_name(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    word = hostile(name, tmp_path)
    for command in (["ls"], ["show"], ["check"], ["compact"], ["export", "--html", "out.html"]):
        status = main([*command, word])
        err = capsys.readouterr().err
        if status == 0:  # a folder without runs
            assert command == ["ls"]
            assert name in ("folder", "empty")
        elif command == ["check"] and name in ("folder", "empty"):
            assert status == 1
        else:
            assert (status, err.count("\n"), err.isprintable()) == (UNMET, 1, False)
            assert err.strip().isprintable()
            assert "Traceback" not in err


@pytest.mark.parametrize("flag", ["--html", "--csv", "--netcdf"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_target_of_any_name(tmp_path, monkeypatch, capsys, runs, name, flag):
    monkeypatch.chdir(tmp_path)
    word = hostile(name, tmp_path)
    status = main(["export", str(runs / "run"), flag, word])
    err = capsys.readouterr().err
    assert (status, err.count("\n")) in ((0, 0), (UNMET, 1))
    if name in ("too long", "NUL", "FIFO", "device", "no end", "full", "below a file", "store of no kind"):
        assert status == UNMET
    assert (tmp_path / "pipe").is_fifo()
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full, free space"),
        (errno.EDQUOT, "your quota there is used up"),
        (errno.EROFS, "mounted read-only"),
        (errno.EACCES, "name a folder that you may write to"),
    ],
)
def test_a_disk_that_takes_nothing(tmp_path, monkeypatch, capsys, runs, number, words):
    def full(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", full)
    for command in (["compact"], ["export", "--html", str(tmp_path / "out.html")]):
        assert main([*command, str(runs / "run")]) == UNMET
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert words in err
    assert list(tmp_path.iterdir()) == []


def test_words_that_are_none_are_one_line(capsys):
    for wrong in ([], ["show"], ["dance"], ["show", "run", "--jsn"], ["ls", "a", "b\nc"]):
        with pytest.raises(SystemExit) as leave:
            main(wrong)
        assert leave.value.code == UNMET
        assert capsys.readouterr().err.count("\n") == 1


# ---- streams

COMMANDS = (
    ["ls", "{runs}"],
    ["show", "{runs}/run"],
    ["show", "{runs}/run", "--json"],
    ["check", "{runs}/run"],
)


def start(words, runs, **streams):
    command = [sys.executable, "-m", "probes", *(word.format(runs=runs) for word in words)]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, **streams
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_output_that_nobody_reads(runs, words):
    """As with `| head`, which leaves when it has seen enough."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start(words, runs, stdout=writer)
    os.close(writer)
    assert "closed before all of it was written" in process.communicate()[1]
    assert process.returncode == UNMET


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_output_to_a_full_disk(runs, words):
    with open("/dev/full", "w") as full:
        process = start(words, runs, stdout=full)
        err = process.communicate()[1]
    assert process.returncode == UNMET
    assert err.count("\n") == 1
    assert "No space left on device" in err


def test_names_that_the_terminal_cannot_show(tmp_path):
    simple_run(tmp_path / "Straße", steps=3)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "probes", "ls", str(tmp_path)],
        capture_output=True,
        env=environment,
        check=True,
    )
    assert b"Stra\\xdfe" in done.stdout


def test_without_streams(runs):
    """As a service manager may start it."""
    code = (
        "import sys; sys.stdout = sys.stderr = None; from probes.__main__ import main;"
        f" sys.exit(main({['ls', str(runs)]!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# ---- the one place


class OwnError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (probes.RunError("no run\nthere"), UNMET, "tool do: no run there"),
        (RecorderError("cannot write"), UNMET, "tool do: cannot write"),
        (OwnError("mine"), UNMET, "tool do: mine"),
        (
            PermissionError(errno.EACCES, "Permission denied", "x"),
            UNMET,
            "name a folder that you may write to",
        ),
        (
            UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"),
            UNMET,
            "is not UTF-8: rename it",
        ),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), UNMET, "invalid start byte"),
        (KeyboardInterrupt(), INTERRUPTED, "tool do: interrupted"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), UNMET, "closed before all of it was written"),
    ],
)
def test_what_a_command_raises(capsys, error, status, words):
    def command(_arguments):
        raise error

    parser = OneLine(prog="tool")
    parser.add_subparsers(dest="command").add_parser("do")
    assert enter(parser, command, ["do"], OwnError) == status
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_fault_of_ours_is_not_hidden():
    def command(_arguments: argparse.Namespace) -> int:
        raise IndexError("a fault of the program")

    parser = OneLine(prog="tool")
    parser.add_subparsers(dest="command").add_parser("do")
    with pytest.raises(IndexError):
        enter(parser, command, ["do"])


def test_json_is_untouched(runs, capsys):
    assert main(["show", str(runs / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == "run"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["lss", "runs"], "did you mean ls?"),
        (["show", "run", "--jsn"], "probes show: unrecognized arguments: --jsn (did you mean --json?)"),
        (["show", "run", "--nothing-like-it"], "arguments: --nothing-like-it; see"),
    ],
)
def test_a_near_miss_is_named(capsys, words, says):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == UNMET
    [line] = capsys.readouterr().err.splitlines()
    assert says in line


def test_numbers_of_a_command_line():
    assert (number("1e-3"), whole_number("-7")) == (0.001, -7)
    for read in (number, whole_number):
        with pytest.raises(argparse.ArgumentTypeError, match="'1,5'"):
            read("1,5")
