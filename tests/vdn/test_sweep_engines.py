"""Sweeps: what is tried again, how a job goes on, and that an engine that is not there is said."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from vdn.__main__ import main
from vdn.sweep import RETRIES, Job, run_jobs
from vdn.sweep_engines import Local, make_engine, next_words
from vdn.trainer import CHECKPOINT

TINY = ["--layers=1", "--neurons=4", "--batch=16", "--test-draws=1", "--threads=1"]


class Planned:
    """An engine whose jobs end as they are told to."""

    def __init__(self, statuses: dict[str, list[int]]) -> None:
        self.statuses, self.started, self.stopped = statuses, [], False

    def start(self, words: list[str], folder: Path) -> str:
        self.started.append(folder.name)
        return folder.name

    def ended(self, handle: str) -> tuple[int, str]:
        return self.statuses[handle].pop(0), "said"

    def stop(self, handles: Iterable[Any]) -> None:
        self.stopped = True


@pytest.mark.parametrize(
    ("statuses", "ends", "starts"),
    [
        ([0], 0, 1),
        ([-9, -15, 0], 0, 3),
        ([2, 0], 2, 1),  # it has ended by itself: once more would be the same
        ([-9] * 9, -9, 1 + RETRIES),
    ],
)
def test_what_is_killed_is_started_again(tmp_path: Path, statuses: list[int], ends: int, starts: int) -> None:
    engine, told = Planned({"a": statuses}), []
    job = Job((), 0, tmp_path / "a")
    done = list(run_jobs([job], [], 1, lambda *what: told.append(what), engine))
    assert told == [(job, ends, "said")]
    assert done == ([job] if ends == 0 else [])
    assert len(engine.started) == starts
    assert engine.stopped


def test_a_job_goes_on_where_its_run_stands(tmp_path: Path) -> None:
    run, words = tmp_path / "run", ["train", *TINY, "--steps=4", f"--out={tmp_path / 'run'}"]
    assert next_words(words, run) == words
    run.mkdir()
    (run / "run.json").write_text("{}")
    assert next_words(words, run) == words
    assert not run.exists(), "what was there before the first checkpoint is of no use"
    assert main(words) == 0
    assert next_words(words, run) is None
    (run / "run.json").write_text((run / "run.json").read_text().replace('"finished"', '"interrupted"'))
    assert (run / CHECKPOINT).exists()
    assert next_words(words, run) == ["resume", str(run)]


def test_local_jobs_are_processes_that_are_stopped(tmp_path: Path) -> None:
    engine = Local()
    handle = engine.start(["train", *TINY, "--steps=100000", f"--out={tmp_path / 'run'}"], tmp_path / "run")
    assert engine.ended(handle) is None
    engine.stop([handle])
    status, _ = engine.ended(handle)
    assert status != 0


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("submitit", "submitit")])
def test_an_engine_that_is_not_installed_is_named(tmp_path: Path, engine: str, package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; from vdn.__main__ import main;"
        f"sys.exit(main(['sweep', '--seeds=0', '--engine={engine}', '--runs={tmp_path / 'runs'}']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"--engine {engine} needs {package}" in done.stderr
    assert "vdn-probes[sweep]" in done.stderr


def test_resources_are_for_engines_that_have_some(tmp_path: Path) -> None:
    from vdn.config import ConfigError

    with pytest.raises(ConfigError, match="ray and submitit"):
        make_engine("local", 1, {"num_cpus": 1}, tmp_path)
    with pytest.raises(SystemExit):
        main(["sweep", "--resources", "num_cpus"])
