"""What is missing, what is broken: nulls, NaN, columns that are not there, batches too small."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa

from probes import regimes
from probes.families.gaussian import GAUSSIAN

LIVING = {"mean": 0.0, "variance": 0.5, "kl": 0.3, "information": 0.2, "spread": 0.4}


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


def test_what_is_derived_hides_nothing_that_is_broken():
    """Whatever column comes first."""
    row = {"half_life": math.inf} | LIVING
    assert regimes.classify(
        pd.DataFrame([row, row | {"kl": math.nan}, row | {"mu2": math.inf}])
    ).tolist() == [
        0,
        1,
        1,
    ]


def test_absent_columns_leave_their_rules_silent():
    assert regimes.classify(pd.DataFrame({"step": [1, 2], "neuron": [0, 0]})).tolist() == [11, 11]
    assert regimes.classify(pd.DataFrame({"variance": [0.999, 1.3, 0.4]})).tolist() == [11, 3, 11]
    without_mean = {name: value for name, value in LIVING.items() if name != "mean"}
    assert regimes.classify(pd.DataFrame([without_mean | {"mu2": 3.6}])).tolist() == [8], (
        "E[μ²] needs no mean"
    )
    empty = regimes.classify(pd.DataFrame([LIVING]).iloc[:0])
    assert len(empty) == 0
    assert empty.dtype == np.int8


def test_codes_keeps_shapes_and_takes_nulls():
    columns = {name: np.full((2, 3), value) for name, value in LIVING.items()} | {
        "beta": np.full((2, 3), np.nan)
    }
    assert (regimes.codes(columns) == 1).all(), "without word to the contrary a NaN was taken"
    taken = np.array([[True, False, False], [False, False, False]])
    assert regimes.codes(columns, {"beta": taken}).tolist() == [[1, 0, 0], [0, 0, 0]]


def test_a_negative_variance_is_broken_and_not_certain():
    row = {"mean": 0.0, "variance": -0.5, "kl": 1.0, "information": 0.5, "spread": 0.3}
    assert regimes.classify(pd.DataFrame([row, row | {"variance": 0.001}])).tolist() == [1, 7]
    assert regimes.explain(row) == "non-finite: variance -0.5"


def test_fewer_than_two_inputs_say_nothing():
    row = LIVING | {"information": math.nan, "spread": math.nan}
    assert regimes.classify(pd.DataFrame([row | {"rows": 1.0}, row | {"rows": 2.0}])).tolist() == [0, 1]
    masked = dict.fromkeys(LIVING, math.nan) | {"rows": 0.0, "non_finite": 0.0}
    assert regimes.classify(pd.DataFrame([masked])).tolist() == [0]
