"""Densities of posteriors, to be drawn: of each family on its own support, in numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
Parameters = Mapping[str, ArrayLike]
_Named = dict[str, Floats]

SHARE = 0.99
"""Mass that the drawn part of an unbounded support holds, of each posterior."""
EDGE = 1e-3
"""How far a grid keeps from the ends of [0, 1], where densities may be infinite."""


def density(family: str, parameters: Parameters, z: ArrayLike) -> Floats:
    """Density, or probability of a count, of each posterior.

    Parameters
    ----------
    family
        A name of `families.FAMILIES` with a density: neither classes nor draws.
    parameters
        By the family's names, arrays (...,) that broadcast; of a Dirichlet (..., C).
    z
        (P,), or (..., P) of each posterior alone.

    Returns
    -------
    ndarray
        (..., P); of a Dirichlet (..., C, P), the density of each component. 0 outside the support.

    Raises
    ------
    ValueError
        For a family without a density.
    """
    if family not in _LOG_DENSITIES:
        raise ValueError(
            f"a {family} has no density: it is of {'classes' if family in _CLASSES else 'draws'}"
        )
    named = _arrays(family, parameters)
    at = np.asarray(z, np.float64)
    with np.errstate(all="ignore"):
        found = np.exp(_LOG_DENSITIES[family](at, **named))
    return np.asarray(np.where(_inside(family, at), found, 0.0), np.float64)


def quantile(family: str, share: float, parameters: Parameters) -> Floats:
    """Below which a share of each posterior's mass lies; of an angle counted from the far side of its loc.

    Parameters
    ----------
    family
        A name of `families.FAMILIES` with a density, not a Dirichlet.
    share
        Strictly between 0 and 1.
    parameters
        By the family's names, arrays (...,) that broadcast.

    Returns
    -------
    ndarray
        (...,); NaN where parameters are no numbers. Of counts a number between two of them.

    Raises
    ------
    ValueError
        For a family without quantiles.
    """
    if family not in _QUANTILES:
        raise ValueError(f"a {family} has no quantiles; known are {', '.join(_QUANTILES)}")
    named = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    with np.errstate(all="ignore"):
        return np.asarray(_QUANTILES[family](share, **named), np.float64)


def classes(family: str, parameters: Parameters) -> Floats:
    """Probability of each class.

    Parameters
    ----------
    family
        "categorical" or "bernoulli".
    parameters
        probability: (..., C), of a Bernoulli (...,) that of 1.

    Returns
    -------
    ndarray
        (..., C); of a Bernoulli (..., 2), of 0 and 1.

    Raises
    ------
    ValueError
        For another family.
    """
    if family not in _CLASSES:
        raise ValueError(f"a {family} has no classes")
    probability = np.asarray(parameters["probability"], np.float64)
    return probability if family == "categorical" else np.stack([1 - probability, probability], -1)


def support_grid(family: str, parameters: Parameters, points: int = 200) -> Floats:
    """Values at which posteriors are drawn: one grid for all of them.

    Parameters
    ----------
    family, parameters
        As for `density`.
    points
        Of the grid; at most, of counts.

    Returns
    -------
    ndarray
        (P,), increasing: [0, 1] and a circle whole, else where 99 % of each posterior's mass lies.

    Raises
    ------
    ValueError
        For a family without a density, and where no parameter is finite.
    """
    if family not in _LOG_DENSITIES:
        raise ValueError(
            f"a {family} has no density: it is of {'classes' if family in _CLASSES else 'draws'}"
        )
    if family in ("beta", "dirichlet"):
        return np.linspace(EDGE, 1 - EDGE, points)
    if family == "von_mises":
        return np.linspace(-np.pi, np.pi, points)
    named = _arrays(family, parameters)
    with np.errstate(all="ignore"):
        ends = [_QUANTILES[family](share, **named) for share in ((1 - SHARE) / 2, (1 + SHARE) / 2)]
    low, high = (end[np.isfinite(end)] for end in ends)
    if not low.size or not high.size:
        raise ValueError(f"no posterior of these has finite {', '.join(named)}")
    if family == "poisson":
        first, last = np.floor(low.min()), np.ceil(high.max())
        return np.unique(np.round(np.linspace(first, last, int(min(points, last - first + 1)))))
    return np.linspace(low.min(), high.max(), points)


def _arrays(family: str, parameters: Parameters) -> _Named:
    """Parameters with one axis more for the points; a Dirichlet as the Betas of its components."""
    named = {name: np.asarray(value, np.float64)[..., None] for name, value in parameters.items()}
    if family == "dirichlet":
        alpha = named["concentration"]
        return {"concentration1": alpha, "concentration0": alpha.sum(-2, keepdims=True) - alpha}
    return named


def _inside(family: str, z: Floats) -> NDArray[np.bool_]:
    if family in ("beta", "dirichlet"):
        return (z >= 0) & (z <= 1)
    if family in ("gamma", "inverse_gamma", "exponential"):
        return z >= 0
    if family == "poisson":
        return (z >= 0) & (z == np.round(z))
    if family == "von_mises":
        return np.abs(z) <= np.pi * (1 + 1e-12)
    return np.ones(z.shape, bool)


def _gaussian(z: Floats, mu: Floats, sigma: Floats) -> Floats:
    return -0.5 * ((z - mu) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)


def _beta(z: Floats, concentration1: Floats, concentration0: Floats) -> Floats:
    a, b = concentration1, concentration0
    return special.xlogy(a - 1, z) + special.xlog1py(b - 1, -z) - special.betaln(a, b)


def _gamma(z: Floats, concentration: Floats, rate: Floats) -> Floats:
    k = concentration
    return k * np.log(rate) + special.xlogy(k - 1, z) - rate * z - special.gammaln(k)


def _inverse_gamma(z: Floats, concentration: Floats, rate: Floats) -> Floats:
    positive = np.where(z > 0, z, np.nan)
    found = _gamma(1 / positive, concentration, rate) - 2 * np.log(positive)
    return np.where(z > 0, found, -np.inf)


def _exponential(z: Floats, rate: Floats) -> Floats:
    return np.log(rate) - rate * z


def _poisson(z: Floats, rate: Floats) -> Floats:
    return special.xlogy(z, rate) - rate - special.gammaln(z + 1)


def _von_mises(z: Floats, loc: Floats, concentration: Floats) -> Floats:
    k = concentration
    return -2 * k * np.sin((z - loc) / 2) ** 2 - np.log(2 * np.pi * special.i0e(k))


def _laplace(z: Floats, loc: Floats, scale: Floats) -> Floats:
    return -np.abs(z - loc) / scale - np.log(2 * scale)


def _student_t(z: Floats, df: Floats, loc: Floats, scale: Floats) -> Floats:
    ratio = (z - loc) / scale
    normal = special.betaln(df / 2, 0.5) + 0.5 * np.log(df) + np.log(scale)
    return -(df + 1) / 2 * np.log1p(ratio * ratio / df) - normal


@lru_cache(maxsize=8)
def _half_widths(share: float) -> Floats:
    """Half the width of the arc about loc that holds a share of a von Mises, one each of `_ARC_KAPPAS`."""
    theta = np.pi * np.linspace(0, 1, 4097)
    density = np.exp(-2 * _ARC_KAPPAS[:, None] * np.sin(theta / 2) ** 2)
    mass = np.concatenate([np.zeros((len(density), 1)), np.cumsum(density[:, 1:] + density[:, :-1], 1)], 1)
    return np.array([np.interp(share, one / one[-1], theta) for one in mass])


def _von_mises_quantile(share: float, loc: Floats, concentration: Floats) -> Floats:
    """Read off a table in ln κ; of a κ beyond it the arc is a normal's, which shrinks as its root."""
    kappa = np.clip(concentration, _ARC_KAPPAS[0], _ARC_KAPPAS[-1])
    half = np.interp(np.log(kappa), np.log(_ARC_KAPPAS), _half_widths(abs(2 * share - 1)))
    half = half * np.sqrt(kappa / np.maximum(concentration, kappa))
    return loc + np.sign(share - 0.5) * half


_ARC_KAPPAS = np.geomspace(1e-3, 1e3, 257)
_CLASSES = ("categorical", "bernoulli")
_LOG_DENSITIES: dict[str, Callable[..., Floats]] = {
    "gaussian": _gaussian, "gaussian_full": _gaussian, "beta": _beta, "dirichlet": _beta, "gamma": _gamma,
    "inverse_gamma": _inverse_gamma, "exponential": _exponential, "poisson": _poisson,
    "von_mises": _von_mises, "laplace": _laplace, "student_t": _student_t,
}  # fmt: skip
_QUANTILES: dict[str, Callable[..., Floats]] = {
    "gaussian": lambda share, mu, sigma: mu + sigma * special.ndtri(share),
    "gaussian_full": lambda share, mu, sigma: mu + sigma * special.ndtri(share),
    "beta": lambda share, concentration1, concentration0: special.betaincinv(
        concentration1, concentration0, share
    ),
    "von_mises": _von_mises_quantile,
    "gamma": lambda share, concentration, rate: special.gammaincinv(concentration, share) / rate,
    "inverse_gamma": lambda share, concentration, rate: rate / special.gammainccinv(concentration, share),
    "exponential": lambda share, rate: -np.log1p(-share) / rate,
    "poisson": lambda share, rate: np.where(rate > 0, np.maximum(special.pdtrik(share, rate), 0), 0),
    "laplace": lambda share, loc, scale: loc - scale * np.sign(share - 0.5) * np.log1p(-2 * abs(share - 0.5)),
    "student_t": lambda share, df, loc, scale: loc + scale * special.stdtrit(df, share),
}
