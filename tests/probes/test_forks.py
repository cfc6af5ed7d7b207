"""A forked child leaves its parent's recorder alone, whatever it does and however it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import probes

ROOT = Path(probes.__file__).parents[1]
RECORD = """
import json, os, sys, time
import numpy as np
from probes import Recorder, RecorderError

def some(first, last):
    for step in range(first, last):
        recorder.record(step, "z", mean=np.zeros(4), kl=np.zeros(4))
        recorder.scalar(step, "loss", step)

def fork(child):
    %s

children, ended = json.loads(sys.argv[2]), {}
for name, code in children.items():
    folder = os.path.join(sys.argv[1], name)
    recorder = Recorder(folder, [dict(name="z", neurons=4)], flush_seconds=0.05)
    some(0, 30)
    time.sleep(0.2)
    with recorder:
        some(30, 45)
        ended[name] = fork(lambda: exec(code, globals()))
        for first in range(45, 105, 20):
            some(first, first + 20)
            time.sleep(0.1)
print(json.dumps(ended))
"""
"""A training for each child, one after the other."""
SYSTEM = """pid = os.fork()
    if pid == 0:
        child()
        sys.exit(0)
    return os.waitpid(pid, 0)[1]"""
WORKER = """import multiprocessing
    worker = multiprocessing.get_context("fork").Process(target=child)
    worker.start(); worker.join()
    return worker.exitcode"""
REFUSED = """
try:
    {call}
except RecorderError as error:
    assert "forked" in str(error), error
else:
    raise AssertionError("taken")
"""
CHILDREN = {
    "does nothing": "pass",
    "leaves at once": "os._exit(0)",
    "closes": "recorder.close()",
    "lets go": "import gc; del recorder; gc.collect()",
    "records": REFUSED.format(call="some(45, 50)"),
    "flushes": REFUSED.format(call="recorder.flush()"),
    "says an event": REFUSED.format(call="recorder.event(3, 'from the child')"),
    "has its own": (
        "own = Recorder(folder + '-own', [dict(name='z', neurons=4)])\n"
        "own.record(0, 'z', mean=np.zeros(4)); own.close()"
    ),
    "forks again": "os.waitpid(os.fork() or sys.exit(0), 0)",
}


def start(code: str, *words: Path | str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


@pytest.fixture(scope="module", params=[SYSTEM, WORKER], ids=["os.fork", "multiprocessing"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the runs, which are named after what a child did."""
    folder = tmp_path_factory.mktemp("forks")
    done = start(RECORD % request.param, folder, json.dumps(CHILDREN))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(CHILDREN, 0), done.stderr
    return folder


@pytest.mark.parametrize("what", CHILDREN)
def test_the_parent_goes_on(trained: Path, what: str) -> None:
    run = probes.Run(trained / what)
    assert (run.status, run.steps.tolist()) == ("finished", list(range(105)))
    assert run.scalars()["step"].tolist() == list(range(105))
    assert run.events().empty
    assert len(run.manifest["segments"]) == 1


WATCH = """
import os, sys, time
import torch
import probes
from torch import nn
from torch.utils.data import DataLoader, Dataset

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(8, 4), nn.Linear(8, 4)
    def forward(self, x):
        return self.fc_mu(x), self.fc_logvar(x)

class Inputs(Dataset):  # a worker calls the watched network, as one that embeds its inputs does
    def __len__(self):
        return 8
    def __getitem__(self, index):
        with torch.no_grad():
            return torch.full((8,), float(index)) + 0 * net(torch.ones(1, 8))[0].sum()

torch.set_num_threads(1)
torch.manual_seed(0)
net = Net()
seen = []
with probes.watch(net, sys.argv[1], mirror=lambda *what: seen.append(what)) as recording:
    step = 0
    for epoch in range(3):
        for batch in DataLoader(Inputs(), batch_size=4, num_workers=2, multiprocessing_context="fork"):
            net(batch)
            recording.step(step, loss=1.0)
            step += 1
    if os.fork() == 0:
        for late in range(step, step + 3):  # training that goes on in a child is not stopped
            net(torch.ones(4, 8))
            recording.step(late, loss=2.0)
        recording.flush()
        assert all(value != 2.0 for _, value, _ in seen)
        sys.exit(0)
    os.wait()
    net(torch.ones(4, 8))
    recording.step(step, loss=1.0)
print(recording.lost)
"""


def test_a_watch_belongs_to_its_process(tmp_path: Path) -> None:
    done = start(WATCH, tmp_path / "run")
    run = probes.Run(tmp_path / "run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
    assert (run.status, run.steps.tolist()) == ("finished", list(range(7)))
    assert run.scalars()["value"].eq(1).all()
    assert run.history(0)["rows"].eq(4).all()  # what the workers computed is no part of a step
