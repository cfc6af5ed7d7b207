"""The probe batch: what a run holds of it, how large it can be, and that training does not feel it."""

import dataclasses

import numpy as np
import pytest
import torch

import probes
from probes.analysis import posteriors
from vdn.config import from_dict, resolve
from vdn.data import load
from vdn.network import Output
from vdn.probe_batch import prediction_frame, share_from_input
from vdn.train import train
from vdn.trainer import Trainer, load_checkpoint


@pytest.mark.parametrize(
    "extra", [{}, {"lam_band": 0.1, "lam_ar": 0.1, "ar_share": True, "control_every": 3}]
)
def test_watching_the_probe_batch_does_not_change_training(tmp_path, small, extra):
    states = []
    for times in (0, 6):
        config = resolve(
            from_dict({**small, **extra, "thermostat": True, "probe_times": times, "probe_sequence": 5})
        )
        train(config, tmp_path / str(times))
        states.append(load_checkpoint(tmp_path / str(times)))
    for name, value in states[0]["model"].items():
        assert torch.equal(value, states[1]["model"][name]), name
    assert torch.equal(states[0]["noise"], states[1]["noise"])


def test_a_run_holds_forces_and_both_kinds_of_probe_inputs(tmp_path, small):
    config = resolve(from_dict({**small, "probe_sequence": 7, "lam_band": 0.1, "local_decoder": "watch"}))
    train(config, tmp_path / "run")
    run = probes.Run(tmp_path / "run")
    assert (run.config["probe_inputs"], run.config["probe_sequence"]) == (4, 7)
    table = run.forces()
    assert sorted(table["step"].unique()) == run.probe_steps().tolist()
    assert set(table["term"]) == {"nll", "kl", "band", "total"}  # a decoder that watches moves no neuron
    first = run.forces(0)
    assert len(first) == 2 * 8 * 4
    pulls = first.pivot_table(index=["layer", "neuron"], columns="term", values="pull_mu")
    np.testing.assert_allclose(
        pulls["total"], pulls["nll"] + pulls["kl"] + pulls["band"], rtol=1e-4, atol=1e-9
    )
    inputs = posteriors.split_inputs(run.probe(0), run.config)
    task = load(config)
    trainer = Trainer(config, task)
    sequence, _ = posteriors.table(inputs.sequence, 0)
    expected = trainer.network(task.batch("validation", torch.arange(7)).x).posteriors[0].mu[..., 0]
    np.testing.assert_allclose(sequence, expected.detach(), rtol=1e-4, atol=1e-6)
    series, origin = task.locate("validation", torch.arange(7))
    assert series.tolist() == [0] * 7
    assert origin.diff().tolist() == [1] * 6
    assert set(run.predictions()["input"]) == set(range(4))


def test_a_probe_batch_is_no_larger_than_the_validation_split(tmp_path, small):
    config = resolve(
        from_dict({**small, "probe_inputs": 10_000, "probe_sequence": 10_000, "steps": 2, "probe_times": 1})
    )
    count = load(config).count("validation")
    train(config, tmp_path / "run")
    run = probes.Run(tmp_path / "run")
    assert run.config["probe_inputs"] == count
    assert run.config["probe_sequence"] == count // 3  # of one of three series
    assert run.probe(0)["input"].nunique() == count + count // 3
    rows = dataclasses.replace(
        config, data="digits", window=64, horizon=10, encoder="mlp", normalise="none", steps=1
    )
    train(rows, tmp_path / "rows")
    assert probes.Run(tmp_path / "rows").config["probe_sequence"] == 0


def test_the_share_from_the_input_is_that_of_known_variances():
    """Means a x + b eps with x, eps standard normal: a² / (a² + b²), whatever the draws and the mean."""
    draw = torch.Generator().manual_seed(0)
    inputs, draws = 4000, 4
    x = torch.randn(inputs, 1, 1, 1, generator=draw)
    noise = torch.randn(inputs, draws, 1, 1, generator=draw)
    a, b = torch.tensor([1.0, 1.0, 0.0, 0.5]), torch.tensor([0.0, 1.0, 1.0, 0.25])
    mu = (1000 + a[:, None] * x + b[:, None] * noise).flatten(0, 1)
    found = share_from_input(mu, draws)
    torch.testing.assert_close(found, a**2 / (a**2 + b**2), atol=0.03, rtol=0)
    still = share_from_input(torch.full((8, 3, 2), 0.7), 4)
    assert still.isnan().all()


def test_few_draws_give_the_share_without_bias():
    draw = torch.Generator().manual_seed(1)
    x, noise = torch.randn(30, 1, 3000, 1, generator=draw), torch.randn(30, 2, 3000, 1, generator=draw)
    found = share_from_input((0.5 * x + noise).flatten(0, 1), 2)
    # the naive Var_b of the means over draws would say (0.25 + 0.5) / 1.25 = 0.6
    assert float(found.median()) == pytest.approx(0.2, abs=0.02)


def test_a_run_holds_the_share_from_the_input_at_steps_of_the_probe_batch(tmp_path, small):
    config = resolve(from_dict({**small, "probe_inputs": 16, "probe_times": 3, "record_every": 5}))
    train(config, tmp_path / "run")
    run = probes.Run(tmp_path / "run")
    assert run.taken(0, "share_from_input").size == 0
    for layer in range(1, len(run.layers)):
        assert run.taken(layer, "share_from_input").tolist() == run.probe_steps().tolist()
        assert (run.history(layer, statistics=["share_from_input"])["share_from_input"].dropna() <= 1).all()
    alone = dataclasses.replace(config, probe_inputs=1)
    train(alone, tmp_path / "alone")
    assert "share_from_input" not in probes.Run(tmp_path / "alone").statistics


def test_predictions_name_their_block_of_time_and_have_unbiased_parts(tmp_path, small):
    config = resolve(from_dict({**small, "probe_inputs": 30}))
    train(config, tmp_path / "run")
    table = probes.Run(tmp_path / "run").predictions()
    task = load(config)
    index = torch.arange(30) * task.count("validation") // 30
    _, origin = task.locate("validation", index)
    of_input = table.groupby("input")["block"].agg(["nunique", "first"])
    assert (of_input["nunique"] == 1).all()
    assert of_input["first"].tolist() == ((origin - origin.min()) // 12).tolist()  # two horizons of 6
    assert table["block"].nunique() < 30  # three series share their time

    generator = torch.Generator().manual_seed(0)
    mean = 0.7 * torch.randn((8, 4000, 2), generator=generator)
    output = Output(mean, torch.ones_like(mean), [], [])
    y = 0.7 * torch.randn((4000, 2), generator=generator) + torch.randn((4000, 2), generator=generator)
    frame = prediction_frame(output, y)
    assert "block" not in frame
    assert frame["latent_variance"].mean() == pytest.approx(0.49, rel=0.02)
    assert ((frame["pit"] - 0.5).abs() <= 0.4).mean() == pytest.approx(0.8, abs=0.012)
    single = prediction_frame(Output(mean[:1], torch.ones_like(mean[:1]), [], []), y)
    assert single["latent_variance"].isna().all()
    assert single["pit"].between(0, 1).all()
