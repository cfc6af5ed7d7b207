"""The best possible one-step prediction of a sum of AR(1) factors with noise: the Kalman filter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Factors:
    """x_t = sum_i f_it + noise e_t with f_it = phi_i f_i,t-1 + sqrt(1 - phi_i^2) e_it, each of variance 1.

    Attributes
    ----------
    phi
        Persistence of each factor, within (-1, 1).
    noise
        Sd of what is added.
    """

    phi: tuple[float, ...]
    noise: float

    @property
    def sd(self) -> float:
        """Of x."""
        return float(np.sqrt(len(self.phi) + self.noise**2))


def simulate(factors: Factors, count: int, length: int, seed: int) -> Array:
    """Signals from the factors' stationary law.

    Parameters
    ----------
    factors
        What they are sums of.
    count, length
        How many, and how long.
    seed
        Of all draws.

    Returns
    -------
    ndarray
        (count, length).
    """
    rng = np.random.default_rng(seed)
    phi = np.array(factors.phi)
    state = rng.standard_normal((count, len(phi)))
    signals = np.empty((count, length))
    for t in range(length):
        signals[:, t] = state.sum(1) + factors.noise * rng.standard_normal(count)
        state = phi * state + np.sqrt(1 - phi**2) * rng.standard_normal(state.shape)
    return signals


def kalman_predictions(factors: Factors, signals: Array) -> tuple[Array, Array]:
    """Mean and sd of each position given all before it.

    Parameters
    ----------
    factors
        That made the signals.
    signals
        (count, length).

    Returns
    -------
    tuple of ndarray
        (count, length) means and (length,) sds.

    Notes
    -----
    Kalman 1960. The sds depend on no observation, so that all signals share one gain.
    """
    phi = np.array(factors.phi)
    mean, covariance = np.zeros((len(signals), len(phi))), np.eye(len(phi))
    means, sds = np.empty(signals.shape), np.empty(signals.shape[1])
    for t in range(signals.shape[1]):
        variance = covariance.sum() + factors.noise**2
        means[:, t], sds[t] = mean.sum(1), np.sqrt(variance)
        gain = covariance.sum(1) / variance
        mean = mean + (signals[:, t] - means[:, t])[:, None] * gain
        covariance = covariance - variance * np.outer(gain, gain)
        mean, covariance = phi * mean, np.outer(phi, phi) * covariance + np.diag(1 - phi**2)
    return means, sds
