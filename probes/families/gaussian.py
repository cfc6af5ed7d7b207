"""The Gaussian family with independent components: Normal(mu, sigma²) against a Gaussian prior.

Formulas are those of one latent dimension, whitened by the prior Normal(m, s²): r = (μ − m)/s and v = σ²/s².
They take numbers, numpy arrays or torch tensors that broadcast, and give back the same kind: tensors stay on
their device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Gaussian:
    """`Family` of Normal(mu, sigma²)."""

    name: str = "gaussian"
    required: tuple[str, ...] = ("mean", "variance", "kl", "information", "spread")
    regimes: frozenset[int] = frozenset(range(10))

    @staticmethod
    def information(variance: Any, spread: Any, log_variance: Any) -> Any:
        """½ (ln(E[v] + Var[r]) − E[ln v]), nats: Gaussian upper estimate of I(x; z).

        Parameters
        ----------
        variance, spread, log_variance
            E[v], Var[r] and E[ln v] over the inputs.

        Notes
        -----
        No density of the aggregate's variance has more entropy than the Gaussian (Cover & Thomas 2006, 8.6).
        """
        return 0.5 * (log(variance + spread) - log_variance)

    @staticmethod
    def mismatch(mean: Any, variance: Any, spread: Any) -> Any:
        """KL of Normal(E r, E[v] + Var r) from Normal(0, 1), nats (Hoffman & Johnson 2016, ELBO surgery).

        Parameters
        ----------
        mean, variance, spread
            E[r], E[v] and Var[r] over the inputs.
        """
        total = variance + spread
        return 0.5 * (mean * mean + (total - 1) - log(total))

    @staticmethod
    def kl_floor(phi: Any, latent_dim: Any = 1) -> Any:
        """K ½ ln(1 + φ²), nats: the least KL under an autoregressive prior, reached at information 0.

        Notes
        -----
        Both posteriors of a pair then follow one law (Razavi et al. 2019 build on such a floor).
        """
        square = phi * phi
        return 0.5 * latent_dim * (square.log1p() if hasattr(square, "log1p") else np.log1p(square))

    @staticmethod
    def prior(mean: Any, whitened_mean: Any, prior_variance: Any, phi: Any) -> tuple[Any, Any]:
        """Mean and standard deviation of the stationary prior that a neuron's numbers are told against.

        Parameters
        ----------
        mean, whitened_mean, prior_variance, phi
            Recorded statistics, numpy arrays of one shape; NaN: not recorded, which means Normal(0, 1).

        Notes
        -----
        whitened_mean = E[(μ − m)/s]; under an autoregressive prior the stationary marginal is Normal(0, 1).
        """
        own = (np.nan_to_num(phi) == 0) & np.isfinite(prior_variance)
        sd = np.where(own, np.sqrt(np.where(own, prior_variance, 1.0)), 1.0)
        known = own & np.isfinite(whitened_mean) & np.isfinite(mean)
        return np.where(known, mean - np.where(known, whitened_mean, 0.0) * sd, 0.0), sd


GAUSSIAN = Gaussian()


def log(value: Any) -> Any:
    """Natural logarithm of a number, array or tensor, without a warning where a variance is 0 or NaN."""
    if hasattr(value, "log"):
        return value.log()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(value)
