"""Intervals, calibration over steps and entropies, against numbers by hand and against their own promise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from probes.analysis import class_calibration as cc
from probes.reliability import equal_mass_bins


def bins(step: int, confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    found = equal_mass_bins(confidence, right)
    return pd.DataFrame({"step": step, "bin": np.arange(len(found["count"])), **found})


def test_jeffreys_interval_by_its_quantiles_and_at_the_ends() -> None:
    low, high = cc.jeffreys_interval([0, 7, 10], [10, 10, 10])
    assert (low[0], high[2]) == (0, 1)
    assert high[0] == pytest.approx(stats.beta.ppf(0.975, 0.5, 10.5))
    assert high[0] == pytest.approx(0.2172, abs=1e-4)  # Brown, Cai & DasGupta 2001, table of n = 10
    assert (low[1], high[1]) == pytest.approx(
        (stats.beta.ppf(0.025, 7.5, 3.5), stats.beta.ppf(0.975, 7.5, 3.5))
    )


def test_the_interval_covers_as_often_as_it_says() -> None:
    count, share = 40, 0.83
    hits = np.arange(count + 1)
    low, high = cc.jeffreys_interval(hits, np.full(count + 1, count))
    covered = stats.binom.pmf(hits, count, share)[(low <= share) & (share <= high)].sum()
    assert covered == pytest.approx(0.95, abs=0.03)


def test_the_diagram_is_of_the_bins_in_order() -> None:
    table = bins(3, np.array([0.9, 0.8, 0.6, 0.5]), np.array([1, 1, 0, 1])).sample(frac=1, random_state=0)
    diagram = cc.reliability_diagram(table)
    assert diagram["confidence"].is_monotonic_increasing
    assert diagram["accuracy"].tolist() == [1, 0, 1, 1]
    assert (
        (diagram["accuracy_low"] <= diagram["accuracy"]) & (diagram["accuracy"] <= diagram["accuracy_high"])
    ).all()


def test_a_calibrated_classifier_lies_below_its_null_and_an_overconfident_one_above() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, 3000)
    honest = bins(1, confidence, random.uniform(size=3000) < confidence)
    boasting = bins(2, confidence, random.uniform(size=3000) < confidence - 0.15)
    found = cc.calibration_over_steps(pd.concat([honest, boasting]))
    assert found["step"].tolist() == [1, 2]
    assert found["ece"][0] < found["null_95"][0]
    assert found["ece"][1] == pytest.approx(0.15, abs=0.03)
    assert found["ece"][1] > found["null_95"][1] > found["null"][1]
    assert found["confidence"][1] - found["accuracy"][1] == pytest.approx(0.15, abs=0.03)
    assert cc.calibration_over_steps(honest.iloc[:0]).empty


def answers() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": 5, "y": [0, 1, 2, 2], "predicted": [0, 1, 1, 2], "entropy": [0.1, 0.3, 1.0, 0.2],
            "conditional_entropy": [0.1, 0.2, 0.4, 0.3],
        }
    )  # fmt: skip


def test_entropy_of_right_and_wrong_answers_and_its_latent_part() -> None:
    table = cc.with_parts(answers())
    assert table["right"].tolist() == [True, True, False, True]
    np.testing.assert_allclose(table["latent"], [0, 0.1, 0.6, 0])  # noise of few draws takes none below 0
    found = cc.entropy_over_steps(table).set_index(["part", "right"])
    assert found.loc[("entropy", True), "p50"] == pytest.approx(0.2)
    assert found.loc[("entropy", False), ["count", "p05", "p95"]].tolist() == [1, 1.0, 1.0]
    assert found.loc[("latent", False), "p50"] == pytest.approx(0.6)
    alone = cc.entropy_over_steps(cc.with_parts(answers().drop(columns="conditional_entropy")))
    assert set(alone["part"]) == {"entropy"}


def test_shares_of_the_histogram_are_1_in_sum_and_reach_to_ln_c() -> None:
    histogram = cc.entropy_histogram(cc.with_parts(answers()), 3)
    assert histogram.groupby("right")["share"].sum().tolist() == pytest.approx([1, 1])
    assert histogram["right_edge"].max() == pytest.approx(np.log(3))
    assert histogram.groupby("right")["count"].sum().to_dict() == {False: 1, True: 3}
