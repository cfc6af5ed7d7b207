"""A trained model without its loop: one record, its probe batch, and nothing of the model changed."""

import random

import numpy as np
import pytest
import torch
from torch import nn

import probes
from probes.inputs import Inputs
from probes.log.check import check
from probes.schema import DEAD

ROWS, INPUTS, NEURONS = 24, 6, 4


class VAE(nn.Module):
    """Two neurons tell of the input, two are at the prior; what it does tells its mode."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(INPUTS, affine=False), nn.Dropout(0.5)
        self.calls = []

    def forward(self, x, scale=1.0):
        self.calls.append((self.training, torch.is_grad_enabled(), len(x)))
        h = self.drop(self.norm(x))[:, :NEURONS] * scale
        mu = torch.cat([h[:, :2], torch.zeros(len(x), 2)], 1)
        logvar = torch.cat([torch.full((len(x), 2), -2.0), torch.zeros(len(x), 2)], 1)
        return mu + torch.randn_like(mu), mu, logvar


@pytest.fixture
def model():
    torch.manual_seed(0)
    return VAE()


def batches(count=3):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(ROWS, INPUTS, generator=generator) for _ in range(count)]


def states():
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()


def test_a_checkpoint_is_one_record_that_names_what_collapsed(tmp_path, model):
    run = probes.snapshot(model, batches(), tmp_path / "run", step=700)
    assert run.steps.tolist() == [700]
    assert run.regimes().query("regime == @DEAD", local_dict={"DEAD": DEAD})["neuron"].tolist() == [2, 3]
    assert (run.regimes()["settled"] == run.regimes()["regime"]).all(), "dead, not at its prior yet"
    assert check(tmp_path / "run") == []
    assert run.status == "finished"


def test_all_batches_are_pooled(tmp_path, model):
    xs = batches()
    row = probes.snapshot(model, xs, tmp_path / "run").at(0, statistics=["mean", "spread", "rows"])
    model.eval()
    with torch.no_grad():
        mu = model(torch.cat(xs))[1]
    np.testing.assert_allclose(row["mean"], mu.mean(0), atol=1e-6)
    np.testing.assert_allclose(row["spread"], mu.var(0, unbiased=False), rtol=1e-4, atol=1e-7)
    assert (row["rows"] == 3 * ROWS).all()
    fewer = probes.snapshot(model, iter(xs), tmp_path / "fewer", batches=2)
    assert (fewer.at(0, statistics=["rows"])["rows"] == 2 * ROWS).all()


@pytest.mark.parametrize("training", [False, True])
def test_the_model_and_random_states_are_left_as_they_were(tmp_path, model, training):
    model.train()
    model.drop.eval()
    before = [states(), [b.clone() for b in model.buffers()], [m.training for m in model.modules()]]

    def loader():
        for batch in batches():
            random.random()
            np.random.random()
            yield batch + 0 * torch.rand(1)

    probes.snapshot(model, loader(), tmp_path / "run", training=training)
    assert states() == before[0]
    assert all(torch.equal(one, other) for one, other in zip(model.buffers(), before[1], strict=True))
    assert [m.training for m in model.modules()] == before[2]
    assert all(call[:2] == (training, False) for call in model.calls)
    assert not model._forward_hooks


def test_in_training_mode_dropout_is_seen(tmp_path, model):
    spread = [
        probes.snapshot(model, batches(20), tmp_path / str(mode), training=mode).at(0, statistics=["spread"])
        for mode in (False, True)
    ]
    assert (spread[1]["spread"][:2] > 1.3 * spread[0]["spread"][:2]).all(), "dropout doubles the variance"


@pytest.mark.parametrize(
    ("item", "call"),
    [
        (lambda x: (x, torch.zeros(ROWS)), None),
        (lambda x: [x, torch.zeros(ROWS)], None),
        (lambda x: {"x": x, "scale": 2.0}, None),
        (lambda x: {"data": x}, lambda model, batch: model(batch["data"])),
    ],
)
def test_batches_come_as_loaders_give_them(tmp_path, model, item, call):
    run = probes.snapshot(model, map(item, batches()), tmp_path / "run", call=call)
    assert (run.at(0, statistics=["rows"])["rows"] == 3 * ROWS).all()
    assert run.probe()["input"].nunique() == ROWS


def test_the_probe_batch_is_the_first_inputs_with_their_posteriors(tmp_path, model):
    xs = batches()
    run = probes.snapshot(model, xs, tmp_path / "run")
    model.eval()
    with torch.no_grad():
        mu = model(xs[0])[1]
    found = run.probe().pivot(index="input", columns="neuron", values="mu").to_numpy()
    np.testing.assert_allclose(found, mu, atol=1e-6)
    assert run.inputs()["kind"].tolist() == ["row"] * ROWS


def test_a_loader_without_batches_leaves_no_run(tmp_path, model):
    with pytest.raises(ValueError, match="no batches"):
        probes.snapshot(model, [], tmp_path / "run")
    with pytest.raises(TypeError, match=r"loader=\[tensor\]"):
        probes.snapshot(model, batches()[0], tmp_path / "run")
    with pytest.raises(ZeroDivisionError):
        probes.snapshot(model, batches(), tmp_path / "run", call=lambda model, batch: 1 / 0)
    assert not model._forward_hooks
    probes.snapshot(model, batches(), tmp_path / "run")


def test_a_watch_stores_its_inputs_and_changes_nothing(tmp_path, model):
    x = batches(1)[0]

    def train(folder, **given):
        torch.manual_seed(3)
        model.norm.reset_running_stats()
        with probes.watch(model, folder, **given) as recording:
            for step, batch in enumerate(batches(5)):
                model(batch)
                recording.step(step)
        return torch.get_rng_state(), model.norm.running_mean.clone()

    state, mean = train(tmp_path / "plain")
    texts = [f"row {i}" for i in range(ROWS)]
    same_state, same_mean = train(tmp_path / "probed", inputs=Inputs(x, shown=texts))
    assert torch.equal(state, same_state)
    assert torch.equal(mean, same_mean)
    run = probes.Run(tmp_path / "probed")
    assert run.steps.tolist() == probes.Run(tmp_path / "plain").steps.tolist()
    assert run.inputs()["content"].tolist() == texts
    assert run.probe_steps().tolist() == [4]
    assert check(tmp_path / "probed") == []
    assert len(probes.Run(tmp_path / "plain").inputs()) == 0


def test_inputs_that_fail_lose_themselves_alone(tmp_path, model):
    recording = probes.watch(model, tmp_path / "run", inputs=torch.zeros(4, INPUTS + 1))
    for step, batch in enumerate(batches(5)):
        model(batch)
        recording.step(step)
    with pytest.warns(RuntimeWarning, match="inputs: "):
        recording.close()
    run = probes.Run(tmp_path / "run")
    assert (run.steps.size, run.status, recording.lost) == (5, "finished", 1)
