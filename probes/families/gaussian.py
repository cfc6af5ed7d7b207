"""The Gaussian family with independent components: Normal(mu, sigma²) against a Gaussian prior.

Formulas are those of one latent dimension, whitened by the prior Normal(m, s²): r = (μ − m)/s and v = σ²/s².
They take numbers, numpy arrays or torch tensors that broadcast, and give back the same kind: tensors stay on
their device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv


@dataclass(frozen=True)
class Gaussian:
    """`Family` of Normal(mu, sigma²)."""

    name: str = "gaussian"
    required: tuple[str, ...] = ("mean", "variance", "kl", "information", "spread")
    regimes: frozenset[int] = frozenset(range(10))
    label: str = "Gaussian"
    support: str = "real"
    parameters: tuple[str, ...] = ("mu", "sigma")
    by_entropy: bool = False
    identity: bool = True

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
    def width_spread(variance: Any, log_variance: Any) -> Any:
        """½ (ln E[v] − E[ln v]), nats: 0 where every input has one width, by Jensen's inequality never below.

        Parameters
        ----------
        variance, log_variance
            E[v] and E[ln v] over the inputs.
        """
        return 0.5 * (log(variance) - log_variance)

    @staticmethod
    def information_limit(
        information: Any, width_spread: Any, rows: Any, latent_dim: Any = 1, confidence: float = 0.98
    ) -> NDArray[np.float64]:
        """Upper confidence limit of the information, nats, of a mean that is Gaussian over the inputs.

        Parameters
        ----------
        information, width_spread
            Of a neuron, nats, summed over its dimensions.
        rows
            Independent inputs that they are estimated from; infinite: the information is its own limit.
        latent_dim
            K.
        confidence
            One-sided.

        Returns
        -------
        ndarray
            NaN for fewer than two inputs.

        Notes
        -----
        Σ_k ½ ln(1 + (S_k / v_k) (B − 1) / χ²(B − 1)) + h: the sampling law of a variance. Only the sum over
        dimensions is recorded; taking all S_k / v_k for equal gives the largest limit of that sum, since
        ½ ln(1 + c (e^{2u} − 1)) is concave in u for c >= 1.
        """
        rows = np.asarray(rows, np.float64)
        sizes, index = np.unique(rows, return_inverse=True)
        freedom = np.where(sizes >= 2, sizes - 1, np.nan)
        with np.errstate(invalid="ignore", over="ignore"):
            quantile = 2 * gammaincinv(freedom / 2, 1 - confidence)  # of the chi-squared distribution
            growth = np.where(np.isinf(freedom), 1.0, np.maximum(freedom / quantile, 1.0))
            moving = np.maximum(np.subtract(information, width_spread), 0.0) / latent_dim
            limit = 0.5 * np.log1p(growth[index].reshape(rows.shape) * np.expm1(2 * moving))
            return np.asarray(information + latent_dim * (limit - moving), np.float64)

    @staticmethod
    def completions(
        mean: Any, variance: Any, kl: Any, spread: Any, rounding: float
    ) -> list[tuple[Any, Any, Any]]:
        """Information, spread and spread of widths at the ends of what mean, variance and KL leave open.

        Parameters
        ----------
        mean, variance, kl
            Of a neuron of one dimension under Normal(0, 1), numpy arrays of one shape.
        spread
            The same, NaN where it is not known either.
        rounding
            Relative error of the numbers.

        Returns
        -------
        list of tuple
            (information, spread, width_spread): all that is possible lies between these; NaN where no
            Gaussian posteriors under Normal(0, 1) have such a mean, variance and KL.

        Notes
        -----
        D = kl − KL(Normal(mean, variance) ‖ Normal(0, 1)) = ½ S + h, S the spread and h >= 0 the spread of
        widths (Jensen's inequality), and information = ½ ln(1 + S / variance) + h: S is between 0 and 2 D,
        and on the way the information has one maximum, at S = 1 − variance.
        """
        beyond = kl - 0.5 * (mean * mean + (variance - 1) - log(variance))
        slack = rounding * (kl + mean * mean + variance + 1)
        found = []
        for least in (np.maximum(beyond - slack, 0), beyond + slack):
            for open_spread in (0.0, 2 * least, np.clip(1 - variance, 0.0, np.maximum(2 * least, 0.0))):
                moved = np.where(np.isnan(spread), open_spread, spread)
                widths = least - moved / 2
                possible = (beyond + slack >= 0) & (widths >= -2 * slack - rounding * moved)
                widths = np.where(possible, np.maximum(widths, 0), np.nan)
                found.append((0.5 * np.log1p(moved / variance) + widths, moved, widths))
        return found

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
GAUSSIAN_FULL = Gaussian("gaussian_full", label="Gaussian, full covariance")
"""A neuron's numbers are those of its marginal; the layer's joint KL and coupling stand in `layers/`."""
GAUSSIAN_UNKNOWN_PRIOR = Gaussian(
    "gaussian_unknown_prior", ("mean", "variance", "spread"), frozenset(), identity=False
)
"""A Gaussian posterior whose prior is not known: no rule that needs one fires."""
NEED_PRIOR = frozenset({
    "kl", "information", "mismatch", "width_spread", "active_share", "whitened_mean", "prior_variance",
})  # fmt: skip
"""Statistics of a batch that are left out where the prior is not known. Of a prior that varies from row to
row the information of Gaussians is another than of one for all; that of other families has no prior in it.
"""


def log(value: Any) -> Any:
    """Natural logarithm of a number, array or tensor, without a warning where a variance is 0 or NaN."""
    if hasattr(value, "log"):
        return value.log()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(value)
