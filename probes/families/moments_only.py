"""Families that are no exponential families: what is recorded is their moments, and KL where it is closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from probes.families.exponential import Functions

Parameters = Mapping[str, Any]


def laplace(f: Functions, own: Parameters, prior: Parameters | None) -> dict[str, Any]:
    """Of Laplace(loc, scale) against Laplace(loc, scale): mean, variance, entropy and KL.

    Notes
    -----
    KL = ln(b₀/b) + (|δ| + b e^{−|δ|/b}) / b₀ − 1 (Gil, Alajaji & Linder 2013).
    """
    loc, scale = own["loc"], own["scale"]
    found = {"mean": loc, "variance": 2 * scale * scale, "entropy": 1 + f.log(2 * scale)}
    if prior is not None:
        apart = abs(loc - prior["loc"])
        ratio = scale / prior["scale"]
        found["kl"] = apart / prior["scale"] + ratio * f.exp(-apart / scale) - 1 - f.log(ratio)
        found["prior_variance"] = 2 * prior["scale"] * prior["scale"]
    return found


def student_t(f: Functions, own: Parameters, prior: Parameters | None) -> dict[str, Any]:
    """Of Student's t: mean (NaN for df <= 1), variance (infinite for df <= 2, NaN for df <= 1), entropy."""
    df, scale = own["df"], own["scale"]
    half = (df + 1) / 2
    log_beta = f.gammaln(df / 2) + f.gammaln(df * 0 + 0.5) - f.gammaln(half)
    return {
        "mean": f.where(df > 1, own["loc"], np.nan),
        "variance": _student_variance(f, df, scale),
        "entropy": half * (f.digamma(half) - f.digamma(df / 2)) + f.log(df) / 2 + log_beta + f.log(scale),
    } | ({} if prior is None else {"prior_variance": _student_variance(f, prior["df"], prior["scale"])})


def _student_variance(f: Functions, df: Any, scale: Any) -> Any:
    freedom = f.where(df > 2, df - 2, np.nan)
    return f.where(df > 2, scale * scale * df / freedom, f.where(df > 1, np.inf, np.nan))


def generic(f: Functions, own: Parameters, prior: Parameters | None) -> dict[str, Any]:
    """Whatever the distribution knows of itself."""
    return {name: own[name] for name in ("mean", "variance", "entropy") if name in own}


MOMENTS_ONLY: dict[str, Callable[[Functions, Parameters, Parameters | None], dict[str, Any]]] = {
    "laplace": laplace,
    "student_t": student_t,
    "generic": generic,
}
