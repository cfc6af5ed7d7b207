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
from vdn.trainer import CHECKPOINT

ROOT = Path(__file__).resolve().parents[2]
STEPS = 240
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
    *(f"--steps={STEPS}", "--validate-every=20"),
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


def ended(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate(timeout=WAIT)
    assert process.returncode == 0, said


def tables(place: str | Path) -> dict[str, pd.DataFrame]:
    """Rows of all layers, and numbers, without the clock's."""
    run = Run(place)
    found = {str(layer["name"]): run.history(layer["name"]) for layer in run.layers}
    return found | {"scalars": run.scalars()}


@pytest.mark.parametrize("dies", ["the training", "the training and its mirror", "the training, twice"])
def test_a_training_that_is_killed_goes_on_where_it_was_and_nothing_is_there_twice(
    url: str, data: Path, tmp_path: Path, dies: str
) -> None:
    folder = spool_folder(url)
    process = vdn("train", f"--data=csv:{data}", f"--out={url}", *TINY)
    until = time.monotonic() + WAIT
    for kill in range(2 if dies.endswith("twice") else 1):
        made = (folder / CHECKPOINT).stat().st_mtime_ns if (folder / CHECKPOINT).exists() else 0
        while not (
            (folder / CHECKPOINT).exists()
            and (folder / CHECKPOINT).stat().st_mtime_ns > made
            and open_folder(url).stamp("run.json") is not None
        ):
            assert process.poll() is None, "it had ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.01)
        if "mirror" in dies:
            for one in mirrors(folder):
                os.kill(one, signal.SIGKILL)
        process.kill()
        process.communicate()
        assert Run(folder).status != "finished", f"kill {kill}"
        process = vdn("resume", url)
    ended(process)
    ended(vdn("train", f"--data=csv:{data}", f"--out={tmp_path / 'whole'}", *TINY))
    run, whole = Run(url), Run(tmp_path / "whole")
    assert (run.status, run.steps.tolist()) == ("finished", whole.steps.tolist())
    assert len(Run(folder).manifest["segments"]) == (3 if dies.endswith("twice") else 2)
    here, there, alone = tables(folder), tables(url), tables(tmp_path / "whole")
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
