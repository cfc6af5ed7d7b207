"""Two real processes under gloo, started by hand, by Lightning and for Hugging Face's Trainer: one run of the
rows of both, and training is what it was."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from probes.run import Run

ROOT = Path(__file__).parents[2]
WAIT = 240  # seconds, on a busy machine
SCRIPT = """
import os
import sys
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
import probes

how, folder = sys.argv[1:]

class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar, self.decoder = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 6)

    def forward(self, x):
        mu, logvar = self.fc_mu(x), self.fc_logvar(x)
        return self.decoder(mu + (logvar / 2).exp() * torch.randn_like(mu)), mu, logvar

def watched(model):
    return None if how == "bare" else probes.watch(model, f"{folder}/run")

torch.manual_seed(0)
model = VAE()
recording = watched(model) if how == "early" else None  # before the processes know of each other
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
network = DistributedDataParallel(model)
recording = recording or watched(model if how == "inside" else network)
optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
torch.manual_seed(1 + rank)
inputs = torch.randn(5, 8 - 3 * rank, 6)  # of unlike sizes
for step, x in enumerate(inputs):
    reconstruction, mu, logvar = network(x)
    loss = (reconstruction - x).square().mean() + (mu**2 + logvar.exp() - logvar).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if recording is not None:
        recording.step(step, loss=loss)
if recording is not None:
    recording.close()
torch.save({"weights": model.state_dict(), "inputs": inputs}, f"{folder}/rank{rank}.pt")
torch.distributed.destroy_process_group()
# The wrapper keeps gloo's threads, which may abort an interpreter that winds down (pytorch issue 190489).
os._exit(0)
"""

LIGHTNING = """
import os
import sys
import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset
from examples.lightning_bottleneck import Bottleneck
from probes.integrations.lightning import Watch

lightning.seed_everything(0, verbose=False)
watch = [Watch(sys.argv[1] + "/run")] if sys.argv[2] == "watched" else []
quiet = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)
trainer = lightning.Trainer(
    max_steps=5, accelerator="cpu", devices=2, strategy="ddp", callbacks=watch, **quiet
)
model = Bottleneck()
trainer.fit(model, DataLoader(TensorDataset(torch.rand(256, 64), torch.arange(256) % 10), batch_size=16))
torch.save(model.state_dict(), f"{sys.argv[1]}/{sys.argv[2]}{trainer.global_rank}.pt")
trainer.strategy.barrier()  # both have saved
os._exit(0)  # as above
"""


TRAINER = """
import os
import sys
import torch
import transformers
from torch import nn
from probes.integrations.huggingface import Watch

class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar, self.decoder = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 6)

    def forward(self, x):
        mu, logvar = self.fc_mu(x), self.fc_logvar(x)
        reconstruction = self.decoder(mu + (logvar / 2).exp() * torch.randn_like(mu))
        return {"loss": (reconstruction - x).square().mean() + (mu**2 + logvar.exp() - logvar).mean()}

folder, how = sys.argv[1:]
torch.manual_seed(0)
model = Heads()
arguments = transformers.TrainingArguments(
    f"{folder}/{how}", max_steps=5, per_device_train_batch_size=8, use_cpu=True, ddp_backend="gloo",
    report_to=[], save_strategy="no", logging_steps=1, disable_tqdm=True, seed=0,
)
trainer = transformers.Trainer(
    model, arguments, train_dataset=[{"x": torch.randn(6)} for _ in range(96)],
    callbacks=[Watch(f"{folder}/run")] if how == "watched" else [],
)
trainer.train()
torch.save(model.state_dict(), f"{folder}/{how}{arguments.process_index}.pt")
torch.distributed.barrier()
os._exit(0)  # as above
"""


def environments():
    """Of two ranks that are started by hand."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    common |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in (0, 1)]


def run_both(how, folder):
    """Both ranks to their end; what each has saved."""
    folder.mkdir()
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, how, str(folder)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in environments()
    ]
    errors = [process.communicate(timeout=WAIT)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], errors
    return [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return run_both("bare", tmp_path_factory.mktemp("ranks") / "bare")


@pytest.mark.parametrize("how", ["inside", "wrapped", "early"])
def test_one_run_has_the_rows_of_both(tmp_path, bare, how):
    """The model inside, the wrapper itself, or the model before the processes have met."""
    saved = run_both(how, tmp_path / how)
    for before, after in zip(bare, saved, strict=True):
        assert all(torch.equal(before["weights"][name], value) for name, value in after["weights"].items())
    assert sorted(path.name for path in (tmp_path / how).iterdir()) == ["rank0.pt", "rank1.pt", "run"]
    run = Run(tmp_path / how / "run")
    assert (run.status, run.steps.tolist()) == ("finished", [0, 1, 2, 3, 4])
    assert [layer["source"] for layer in run.layers] == ["fc_mu & fc_logvar"]  # no "module." of the wrapper's

    torch.manual_seed(0)
    first = torch.nn.Linear(6, 4)  # as the first layer of both ranks began
    truth = first(torch.cat([one["inputs"][0] for one in saved])).detach()
    found = run.at(0)
    assert found["rows"][0] == 8 + 5
    np.testing.assert_allclose(found["mean"], truth.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["spread"], truth.var(0, correction=0), rtol=5e-5)


def test_lightning_records_both_ranks_under_its_ddp_strategy(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(LIGHTNING)  # a file: Lightning starts the other rank with the same command
    for how in ("bare", "watched"):
        command = [sys.executable, str(script), str(tmp_path), how]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=WAIT
        )
        assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        bare, watched = (torch.load(tmp_path / f"{how}{rank}.pt") for how in ("bare", "watched"))
        assert all(torch.equal(bare[name], value) for name, value in watched.items())
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("finished", [0, 1, 2, 3, 4])
    assert [layer["source"] for layer in run.layers] == ["encoder"]
    assert (run.at(0)["rows"] == 32).all()  # 16 a rank


def test_hugging_face_records_both_ranks(tmp_path):
    for how in ("bare", "watched"):
        processes = [
            subprocess.Popen([sys.executable, "-c", TRAINER, str(tmp_path), how], env=environment,
                             stderr=subprocess.PIPE, text=True)
            for environment in environments()
        ]  # fmt: skip
        errors = [process.communicate(timeout=WAIT)[1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], errors
    for rank in (0, 1):
        bare, watched = (torch.load(tmp_path / f"{how}{rank}.pt") for how in ("bare", "watched"))
        assert all(torch.equal(bare[name], value) for name, value in watched.items())
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("finished", [0, 1, 2, 3, 4])
    assert (run.at(4)["rows"] == 16).all()  # 8 a rank
