"""The member of a family with given expectations: Newton, kept within a bracket, in float64.

Each is one equation of one unknown whose root is known to be single: what leaves the bracket is halved, so
none can run away. NaN where the expectations are no member's (or NaN).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

STEPS = 200  # at most: a bracket halved 60 times is a single number, and Newton ends long before
TOLERANCE = 1e-14  # relative, of the root
ROUNDING = 4 * float(np.finfo(np.float64).eps)
GREATEST = 1e15
"""Concentration beyond which a posterior is a point to float64."""


def root(
    function: Callable[[Floats], tuple[Floats, Floats, Any]], low: Floats, high: Floats, start: Floats
) -> Floats:
    """The root of a decreasing function, elementwise.

    Parameters
    ----------
    function
        x -> (value, derivative, rounding error of the value).
    low, high
        Of one shape: value > 0 at low, < 0 at high.
    start
        Between them.

    Returns
    -------
    ndarray
        NaN where the value is.
    """
    low, high, x = low.copy(), high.copy(), start.copy()
    for _ in range(STEPS):
        with np.errstate(all="ignore"):
            value, slope, rounding = function(x)
            newton = x - value / slope
        low, high = np.where(value >= 0, x, low), np.where(value <= 0, x, high)
        settled = np.abs(newton - x) <= TOLERANCE * np.maximum(np.abs(x), 1)
        settled |= np.abs(value) <= rounding
        inside = (newton > low) & (newton < high)
        x = np.where(settled, x, np.where(inside, newton, (low + high) / 2))
        x[np.isnan(value)] = np.nan
        if (settled | np.isnan(value)).all():
            break
    return x


def trigamma(x: Floats) -> Floats:
    """Derivative of digamma, to a relative 1e-9: a slope for Newton, at a tenth of the cost of scipy's.

    Parameters
    ----------
    x
        Positive.

    Notes
    -----
    ψ'(x) = 1/x² + ψ'(x + 1) four times, then the asymptotic series (Abramowitz & Stegun 1964, 6.4.12).
    """
    found = 1 / (x * x)
    for shift in (1.0, 2.0, 3.0, 4.0):
        found += 1 / (x + shift) ** 2
    w = 1 / (x + 5)
    square = w * w
    series = 1 / 6 - square * (1 / 30 - square * (1 / 42 - square * (1 / 30 - square * (5 / 66))))
    return np.asarray(found + w * (1 + w * (0.5 + w * series)), np.float64)


def inverse_digamma(y: Floats) -> Floats:
    """x with digamma(x) = y (Minka 2000, Estimating a Dirichlet distribution, appendix C).

    Parameters
    ----------
    y
        Any number.
    """
    x = np.where(y >= -2.22, np.exp(np.minimum(y, 700)) + 0.5, -1 / (y + np.euler_gamma))
    for _ in range(6):
        x = x - (special.digamma(x) - y) / trigamma(x)
    return x


def gamma_match(gap: Floats) -> Floats:
    """Concentration k with ln k − ψ(k) = gap: of a Gamma distribution, ln E[z] − E[ln z].

    Parameters
    ----------
    gap
        Positive; 0 and below, which is rounding, is a point.

    Notes
    -----
    1 / (2k) < ln k − ψ(k) < 1 / k brackets it (Alzer 1997).
    """
    gap = np.maximum(np.asarray(gap, np.float64), 1 / GREATEST)
    start = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)

    def function(u: Floats) -> tuple[Floats, Floats, Floats]:
        k = np.exp(u)
        return u - special.digamma(k) - gap, 1 - k * trigamma(k), ROUNDING * np.abs(u)

    return np.exp(root(function, np.log(0.5 / gap), np.log(1 / gap), np.log(start)))


def dirichlet_match(mean_log: Floats) -> Floats:
    """Concentrations α with ψ(α_c) − ψ(Σα) = E[ln z_c].

    Parameters
    ----------
    mean_log
        (..., C), negative.

    Returns
    -------
    ndarray
        (..., C).

    Notes
    -----
    Of s = Σα alone: α_c(s) = ψ⁻¹(E[ln z_c] + ψ(s)), and ln Σ_c α_c(s) − ln s falls through 0 once, since the
    likelihood is concave: it is ln C > 0 at s = 0, and below 0 at infinity by Jensen's inequality.
    """
    t = np.asarray(mean_log, np.float64)

    def function(u: Floats) -> tuple[Floats, Floats, Floats]:
        s = np.exp(u)
        alpha = inverse_digamma(t + special.digamma(s)[..., None])
        total = alpha.sum(-1)
        slope = s * trigamma(s) * (1 / trigamma(alpha)).sum(-1) / total - 1
        return np.log(total) - u, slope, ROUNDING * np.abs(u)

    # Jensen's gap 1 − Σ exp(E[ln z_c]) is about (C − 1) / (2 s)
    gap = np.clip(1 - np.exp(t).sum(-1), 1 / GREATEST, 1)
    low = np.full(t.shape[:-1], np.log(1e-300))
    high = np.full(t.shape[:-1], np.log(GREATEST))
    u = root(function, low, high, np.log((t.shape[-1] - 1) / (2 * gap)))
    return inverse_digamma(t + special.digamma(np.exp(u))[..., None])


def von_mises_match(length: Floats) -> Floats:
    """Concentration κ with I1(κ) / I0(κ) = length of the mean direction vector.

    Parameters
    ----------
    length
        R in [0, 1].

    Notes
    -----
    2R < κ < 2R / (1 − R²) brackets it; the start is Banerjee et al. 2005.
    """
    r = np.clip(np.asarray(length, np.float64), 0, 1 - 1 / GREATEST)
    start = r * (2 - r * r) / (1 - r * r)

    def function(k: Floats) -> tuple[Floats, Floats, float]:
        ratio = special.i1e(k) / special.i0e(k)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(k < 1e-4, 0.5, 1 - ratio * ratio - ratio / k)
        return r - ratio, -slope, ROUNDING

    return root(function, 2 * r * (1 - 1e-12), 2 * r / (1 - r * r) * (1 + 1e-12) + 1e-300, start)
