"""Sweeps on every engine: one plan, one table, and a job that was killed goes on from its checkpoint."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from probes import Run
from vdn.__main__ import main
from vdn.trainer import CHECKPOINT

TINY = (
    *("--layers=1", "--neurons=4", "--batch=16", "--test-draws=1", "--threads=1"),
    *("--steps=160", "--validate-every=20"),
)


def writer(run: Path) -> int | None:
    """The process that holds a run's lock."""
    for opened in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(opened) == str(run / ".lock"):
                return int(opened.parts[2])
        except OSError:
            continue
    return None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short series."""
    path = tmp_path_factory.mktemp("data") / "waves.csv"
    rows = (f"{math.sin(row / 5):.4f},{math.cos(row / 7):.4f}" for row in range(600))
    path.write_text("\n".join(["a,b", *rows]))
    return path


def table(runs: Path, engine: str, data: Path, capsys: pytest.CaptureFixture[str], at_once: int = 2) -> str:
    given = ["sweep", "--grid", "beta=0.01,0.1", "--seeds", "0", f"--jobs={at_once}", "--runs", str(runs)]
    words = [*given, "--engine", engine, f"--data=csv:{data}", "--window=48", "--horizon=4", *TINY]
    assert main(words) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def told_by_local(data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The table of local processes that nobody kills."""
    words = [sys.executable, "-m", "vdn", "sweep", "--grid", "beta=0.01,0.1", "--seeds", "0", "--jobs", "2"]
    runs = tmp_path_factory.mktemp("local") / "runs"
    words += [f"--runs={runs}", f"--data=csv:{data}", "--window=48", "--horizon=4", *TINY]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("engine", ["ray", "submitit"])
def test_a_killed_job_goes_on_from_its_checkpoint_and_the_table_is_that_of_local_processes(
    cluster: object,
    told_by_local: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    engine: str,
) -> None:
    run, killed = tmp_path / "beta0.1-seed0", []

    def kill() -> None:
        until = time.monotonic() + 120
        while not killed and time.monotonic() < until:
            if (run / CHECKPOINT).exists() and (pid := writer(run)):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.02)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    told = table(tmp_path, engine, data, capsys)
    killer.join()
    assert killed, "the run had ended before it could be killed"
    assert told_by_local in told  # Ray says beside it what it has lost
    manifest = Run(run).manifest
    assert manifest["status"] == "finished"
    assert len(manifest["segments"]) == 2, "two sessions have written it: it was resumed, not begun anew"


def test_a_worker_of_ray_takes_one_job_after_another_and_the_second_is_as_in_a_process_of_its_own(
    cluster: object, told_by_local: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told_by_local in table(tmp_path, "ray", data, capsys, at_once=1)
