"""What docs/scale.md shows of stores runs as it is printed, in a bucket of the tests."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from blocks import Block, blocks, run_block

from probes.__main__ import main

DOCUMENT = "docs/scale.md"
OWN, HERE = "s3://bucket/", "s3://runs/documented/"


def shown(heading: str) -> list[Block]:
    found = [block for block in blocks(DOCUMENT) if block.heading == heading]
    return [replace(block, text=block.text.replace(OWN, HERE)) for block in found]


def test_what_is_shown_of_recording_and_reading(
    served: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (recording,) = shown("Recording")
    run_block(recording, {})
    reading, commands = shown("Reading")
    space = run_block(reading, {})
    assert len(space["run"].history("wide", [3, 17], ["kl"])) == 600
    for line in commands.text.splitlines():
        words = shlex.split(line)
        if words[:2] == ["probes", "ui"]:  # tests/stores/test_stored_pages.py
            continue
        assert main(words[1:]) == 0, capsys.readouterr().err
    assert (tmp_path / "report.html").exists()


def test_every_block_is_run_or_is_no_code() -> None:
    headings = [block.heading for block in blocks(DOCUMENT) if block.language == "python"]
    assert headings.count("Recording") == headings.count("Reading") == 1
