"""`vdn train --out s3://...`, killed and resumed: what is in the store is what one session writes, once."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.store_server import mirrors
from probes import Run
from probes.log.check import check
from probes.spool import spool_folder
from probes.storage import open_folder
from vdn.__main__ import main
from vdn.trainer import CHECKPOINT

ROOT = Path(__file__).resolve().parents[2]
STEPS = 400
TINY = (
    *(
        "--layers=1",
        "--neurons=4",
        "--batch=16",
        "--test-draws=1",
        "--threads=1",
        "--window=48",
        "--horizon=4",
    ),
    *(f"--steps={STEPS}", "--validate-every=50", "--patience=0"),
)
WAIT = 240.0  # seconds, on a busy machine


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "waves.csv"
    rows = (f"{math.sin(row / 5):.4f},{math.cos(row / 7):.4f}" for row in range(600))
    path.write_text("\n".join(["a,b", *rows]))
    return path


def vdn(*words: str) -> subprocess.Popen[str]:
    """A process of its own, as a user starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "vdn", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training that nobody kills, in a folder."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main(["train", f"--data=csv:{data}", f"--out={folder}", *TINY]) == 0
    return folder


def last_checkpoint(folder: Path) -> int:
    """When it was written, 0 before there is one."""
    path = folder / CHECKPOINT
    return path.stat().st_mtime_ns if path.exists() else 0


def tables(place: str | Path) -> dict[str, pd.DataFrame]:
    """Rows of all layers, and numbers, without the clock's."""
    run = Run(place)
    found = {str(layer["name"]): run.history(layer["name"]) for layer in run.layers}
    return found | {"scalars": run.scalars()}


@pytest.mark.parametrize("dies", ["the training and its mirror", "the training, twice"])
def test_a_training_that_is_killed_goes_on_where_it_was_and_nothing_is_there_twice(
    url: str, data: Path, whole: Path, dies: str
) -> None:
    folder = spool_folder(url)
    process = vdn("train", f"--data=csv:{data}", f"--out={url}", *TINY)
    until = time.monotonic() + WAIT
    kills = 2 if dies.endswith("twice") else 1
    for kill in range(kills):
        made = last_checkpoint(folder)
        while last_checkpoint(folder) == made:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)  # it would end before its mirror has begun
        while open_folder(url).stamp("run.json") is None:
            assert time.monotonic() < until
            time.sleep(0.01)
        for one in mirrors(folder) if "mirror" in dies else ():
            os.kill(one, signal.SIGKILL)
        process.kill()
        process.communicate()
        assert Run(folder).status != "finished", "it had ended before it could be killed"
        if kill + 1 < kills:
            process = vdn("resume", url)
    assert main(["resume", url]) == 0
    run, told = Run(url), Run(whole)
    assert (run.status, run.steps.tolist()) == ("finished", told.steps.tolist())
    assert len(Run(folder).manifest["segments"]) == kills + 1
    here, there, alone = tables(folder), tables(url), tables(whole)
    for name, frame in alone.items():
        pd.testing.assert_frame_equal(here[name], there[name], check_exact=True)
        if name == "scalars":
            frame, found = (_without_clock(one) for one in (frame, there[name]))
        else:
            found = there[name]
        pd.testing.assert_frame_equal(found, frame, check_exact=True)
    assert [finding for finding in check(url) if finding.level == "error"] == []


def _without_clock(scalars: pd.DataFrame) -> pd.DataFrame:
    """Numbers that two trainings have alike."""
    clock = scalars["name"].str.contains("second|memory|time|per_s")
    kept = scalars[~clock].drop(columns=[one for one in ("time", "wall") if one in scalars])
    assert not kept.duplicated(["split", "name", "step"]).any()
    assert np.isfinite(kept["value"]).any()
    return kept.sort_values(["split", "name", "step"]).reset_index(drop=True)
