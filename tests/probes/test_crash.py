"""kill -9 at random moments: the run opens, has no gap, misses no more than what waits for the disk, and goes
on without doubling.
"""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import probes
from probes.log.check import check
from probes.recorder import Recorder

MOMENTS = int(os.environ.get("CRASH_MOMENTS", "20"))  # a soak sets more
FLUSH_STEPS = 40
HELD = 2 * (FLUSH_STEPS + 1)
"""Steps of a batch that is being written and of a full one that waits, each with one that is not whole."""

WRITER = f"""
import os, sys, time
import numpy as np
from probes import Recorder
path, start = sys.argv[1], int(sys.argv[2])
layers = [dict(name="a", neurons=70), dict(name="b", neurons=5)]
options = dict(flush_seconds=0.1, flush_steps={FLUSH_STEPS})
begun = os.path.exists(path + "/run.json")
recorder = Recorder.resume(path, start - 1, **options) if begun else Recorder(path, layers, **options)
print("ready", flush=True)
for step in range(start, 10**9):
    for layer, item in enumerate(layers):
        mean, variance = np.full(item["neurons"], step % 1000), np.full(item["neurons"], 0.5)
        recorder.record(step, layer, mean=mean, variance=variance)
    recorder.scalar(step, "nll", float(step))
    print(step, "recorded", flush=True)
    time.sleep(0.0005)
"""


def start(path, step):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(step)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_kill_at_random_moments(tmp_path):
    rng = np.random.default_rng(20261123)
    path, next_step = tmp_path / "run", 0
    for _ in range(MOMENTS):
        process = start(path, next_step)
        time.sleep(rng.uniform(0.02, 0.5))
        process.send_signal(signal.SIGKILL)
        recorded = process.communicate()[0].count(" recorded\n")

        run = probes.Run(path)
        steps = run.steps
        assert steps.tolist() == list(range(steps.size))  # no gap, nothing doubled
        for layer, neurons in ((0, 70), (1, 5)):
            frame = run.history(layer)
            assert steps.size == 0 or frame["mean"].tolist() == np.repeat(steps % 1000, neurons).tolist()
        assert run.layer_summary()["step"].tolist() == np.repeat(steps, 2).tolist()
        scalars = run.scalars()["step"].tolist()
        assert scalars == list(range(len(scalars)))
        assert next_step + recorded - steps.size <= HELD
        assert [finding for finding in check(path) if finding.level == "error"] == []
        assert len(scalars) >= steps.size - 1  # plain rows are written before the steps that they belong to
        last = min(steps.size, len(scalars))
        next_step = int(rng.integers(last // 2, last + 1))
    with Recorder.resume(path, next_step - 1) as recorder:
        recorder.scalar(next_step, "nll", float(next_step))
    assert check(path) == []
    assert probes.Run(path).status == "finished"


def test_a_killed_run_says_crashed_when_its_heartbeat_is_old(tmp_path):
    process = start(tmp_path / "run", 0)
    process.kill()
    process.communicate()
    assert probes.Run(tmp_path / "run").status == "running"
    state = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(state | {"heartbeat": state["heartbeat"] - 31}))
    assert probes.Run(tmp_path / "run").status == "crashed"


@pytest.mark.parametrize("terminates", [True, False], ids=["handled", "default"])
def test_sigterm(tmp_path, terminates):
    """With a handler that exits, the run ends as interrupted and keeps everything; without, it is a kill like
    any other.
    """
    handler = "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" if terminates else ""
    code = WRITER.replace("path, start =", handler + "path, start =", 1)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run"), "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(30)]
    process.terminate()
    lines += process.communicate()[0].splitlines()
    run = probes.Run(tmp_path / "run")
    if terminates:
        assert run.status == "interrupted"
        assert run.steps.size >= int(lines[-1].split()[0])
    assert [finding for finding in check(tmp_path / "run") if finding.level == "error"] == []


def test_a_clock_that_jumps_back_does_not_disturb_the_writer(tmp_path, monkeypatch):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 2}], flush_seconds=0.05) as recorder:
        for step in range(6):
            recorder.record(step, 0, mean=[step, step])
            recorder.scalar(step, "nll", 1.0)
            now = time.time()
            monkeypatch.setattr(time, "time", lambda now=now: now - 3600)
            time.sleep(0.06)
    run = probes.Run(tmp_path / "run")
    assert run.steps.tolist() == list(range(6))
    assert (np.diff(run.scalars()["time"]) > 0).all()
