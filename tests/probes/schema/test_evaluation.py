"""Derived statistics: one formula each, and the same number wherever it is shown."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import probes
from probes import diagnostics, schema
from probes.__main__ import main
from probes.analysis.layer_quantiles import summary_with_derived
from probes.analysis.network_curves import network_curves
from probes.analysis.overview import layer_rows
from probes.export.report import report
from probes.figures import frames
from probes.figures.layer_bands import quantiles
from probes.regimes import classify
from probes.schema import evaluate, evaluation

NEURONS = 6


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """Posteriors of variance 1 under a prior of variance 4, at a mean that moves with the input."""
    folder = tmp_path_factory.mktemp("runs") / "observed"
    model = nn.Linear(3, NEURONS)
    with probes.watch(model, folder, hooks=False) as recording:
        for step in range(3):
            probes.observe("z", model(torch.randn(64, 3)), torch.ones(NEURONS), prior=(0, 2))
            recording.step(step)
    return folder


def test_a_contraction_is_the_same_wherever_it_is_shown(observed, capsys):
    run = probes.Run(observed)
    last = int(run.steps[-1])
    widths = [layer["neurons"] for layer in run.layers]
    assert run.at(last)["prior_variance"].tolist() == [4.0] * NEURONS
    assert run.at(last, statistics=["contraction"])["contraction"].tolist() == [0.75] * NEURONS
    assert set(run.history("z", 2, ["contraction"])["contraction"]) == {0.75}
    assert np.unique(run.matrix("z", "contraction")[0]).tolist() == [0.75]
    summary = summary_with_derived(run)
    assert set(quantiles(summary, "contraction")[["mean", "p05", "p50", "p95"]].to_numpy().ravel()) == {0.75}
    assert set(network_curves(summary, widths)["contraction"]) == {0.75}
    assert [row["contraction"] for row in layer_rows(run)] == [0.75]
    assert main(["show", str(observed)]) == 0
    assert "0.75" in capsys.readouterr().out
    assert "<b>0.75</b>" in report(run)
    drawn = frames.replay_frames(run, 0, range(NEURONS), 10)
    assert np.unique(drawn.variance).tolist() == [0.25]


def test_frames_are_told_from_the_priors_mean_in_its_sds():
    mean, variance, spread = np.array([[3.0]]), np.array([[1.0]]), np.array([[2.0]])
    own = {
        "whitened_mean": np.array([[0.5]]),
        "prior_variance": np.array([[4.0]]),
        "phi": np.array([[np.nan]]),
    }
    shown = frames.against_prior({"mean": mean, "variance": variance, "spread": spread, **own})
    assert shown["mean"].item() == pytest.approx(0.5)  # (3 - 2) / 2
    assert shown["variance"].item() == pytest.approx(0.25)
    assert shown["spread"].item() == pytest.approx(0.5)
    autoregressive = {**own, "phi": np.array([[0.9]])}  # the stationary marginal is Normal(0, 1)
    shown = frames.against_prior({"mean": mean, "variance": variance, "spread": spread, **autoregressive})
    assert (shown["mean"].item(), shown["variance"].item()) == (3.0, 1.0)


def test_formulas_are_those_of_the_registrys_words():
    rows = {"variance": np.array([0.5, 0.5, 0.5]), "prior_variance": np.array([2.0, 0.5, np.nan])}
    assert evaluate("contraction", rows).tolist() == [0.75, 0.0, 0.5]
    assert evaluate("contraction", {**rows, "phi": np.array([0.0, 0.7, 0.7])}).tolist() == [0.75, 0.5, 0.5]
    floor = 3 * 0.5 * math.log(1 + 0.6**2)
    assert evaluate("kl_above_floor", {"kl": 1.0, "phi": 0.6}, latent_dim=3) == pytest.approx(1 - floor)
    assert evaluate("half_life", {"persistence": 0.5}, stride=24) == pytest.approx(24)
    assert evaluate("half_life", {"persistence": [1.2, 0.0]}).tolist() == [np.inf, 0.0]
    with pytest.raises(KeyError, match="phi"):
        evaluate("kl_above_floor", {"kl": 1.0})
    with pytest.raises(KeyError, match="derives from no others"):
        evaluate("kl", {"variance": 1.0})


def _summary(columns):
    """(T, N) statistics -> what `layers/` holds of them."""
    out = {}
    for name, values in columns.items():
        out[f"{name}_mean"] = values.mean(1)
        for level in (5, 25, 50, 75, 95):
            out[f"{name}_p{level:02d}"] = np.percentile(values, level, axis=1)
    return pd.DataFrame(out)


def test_quantiles_over_neurons_are_those_of_the_neurons_or_absent():
    random = np.random.default_rng(0)
    variance, one = random.uniform(0.1, 1, (4, 40)), np.full((4, 40), 2.0)
    same = _summary({"variance": variance, "prior_variance": one})
    truth = _summary({"contraction": 1 - variance / 2})
    for kind in ("mean", "p05", "p25", "p50", "p75", "p95"):
        np.testing.assert_allclose(evaluate("contraction", same, kind), truth[f"contraction_{kind}"])
    differing = _summary({"variance": variance, "prior_variance": random.uniform(1, 3, (4, 40))})
    assert np.isnan(evaluate("contraction", differing, "p50")).all()
    slopes = _summary({"persistence": random.uniform(0.2, 0.9, (4, 40))})
    lives = _summary({"persistence": np.log(0.5) / np.log(random.uniform(0.2, 0.9, (4, 40)))})
    assert np.isnan(evaluate("half_life", slopes, "mean")).all()  # not linear
    random = np.random.default_rng(1)
    slope = random.uniform(0.2, 0.9, (4, 41))  # 41: the median is a neuron's own
    assert lives.shape
    np.testing.assert_allclose(
        evaluate("half_life", _summary({"persistence": slope}), "p50"),
        np.median(np.log(0.5) / np.log(slope), axis=1),
    )
    signed = _summary({"persistence": random.uniform(-0.9, 0.9, (4, 41))})
    assert np.isnan(evaluate("half_life", signed, "p50")).all()  # |slope| has another order


def test_priors_of_different_widths_are_summarised_neuron_by_neuron(tmp_path):
    random = np.random.default_rng(0)
    steps, shape = np.arange(1, 31), (30, 50)
    variance, prior = random.uniform(0.1, 1, shape), np.broadcast_to(random.uniform(1, 3, 50), shape)
    with probes.Recorder(tmp_path / "run", [{"name": "z", "neurons": 50}]) as recorder:
        columns = {name: np.ones(shape) for name in ("mean", "kl", "information", "spread")}
        recorder.record_block(steps, 0, {**columns, "variance": variance, "prior_variance": prior})
    run = probes.Run(tmp_path / "run")
    found = quantiles(summary_with_derived(run), "contraction")
    truth = _summary({"contraction": 1 - variance / prior})
    for kind in ("mean", "p05", "p50", "p95"):
        np.testing.assert_allclose(found[kind], truth[f"contraction_{kind}"], rtol=2e-5)


def test_extremes_of_a_bucket_swap_under_a_decreasing_formula(tmp_path):
    with probes.Recorder(tmp_path / "run", [{"name": "z", "neurons": 2}]) as recorder:
        steps = np.arange(1, 601)
        variance = np.linspace(1, 0.1, 600)[:, None] * np.array([1.0, 0.5])
        columns = {name: np.ones((600, 2)) for name in ("mean", "kl", "information", "spread")}
        recorder.record_block(steps, 0, {**columns, "variance": variance})
    run = probes.Run(tmp_path / "run")
    rows = run.history(0, 1, ["contraction", "variance"], max_points=10)
    np.testing.assert_allclose(rows["contraction_min"], 1 - rows["variance_max"], atol=1e-6)
    np.testing.assert_allclose(rows["contraction_max"], 1 - rows["variance_min"], atol=1e-6)
    assert (rows["contraction_max"] > rows["contraction_min"]).all()
    least, _ = run.matrix(0, "contraction", max_columns=40, reduce="min")
    most, _ = run.matrix(0, "variance", max_columns=40, reduce="max")
    np.testing.assert_allclose(least, 1 - most, atol=1e-6)


def test_a_new_derived_statistic_is_one_entry(observed, monkeypatch):
    """It can be asked of a run, and is a column of what is searched and a band of layers."""
    entry = dataclasses.replace(
        schema.STATISTICS["contraction"],
        name="precision",
        label="Precision",
        derive=lambda variance: 1 / variance,
    )
    monkeypatch.setitem(schema.STATISTICS, "precision", entry)
    schema.inputs_of.cache_clear()
    evaluation._settings_of.cache_clear()
    run = probes.Run(observed)
    assert "precision" in run.available
    assert run.at(int(run.steps[-1]), statistics=["precision"])["precision"].tolist() == [1.0] * NEURONS
    assert quantiles(summary_with_derived(run), "precision")["p50"].tolist() == [1.0] * 3
    rows = run.at(int(run.steps[-1]))
    assert diagnostics.derived(rows)["precision"].tolist() == [1.0] * NEURONS
    assert classify(rows).tolist() == classify(diagnostics.derived(rows)).tolist()


def test_contraction_is_by_entropy_where_a_prior_entropy_is_recorded():
    uniform = np.log(8)
    columns = {
        "entropy": np.array([uniform, 0.0, 1.0, uniform, np.nan, 0.5]),
        "prior_entropy": np.array([uniform, uniform, uniform, 0.5, uniform, np.nan]),
        "variance": np.array([np.nan, 0.2, 0.2, np.nan, 0.5, 0.25]),
        "prior_variance": np.array([np.nan, 0.25, np.nan, np.nan, np.nan, 0.5]),
    }
    found = schema.evaluate("contraction", columns)
    expected = [0, 1, 1 - np.expm1(1) / 7, -1, np.nan, 0.5]  # never below −1
    np.testing.assert_allclose(found, expected, atol=1e-12)
    alone = {name: columns[name] for name in ("entropy", "prior_entropy")}
    np.testing.assert_allclose(schema.evaluate("contraction", alone)[:3], expected[:3], atol=1e-12)
    assert schema.derivable(alone) == ["contraction"]
    assert schema.derivable(["entropy"]) == []
    assert schema.with_inputs(["contraction"], alone) == ["entropy", "prior_entropy"]


def test_an_absent_prior_is_only_standard_where_the_family_says_so():
    columns = {"variance": np.array([0.25, 0.25]), "prior_variance": np.array([np.nan, 0.5])}
    np.testing.assert_allclose(schema.evaluate("contraction", columns), [0.75, 0.5])
    np.testing.assert_allclose(schema.evaluate("contraction", columns, standard=False), [np.nan, 0.5])
    by_row = schema.evaluate("contraction", {"variance": [0.25, 0.25]}, standard=np.array([True, False]))
    np.testing.assert_allclose(by_row, [0.75, np.nan])


def test_reduced_contraction_follows_the_entropy_where_there_is_no_variance():
    uniform = np.log(4)
    columns = {
        "prior_entropy_mean": np.array([np.nan, uniform]), "prior_entropy_p05": np.array([np.nan, uniform]),
        "prior_entropy_p50": np.array([np.nan, uniform]), "prior_entropy_p95": np.array([np.nan, uniform]),
        "entropy_mean": np.array([0.3, 0.8]), "entropy_p05": np.array([0.1, 0.2]),
        "entropy_p50": np.array([0.2, 0.7]), "entropy_p95": np.array([0.9, 1.2]),
        "variance_mean": np.array([0.5, np.nan]), "variance_p05": np.array([0.2, np.nan]),
        "variance_p50": np.array([0.4, np.nan]), "variance_p95": np.array([0.9, np.nan]),
    }  # fmt: skip
    low = schema.evaluate("contraction", columns, "p05")
    np.testing.assert_allclose(low, [1 - 0.9, 1 - np.expm1(1.2) / 3])
    np.testing.assert_allclose(schema.evaluate("contraction", columns, "mean"), [0.5, np.nan])
