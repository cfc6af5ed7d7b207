"""Members of a family by their moments, and moments by parameters: what a picture of recorded moments needs.

The mean and variance that a log holds of a neuron at every step name one member of its family of the same
moments; that one is drawn. numpy only, elementwise, NaN where no member has such moments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ive

from probes.families import densities
from probes.families.matching import von_mises_match

Floats = NDArray[np.float64]
Parameters = dict[str, Floats]

NO_DIRECTION = 1e-9  # concentration of a von Mises that is even all around


def matched(family: str, mean: ArrayLike, variance: ArrayLike) -> Parameters | None:
    """Parameters of the members that have these moments, each of the arrays' shape.

    Parameters
    ----------
    family
        A name of `probes.families.FAMILIES`.
    mean, variance
        Of z; of a von Mises its mean direction and 1 less the length of the mean direction; of a family of
        one parameter the mean alone counts.

    Returns
    -------
    dict or None
        Named as `Family.parameters`. None of a family that two moments do not tell.
    """
    by = _MATCHED.get(family)
    if by is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = by(np.asarray(mean, np.float64), np.asarray(variance, np.float64))
        wrong = np.logical_or.reduce(
            [~np.isfinite(held) | ((held <= 0) & (name != "loc")) for name, held in found.items()]
        )
    return {name: np.where(wrong, np.nan, held) for name, held in found.items()}


CENTRAL = 0.6827
"""Share of the mass that a band holds: that of a normal within one standard deviation."""
_BAND_OF = {"exponential": "gamma", "poisson": "gamma", "dirichlet": "beta"}
"""Of the aggregate over inputs of a family of one parameter the gamma of its moments; of a composition, whose
moments are means over its components, the beta of these."""


def central(family: str, mean: ArrayLike, variance: ArrayLike) -> tuple[Floats, Floats]:
    """Ends of the interval that holds the central `CENTRAL` of the mass, by mean and variance.

    Parameters
    ----------
    family
        A name of `probes.families.FAMILIES`.
    mean, variance
        As of `matched`.

    Returns
    -------
    tuple of ndarray
        Within the family's support, as long as the moments are those of a member; of an angle around its mean
        direction, maybe beyond ±π. Mean ± standard deviation of a family that two moments do not tell.
    """
    m, v = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
    by = _BAND_OF.get(family, family)
    found = matched(by, m, v)
    if found is None:
        with np.errstate(invalid="ignore"):
            sd = np.sqrt(v)
        return m - sd, m + sd
    low, high = (densities.quantile(by, share, found) for share in ((1 - CENTRAL) / 2, (1 + CENTRAL) / 2))
    certain = v == 0
    return np.where(certain, m, low), np.where(certain, m, high)


def standard_deviation(family: str, variance: ArrayLike) -> Floats:
    """Of z by what the log calls variance: of an angle the circular one, √(−2 ln R), R the length of its mean
    direction (Mardia and Jupp 2000, section 2.3.1).

    Parameters
    ----------
    family
        A name of `probes.families.FAMILIES`.
    variance
        As of `matched`.
    """
    held = np.asarray(variance, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(-2 * np.log1p(-held) if family == "von_mises" else held)


def _beta(mean: Floats, variance: Floats) -> Parameters:
    size = mean * (1 - mean) / variance - 1
    return {"concentration1": mean * size, "concentration0": (1 - mean) * size}


def _gamma(mean: Floats, variance: Floats) -> Parameters:
    return {"concentration": mean**2 / variance, "rate": mean / variance}


def _inverse_gamma(mean: Floats, variance: Floats) -> Parameters:
    concentration = mean**2 / variance + 2
    return {"concentration": concentration, "rate": mean * (concentration - 1)}


def _von_mises(mean: Floats, variance: Floats) -> Parameters:
    return {"loc": mean, "concentration": np.maximum(von_mises_match(1 - variance), NO_DIRECTION)}


_MATCHED: dict[str, Callable[[Floats, Floats], Parameters]] = {
    "beta": _beta,
    "gamma": _gamma,
    "inverse_gamma": _inverse_gamma,
    "exponential": lambda mean, _: {"rate": 1 / mean},
    "poisson": lambda mean, _: {"rate": mean},
    "von_mises": _von_mises,
    "laplace": lambda mean, variance: {"loc": mean, "scale": np.sqrt(variance / 2)},
}


WITH_INTERVALS = frozenset(_MATCHED) | frozenset(_BAND_OF)
"""Families of which `central` is the interval of a member, not mean ± standard deviation."""


def moments_of(family: str, parameters: Mapping[str, ArrayLike]) -> tuple[Floats, Floats]:
    """Mean and variance of members by their parameters, as `matched` reads them; NaN where there are none."""
    held = {name: np.asarray(values, np.float64) for name, values in parameters.items()}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean, variance = _MOMENTS[family](held)
    return np.asarray(mean, np.float64), np.asarray(variance, np.float64)


def _beta_moments(p: Mapping[str, Floats]) -> tuple[Any, Any]:
    size = p["concentration1"] + p["concentration0"]
    mean = p["concentration1"] / size
    return mean, mean * (1 - mean) / (size + 1)


def _inverse_gamma_moments(p: Mapping[str, Floats]) -> tuple[Any, Any]:
    a, rate = p["concentration"], p["rate"]
    mean = np.where(a > 1, rate / (a - 1), np.nan)
    return mean, np.where(a > 2, mean**2 / (a - 2), np.nan)


def _student_moments(p: Mapping[str, Floats]) -> tuple[Any, Any]:
    df = p["df"]
    return np.where(df > 1, p["loc"], np.nan), np.where(df > 2, p["scale"] ** 2 * df / (df - 2), np.nan)


def _von_mises_moments(p: Mapping[str, Floats]) -> tuple[Any, Any]:
    return p["loc"], 1 - ive(1, p["concentration"]) / ive(0, p["concentration"])


_MOMENTS: dict[str, Callable[[Mapping[str, Floats]], tuple[Any, Any]]] = {
    "beta": _beta_moments,
    "gamma": lambda p: (p["concentration"] / p["rate"], p["concentration"] / p["rate"] ** 2),
    "inverse_gamma": _inverse_gamma_moments,
    "exponential": lambda p: (1 / p["rate"], 1 / p["rate"] ** 2),
    "poisson": lambda p: (p["rate"], p["rate"]),
    "von_mises": _von_mises_moments,
    "laplace": lambda p: (p["loc"], 2 * p["scale"] ** 2),
    "student_t": _student_moments,
}
