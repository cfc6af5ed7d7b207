"""Sweeps on every engine: one plan, one table, and a job that was killed goes on from its checkpoint."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from probes import Run
from vdn.__main__ import main
from vdn.trainer import CHECKPOINT

TINY = ("--layers=1", "--neurons=4", "--batch=16", "--test-draws=1", "--threads=1", "--device=cpu")


def writer(run: Path) -> int | None:
    """The process that holds a run's lock."""
    for opened in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(opened) == str(run / ".lock"):
                return int(opened.parts[2])
        except OSError:
            continue
    return None


def table(runs: Path, engine: str, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    given = ["sweep", "--grid", "beta=0.01,0.1", "--seeds", "0", "--jobs", "2", "--runs", str(runs)]
    assert main([*given, "--engine", engine, *TINY, *words]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_every_engine_gives_the_same_table(
    cluster: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [
        table(tmp_path / engine, engine, capsys, "--steps=20") for engine in ("local", "ray", "submitit")
    ]
    assert "beta=0.01" in tables[0]
    assert tables[1] == tables[0]
    assert tables[2] == tables[0]


@pytest.mark.parametrize("engine", ["ray", "submitit"])
def test_a_killed_job_goes_on_from_its_checkpoint(
    cluster: object, tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    run, killed = tmp_path / "beta0.1-seed0", []

    def kill() -> None:
        until = time.monotonic() + 120
        while not killed and time.monotonic() < until:
            if (run / CHECKPOINT).exists() and (pid := writer(run)):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    told = table(tmp_path, engine, capsys, "--steps=400", "--validate-every=50")
    killer.join()
    assert killed, "the run had ended before it could be killed"
    assert "beta=0.1" in told
    manifest = Run(run).manifest
    assert manifest["status"] == "finished"
    assert len(manifest["segments"]) == 2, "two sessions have written it: it was resumed, not begun anew"
