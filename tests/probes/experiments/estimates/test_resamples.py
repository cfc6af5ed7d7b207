"""Resampled blocks and quantiles of few values, and what their intervals cover."""

import numpy as np
import pytest
from scipy import stats

from probes.experiments import estimates


def test_resampling_groups_gives_the_error_of_a_mean_of_groups():
    draw = np.random.default_rng(7)
    values, groups = np.repeat(draw.normal(size=50), 6), np.repeat(np.arange(50), 6)
    resampled = estimates.bootstrap(lambda index: values[index].mean(), 300, groups, repeats=2000)
    assert resampled.std() == pytest.approx(estimates.clustered_mean(values, groups)[1], rel=0.08)
    found = estimates.interval(values.mean(), resampled)
    assert found.low < found.value < found.high


def area_under_risk_of(draw, blocks):
    """Losses that vary with their block as their uncertainty does not know, and uncertainties."""
    uncertainty = np.exp(0.5 * draw.normal(size=(blocks, 12)) + 0.3 * draw.normal(size=(blocks, 1)))
    surprise = np.exp(0.5 * draw.normal(size=(blocks, 1)))
    return (uncertainty * surprise * draw.chisquare(1, (blocks, 12))).ravel(), uncertainty.ravel()


@pytest.mark.parametrize("blocks", [5, 12])
def test_the_interval_from_resamples_of_few_blocks_covers(blocks):
    draw = np.random.default_rng(11)
    truth = np.mean([estimates.area_under_risk(*area_under_risk_of(draw, 400)) for _ in range(30)])
    groups = np.repeat(np.arange(blocks), 12)
    hits = {"percentiles": 0, "plain": 0, "logarithm": 0}
    for _ in range(200):
        loss, uncertainty = area_under_risk_of(draw, blocks)
        value = estimates.area_under_risk(loss, uncertainty)
        resampled = estimates.bootstrap(
            lambda index, loss=loss, order=uncertainty: estimates.area_under_risk(loss[index], order[index]),
            len(loss),
            groups,
            100,
        )
        found = {
            "percentiles": estimates.interval(value, resampled),
            "plain": estimates.interval_of_few(value, resampled, blocks - 1),
            "logarithm": estimates.interval_of_few(value, resampled, blocks - 1, positive=True),
        }
        for name, estimate in found.items():
            hits[name] += estimate.low < truth < estimate.high
    assert hits["percentiles"] < 180
    assert hits["plain"] > 170
    assert hits["logarithm"] > 180


def test_one_block_has_no_interval():
    found = estimates.interval_of_few(1.0, np.ones(50), estimates.degrees_of_freedom(8, np.zeros(8)))
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(estimates.interval_of_few(1.0, [0.5, np.nan, 2], 7).low)


def test_quantiles_of_few_values_hold_the_share_that_their_levels_say():
    draw = np.random.default_rng(13)
    for values in (draw.normal(size=(20_000, 32)), draw.exponential(size=(20_000, 32))):
        law = stats.norm if values.min() < 0 else stats.expon
        low, high = law.cdf(estimates.quantiles_of_few(values, [0.05, 0.95], axis=1))
        assert (high - low).mean() == pytest.approx(0.9, abs=0.012)
        said = estimates.content_between(32, 0.05, 0.95)
        assert said.value == pytest.approx(0.9, abs=0.005)
        assert ((said.low < high - low) & (high - low < said.high)).mean() == pytest.approx(0.95, abs=0.025)
    assert np.isnan(estimates.quantiles_of_few(np.arange(18), [0.05, 0.5, 0.95])[[0, 2]]).all()
    np.testing.assert_allclose(estimates.quantiles_of_few(np.arange(19), [0.05, 0.5, 0.95]), [0, 9, 18])
    assert np.isnan(estimates.content_between(8, 0.05, 0.95)).all()
