"""The probe batch: what a run holds of it, how large it can be, and that training does not feel it."""

import dataclasses

import numpy as np
import pytest
import torch

import probes
from probes.analysis import posteriors
from vdn.config import from_dict, resolve
from vdn.data import load
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
