"""Errors of means over blocks, and what their intervals cover."""

import numpy as np
import pytest
from scipy import stats

from probes.experiments import estimates


def test_the_error_of_a_mean_is_the_usual_one_without_groups_and_that_of_group_means_with_them():
    draw = np.random.default_rng(0)
    values = draw.normal(size=(40, 3))
    mean, error = estimates.clustered_mean(values)
    np.testing.assert_allclose(mean, values.mean(0))
    np.testing.assert_allclose(error, stats.sem(values))
    groups = np.repeat(np.arange(10), 4)
    _, grouped = estimates.clustered_mean(values, draw.permutation(100)[groups])
    np.testing.assert_allclose(grouped, stats.sem(values.reshape(10, 4, 3).mean(1)))
    assert np.isnan(estimates.clustered_mean(values, np.zeros(40))[1]).all()


def test_values_that_repeat_within_a_group_are_not_counted_twice():
    values = np.random.default_rng(1).normal(size=30)
    once = estimates.clustered_mean(values)[1]
    tenfold = estimates.clustered_mean(np.repeat(values, 10), np.repeat(np.arange(30), 10))[1]
    assert tenfold == pytest.approx(once)


@pytest.mark.parametrize("blocks", [3, 5, 12])
def test_the_interval_of_a_mean_over_few_blocks_covers(blocks):
    draw = np.random.default_rng(9)
    groups = np.repeat(np.arange(blocks), 6)
    freedom = estimates.degrees_of_freedom(len(groups), groups)
    assert freedom == pytest.approx(blocks - 1)
    hits = 0
    for _ in range(2000):
        mean, error = estimates.clustered_mean(
            draw.normal(size=blocks)[groups] + draw.normal(size=len(groups)), groups
        )
        hits += abs(mean) < estimates.half_width(error, freedom)
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)  # 1.96 errors cover 0.81, 0.88, 0.92


def test_blocks_of_which_one_outweighs_the_others_give_no_interval():
    groups = np.repeat(np.arange(5), [400, 2, 2, 2, 2])
    assert estimates.degrees_of_freedom(len(groups), groups) < 1
    _, error = estimates.clustered_mean(np.random.default_rng(0).normal(size=len(groups)), groups)
    assert np.isnan(estimates.half_width(error, estimates.degrees_of_freedom(len(groups), groups)))
    assert estimates.degrees_of_freedom(12) == 11
    assert np.isnan(estimates.half_width(1.0, estimates.degrees_of_freedom(6, np.zeros(6))))
