"""python -m vdn probe on a small run that was really trained."""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from probes.experiments import store
from vdn import experiment
from vdn.config import Config, ConfigError, from_dict, resolve
from vdn.data import load
from vdn.train import train
from vdn.trainer import load_run

SMALL = {
    "neurons": 6,
    "layers": 2,
    "steps": 6,
    "batch": 32,
    "test_draws": 2,
    "probe_inputs": 4,
    "probe_times": 2,
    "threads": 1,
}


def made(folder, **settings):
    train(resolve(from_dict({**SMALL, **settings}, Config())), folder)
    return folder


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    return made(tmp_path_factory.mktemp("runs") / "nyc", data="nyc", window=48, horizon=6)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return made(tmp_path_factory.mktemp("runs") / "digits", data="digits")


def call(folder: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    experiment.add_command(parser.add_subparsers(dest="command"))
    threads = torch.get_num_threads()
    try:
        return experiment.run(parser.parse_args(["probe", str(folder), *arguments]))
    finally:
        torch.set_num_threads(threads)


def test_ablation_is_stored_with_what_it_ran_with(series, capsys):
    assert call(series, "ablation", "--windows", "60", "--workers", "1") == 0
    found = store.load(series, "ablation")
    assert len(found.tables["effects"]) == 2 * 6 * 2 * 3
    assert {"kl", "information", "regime", "contraction"} <= set(found.tables["neurons"])
    assert set(found.tables["predictors"]["predictor"]) == {
        "kl",
        "information",
        "spread",
        "contraction",
        "regime",
    }
    expected = {"draws": 2, "windows": 60, "split": "test", "seed": 0, "step": 6, "experiment": "ablation"}
    expected |= {"weights": "best"}
    assert expected.items() <= found.settings.items()
    assert "stored in" in capsys.readouterr().out
    assert store.progress_of(series, "ablation").status == "finished"


@pytest.mark.parametrize(
    ("experiment", "tables"),
    [
        ("traversal", {"curves", "posteriors", "neurons", "targets"}),
        ("shift", {"responses", "trends", "detection", "neurons"}),
        ("risk-coverage", {"curves", "areas"}),
        ("rollout", {"forecasts", "uncertainty", "starts"}),
    ],
)
def test_every_other_experiment_runs_on_series(series, experiment, tables):
    more = ["--length", "10"] if experiment == "rollout" else ["--draws", "2"]
    assert call(series, experiment, "--windows", "20", "--name", "trial", *more) == 0
    found = store.load(series, "trial")
    assert set(found.tables) == tables
    assert all(len(frame) for frame in found.tables.values())
    if experiment == "rollout":
        truth = load(load_run(series)[0])
        row = found.tables["starts"].iloc[3]
        values = truth.values[truth.names.index(row["series"]), row["origin"] : row["origin"] + 10].numpy()
        forecasts = found.tables["forecasts"]
        np.testing.assert_allclose(forecasts[forecasts["start"] == 3]["y"], values, rtol=1e-6)
        assert (series / "experiments/trial/replay/run.json").is_file()


def test_classes_have_scores_of_their_own_and_no_rollout(classes):
    assert call(classes, "ablation", "--windows", "40", "--workers", "1") == 0
    assert set(store.load(classes, "ablation").tables["effects"]["score"]) == {"nll", "brier", "error"}
    assert call(classes, "risk-coverage", "--windows", "40", "--draws", "2") == 0
    assert call(classes, "shift", "--windows", "40", "--draws", "2") == 0
    assert call(classes, "traversal", "--neurons", "1:5", "2:0") == 0
    assert set(store.load(classes, "traversal").tables["curves"]["output"]) == set(range(10))
    with pytest.raises(ConfigError, match="rows without an order"):
        call(classes, "rollout")
    assert store.progress_of(classes, "rollout").status == "failed"


def test_what_cannot_be_is_said(series, tmp_path):
    with pytest.raises(ConfigError, match="no neuron 1:9"):
        call(series, "traversal", "--neurons", "1:9")
    with pytest.raises(ConfigError, match="smaller --length"):
        call(series, "rollout", "--length", "100000")
    with pytest.raises(ConfigError, match="no checkpoint"):
        call(tmp_path, "ablation")
    for wrong in (["--windows", "0"], ["--neurons", "five"]):
        with pytest.raises(SystemExit):
            call(series, "traversal", *wrong)


def test_a_bench_needs_a_split_and_a_seed_alone(series):
    bench = experiment.Bench(series, argparse.Namespace(split="validation", seed=0, windows=5))
    assert (bench.weights, bench.split, len(bench.examples.x)) == ("best", "validation", 5)
    assert len(experiment.Bench(series, argparse.Namespace(split="test", seed=0)).examples.x) == 1


def test_a_cancelled_experiment_stores_nothing(series, monkeypatch, capsys):
    copy = series.parent / "copy"
    shutil.copytree(series, copy, ignore=shutil.ignore_patterns("experiments"))

    def stopped(*arguments, **settings):
        raise store.Cancelled

    monkeypatch.setitem(experiment.RUNNERS, "shift", stopped)
    assert call(copy, "shift") == experiment.INTERRUPTED
    assert "cancelled" in capsys.readouterr().err
    assert store.stored(copy) == []


def test_windows_of_one_time_are_one_block_and_effects_are_reproducible(series):
    config, task, _ = load_run(series)
    examples = experiment.Examples(task, "test", 100)
    _, origin = task.locate("test", examples.index)
    assert len(examples.x) == 100
    first = task.origins("test")[0]
    np.testing.assert_array_equal(examples.groups, (origin.numpy() - first) // 12)
    for name in ("first", "second"):
        call(series, "ablation", "--windows", "60", "--workers", "1", "--name", name)
    first, second = (store.load(series, name).tables["effects"] for name in ("first", "second"))
    assert first.equals(second)
