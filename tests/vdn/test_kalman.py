"""The Kalman filter against the joint Gaussian law of a signal."""

import numpy as np
from scipy.stats import multivariate_normal, norm

from vdn.kalman import Factors, kalman_predictions, simulate

FACTORS = Factors((0.3, 0.9, 0.99), 0.5)


def test_its_predictions_multiply_to_the_joint_density():
    signals = simulate(FACTORS, 5, 12, seed=0)
    lags = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    covariance = sum(phi**lags for phi in FACTORS.phi) + 0.25 * np.eye(12)
    joint = multivariate_normal(np.zeros(12), covariance).logpdf(signals)
    means, sds = kalman_predictions(FACTORS, signals)
    np.testing.assert_allclose(norm(means, sds).logpdf(signals).sum(1), joint, rtol=1e-9)


def test_signals_are_stationary_and_those_of_their_seed():
    signals = simulate(FACTORS, 4000, 20, seed=1)
    assert abs(signals[:, 0].std() / FACTORS.sd - 1) < 0.05
    assert abs(signals[:, -1].std() / FACTORS.sd - 1) < 0.05
    np.testing.assert_array_equal(signals[:3], simulate(FACTORS, 4000, 20, seed=1)[:3])
    lag = np.mean(signals[:, :-1] * signals[:, 1:]) / np.mean(signals**2)
    assert abs(lag - (0.3 + 0.9 + 0.99) / 3.25) < 0.02
