"""Mutual information against quadrature and Gaussian channels."""

import numpy as np
import pytest
from scipy import integrate

from probes.analysis import posteriors


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
