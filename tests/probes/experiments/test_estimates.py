"""Estimates and their errors against scipy, enumeration and repeated sampling."""

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


def test_rank_correlation_with_ties_is_scipys():
    draw = np.random.default_rng(2)
    x, y = draw.integers(5, size=(2, 60))
    assert estimates.rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y)[0])
    np.testing.assert_allclose(estimates.ranks(x), stats.rankdata(x))
    np.testing.assert_allclose(estimates.ranks(np.stack([x, y])), stats.rankdata([x, y], axis=1))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_interval_of_spearman_covers(correlation):
    draw = np.random.default_rng(3)
    true = 6 / np.pi * np.arcsin(correlation / 2)  # Spearman's of a bivariate normal (Pearson 1907)
    hits = 0
    for _ in range(600):
        x = draw.normal(size=64)
        y = correlation * x + np.sqrt(1 - correlation**2) * draw.normal(size=64)
        found = estimates.spearman(x, y)
        hits += found.low < true < found.high
    assert 0.92 < hits / 600 < 0.985


def test_spearman_leaves_out_what_is_missing_and_says_nothing_of_few_or_constant_values():
    x = np.arange(20.0)
    assert estimates.spearman(np.r_[x, np.nan], np.r_[x**3, 5]).value == pytest.approx(1)
    assert np.isnan(estimates.spearman(x[:5], x[:5]).low)
    assert np.isnan(estimates.spearman(x, np.ones(20)).value)
    assert np.isnan(estimates.spearman(x[:2], x[:2]).value)


def test_rank_share_is_one_for_separate_classes_and_about_zero_for_random_ones():
    draw = np.random.default_rng(4)
    classes = np.repeat([3, 7], 50)
    assert estimates.rank_share(np.where(classes == 3, 0, 9.0), classes) == pytest.approx(1)
    shares = [estimates.rank_share(draw.normal(size=100), draw.permutation(classes)) for _ in range(400)]
    assert np.mean(shares) == pytest.approx(0, abs=0.003)
    assert np.isnan(estimates.rank_share(classes, np.zeros(100)))


def test_auroc_is_the_share_of_pairs_in_order():
    a, b = np.random.default_rng(5).integers(6, size=(2, 25))
    pairs = (b[:, None] > a).mean() + 0.5 * (b[:, None] == a).mean()
    assert estimates.auroc(a, b).value == pytest.approx(pairs)
    with pytest.raises(ValueError, match="same inputs"):
        estimates.auroc(a, b[:-1])


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_the_interval_of_auroc_knows_that_the_inputs_are_the_same(shared):
    draw = np.random.default_rng(6)
    true = stats.norm.cdf(0.5 / np.sqrt(2))
    hits, widths = 0, []
    for _ in range(500):
        both = np.sqrt(shared) * draw.normal(size=200)
        a, b = both + np.sqrt(1 - shared) * draw.normal(size=(2, 200))
        found = estimates.auroc(a, b + 0.5)
        hits += found.low < true < found.high
        widths.append(found.high - found.low)
    assert 0.92 < hits / 500 < 0.98
    assert np.mean(widths) < (0.06 if shared else 0.12)


def test_risk_is_the_mean_error_of_the_most_certain():
    error, uncertainty = np.array([4.0, 1.0, 2.0, 3.0]), np.array([0.9, 0.1, 0.2, 0.3])
    coverage, risk = estimates.risk_curve(error, uncertainty)
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [1, 1.5, 2, 2.5])
    assert estimates.area_under_risk(error, uncertainty) == pytest.approx(1.75)
    # no order: every part errs alike
    np.testing.assert_allclose(estimates.risk_curve(error, np.ones(4))[1], 2.5)


def test_resampling_groups_gives_the_error_of_a_mean_of_groups():
    draw = np.random.default_rng(7)
    values, groups = np.repeat(draw.normal(size=50), 6), np.repeat(np.arange(50), 6)
    resampled = estimates.bootstrap(lambda index: values[index].mean(), 300, groups, repeats=2000)
    assert resampled.std() == pytest.approx(estimates.clustered_mean(values, groups)[1], rel=0.08)
    found = estimates.interval(values.mean(), resampled)
    assert found.low < found.value < found.high


def test_the_gain_of_one_auroc_over_another_is_paired():
    draw = np.random.default_rng(8)
    a, b = draw.normal(size=(2, 300))
    b = b + 1
    other_a, other_b = a + 0.05 * draw.normal(size=300), b + 0.05 * draw.normal(size=300)
    found = estimates.auroc_gain(a, b, other_a, other_b)
    assert found.value == pytest.approx(estimates.auroc(a, b).value - estimates.auroc(other_a, other_b).value)
    single = estimates.auroc(a, b)
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.3 * (single.high - single.low)
