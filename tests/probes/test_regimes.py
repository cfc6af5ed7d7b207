"""The rules of the regimes against an independent, row-by-row reading of their table."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from probes import regimes, schema
from probes.families.gaussian import GAUSSIAN

LIVING = {"mean": 0.0, "variance": 0.5, "kl": 0.3, "information": 0.2, "spread": 0.4}

ONE_OF_EACH = [
    ({}, 0),
    ({"kl": math.nan}, 1),
    ({"mean": math.inf}, 1),
    ({"mu2": -math.inf}, 1),
    ({"non_finite": 1.0}, 1),
    ({"clamp_share": 0.11}, 2),
    ({"variance": 1.2}, 3),
    ({"variance": 1.2, "information": 0.001}, 3),
    ({"information": 0.001, "variance": 0.99, "mean": 0.05}, 4),
    ({"information": 0.001, "variance": 0.99, "mean": 0.5, "whitened_mean": 0.05}, 4),
    ({"information": 0.001, "variance": 0.30, "phi": 0.95, "kl": 0.33}, 4),
    ({"information": 0.001, "variance": 0.99, "mean": 0.5}, 5),
    ({"information": 0.001, "variance": 0.99, "phi": 0.95, "kl": 0.40}, 5),
    ({"information": 0.001, "variance": 0.30}, 6),
    ({"information": 3.0, "variance": 0.005}, 7),
    ({"mean": 2.0}, 8),
    ({"mu2": 0.52, "band_high": 0.5}, 8),
    ({"mu2": 0.505, "band_high": 0.5}, 0),
    ({"mu2": 3.0}, 0),
    ({"information": 0.001, "variance": 0.30, "phi": -0.95, "kl": 0.33}, 4),
    ({"variance": 2.0, "spread": 3.0, "mean": 2.0, "prior_variance": 4.0}, 0),
    ({"variance": 2.0, "spread": 3.0, "mean": 3.4, "prior_variance": 4.0}, 8),
    ({"variance": 1.05, "phi": 0.5, "prior_variance": 0.75}, 0),
    ({"active_share": 0.5}, 9),
    ({"active_share": 0.1}, 9),
    ({"active_share": 0.9}, 9),
    ({"active_share": 0.0999}, 0),
    ({"active_share": 0.9001}, 0),
    ({"active_share": 0.95}, 0),
]


@pytest.mark.parametrize(("change", "code"), ONE_OF_EACH)
def test_each_rule(change, code):
    row = LIVING | change
    assert regimes.classify(pd.DataFrame([row])).tolist() == [code]
    assert regimes.classify(pd.DataFrame([row]).astype(np.float32)).tolist() == [code]
    assert regimes.explain(row).startswith(schema.REGIMES[code].name + ":")


def test_rows_do_not_disturb_each_other():
    frame = pd.DataFrame(
        [LIVING | change for change, _ in ONE_OF_EACH], index=np.arange(len(ONE_OF_EACH)) * 3 + 5
    )
    series = regimes.classify(frame)
    assert series.tolist() == [code for _, code in ONE_OF_EACH]
    assert series.dtype == np.int8
    assert series.name == "regime"
    assert series.index.equals(frame.index)


def by_hand(row):
    """The table of the rules, read one row at a time with all columns there."""
    value = dict(row)
    if not all(math.isfinite(v) for v in value.values()):
        return 1
    contraction = 1 - value["variance"]
    silent = value["information"] < 0.005
    if value["clamp_share"] > 0.10:
        return 2
    if contraction < -0.1:
        return 3
    if value["phi"]:
        if silent and value["kl"] - 0.5 * math.log(1 + value["phi"] ** 2) < 0.02:
            return 4
    elif silent and contraction < 0.05 and abs(value["whitened_mean"]) < 0.1:
        return 4
    if silent and contraction < 0.05:
        return 5
    if silent:
        return 6
    if contraction > 0.99:
        return 7
    if (
        value["variance"] + value["spread"] + value["mean"] ** 2 > 4
        or value["mu2"] > value["band_high"] * 1.02
    ):
        return 8
    return 9 if 0.1 <= value["active_share"] <= 0.9 else 0


def test_random_rows_against_the_table():
    draw = np.random.default_rng(0)
    n = 5000
    frame = pd.DataFrame(
        {
            "mean": draw.normal(0, 1, n) * draw.choice([0.05, 1, 2], n),
            "variance": draw.choice([0.005, 0.3, 0.97, 1.0, 1.05, 1.3], n) * draw.uniform(0.99, 1.01, n),
            "kl": draw.uniform(0, 0.8, n),
            "information": draw.choice([0.001, 0.004, 0.01, 1], n) * draw.uniform(0.5, 1.5, n),
            "spread": draw.uniform(0, 1, n),
            "whitened_mean": draw.normal(0, 0.15, n),
            "clamp_share": draw.choice([0.0, 0.05, 0.2], n, p=[0.8, 0.1, 0.1]),
            "active_share": draw.uniform(0, 1.3, n).clip(0, 1),
            "mu2": draw.uniform(0, 1, n),
            "band_high": draw.uniform(0.5, 1.5, n),
            "phi": draw.choice([0.0, 0.6, 0.95], n),
        }
    )
    expected = [by_hand(row) for row in frame.to_dict("records")]
    assert regimes.classify(frame).tolist() == expected
    assert set(expected) == {0, 2, 3, 4, 5, 6, 7, 8, 9}


def test_a_plain_nan_outside_the_required_columns_is_not_taken():
    frame = pd.DataFrame([LIVING | {"mu2": 0.9, "band_high": 0.5}, LIVING, LIVING | {"persistence": 0.3}])
    assert regimes.classify(frame).tolist() == [8, 0, 0]
    for name in GAUSSIAN.required:
        assert regimes.classify(pd.DataFrame([LIVING | {name: math.nan}])).tolist() == [1]


def test_columns_that_know_nulls_tell_them_from_nan():
    values = pa.array([None, 0.3, math.nan], pa.float32())
    column = pd.Series(pd.arrays.ArrowExtensionArray(values))
    frame = pd.DataFrame([LIVING] * 3)
    assert regimes.classify(frame.assign(local_elbo=column)).tolist() == [0, 0, 1]
    assert regimes.classify(frame.assign(kl=column)).tolist() == [0, 0, 1]
    assert regimes.classify(frame.assign(persistence=column)).tolist() == [0, 0, 0], (
        "an undefined slope is not broken"
    )
    assert regimes.classify(frame.assign(kl=pd.Series([None, 0.3, math.nan], dtype=object))).tolist() == [
        0,
        0,
        1,
    ]
    assert regimes.classify(frame.assign(kl=pd.array([None, 0.3, 0.3], dtype="Float32"))).tolist() == [
        0,
        0,
        0,
    ]


def test_an_infinite_half_life_is_not_broken():
    assert regimes.classify(pd.DataFrame([LIVING | {"half_life": math.inf}])).tolist() == [0]
    assert regimes.classify(pd.DataFrame([LIVING | {"persistence": math.inf}])).tolist() == [1]


def test_absent_columns_leave_their_rules_silent():
    assert regimes.classify(pd.DataFrame({"step": [1, 2], "neuron": [0, 0]})).tolist() == [0, 0]
    assert regimes.classify(pd.DataFrame({"variance": [0.999, 1.3, 0.4]})).tolist() == [0, 3, 0]
    empty = regimes.classify(pd.DataFrame([LIVING]).iloc[:0])
    assert len(empty) == 0
    assert empty.dtype == np.int8


def test_a_wider_fixed_prior_is_what_contraction_is_taken_against():
    at_prior = LIVING | {"variance": 4.0, "spread": 0.0, "information": 0.0, "kl": 0.0, "prior_variance": 4.0}
    assert regimes.classify(pd.DataFrame([at_prior])).tolist() == [4]


def test_latent_dim_scales_the_floor():
    row = LIVING | {"information": 0.001, "phi": 0.95, "kl": 4 * 0.5 * math.log1p(0.95**2) + 0.01, "layer": 1}
    frame = pd.DataFrame([row])
    assert regimes.classify(frame).tolist() == [6]
    assert regimes.classify(frame, latent_dim=4).tolist() == [4]
    assert regimes.classify(frame, latent_dim=[1, 4]).tolist() == [4]
    assert regimes.classify(frame, latent_dim={1: 4}).tolist() == [4]


def test_thresholds_are_parameters():
    frame = pd.DataFrame([LIVING])
    assert regimes.classify(frame, regimes.Thresholds(information=0.25, contraction=0.6)).tolist() == [4]
    assert regimes.classify(frame, regimes.Thresholds(energy=0.8)).tolist() == [8]


def test_codes_keeps_shapes_and_takes_nulls():
    columns = {name: np.full((2, 3), value) for name, value in LIVING.items()} | {
        "beta": np.full((2, 3), np.nan)
    }
    assert (regimes.codes(columns) == 1).all(), "without word to the contrary a NaN was taken"
    taken = np.array([[True, False, False], [False, False, False]])
    assert regimes.codes(columns, {"beta": taken}).tolist() == [[1, 0, 0], [0, 0, 0]]


def test_explain_shows_the_values_of_the_rule():
    text = regimes.explain(LIVING | {"information": 0.0012, "variance": 0.99, "mean": -0.02})
    assert text == "dead: information 0.0012 < 0.005, contraction 0.01 < 0.05, |whitened mean| 0.02 < 0.1"
    assert "KL above its floor" in regimes.explain(LIVING | {"information": 0.001, "phi": 0.95, "kl": 0.33})
    assert regimes.explain(pd.Series(LIVING | {"kl": math.inf, "step": 3})) == "non-finite: kl inf"
    assert regimes.explain({"step": 1}) == "living: no other rule fires"


def test_a_negative_variance_is_broken_and_not_certain():
    row = {"mean": 0.0, "variance": -0.5, "kl": 1.0, "information": 0.5, "spread": 0.3}
    assert regimes.classify(pd.DataFrame([row, row | {"variance": 0.001}])).tolist() == [1, 7]
    assert regimes.explain(row) == "non-finite: variance -0.5"
