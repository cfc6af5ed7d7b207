"""What docs/scale.md shows of sweeps and of many runs is what the commands take."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from fleet_runs import write_run

from probes.__main__ import main
from vdn.__main__ import parser, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
from blocks import blocks


def lines(heading: str) -> list[list[str]]:
    [block] = [one for one in blocks("docs/scale.md") if one.heading == heading]
    return [shlex.split(line) for line in block.text.splitlines()]


def test_questions_to_many_runs(
    cluster: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "one", {"beta": 0.1})
    answers = []
    for words in lines("Many runs"):
        assert main(words[1:]) == 0, capsys.readouterr().err
        answers.append(capsys.readouterr().out)
    assert len(answers) == 2
    assert answers[0] == answers[1]
    assert "living" in answers[0]


def test_sweeps() -> None:
    found = [parser().parse_args(words[1:]) for words in lines("Sweeps")]
    assert [one.engine for one in found] == ["ray", "submitit"]
    assert dict(found[1].resources) == {"slurm_partition": "gpu", "timeout_min": 240}
    for one in found:
        settings(one)
