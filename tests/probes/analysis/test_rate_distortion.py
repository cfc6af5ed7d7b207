"""Where rate, distortion and the weight of the KL come from, in the unit that they are said to have."""

import numpy as np
import pandas as pd
import pytest

from probes.analysis import rate_distortion
from probes.analysis.rate_distortion import end_point, objective, one_weight, path

STEPS = np.arange(0, 100)
NONE = pd.Series(dtype=float)


def scalars(split="train", **curves):
    parts = [
        pd.DataFrame({"step": STEPS[: len(values)], "split": split, "name": name, "value": values})
        for name, values in curves.items()
    ]
    return pd.concat(parts, ignore_index=True)


def summary(**columns):
    return pd.DataFrame({"step": np.repeat(STEPS, 2), "layer": np.tile([0, 1], len(STEPS)), **columns})


def test_a_forecasters_nll_is_of_a_predicted_number_and_its_distortion_of_an_example():
    logged = scalars(nll=np.full(100, 0.75), rate=np.linspace(0, 50, 100))
    own = {"horizon": 24, "beta": 0.005, "data": "nyc", "network": "recurrent", "head": None}  # as resolved
    found = objective(logged, own, summary(), NONE)
    assert found.unit == "nats an example"
    assert found.distortion.tolist() == [18.0] * 100
    assert found.weight["mean"].tolist() == [0.005] * 100
    assert "as configured" in found.said


def test_classes_and_positions_are_as_they_are():
    config = {"horizon": 10, "beta": 0.005}
    answered = pd.concat([scalars(nll=[0.3], rate=[4.0]), scalars("validation", accuracy=[0.9])])
    assert objective(answered, config, summary(), NONE).distortion.tolist() == [0.3]
    found = objective(
        scalars(nll=[2.0], rate=[4.0]),
        {"horizon": 1, "beta": 1e-4, "head": "categorical"},
        summary(),
        NONE,
    )
    assert (found.unit, found.distortion.tolist()) == ("nats a position", [2.0])


def test_a_watched_run_says_what_it_has_logged_and_nothing_else():
    watched = {"watch": {}, "beta": 4.0, "horizon": 24}
    neurons = pd.Series([1.0, 2.0], [0, 5])
    found = objective(scalars(loss=[30.0, 29.0], nll=[1.0, 1.0]), watched, summary(), neurons)
    assert found.distortion.empty  # an nll of another program: of what, and of how many numbers, is not said
    assert found.weight.empty
    assert one_weight(found) is None
    assert found.rate.tolist() == [1.0, 2.0]
    assert path(found).empty
    found = objective(
        scalars(loss=[31.0], distortion=[29.0], beta=[0.5], free_bits=[0.25]), watched, summary(), neurons
    )
    assert found.unit == "as logged"
    assert found.distortion.tolist() == [29.0]
    assert found.free_bits.tolist() == [0.25]
    assert one_weight(found) == 0.5


def test_weights_of_neurons_are_a_band_and_no_line():
    own = summary(beta_mean=0.2, beta_p05=np.tile([0.01, 0.1], 100), beta_p95=np.tile([0.3, 1.0], 100))
    found = objective(scalars(nll=[1.0], rate=[1.0]), {"horizon": 1, "beta": 9.0}, own, NONE)
    assert found.weight.iloc[-1].tolist() == [0.2, 0.01, 1.0]
    assert one_weight(found) is None
    same = summary(beta_mean=0.2, beta_p05=0.2, beta_p95=0.2)
    assert one_weight(objective(scalars(rate=[1.0]), {}, same, NONE)) == pytest.approx(0.2)


def test_a_ramp_rises_from_0_as_the_training_has_it():
    config = {"horizon": 1, "beta": 0.5, "beta_ramp": 0.2, "steps": 100}
    weight = objective(scalars(nll=np.ones(100), rate=np.ones(100)), config, summary(), NONE).weight["mean"]
    assert weight[0] == 0
    assert weight[10] == pytest.approx(0.25)
    assert weight[20:].unique().tolist() == [0.5]


def test_what_is_not_finite_is_left_out_and_the_last_of_a_step_counts():
    logged = pd.DataFrame(
        {
            "step": [0, 1, 1, 2],
            "split": "train",
            "name": "distortion",
            "value": [np.nan, 3.0, 4.0, np.inf],
        }
    )
    assert objective(logged, {}, summary(), NONE).distortion.to_dict() == {1: 4.0}


def test_points_of_a_path_are_means_of_the_records_up_to_them():
    rate, distortion = np.linspace(0, 10, 100), np.linspace(20, 5, 100)
    found = objective(scalars(distortion=distortion, rate=rate), {}, summary(), NONE)
    way = path(found, 12)
    assert 5 < len(way) <= 12
    assert way["records"].sum() == 100
    assert way["step"].iloc[-1] == 99
    start = 0
    for _, point in way.iterrows():
        stop = int(point["step"]) + 1
        assert point["records"] == stop - start
        assert point["rate"] == pytest.approx(rate[start:stop].mean())
        assert point["distortion"] == pytest.approx(distortion[start:stop].mean())
        start = stop


def test_the_path_has_the_steps_that_both_were_logged_at():
    logged = pd.concat(
        [
            scalars(distortion=np.ones(50)),
            pd.DataFrame({"step": [10, 60], "split": "train", "name": "rate", "value": [1.0, 2.0]}),
        ]
    )
    assert path(objective(logged, {}, summary(), NONE))["step"].tolist() == [10]


def test_an_end_is_what_the_manifest_says():
    scores = {
        name: {"step": 9, "value": value} for name, value in {"train/nll": 0.5, "train/rate": 7.0}.items()
    }
    assert end_point(scores, {"horizon": 24, "beta": 0.1}) == {"rate": 7.0, "distortion": 12.0, "weight": 0.1}
    assert np.isnan(end_point(scores, {"horizon": 24, "beta": 0.1, "thermostat": True})["weight"])
    assert end_point(scores, {}) is None
    assert end_point({"train/distortion": {"step": 1, "value": 3.0}}, {}) is None
    broken = scores | {"train/rate": {"step": 9, "value": None}}
    assert end_point(broken, {"horizon": 24, "beta": 0.1}) is None
    logged = {"train/distortion": {"step": 1, "value": 3.0}, "train/rate": {"step": 1, "value": 2.0}}
    assert end_point(logged | {"train/beta": {"step": 1, "value": 0.5}}, {"watch": {}}) == {
        "rate": 2.0, "distortion": 3.0, "weight": 0.5,
    }  # fmt: skip
    assert rate_distortion.kind_of_distortion(scores) == "nll"
    assert rate_distortion.kind_of_distortion(logged) == "distortion"
    assert rate_distortion.kind_of_distortion({}) is None
