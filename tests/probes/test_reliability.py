"""Reliability bins, the ECE and what it is by chance, by hand and against draws of each answer."""

from __future__ import annotations

import numpy as np
import pytest

from probes import reliability as rel


def test_bins_hold_equally_many_answers_and_ties_stay_together() -> None:
    bins = rel.equal_mass_bins([0.9, 0.2, 0.4, 0.6], [1, 0, 1, 0], bins=2)
    assert bins["low"].tolist() == [0.2, 0.6]
    assert bins["high"].tolist() == [0.4, 0.9]
    assert bins["count"].tolist() == [2, 2]
    np.testing.assert_allclose(bins["confidence"], [0.3, 0.75])
    assert bins["right"].tolist() == [1, 1]
    tied = rel.equal_mass_bins([0.5] * 9 + [1.0], [1] * 5 + [0] * 5, bins=5)
    assert tied["count"].tolist() == [9, 1]
    assert tied["right"].tolist() == [5, 0]


def test_no_bin_is_lost_or_empty_and_their_order_does_not_depend_on_that_of_the_answers() -> None:
    random = np.random.default_rng(0)
    confidence = np.round(random.uniform(0.1, 1, 997), 2)
    right = random.uniform(size=997) < confidence
    bins = rel.equal_mass_bins(confidence, right)
    assert len(bins["count"]) == rel.BINS
    assert bins["count"].min() > 0
    assert (bins["count"].sum(), bins["right"].sum()) == (997, right.sum())
    turned = rel.equal_mass_bins(confidence[::-1], right[::-1])
    for name, values in bins.items():
        np.testing.assert_allclose(values, turned[name])
    assert (bins["high"][:-1] < bins["low"][1:]).all()


def test_the_calibration_error_by_hand() -> None:
    bins = rel.equal_mass_bins([0.6, 0.6, 0.9, 0.9], [1, 0, 1, 1], bins=2)
    assert rel.calibration_error(bins) == pytest.approx(0.5 * 0.1 + 0.5 * 0.1)
    assert np.isnan(rel.calibration_error(rel.equal_mass_bins([], [])))
    assert np.isnan(rel.calibrated_errors(rel.equal_mass_bins([], []))).all()


@pytest.mark.parametrize("count", [200, 4000])
def test_the_null_from_bins_is_that_of_answers_drawn_one_by_one(count: int) -> None:
    random = np.random.default_rng(1)
    confidence = random.beta(5, 2, count)
    drawn = [
        rel.calibration_error(rel.equal_mass_bins(confidence, random.uniform(size=count) < confidence))
        for _ in range(1000)
    ]
    null = rel.calibrated_errors(rel.equal_mass_bins(confidence, np.zeros(count)))
    assert null.mean() == pytest.approx(np.mean(drawn), rel=0.04)
    assert np.quantile(null, 0.95) == pytest.approx(np.quantile(drawn, 0.95), rel=0.06)


def test_the_null_shrinks_with_the_root_of_the_answers_and_is_0_for_certainty() -> None:
    few, many = (
        rel.calibrated_errors(rel.equal_mass_bins(np.linspace(0.4, 0.9, n), np.ones(n))).mean()
        for n in (150, 15_000)
    )
    assert few / many == pytest.approx(10, rel=0.1)
    assert rel.calibrated_errors(rel.equal_mass_bins(np.ones(10), np.ones(10))).max() == 0


def test_entropy_by_hand() -> None:
    np.testing.assert_allclose(rel.entropy([[0.5, 0.5], [1, 0]]), [np.log(2), 0])


def test_points_are_spread_over_all_and_the_same_each_time() -> None:
    assert rel.spread_points(3).tolist() == [0, 1, 2]
    assert rel.spread_points(0).tolist() == []
    kept = rel.spread_points(10_000)
    assert len(np.unique(kept)) == rel.POINTS_KEPT
    assert np.ptp(np.diff(kept)) <= 1
