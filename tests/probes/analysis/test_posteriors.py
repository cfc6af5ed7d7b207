"""Probe-batch statistics against closed forms, quadrature, brute force and simulated autoregressions."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate

from probes.analysis import posteriors
from probes.errors import RunError


def channel(information, inputs, neurons, seed=0):
    """Neurons whose means are standard normal over inputs, with the noise that gives them `information`
    nats.
    """
    draw = np.random.default_rng(seed)
    mu = draw.normal(size=(inputs, neurons))
    return mu, np.full_like(mu, np.sqrt(1 / np.expm1(2 * information)))


def clusters(centres, within, inputs, neurons, seed=0):
    """Means around equally likely centres, and the information of such neurons of sigma 1 by quadrature."""
    draw = np.random.default_rng(seed)
    mu = draw.choice(centres, (inputs, neurons)) + within * draw.normal(size=(inputs, neurons))
    variance = 1 + within**2

    def surprise(z):
        density = np.exp(-0.5 * (z - np.asarray(centres)) ** 2 / variance).mean() / np.sqrt(
            2 * np.pi * variance
        )
        return -density * np.log(max(density, 1e-300))

    entropy = integrate.quad(surprise, min(centres) - 12, max(centres) + 12, limit=400, points=centres)[0]
    return mu, entropy - 0.5 * np.log(2 * np.pi * np.e)


@pytest.mark.parametrize(("centres", "within"), [((-2, 2), 0.0), ((-0.5, 0.5), 0.0), ((-6, -2, 2, 6), 0.3)])
def test_mutual_information_of_clusters_is_the_integral_over_their_mixture(centres, within):
    mu, exact = clusters(centres, within, 96, 300)
    found = posteriors.mutual_information(mu, np.ones_like(mu))
    assert abs(found.value.mean() - exact) < 0.006
    covered = np.abs(found.value - exact) < 1.96 * found.standard_error
    assert 0.88 < covered.mean() <= 0.98
    assert (found.at_most < exact).mean() < 0.08


@pytest.mark.parametrize(
    ("information", "inputs"), [(0.05, 256), (0.5, 256), (2.0, 256), (0.2, 64), (1.5, 64), (2.0, 96)]
)
def test_mutual_information_and_its_error_on_gaussian_channels(information, inputs):
    found = posteriors.mutual_information(*channel(information, inputs, 400))
    sd = found.value.std()
    assert abs(found.value.mean() - information) < 0.3 * sd
    assert sd * 0.9 < found.standard_error.mean() < sd * 1.6
    covered = np.abs(found.value - information) < 1.96 * found.standard_error
    assert 0.9 < covered.mean() < 0.995
    assert found.at_least.mean() < 0.05


@pytest.mark.parametrize(("information", "inputs"), [(2.0, 32), (3.0, 64), (3.0, 256), (4.5, 256)])
def test_beyond_half_of_the_logarithm_of_the_inputs_both_bounds_hold(information, inputs):
    found = posteriors.mutual_information(*channel(information, inputs, 200))
    assert found.at_least.mean() > 0.7
    assert (found.value < np.log(inputs)).all()
    assert ((found.value > information) & found.at_least).mean() < 0.03
    assert (found.at_most < information).mean() < 0.03


def test_inputs_without_overlap_have_no_upper_bound():
    found = posteriors.mutual_information(np.array([[0.0], [1e30]]), np.ones((2, 1)))
    assert found.at_least[0]
    assert np.isinf(found.at_most[0])
    assert found.value[0] <= np.log(2) + 1e-6
    for inputs in (0, 1):
        assert np.isnan(
            posteriors.mutual_information(np.zeros((inputs, 2)), np.ones((inputs, 2))).value
        ).all()


def test_a_collapsed_and_an_offset_neuron_tell_nothing_and_a_broken_one_is_nan():
    mu = np.tile([0.0, 3.0, np.nan], (64, 1))
    found = posteriors.mutual_information(mu, np.ones_like(mu))
    np.testing.assert_allclose(found.value[:2], 0, atol=1e-6)
    assert np.isnan(found.value[2])
    assert not found.at_least.any()
    with pytest.raises(ValueError, match="positive"):
        posteriors.mutual_information(mu, 0 * mu)
    with pytest.raises(ValueError, match="alike"):
        posteriors.mutual_information(mu, np.ones((64, 2)))


def test_mutual_information_stays_finite_from_the_narrowest_to_the_widest_posterior():
    mu, sigma = np.zeros((64, 1)), np.where(np.arange(64) % 2, 1e-4, 10.0)[:, None]
    found = posteriors.mutual_information(mu, sigma)
    assert found.value[0] == pytest.approx(np.log(2), abs=0.01)


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


def test_update_speed_against_torch():
    draw = np.random.default_rng(0)
    mu, before = draw.normal(size=(2, 30, 4))
    sigma, earlier = np.exp(draw.normal(size=(2, 30, 4)))
    kl, moved = posteriors.update_speed(mu, sigma, before, earlier)
    q, p = (
        torch.distributions.Normal(torch.tensor(m), torch.tensor(s))
        for m, s in ((mu, sigma), (before, earlier))
    )
    np.testing.assert_allclose(kl, torch.distributions.kl_divergence(q, p).mean(0))
    quantiles = (
        torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(20_000) + 0.5) / 20_000).double().numpy()
    )
    coupled = (
        (mu[..., None] + sigma[..., None] * quantiles) - (before[..., None] + earlier[..., None] * quantiles)
    ) ** 2
    np.testing.assert_allclose(moved, coupled.mean((0, 2)), rtol=1e-3)


def rows(step, layer, mu, sigma):
    inputs, neurons = np.indices(mu.shape)
    columns = {"step": step, "layer": layer, "neuron": neurons.ravel(), "input": inputs.ravel()}
    return pd.DataFrame({**columns, "mu": mu.ravel(), "sigma": sigma.ravel()})


def test_drift_goes_from_one_recorded_step_to_the_next_in_every_layer():
    draw = np.random.default_rng(1)
    mu = draw.normal(size=(3, 2, 8, 5))
    probes = {
        step: (
            pd.concat([rows(step, layer, mu[i, layer], np.ones((8, 5))) for layer in (0, 1)]).sample(
                frac=1, random_state=0
            )
        )
        for i, step in enumerate((0, 10, 30))
    }
    frame = posteriors.drift(probes)
    assert len(frame) == 2 * 2 * 5
    last = frame[(frame["step"] == 30) & (frame["layer"] == 1)]
    assert (last["previous"] == 10).all()
    np.testing.assert_allclose(last["wasserstein2"], ((mu[2, 1] - mu[1, 1]) ** 2).mean(0))
    np.testing.assert_allclose(last["update_kl"], last["wasserstein2"] / 2)
    assert posteriors.drift({0: probes[0]}).empty


def test_table_refuses_rows_that_are_not_one_step_and_complete():
    frame = rows(0, 0, np.zeros((3, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="several steps"):
        posteriors.table(pd.concat([frame, frame.assign(step=1)]), 0)
    with pytest.raises(ValueError, match="5 probe rows for 3 inputs and 2 neurons"):
        posteriors.table(frame.iloc[1:], 0)
    with pytest.raises(ValueError, match="6 probe rows for 3 inputs and 4 neurons"):
        posteriors.table(frame, 0, 4)


def test_nearest_neurons_are_those_that_move_alike_whatever_their_sign():
    draw = np.random.default_rng(2)
    mu = draw.normal(size=(200, 6))
    mu[:, 3] = 5 - 2 * mu[:, 0] + 0.1 * draw.normal(size=200)
    mu[:, 5] = 1.0
    near = posteriors.nearest(mu, 0, count=10)
    assert near["neuron"].iloc[0] == 3
    assert near["correlation"].iloc[0] == pytest.approx(np.corrcoef(mu[:, 0], mu[:, 3])[0, 1])
    assert set(near["neuron"]) == {1, 2, 3, 4}
    with pytest.raises(ValueError, match="200 and on 100 inputs"):
        posteriors.correlation(mu, mu[:100])


def test_matching_has_the_largest_sum_of_all_permutations():
    first, second = np.random.default_rng(3).normal(size=(2, 12, 5))
    sizes = np.abs(posteriors.correlation(first, second))
    best = max(sum(sizes[i, j] for i, j in enumerate(order)) for order in permutations(range(5)))
    assert posteriors.match(first, second)["correlation"].abs().sum() == pytest.approx(best)


@pytest.mark.parametrize("neurons", [(7, 7), (7, 4), (4, 7)])
def test_matching_finds_a_permutation_again(neurons):
    draw = np.random.default_rng(4)
    mu = draw.normal(size=(100, 7))
    order = draw.permutation(7)
    first, second = mu[:, : neurons[0]], (mu[:, order] * np.where(np.arange(7) % 2, -1, 1))[:, : neurons[1]]
    found = posteriors.match(first, second)
    assert len(found) == min(neurons)
    true = {int(n): i for i, n in enumerate(order[: neurons[1]]) if n < neurons[0]}
    pairs = dict(zip(found["neuron"], found["partner"], strict=True))
    assert all(pairs[n] == i for n, i in true.items())
    np.testing.assert_allclose(found.set_index("neuron")["correlation"].abs()[list(true)], 1)


def test_two_probe_batches_are_the_same_only_with_the_same_targets():
    frame = pd.DataFrame({"input": [0, 0, 1], "horizon": [0, 1, 0], "y": [0.1, 0.2, 0.3]})
    assert posteriors.same_inputs(frame, frame.iloc[::-1])
    assert not posteriors.same_inputs(frame, frame.assign(y=[0.1, 0.2, 0.4]))
    assert not posteriors.same_inputs(frame, frame.iloc[:2])


def test_inputs_are_split_into_spread_ones_and_a_sequence():
    """Three spread inputs, then a first-order autoregression of 400 positions, whose memory is found
    again.
    """
    draw = np.random.default_rng(0)
    series = np.zeros(400)
    for t in range(1, 400):
        series[t] = 0.8 * series[t - 1] + draw.normal()
    mu = np.concatenate([draw.normal(size=3), series])[:, None] * [1.0, -2.0]
    probe = pd.DataFrame(
        {
            "step": 5,
            "layer": 0,
            "neuron": np.repeat([0, 1], 403),
            "input": np.tile(np.arange(403), 2),
            "mu": mu.T.ravel(),
        }
    ).assign(sigma=0.5)
    parts = posteriors.split_inputs(probe, {"probe_inputs": 3, "probe_sequence": 400})
    assert sorted(parts.spread["input"].unique()) == [0, 1, 2]
    np.testing.assert_array_equal(posteriors.table(parts.spread, 0)[0], mu[:3])
    sequence, _ = posteriors.table(parts.sequence, 0)
    np.testing.assert_array_equal(sequence, mu[3:])
    assert posteriors.autocorrelation(sequence, 1)[:, 1] == pytest.approx(0.8, abs=0.08)
    alone = posteriors.split_inputs(probe, {"probe_sequence": 0})
    assert len(alone.spread) == len(posteriors.split_inputs(probe, {}).spread) == len(probe)
    assert alone.sequence.empty
    assert posteriors.split_inputs(probe.iloc[:0], {"probe_sequence": 4}).sequence.empty
    with pytest.raises(ValueError, match="403 inputs"):
        posteriors.split_inputs(probe, {"probe_sequence": 404})
    for wrong in (-1, 2.5, "4", [4], 2**63):  # of a damaged manifest
        with pytest.raises(RunError, match="probe_sequence"):
            posteriors.split_inputs(probe, {"probe_sequence": wrong})
