"""Rank correlations, AUROC and reliability against scipy, pairs counted, and what intervals cover."""

import numpy as np
import pytest
from scipy import stats

from probes.experiments import estimates


def test_rank_correlation_with_ties_is_scipys():
    draw = np.random.default_rng(2)
    x, y = draw.integers(5, size=(2, 60))
    assert estimates.rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y)[0])


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


@pytest.mark.parametrize(("distance", "blocks"), [(1.0, 5), (2.5, 8), (2.5, 24)])
def test_the_interval_of_auroc_covers_with_few_blocks_and_near_one(distance, blocks):
    draw = np.random.default_rng(10)
    groups, true = np.repeat(np.arange(blocks), 10), stats.norm.cdf(distance / np.sqrt(2))
    hits = []
    for _ in range(500):
        shared = 0.6 * draw.normal(size=blocks)[groups]
        a, b = shared + 0.8 * draw.normal(size=(2, len(groups)))
        found = estimates.auroc(a, b + distance, groups)
        if found.value < 1:
            assert 0 <= found.low < found.value < found.high <= 1
            hits.append(found.low < true < found.high)
    assert np.mean(hits) > 0.9  # as it was: 0.85, 0.80, 0.87


def test_auroc_of_what_is_told_apart_without_fail_has_no_interval():
    found = estimates.auroc(np.zeros(20), np.ones(20))
    assert found.value == 1
    assert np.isnan([found.low, found.high]).all()
    one = estimates.auroc(np.arange(20), np.arange(20) + 3, np.zeros(20))
    assert np.isnan([one.low, one.high]).all()


@pytest.mark.parametrize(("size", "blocks"), [(0.0, 16), (0.4, 8), (0.4, 32), (1.5, 16)])
def test_reliability_is_the_rank_correlation_with_a_second_sample(size, blocks):
    """Of 64 means three have errors twelve times as large, which is all that their mean square tells."""
    draw = np.random.default_rng(12)
    groups, noise = np.repeat(np.arange(blocks), 6), np.where(np.arange(64) < 3, 12, 1)
    found, second, by_squares = [], [], []
    for _ in range(40):
        true = size * draw.exponential(size=64)
        own, other = (
            true
            + 0.7 * noise * (draw.normal(size=(blocks, 64))[groups] + draw.normal(size=(len(groups), 64)))
            for _ in range(2)
        )
        found.append(estimates.split_half_reliability(own, groups))
        second.append(estimates.rank_correlation(own.mean(0), other.mean(0)))
        mean, error = estimates.clustered_mean(own, groups)
        by_squares.append(max(0.0, 1 - (error**2).mean() / mean.var(ddof=1)))
    assert np.mean(found) == pytest.approx(max(0, np.mean(second)), abs=0.1)
    if size == 0.4:
        assert np.mean(by_squares) < np.mean(second) - 0.2


def test_reliability_of_exact_means_is_one_and_needs_four_blocks_and_three_means():
    values = np.tile(np.arange(5.0), (8, 1))
    assert estimates.split_half_reliability(values) == 1
    assert estimates.split_half_reliability(values, np.arange(8) // 2) == 1
    assert np.isnan(estimates.split_half_reliability(values, np.arange(8) // 3))
    assert np.isnan(estimates.split_half_reliability(values[:, :2]))
    assert np.isnan(estimates.split_half_reliability(np.ones((8, 5))))
    assert np.isnan(estimates.split_half_reliability(np.where(np.eye(8, 5) > 0, np.nan, values)))
    # each block says what the next denies
    opposed = np.random.default_rng(0).normal(size=(8, 40)) + 9 * np.outer([1, -1] * 4, np.arange(40))
    assert estimates.split_half_reliability(opposed) < 0.2
