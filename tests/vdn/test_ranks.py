"""One training on two processes, started by torchrun, against the same training on one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from probes.run import Run
from vdn import ranks
from vdn.config import Config, ConfigError
from vdn.network import VariationalNetwork

ROOT = Path(__file__).parents[2]
WAIT = 300  # seconds, on a busy machine
STEPS = 20
SETTINGS = (
    f"--layers 2 --neurons 12 --steps {STEPS} --batch 26 --validate-every 10 --window 24 --horizon 6"
    " --prior autoregressive --thermostat --lam-ar 0.1 --persistence 0.5 --probe-inputs 16 --threads 1"
).split()
TRAIN = ["-m", "vdn", "train", *SETTINGS]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, waves):
    """The folder of one process's run, and of two processes'."""
    folder = tmp_path_factory.mktemp("trained")
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    found = []
    for name, how in (("one", [sys.executable]), ("two", two)):
        command = [*how, *TRAIN, "--data", f"csv:{waves}", "--out", str(folder / name)]
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=WAIT,
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        found.append((folder / name, done.stdout))
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]
    return found


def test_parameters_are_those_of_one_process(runs):
    one, two = (torch.load(folder / "checkpoints" / "last.pt") for folder, _ in runs)
    assert one["step"] == two["step"] == STEPS
    for name, value in one["model"].items():
        error = (two["model"][name] - value).norm() / value.norm().clamp_min(1e-12)
        assert error <= 1e-5, name


def test_the_same_weights_are_the_best_of_one_process_and_of_two(runs):
    last, best = (
        [torch.load(folder / "checkpoints" / f"{name}.pt") for folder, _ in runs] for name in ("last", "best")
    )
    assert best[0]["step"] == best[1]["step"] == last[0]["selection"]["step"]
    assert last[0]["selection"]["since"] == last[1]["selection"]["since"]
    assert best[1]["score"] == pytest.approx(best[0]["score"], rel=1e-5)
    for name, value in best[0]["model"].items():
        assert (best[1]["model"][name] - value).norm() <= 1e-5 * value.norm().clamp_min(1e-12), name


def test_the_log_and_the_scores_are_those_of_one_process(runs):
    one, two = (Run(folder) for folder, _ in runs)
    assert one.status == two.status == "finished"
    assert ("ranks" in one.config, two.config["ranks"]) == (False, 2)
    np.testing.assert_array_equal(one.steps, two.steps)
    for layer in ("layer 1", "layer 2"):
        for step in one.steps.tolist():
            whole, found = one.at(step, layer), two.at(step, layer)
            assert set(whole) == set(found)
            for name in ("mean", "variance", "spread", "kl", "information", "persistence", "beta"):
                np.testing.assert_allclose(found[name], whole[name], rtol=1e-3, atol=1e-5, err_msg=name)
    scalars = [run.scalars().set_index(["step", "split", "name"])["value"].sort_index() for run in (one, two)]
    assert scalars[0].index.equals(scalars[1].index)
    np.testing.assert_allclose(scalars[1], scalars[0], rtol=1e-3, atol=1e-4)


def test_rank_0_alone_speaks(runs):
    (_, one), (_, two) = runs
    assert one.count("finished:") == two.count("finished:") == 1


def test_shares_put_together_are_the_batch(monkeypatch):
    """Rows of both halves of a batch of pairs, each with its draws: where each share's come to lie."""
    monkeypatch.setattr(ranks, "_sharing", True)
    monkeypatch.setattr(ranks.dist, "get_world_size", lambda: 2)
    torch.manual_seed(0)
    network = VariationalNetwork(4, 3, layers=2, neurons=5, prior="autoregressive")
    x = torch.randn(14, 4)
    noise = network.draw_noise(14, 2)
    whole = network(x, 2, True, noise)
    shares, sent = [], []

    def add(flat):
        sent.append(flat.clone())
        flat += sent[0] if len(sent) > 2 else 0

    monkeypatch.setattr(ranks.dist, "all_reduce", add)
    for rank in (0, 1, 1):  # what rank 1 sends is known when it is asked again, after rank 0
        monkeypatch.setattr(ranks.dist, "get_rank", lambda rank=rank: rank)
        shares.append(ranks.run(network, x, 2, True, noise))
    last = shares[-1]
    for found, expected in ((last.mean, whole.mean), (last.scale, whole.scale)):
        torch.testing.assert_close(found, expected)
    for found, expected in zip(last.posteriors, whole.posteriors, strict=True):
        for name in ("mu", "kl", "past", "prior_mu", "z", "log_sigma"):
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), msg=name)


def test_what_several_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(ranks, "count", lambda: 4)
    config = Config(data="digits", batch=8, steps=1)
    with pytest.raises(ConfigError, match="batch is 8: 4 processes need 16 examples a batch"):
        ranks.refuse_what_is_not_shared(config, is_sequence=False)
    with pytest.raises(ConfigError, match="sequences are trained by one process"):
        ranks.refuse_what_is_not_shared(config, is_sequence=True)
