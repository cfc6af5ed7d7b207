"""Experiments as processes: their command lines, progress, cancelling, what is said when they fail."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest
from started import until

from pages.shell.server import jobs
from probes.experiments import kinds, store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


def test_a_command_is_a_list_of_known_words_and_numbers(tmp_path: Path) -> None:
    run = tmp_path / "a b; rm -rf $HOME"
    words = jobs.command(run, "traversal", {"windows": 4, "draws": 8, "each": 2}, "test", [(0, 3), (1, 5)])
    assert words[:5] == [sys.executable, "-m", "vdn", "probe", str(run)]
    assert words[5:] == [
        "traversal",
        "--split",
        "test",
        "--windows",
        "4",
        "--draws",
        "8",
        "--neurons",
        "1:3",
        "2:5",
    ]
    with pytest.raises(KeyError):
        jobs.command(run, "--help", {}, "test")


def test_the_form_starts_where_the_command_does() -> None:
    pytest.importorskip("torch")
    from vdn.experiment import add_command

    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers())
    for name, experiment in kinds.EXPERIMENTS.items():
        defaults = vars(parser.parse_args(["probe", "RUN", name]))
        assert {setting.flag: setting.value for setting in experiment.settings}.items() <= defaults.items()


TRACKED = """
import sys, time
from probes.experiments import store
try:
    with store.tracked(sys.argv[1], "shift") as tracker:
        for done in range(10_000):
            tracker(done, 10_000)
            time.sleep(0.02)
except store.Cancelled:
    sys.exit(130)
"""


def test_progress_is_seen_and_cancelling_ends_the_process(folder: Path, manager: jobs.JobManager) -> None:
    run = folder / "run"
    assert manager.start(run, "shift", [sys.executable, "-c", TRACKED, str(run)])
    assert not manager.start(run, "ablation", [sys.executable, "-c", ""])  # one at a time
    until(lambda: manager.status(run, "shift").share > 0)
    now = manager.status(run, "shift")
    assert (now.state, now.ours) == ("running", True)
    manager.cancel(run, "shift")
    until(lambda: manager.status(run, "shift").state == "ended")
    assert "Cancelled" in manager.status(run, "shift").message
    assert store.progress_of(run, "shift").status == "cancelled"


def test_what_a_process_said_before_it_failed_is_shown(folder: Path, manager: jobs.JobManager) -> None:
    run = folder / "run"
    manager.start(run, "rollout", [sys.executable, "-c", "import sys; sys.exit('the data set is not there')"])
    until(lambda: not manager.running())
    assert manager.status(run, "rollout").message == "It ended with status 1: the data set is not there"
