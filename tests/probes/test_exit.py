"""A script that ends without `close` loses nothing, however it ends; `make test-pyarrow` repeats this file
with every pyarrow from 17.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import probes

ROOT = Path(probes.__file__).parents[1]
STEPS = 20
RECORD = f"""
import sys
import numpy as np
from probes import Recorder

def record(recorder, first=0, last={STEPS}):
    for step in range(first, last):
        recorder.record(step, "z", mean=np.full(4, step), kl=np.ones(4))
        recorder.scalar(step, "loss", step)
    recorder.event(last - 1, "phase", text="the last")

recorder = Recorder(sys.argv[1], [dict(name="z", neurons=4)], flush_seconds=600)
"""
"""What is recorded stays in memory until the run is closed."""
LATE = """
import concurrent.futures, pandas, sys
sys.modules.pop("concurrent.futures.thread", None)
vars(concurrent.futures).pop("ThreadPoolExecutor", None)
"""
"""Before 3.1 pandas did not bring the threads that pyarrow loads with its first array: at exit, too late."""
ENDS = {
    "returns": ("record(recorder)", 0),
    "sys.exit": ("record(recorder); sys.exit(3)", 3),
    "uncaught": ("record(recorder); raise ValueError('no')", 1),
    "Ctrl-C": (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "record(recorder); signal.raise_signal(signal.SIGINT)",
        1,
    ),
    "another thread goes on": (
        "import threading, time\n"
        f"def late(): time.sleep(0.5); record(recorder, 5, {STEPS})\n"
        "record(recorder, 0, 5); threading.Thread(target=late).start()",
        0,
    ),
    "an exit handler records": (
        f"import atexit; record(recorder, 0, 5); atexit.register(record, recorder, 5, {STEPS})",
        0,
    ),
    "a holder that nobody knows": (
        "class Holder: pass\nholder = Holder(); holder.it = recorder; holder.self = holder\n"
        "record(recorder); del holder, recorder",
        0,
    ),
}
WATCH = f"""
import sys, torch, probes
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(8, 4), nn.Linear(8, 4)
    def forward(self, x):
        return self.fc_mu(x), self.fc_logvar(x)

torch.set_num_threads(1)
net = Net()
recording = probes.watch(net, sys.argv[1], every=7)
for step in range({STEPS}):
    net(torch.randn(16, 8))
    recording.step(step, loss=float(step))
"""


def end(code: str, run: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, str(run)], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize(
    ("way", "before"),
    [(way, "") for way in ENDS] + [("returns", "import torch"), ("another thread goes on", "import torch")],
)
def test_nothing_is_lost(tmp_path: Path, way: str, before: str) -> None:
    code, status = ENDS[way]
    done = end(before + RECORD + code, tmp_path / "run")
    run = probes.Run(tmp_path / "run")
    assert done.returncode == status, done.stderr
    assert "atexit" not in done.stderr
    assert (run.status, run.steps.tolist()) == ("interrupted", list(range(STEPS))), done.stderr
    assert run.history(0, [3])["mean"].tolist() == list(range(STEPS))
    assert run.scalars()["value"].tolist() == list(range(STEPS))
    assert run.events()["text"].tolist()[-1] == "the last"


def test_nothing_is_lost_where_pandas_has_not_loaded_what_pyarrow_loads(tmp_path: Path) -> None:
    done = end(LATE + RECORD + "record(recorder)", tmp_path / "run")
    assert done.stderr == ""
    assert probes.Run(tmp_path / "run").steps.tolist() == list(range(STEPS))


def test_a_watch_keeps_its_last_step_too(tmp_path: Path) -> None:
    """Whatever `every` leaves out between, the first step and the last are always there."""
    done = end(WATCH, tmp_path / "run")
    run = probes.Run(tmp_path / "run")
    assert done.stderr == ""
    assert (run.status, run.steps.tolist()) == ("interrupted", [0, 7, 14, STEPS - 1])
    assert len(run.scalars()) == STEPS


def test_what_cannot_be_written_at_exit_is_one_warning(tmp_path: Path) -> None:
    full = (
        "\nimport errno; from probes.storage import local\n"
        "def full(*_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "record(recorder); local.os.fsync = full"
    )
    done = end(RECORD + full, tmp_path / "run")
    assert done.returncode == 0
    assert "No space left on device; the disk is full, free space" in done.stderr
    assert "What was not written yet is lost" in done.stderr
    assert "Traceback" not in done.stderr
