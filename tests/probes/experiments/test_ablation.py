"""Ablation on a linear network, whose effects have a closed form, and the table that asks what predicts
them.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from linear_subject import SIGMA, WEIGHTS, examples, linear, squared

from probes.experiments.ablation import ablate, predictors, reliability
from probes.experiments.estimates import half_width
from probes.experiments.store import Cancelled


@pytest.fixture(scope="module")
def effects():
    x, y = examples(3000)
    return ablate(linear(), x, y, {"squared": squared}, draws=1, seed=3)


def test_effects_are_the_closed_form_within_their_error(effects):
    # z -> 0: the error gains -w z; with mu ~ Normal(0, 1), E change = w^2 (1 + s^2) - 2 w^2 s^2 = w^2 (1 -
    # s^2). z -> prior: w^2 (1 + 1) of the new error less w^2 s^2 of the noise that is gone.
    expected = {"mean": WEIGHTS**2 * (1 - SIGMA**2), "resampled": WEIGHTS**2 * (2 - SIGMA**2)}
    for (mode, layer), part in effects.groupby(["mode", "layer"]):
        gap = np.abs(part["effect"] - expected[mode][layer].numpy())
        assert (gap <= 4 * part["standard_error"] + 1e-9).all()
        assert (part["standard_error"] < 0.25).all()  # of effects up to 7
    assert effects[(effects["layer"] == 0) & (effects["neuron"] == 0)]["effect"].abs().max() < 1e-6


def test_the_error_covers_the_truth():
    hits = []
    for seed in range(60):
        x, y = examples(200, seed)
        frame = ablate(linear(), x, y, {"squared": squared}, draws=1, seed=1000 * seed, modes=["mean"])
        frame = frame[frame["effect"].abs() > 1e-6]
        truth = WEIGHTS.numpy()[frame["layer"], frame["neuron"]] ** 2 * (1 - SIGMA**2)
        hits.append(np.abs(frame["effect"] - truth) < 1.96 * frame["standard_error"])
    assert 0.9 < np.mean(hits) < 0.985


def test_workers_change_nothing_and_groups_only_the_error():
    x, y = examples(300)
    one = ablate(linear(), x, y, {"squared": squared}, seed=1)
    two = ablate(linear(), x, y, {"squared": squared}, seed=1, workers=2)
    pd.testing.assert_frame_equal(one, two)
    assert torch.get_num_threads() >= 1
    grouped = ablate(linear(), x, y, {"squared": squared}, seed=1, groups=np.arange(300) // 10)
    np.testing.assert_array_equal(grouped["effect"], one["effect"])
    assert (grouped["standard_error"] != one["standard_error"]).any()


def test_it_tells_how_far_it_is_can_be_stopped_and_refuses_another_mode():
    x, y = examples(300)
    seen = []
    ablate(linear(), x, y, {"squared": squared}, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]

    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        ablate(linear(), x, y, {"squared": squared}, workers=2, progress=stop)
    with pytest.raises(ValueError, match="not by 'zero'"):
        ablate(linear(), x, y, {"squared": squared}, modes=["zero"])


def test_what_predicts_the_effects_is_found_and_what_does_not_is_not():
    draw = np.random.default_rng(0)
    size = 60
    true = draw.gamma(1, size=2 * size)
    keys = {"layer": np.repeat([0, 1], size), "neuron": np.tile(np.arange(size), 2)}
    effects = pd.DataFrame({**keys, "mode": "mean", "score": "nll", "effect": true, "standard_error": 0.1})
    statistics = pd.DataFrame(
        {**keys, "kl": true**2, "spread": draw.normal(size=2 * size), "regime": np.where(true > 0.7, 0, 4)}
    )
    table = predictors(effects, statistics).set_index(["layer", "predictor"])
    assert set(table.index.get_level_values(0)) == {-1, 0, 1}
    assert table.loc[(-1, "kl"), "value"] == pytest.approx(1)
    assert table.loc[(-1, "spread"), "low"] < 0 < table.loc[(-1, "spread"), "high"]
    regime = table.loc[(-1, "regime")]
    assert 0.5 < regime["low"] < regime["value"] < regime["high"]
    assert regime["neurons"] == 2 * size


def test_reliability_is_that_of_each_layers_ranks_and_null_with_few_blocks():
    x, y = examples(400)
    options = {"scores": {"squared": squared}, "draws": 1, "seed": 3}
    table = reliability(ablate(linear(), x, y, groups=np.arange(400) // 25, **options))
    assert list(table) == ["mode", "score", "layer", "reliability"]
    assert len(table) == 4  # two modes, two layers
    assert table["reliability"].between(0.8, 1).all()  # effects of up to 7 with errors below 0.5
    few = ablate(linear(), x, y, groups=np.arange(400) // 150, **options)
    assert reliability(few)["reliability"].isna().all()
    assert (few["freedom"] > 1).all()


def test_the_interval_covers_the_truth_with_few_blocks():
    hits = []
    for seed in range(80):
        x, y = examples(60, seed)
        frame = ablate(
            linear(), x, y, {"squared": squared}, draws=1, seed=1000 * seed, modes=["mean"],
            groups=np.arange(60) // 12,
        )  # fmt: skip
        frame = frame[frame["effect"].abs() > 1e-6]
        truth = WEIGHTS.numpy()[frame["layer"], frame["neuron"]] ** 2 * (1 - SIGMA**2)
        hits.append(np.abs(frame["effect"] - truth) < half_width(frame["standard_error"], frame["freedom"]))
    assert 0.9 < np.mean(hits) < 0.98  # 1.96 errors cover 0.86
