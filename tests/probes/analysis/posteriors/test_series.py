"""Autocorrelation, half-lives and effective sizes of simulated autoregressions."""

import numpy as np
import pytest

from probes.analysis import posteriors


def autoregression(phi, length, neurons, seed=0):
    draw = np.random.default_rng(seed)
    series = np.empty((length, neurons))
    series[0] = draw.normal(size=neurons)
    for t in range(1, length):
        series[t] = phi * series[t - 1] + np.sqrt(1 - phi**2) * draw.normal(size=neurons)
    return series


def test_autocorrelation_by_hand_and_of_an_autoregression():
    series = autoregression(0.8, 50, 3)
    centred = series - series.mean(0)
    expected = [
        [(centred[: 50 - lag, n] * centred[lag:, n]).sum() / (centred[:, n] ** 2).sum() for lag in range(7)]
        for n in range(3)
    ]
    np.testing.assert_allclose(posteriors.autocorrelation(series, 6), expected, atol=1e-12)
    long = posteriors.autocorrelation(autoregression(0.8, 4096, 64), 5).mean(0)
    np.testing.assert_allclose(long, 0.8 ** np.arange(6), atol=0.02)
    assert np.isnan(posteriors.autocorrelation(np.ones((20, 1)))).all()


def exact_size(phi, length):
    """1 / Var(mean) of a unit autoregression."""
    lags = np.arange(1, length)
    return length / (1 + 2 * ((1 - lags / length) * phi**lags).sum())


@pytest.mark.parametrize(
    ("phi", "length"),
    [(0.0, 256), (0.5, 256), (0.9, 256), (-0.5, 256), (0.0, 96), (0.5, 96), (-0.5, 96), (0.9, 4096)],
)
def test_effective_sample_size_of_an_autoregression(phi, length):
    sizes = posteriors.effective_sample_size(autoregression(phi, length, 1000 if length < 4096 else 100))
    assert np.median(sizes) == pytest.approx(exact_size(phi, length), rel=0.15)
    assert posteriors.too_short(sizes).mean() < 0.3


def test_a_sequence_shorter_than_ten_autocorrelation_times_is_too_short():
    assert posteriors.too_short(posteriors.effective_sample_size(autoregression(0.98, 96, 300))).mean() > 0.85
    assert not posteriors.too_short([np.nan, 10.0]).any()


def test_effective_sample_size_of_an_alternating_series_is_large_and_limited_and_of_a_constant_undefined():
    sizes = posteriors.effective_sample_size(autoregression(-0.9, 1024, 50))
    assert sizes.min() > 1024
    assert sizes.max() <= posteriors.LARGEST_SIZE * 1024 + 1e-6
    assert np.isnan(posteriors.effective_sample_size(np.ones((10, 2)))).all()
    with pytest.raises(ValueError, match="at least 4"):
        posteriors.effective_sample_size(np.ones((3, 2)))


@pytest.mark.parametrize(("phi", "length"), [(0.9, 256), (0.8, 96)])
def test_autocorrelation_of_short_sequences_has_no_bias_of_their_own_mean(phi, length):
    series = autoregression(phi, length, 2000)
    lags = np.arange(13)
    biased = np.median(posteriors.autocorrelation(series, 12), 0) - phi**lags
    corrected = np.median(posteriors.unbiased_autocorrelation(series, 12), 0) - phi**lags
    assert np.abs(corrected).max() < 0.5 * np.abs(biased).max()
    assert posteriors.unbiased_autocorrelation(series).shape == (2000, length // 2 + 1)


@pytest.mark.parametrize(("phi", "length"), [(0.0, 96), (0.8, 256), (0.9, 256), (0.95, 256)])
def test_half_lives_are_measured_where_the_autocorrelation_falls_below_one_half(phi, length):
    found = posteriors.measured_half_life(autoregression(phi, length, 1000))
    true = np.argmax(phi ** np.arange(100) < 0.5)
    assert abs(np.nanmedian(found) - true) <= max(1, 0.15 * true)


def test_a_half_life_longer_than_the_sequence_is_null():
    ramp = np.arange(96.0)
    found = posteriors.measured_half_life(np.column_stack([ramp, np.ones(96), np.tile([1.0, -1.0], 48)]))
    np.testing.assert_array_equal(found, [np.nan, np.nan, 1])
