"""A real Weights & Biases run, offline: what the mirror writes is in its own file, with our steps beside
it.
"""

import json

import pytest
import torch
import wandb
from torch import nn
from wandb.proto import wandb_internal_pb2

from probes.integrations.mirrors import wandb_mirror
from probes.run import Run
from probes.tracker_scalars import framed_records
from probes.watching.attaching import watch


def rows(folder):
    """What an offline run has logged, a dictionary an entry."""
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    records = map(wandb_internal_pb2.Record.FromString, framed_records(file.read_bytes()))
    return [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in r.history.item}
        for r in records
    ]


def test_the_mirror_in_an_offline_run(tmp_path, monkeypatch):
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "settings"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    torch.manual_seed(0)
    model = nn.ModuleDict({"mu": nn.Linear(3, 2), "log_var": nn.Linear(3, 2)})
    tracker = wandb.init(project="watched", dir=str(tmp_path))
    with tracker, watch(model, tmp_path / "run", mirror=wandb_mirror(tracker)) as recording:
        for step in range(3):
            x = torch.randn(8, 3)
            model["mu"](x), model["log_var"](x)
            recording.step(step, loss=torch.tensor(0.5 * step))
    wandb.teardown()  # its service writes the file, and may still be at it when the run has finished
    logged = rows(tmp_path)
    losses = [(row["probes/step"], row["train/loss"]) for row in logged if "train/loss" in row]
    assert losses == [(0, 0.0), (1, 0.5), (2, 1.0)]
    kl = {row["probes/step"]: row["kl/mu"] for row in logged if "kl/mu" in row}
    run = Run(tmp_path / "run")
    assert kl == {step: pytest.approx(run.at(step)["kl"].sum(), rel=1e-6) for step in range(3)}
