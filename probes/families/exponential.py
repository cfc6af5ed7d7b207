"""Exponential families: what an average over rows needs of each, and the member that has given E[T].

Of a density h(z) exp(η·T(z) − A(η)) everything that is recorded follows from two things: t = E_q[T], and the
score s(η, t) = η·t − A(η) = E_q[ln (p_η / h)], which is linear in t. So for rows b and a prior p

    KL(q_b ‖ p) = s(q_b, t_b) − s(p, t_b)
    information = E_b s(q_b, t_b) − s(q~, E_b t_b)        mismatch = s(q~, E_b t_b) − s(p, E_b t_b)

with q~ the member that has E[T] = E_b t_b; kl = information + mismatch. docs/families.md has the proof.

Formulas take a `Functions`, so that each stands here once for numpy arrays and for tensors; q~ is numpy
alone, in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy import special

from probes.families.matching import dirichlet_match, gamma_match, von_mises_match

Floats = NDArray[np.float64]
Parameters = Mapping[str, Any]
LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Functions:
    """Functions of one kind of array, elementwise; `sum_xlogy` is Σ x ln y over the last axis."""

    log: Callable[..., Any]
    exp: Callable[..., Any]
    log1p: Callable[..., Any]
    gammaln: Callable[..., Any]
    digamma: Callable[..., Any]
    xlogy: Callable[..., Any]
    sum_xlogy: Callable[..., Any]
    i0e: Callable[..., Any]
    i1e: Callable[..., Any]
    cos: Callable[..., Any]
    sin: Callable[..., Any]
    where: Callable[..., Any]


NUMPY = Functions(
    np.log,
    np.exp,
    np.log1p,
    special.gammaln,
    special.digamma,
    special.xlogy,
    lambda x, y: special.xlogy(x, y).sum(-1),
    special.i0e,
    special.i1e,
    np.cos,
    np.sin,
    np.where,
)


class ExponentialFamily(Protocol):
    """One exponential family; parameters are those of `families.FAMILIES`, each (..., N) or (..., N, C)."""

    @property
    def vector(self) -> bool:
        """Whether a neuron has C components: parameters and T are (..., N, C) then."""

    @property
    def double(self) -> bool:
        """Whether float32 loses what is recorded: formulas then take float64."""

    def statistics(self, f: Functions, p: Parameters) -> tuple[Any, ...]:
        """t = E[T] of each posterior."""

    def score(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        """s(η, t) = η·t − A(η), (..., N): E[ln (p_η / h)] of whatever has E[T] = t, nats."""

    def base(self, f: Functions, p: Parameters) -> Any:
        """E[ln h] of each posterior, (..., N), nats; None where h is 1. H(q) = −s(q, t) − E[ln h]."""

    def mean(self, f: Functions, p: Parameters) -> Any:
        """Mean of each posterior; None for classes."""

    def variance(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        """Variance of each posterior, infinite where there is none; None for classes."""

    def match(self, t: tuple[Floats, ...]) -> dict[str, Floats]:
        """The member with E[T] = t."""


class _Base:
    vector = False
    double = True

    def base(self, f: Functions, p: Parameters) -> Any:
        return None


class Categorical(_Base):
    """C classes: T is the one-hot of z."""

    vector = True
    double = False

    def statistics(self, f: Functions, p: Parameters) -> tuple[Any, ...]:
        return (p["probability"],)

    def score(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        if "logits" in p:  # normalised; where a probability underflows its logarithm does not
            return f.where(t[0] == 0, t[0], t[0] * p["logits"]).sum(-1)
        return f.sum_xlogy(t[0], p["probability"])

    def mean(self, f: Functions, p: Parameters) -> Any:
        return None

    def variance(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        return None

    def match(self, t: tuple[Floats, ...]) -> dict[str, Floats]:
        return {"probability": t[0]}


class Bernoulli(Categorical):
    """0 or 1: T is z."""

    vector = False

    def score(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        if "logits" in p:
            size = abs(p["logits"])
            rest = f.log1p(f.exp(-size))  # ln p = min(l, 0) − ln(1 + exp(−|l|))
            of_one, of_zero = (p["logits"] - size) / 2 - rest, -(p["logits"] + size) / 2 - rest
            return f.where(t[0] == 0, t[0], t[0] * of_one) + f.where(
                t[0] == 1, 1 - t[0], (1 - t[0]) * of_zero
            )
        one = p["probability"]
        zero = 1 - one
        return f.xlogy(t[0], one) + f.xlogy(zero if t[0] is one else 1 - t[0], zero)

    def mean(self, f: Functions, p: Parameters) -> Any:
        return p["probability"]


class Dirichlet(_Base):
    """T is ln z."""

    vector = True

    def statistics(self, f: Functions, p: Parameters) -> tuple[Any, ...]:
        c = p["concentration"]
        return (f.digamma(c) - f.digamma(c.sum(-1))[..., None],)

    def score(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        c = p["concentration"]
        return ((c - 1) * t[0] - f.gammaln(c)).sum(-1) + f.gammaln(c.sum(-1))

    def mean(self, f: Functions, p: Parameters) -> Any:
        c = p["concentration"]
        return c / c.sum(-1)[..., None]

    def variance(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        c = p["concentration"]
        total = c.sum(-1)[..., None]
        return c / total * ((total - c) / total) / (total + 1)

    def match(self, t: tuple[Floats, ...]) -> dict[str, Floats]:
        return {"concentration": dirichlet_match(t[0])}


class Beta(_Base):
    """T is (ln z, ln (1 − z))."""

    def statistics(self, f: Functions, p: Parameters) -> tuple[Any, ...]:
        a, b = p["concentration1"], p["concentration0"]
        total = f.digamma(a + b)
        return f.digamma(a) - total, f.digamma(b) - total

    def score(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        a, b = p["concentration1"], p["concentration0"]
        return (a - 1) * t[0] + (b - 1) * t[1] - (f.gammaln(a) + f.gammaln(b) - f.gammaln(a + b))

    def mean(self, f: Functions, p: Parameters) -> Any:
        return p["concentration1"] / (p["concentration1"] + p["concentration0"])

    def variance(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        a, b = p["concentration1"], p["concentration0"]
        total = a + b
        return a / total * (b / total) / (total + 1)

    def match(self, t: tuple[Floats, ...]) -> dict[str, Floats]:
        both = dirichlet_match(np.stack(t, -1))
        return {"concentration1": both[..., 0], "concentration0": both[..., 1]}


class Gamma(_Base):
    """T is (ln z, z)."""

    def statistics(self, f: Functions, p: Parameters) -> tuple[Any, ...]:
        k, r = p["concentration"], p["rate"]
        return f.digamma(k) - f.log(r), k / r

    def score(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        k, r = p["concentration"], p["rate"]
        return (k - 1) * t[0] - r * t[1] + k * f.log(r) - f.gammaln(k)

    def mean(self, f: Functions, p: Parameters) -> Any:
        return p["concentration"] / p["rate"]

    def variance(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        return p["concentration"] / p["rate"] / p["rate"]

    def match(self, t: tuple[Floats, ...]) -> dict[str, Floats]:
        k = gamma_match(np.log(t[1]) - t[0])
        return {"concentration": k, "rate": k / t[1]}


class InverseGamma(_Base):
    """T is (ln z, 1 / z): the Gamma of 1 / z."""

    def statistics(self, f: Functions, p: Parameters) -> tuple[Any, ...]:
        k, r = p["concentration"], p["rate"]
        return f.log(r) - f.digamma(k), k / r

    def score(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        k, r = p["concentration"], p["rate"]
        return -(k + 1) * t[0] - r * t[1] + k * f.log(r) - f.gammaln(k)

    def mean(self, f: Functions, p: Parameters) -> Any:
        k = p["concentration"]
        return f.where(k > 1, p["rate"] / f.where(k > 1, k - 1, 1.0), np.inf)

    def variance(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        k = p["concentration"]
        freedom = f.where(k > 2, k - 2, 1.0)
        return f.where(k > 2, (p["rate"] / (freedom + 1)) ** 2 / freedom, np.inf)

    def match(self, t: tuple[Floats, ...]) -> dict[str, Floats]:
        k = gamma_match(np.log(t[1]) + t[0])
        return {"concentration": k, "rate": k / t[1]}


class Exponential(_Base):
    """T is z."""

    def statistics(self, f: Functions, p: Parameters) -> tuple[Any, ...]:
        return (1 / p["rate"],)

    def score(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        return f.log(p["rate"]) - p["rate"] * t[0]

    def mean(self, f: Functions, p: Parameters) -> Any:
        return 1 / p["rate"]

    def variance(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        return 1 / p["rate"] / p["rate"]

    def match(self, t: tuple[Floats, ...]) -> dict[str, Floats]:
        return {"rate": 1 / t[0]}


class Poisson(_Base):
    """T is z, and h(z) = 1 / z!."""

    def statistics(self, f: Functions, p: Parameters) -> tuple[Any, ...]:
        return (p["rate"],)

    def score(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        return f.xlogy(t[0], p["rate"]) - p["rate"]

    def base(self, f: Functions, p: Parameters) -> Any:
        return -_mean_log_factorial(f, p["rate"])

    def mean(self, f: Functions, p: Parameters) -> Any:
        return p["rate"]

    def variance(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        return p["rate"]

    def match(self, t: tuple[Floats, ...]) -> dict[str, Floats]:
        return {"rate": t[0]}


class VonMises(_Base):
    """T is (cos z, sin z); mean and variance are circular: the direction, and 1 − R."""

    def statistics(self, f: Functions, p: Parameters) -> tuple[Any, ...]:
        length = f.i1e(p["concentration"]) / f.i0e(p["concentration"])
        return length * f.cos(p["loc"]), length * f.sin(p["loc"])

    def score(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        k, at = p["concentration"], p["loc"]
        return -k * (1 - f.cos(at) * t[0] - f.sin(at) * t[1]) - f.log(f.i0e(k)) - LOG_2PI

    def mean(self, f: Functions, p: Parameters) -> Any:
        return p["loc"]

    def variance(self, f: Functions, p: Parameters, t: tuple[Any, ...]) -> Any:
        return 1 - (t[0] * t[0] + t[1] * t[1]) ** 0.5

    def match(self, t: tuple[Floats, ...]) -> dict[str, Floats]:
        return {"loc": np.arctan2(t[1], t[0]), "concentration": von_mises_match(np.hypot(*t))}


_MIDDLE = 16.0
_COUNTS = np.arange(120.0)


def _series(rate: Floats) -> Floats:
    """E[ln z!] term by term, up to a rate of 16."""
    log_terms = special.xlogy(_COUNTS, rate[:, None]) - rate[:, None] - special.gammaln(_COUNTS + 1)
    return np.asarray(np.exp(log_terms) @ special.gammaln(_COUNTS + 1), np.float64)


_NODES = chebyshev.chebpts1(23)
_RATES = _MIDDLE / 2 * (1 + _NODES)
_LOW = chebyshev.cheb2poly(chebyshev.chebfit(_NODES, _series(_RATES) / _RATES**2, 22))
_BEYOND = (-1 / 12, -1 / 24, -19 / 360, -9 / 80, -863 / 2520, -1375 / 1008, -33953 / 5040)


def _mean_log_factorial(f: Functions, rate: Any) -> Any:
    """E[ln z!] of a Poisson variable, to 1e-8: up to a rate of 16 λ² times a polynomial, beyond it by
    the entropy's expansion ½ ln(2πeλ) − 1/(12λ) − 1/(24λ²) − 19/(360λ³) ...
    """
    small = f.where(rate < _MIDDLE, rate, _MIDDLE)
    u = small * (2 / _MIDDLE) - 1
    low = u * 0.0
    for factor in _LOW[::-1]:
        low = low * u + float(factor)
    inverse = 1 / f.where(rate < _MIDDLE, _MIDDLE, rate)
    beyond = inverse * 0.0
    for factor in _BEYOND[::-1]:
        beyond = (beyond + factor) * inverse
    entropy = 0.5 * (LOG_2PI + 1 - f.log(inverse)) + beyond
    return f.where(rate < _MIDDLE, low * small * small, entropy + f.xlogy(rate, rate) - rate)


EXPONENTIAL: dict[str, ExponentialFamily] = {
    "categorical": Categorical(),
    "bernoulli": Bernoulli(),
    "beta": Beta(),
    "gamma": Gamma(),
    "inverse_gamma": InverseGamma(),
    "dirichlet": Dirichlet(),
    "exponential": Exponential(),
    "poisson": Poisson(),
    "von_mises": VonMises(),
}
"""By the family's name."""
