"""Recorded statistics -> derived quantities, in numpy: what the log need not hold because it follows from
what it holds.

Arguments are arrays that broadcast, or numbers; results are float64 arrays (0-dimensional for numbers). A NaN
in gives a NaN
out. Information, KL and their parts are in nats. Whitened: r = (μ − m)/s and v = σ²/s² for a prior Normal(m,
s²).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from probes.families.gaussian import GAUSSIAN
from probes.schema import LIVING_REGIMES, derivable, evaluate

Floats = NDArray[np.float64]

T = TypeVar("T")
NATS_PER_BIT = float(np.log(2))


def information(variance: ArrayLike, spread: ArrayLike, log_variance: ArrayLike) -> Floats:
    """Gaussian upper estimate of I(x; z) of one dimension, nats: `families.gaussian.Gaussian.information`.

    variance E[v], spread Var[r], log_variance E[ln v], all whitened by the prior. For K dimensions add the
    dimensions' values.
    """
    return np.asarray(GAUSSIAN.information(_floats(variance), _floats(spread), _floats(log_variance)))


def mismatch(mean: ArrayLike, variance: ArrayLike, spread: ArrayLike) -> Floats:
    """KL of the aggregate posterior's Gaussian from Normal(0, 1), one dimension, nats:
    `families.gaussian.Gaussian.mismatch`.

    mean E[r], variance E[v], spread Var[r], whitened by the prior. What is paid and tells nothing about the
    input. kl = information + mismatch + past.
    """
    return np.asarray(GAUSSIAN.mismatch(_floats(mean), _floats(variance), _floats(spread)))


def contraction(variance: ArrayLike, prior_variance: ArrayLike = 1.0) -> Floats:
    """1 − E[σ²] / prior variance: 0 is the prior, 1 a point, negative wider than the prior.

    prior_variance is that of the stationary marginal, 1 also under an autoregressive prior (Schad, Betancourt
    & Vasishth 2019).
    """
    return evaluate("contraction", {"variance": _floats(variance), "prior_variance": _floats(prior_variance)})


def half_life(phi: ArrayLike, stride: ArrayLike = 1) -> Floats:
    """Positions of the data after which half of the mean is forgotten: stride · ln(1/2) / ln|phi|; units of
    t.

    phi is the slope over `stride` positions. Infinite where |phi| >= 1, 0 where phi is 0.
    """
    return evaluate("half_life", {"persistence": _floats(phi)}, stride=_floats(stride))


def kl_floor(phi: ArrayLike, latent_dim: ArrayLike = 1) -> Floats:
    """Least KL under an autoregressive prior, K ½ ln(1 + phi²), nats: `families.gaussian.Gaussian.kl_floor`.

    KL near 0 cannot be the sign of collapse there.
    """
    return np.asarray(GAUSSIAN.kl_floor(_floats(phi), _floats(latent_dim)))


def kl_above_floor(kl: ArrayLike, phi: ArrayLike, latent_dim: ArrayLike = 1) -> Floats:
    """kl − `kl_floor`, nats: what the neuron pays of its own accord."""
    return evaluate(
        "kl_above_floor", {"kl": _floats(kl), "phi": _floats(phi)}, latent_dim=_floats(latent_dim)
    )


def bits(nats: ArrayLike) -> Floats:
    """Nats in bits."""
    return _floats(nats) / NATS_PER_BIT


def persistence_interval(
    slope: ArrayLike,
    innovation: ArrayLike,
    squares: ArrayLike,
    pairs: int,
    series: int = 1,
    level: float = 0.95,
) -> tuple[Floats, Floats]:
    """Interval (low, high) of a slope of least squares: slope ± t · sqrt(innovation / squares).

    innovation: residual variance with pairs − series − 1 degrees of freedom; squares: sum of squares of the
    predecessors' means around their series' means. Student's t is exact for Gaussian pairs; NaN without a
    degree of freedom.
    """
    freedom = pairs - series - 1
    quantile = student_quantile(float(freedom), level) if freedom >= 1 else np.nan
    half = quantile * np.sqrt(_floats(innovation) / _floats(squares))
    return _floats(slope) - half, _floats(slope) + half


def student_quantile(freedom: T, level: float = 0.95) -> T:
    """Student's t of a two-sided interval, for degrees of freedom in a number, array or tensor (which stays
    on its device).

    The Cornish-Fisher series to the fourth order (Abramowitz & Stegun 26.7.5): at 0.95 the relative error is
    below 1 % from 3 degrees of freedom and below 1e-4 from 8.
    """
    z = NormalDist().inv_cdf(0.5 + level / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    inverse: Any = 1 / cast(Any, freedom)
    return cast(
        T, z + inverse * (terms[0] + inverse * (terms[1] + inverse * (terms[2] + inverse * terms[3])))
    )


def temporal_fault(low: ArrayLike, high: ArrayLike, phi: ArrayLike, margin: float = 0.2) -> NDArray[np.str_]:
    """ "stuck", "jittery" or "": is the interval (low, high) of the measured slope wholly off the prior's
    phi?

    Off is more than `margin` in atanh. Stuck: the mean is carried over more than the prior expects; jittery:
    less. "" also where phi is 0 (no autoregressive prior) or an end is NaN. Beside a neuron's regime, not
    instead of it.
    """
    prior = _floats(phi)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.arctanh(prior)
        stuck = np.arctanh(np.clip(_floats(low), -1, 1)) > expected + margin
        jittery = np.arctanh(np.clip(_floats(high), -1, 1)) < expected - margin
    return np.where(prior == 0, "", np.where(stuck, "stuck", np.where(jittery, "jittery", "")))


def onset(steps: ArrayLike, values: ArrayLike, threshold: ArrayLike, above: bool = True) -> Floats:
    """Step from which values stay at or beyond a threshold for good; NaN where the last value does not.

    steps (T,) increasing; values (..., T); threshold broadcasts to (...). Beyond is `>=`, or `<=` with
    above=False. A NaN among the values is not beyond. The result is a recorded step, (...).
    """
    at, curve = _series(steps, values)
    limit = np.asarray(threshold, float)[..., None]
    beyond = curve >= limit if above else curve <= limit
    stays = np.logical_and.accumulate(beyond[..., ::-1], axis=-1)[..., ::-1]
    first = np.argmax(stays, axis=-1)
    return np.where(stays.any(axis=-1), at[first], np.nan)


def half_time(steps: ArrayLike, values: ArrayLike) -> Floats:
    """Step from which a curve has done, for good, half of its way from its first to its last value; (...) for
    values (..., T).

    NaN for a curve that ends where it began.
    """
    at, curve = _series(steps, values)
    first, last = curve[..., :1], curve[..., -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        progress = (curve - first) / (last - first)
    return onset(at, progress, 0.5)


def derived(frame: pd.DataFrame, latent_dim: ArrayLike = 1, stride: ArrayLike = 1) -> pd.DataFrame:
    """Rows of `neurons/` with every statistic that derives from those that they hold (`schema.derivable`).

    latent_dim: K, one number or one for each row; stride: positions of the data between the ends of a slope.
    """
    names = derivable(str(name) for name in frame.columns)
    return frame.assign(
        **{name: evaluate(name, frame, latent_dim=latent_dim, stride=stride) for name in names}
    )


def transitions(frame: pd.DataFrame) -> pd.DataFrame:
    """Who went where, when: one row for each change of a neuron's regime, in order of step.

    frame: columns step, layer, neuron, regime, any order of rows. Result: step (the first in the new regime),
    layer, neuron, before, after (int8 codes).
    """
    ordered = frame[["step", "layer", "neuron", "regime"]].sort_values(
        ["layer", "neuron", "step"], kind="stable"
    )
    before = ordered["regime"].shift(fill_value=0)
    same = (ordered["layer"] == ordered["layer"].shift()) & (ordered["neuron"] == ordered["neuron"].shift())
    changed = ordered.assign(before=before.astype("int8"))[same & (before != ordered["regime"])]
    result = changed.rename(columns={"regime": "after"})[["step", "layer", "neuron", "before", "after"]]
    return result.sort_values(["step", "layer", "neuron"], kind="stable").reset_index(drop=True)


def living_share(regimes: ArrayLike, axis: int | None = None) -> Floats:
    """Share of codes that are living or mixed, over all entries or along an axis; NaN of nothing."""
    codes = np.asarray(regimes)
    if codes.size == 0:
        return np.asarray(np.nan)
    return np.asarray(np.isin(codes, LIVING_REGIMES).mean(axis=axis))


def _series(steps: ArrayLike, values: ArrayLike) -> tuple[NDArray[Any], Floats]:
    at, curve = np.asarray(steps), _floats(values)
    if at.ndim != 1 or curve.shape[-1:] != at.shape or not at.size:
        raise ValueError(f"values {curve.shape} need one step for each of their last axis, got {at.shape}")
    return at, curve


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, np.float64)
