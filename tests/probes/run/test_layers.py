"""Summaries of layers against numpy on the raw rows."""

import shutil

import numpy as np
import pandas as pd

import probes
from probes.log.summaries import QUANTILES
from probes.recorder import Recorder


def test_layer_summary_against_numpy(long_run):
    run, truth = long_run
    summary = run.layer_summary()
    assert summary[["step", "layer"]].to_numpy().tolist() == [
        [s, layer] for s in truth.steps(0) for layer in (0, 1)
    ]
    for layer in (0, 1):
        mine = summary[summary["layer"] == layer]
        for name in ("mean", "persistence"):
            raw = truth.array(layer, name)
            np.testing.assert_allclose(mine[f"{name}_mean"], raw.mean(axis=0), rtol=1e-6)
            for kind, quantile in QUANTILES.items():
                np.testing.assert_allclose(
                    mine[f"{name}_{kind}"], np.quantile(raw, quantile, axis=0), rtol=1e-6
                )
        counts = (
            run.history(layer, statistics=["regime"]).groupby(["step", "regime"]).size().unstack(fill_value=0)
        )
        for code in range(10):
            assert (mine[f"regime_{code}"].to_numpy() == np.asarray(counts.get(code, 0))).all()


def test_summary_of_broken_neurons_is_over_the_rest(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 5}]) as recorder:
        recorder.record(0, 0, mean=[1, np.nan, 3, np.inf, 2])
        recorder.record(1, 0, mean=np.full(5, np.nan))
    run = probes.Run(tmp_path / "run")
    summary = run.layer_summary()
    assert summary[["mean_mean", "mean_p50", "regime_1"]].iloc[0].tolist() == [2, 2, 2]
    assert np.isnan(summary["mean_p05"].iloc[1])
    np.testing.assert_array_equal(run.at(0)["mean"], np.array([1, np.nan, 3, np.inf, 2], np.float32))
    values, _ = run.matrix(0, "mean", max_columns=1)
    assert np.isnan(values[:, 0]).tolist() == [True] * 5


def test_what_is_derived_and_missing_is_computed(long_run, tmp_path):
    """A writer killed between the rows and their summaries: the reader answers the same."""
    run, truth = long_run
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    shutil.rmtree(copy / "pyramid")
    for part in sorted((copy / "layers").iterdir())[1:]:
        part.unlink()
    bare = probes.Run(copy)
    pd.testing.assert_frame_equal(bare.layer_summary(), run.layer_summary())
    np.testing.assert_array_equal(bare.steps, run.steps)
    for columns in (1100, 200, 5, 2):
        for mine, reference in zip(bare.matrix(0, "kl", columns), run.matrix(0, "kl", columns), strict=True):
            np.testing.assert_allclose(mine, reference, rtol=1e-6)
