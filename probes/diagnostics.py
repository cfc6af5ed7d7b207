"""Recorded statistics -> derived quantities, in numpy: what the log need not hold because it follows from
what it holds.

Arguments are arrays that broadcast, or numbers; results are float64 arrays (0-dimensional for numbers). A NaN
in gives a NaN
out. Information, KL and their parts are in nats. Whitened: r = (μ − m)/s and v = σ²/s² for a prior Normal(m,
s²).
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from probes.families.gaussian import GAUSSIAN
from probes.schema import LIVING_REGIMES, derivable, evaluate

Floats = NDArray[np.float64]

T = TypeVar("T")
NATS_PER_BIT = float(np.log(2))
POLYNOMIAL_DEGREE = 10  # of Student's quantile on tensors


def information(variance: ArrayLike, spread: ArrayLike, log_variance: ArrayLike) -> Floats:
    """Gaussian upper estimate of I(x; z) of one dimension, nats. For K dimensions add the dimensions' values.

    Parameters
    ----------
    variance, spread, log_variance
        E[v], Var[r] and E[ln v] over the inputs, whitened by the prior.

    Returns
    -------
    ndarray
        ½ (ln(E[v] + Var[r]) − E[ln v]).

    Notes
    -----
    `families.gaussian.Gaussian.information`. No density of the aggregate's variance has more entropy than the
    Gaussian (Cover & Thomas 2006, 8.6).
    """
    return np.asarray(GAUSSIAN.information(_floats(variance), _floats(spread), _floats(log_variance)))


def mismatch(mean: ArrayLike, variance: ArrayLike, spread: ArrayLike) -> Floats:
    """KL of the aggregate posterior's Gaussian from Normal(0, 1), one dimension, nats.

    Parameters
    ----------
    mean, variance, spread
        E[r], E[v] and Var[r] over the inputs, whitened by the prior.

    Returns
    -------
    ndarray
        What is paid and tells nothing about the input: kl = information + mismatch + past.

    Notes
    -----
    `families.gaussian.Gaussian.mismatch` (Hoffman & Johnson 2016, ELBO surgery).
    """
    return np.asarray(GAUSSIAN.mismatch(_floats(mean), _floats(variance), _floats(spread)))


def contraction(variance: ArrayLike, prior_variance: ArrayLike = 1.0) -> Floats:
    """1 − E[σ²] / prior variance: 0 is the prior, 1 a point, negative wider than the prior.

    Parameters
    ----------
    variance
        E[σ²].
    prior_variance
        That of the stationary marginal, 1 also under an autoregressive prior.

    Returns
    -------
    ndarray
        A share, without a unit.

    Notes
    -----
    Schad, Betancourt & Vasishth 2019.
    """
    return evaluate("contraction", {"variance": _floats(variance), "prior_variance": _floats(prior_variance)})


def half_life(phi: ArrayLike, stride: ArrayLike = 1) -> Floats:
    """Positions of the data after which half of the mean is forgotten, in units of t.

    Parameters
    ----------
    phi
        Slope over `stride` positions.
    stride
        Positions of the data between the ends of a slope.

    Returns
    -------
    ndarray
        stride · ln(1/2) / ln|phi|; infinite where |phi| >= 1, 0 where phi is 0.
    """
    return evaluate("half_life", {"persistence": _floats(phi)}, stride=_floats(stride))


def kl_floor(phi: ArrayLike, latent_dim: ArrayLike = 1) -> Floats:
    """Least KL under an autoregressive prior, nats: KL near 0 cannot be the sign of collapse there.

    Parameters
    ----------
    phi
        Persistence that the prior expects.
    latent_dim
        K, latent dimensions of a neuron.

    Returns
    -------
    ndarray
        K ½ ln(1 + phi²).

    Notes
    -----
    `families.gaussian.Gaussian.kl_floor`.
    """
    return np.asarray(GAUSSIAN.kl_floor(_floats(phi), _floats(latent_dim)))


def kl_above_floor(kl: ArrayLike, phi: ArrayLike, latent_dim: ArrayLike = 1) -> Floats:
    """kl − `kl_floor`, nats: what the neuron pays of its own accord.

    Parameters
    ----------
    kl
        KL, summed over K dimensions, nats.
    phi
        Persistence that the prior expects.
    latent_dim
        K, latent dimensions of a neuron.

    Returns
    -------
    ndarray
        Nats.
    """
    return evaluate(
        "kl_above_floor", {"kl": _floats(kl), "phi": _floats(phi)}, latent_dim=_floats(latent_dim)
    )


def bits(nats: ArrayLike) -> Floats:
    """Nats in bits.

    Parameters
    ----------
    nats
        Anything in nats.

    Returns
    -------
    ndarray
        The same in bits.
    """
    return _floats(nats) / NATS_PER_BIT


def persistence_interval(
    slope: ArrayLike,
    innovation: ArrayLike,
    squares: ArrayLike,
    pairs: int,
    series: int = 1,
    level: float = 0.95,
) -> tuple[Floats, Floats]:
    """Interval of a slope of least squares: slope ± t · sqrt(innovation / squares).

    Parameters
    ----------
    slope
        Least-squares slope over pairs.
    innovation
        Residual variance with pairs − series − 1 degrees of freedom.
    squares
        Sum of squares of the predecessors' means around their series' means.
    pairs, series
        How many of each.
    level
        Probability of the interval.

    Returns
    -------
    tuple of ndarray
        Low and high end; NaN without a degree of freedom.

    Notes
    -----
    Student's t is exact for Gaussian pairs.
    """
    freedom = pairs - series - 1
    half = student_quantile(float(freedom), level) * np.sqrt(_floats(innovation) / _floats(squares))
    return _floats(slope) - half, _floats(slope) + half


def student_quantile(freedom: T, level: float = 0.95) -> T:
    """Student's t of a two-sided interval.

    Parameters
    ----------
    freedom
        Degrees of freedom, fractions among them: a number, an array or a tensor.
    level
        Probability of the interval.

    Returns
    -------
    number, ndarray or Tensor
        Of the kind of `freedom`, NaN below 1 degree; the normal's quantile at infinity. A tensor stays on its
        device, and nothing waits for it.

    Notes
    -----
    Numbers and arrays: scipy's quantile. Tensors: its logarithm as a polynomial of 1 / `freedom`,
    interpolated at Chebyshev's points; at 0.95 the relative error in float32 is below 1e-6 from 1 degree on,
    at 0.999 below 1e-5.
    """
    value: Any = freedom
    if not hasattr(value, "new_full"):  # no tensor
        numbers = np.asarray(value, np.float64)
        found = stdtrit(np.where(numbers >= 1, numbers, np.nan), 0.5 + level / 2)
        return cast(T, np.asarray(found) if isinstance(value, np.ndarray) else float(found))
    inverse = 1 / value
    logarithm = inverse.new_full(inverse.shape, 0.0)
    for coefficient in reversed(_student_polynomial(level)):
        logarithm = logarithm * inverse + coefficient
    return cast(T, logarithm.exp().where(value >= 1, float("nan")))


@cache
def _student_polynomial(level: float) -> tuple[float, ...]:
    """Coefficients, from that of 1, of ln t over x = 1 / degrees of freedom in [0, 1]."""

    def logarithm(x: Floats) -> Floats:
        return np.asarray(np.log(stdtrit(1 / np.maximum(x, 1e-9), 0.5 + level / 2)))

    fitted = Chebyshev.interpolate(logarithm, POLYNOMIAL_DEGREE, domain=[0, 1])
    return tuple(fitted.convert(kind=Polynomial).coef.tolist())


def temporal_fault(low: ArrayLike, high: ArrayLike, phi: ArrayLike, margin: float = 0.2) -> NDArray[np.str_]:
    """Whether the interval of a measured slope lies wholly off the prior's phi.

    Parameters
    ----------
    low, high
        Ends of the interval.
    phi
        Persistence that the prior expects; 0: no autoregressive prior.
    margin
        Off is more than this in atanh.

    Returns
    -------
    ndarray of str
        "stuck": the mean is carried over more than the prior expects; "jittery": less; "" otherwise, and
        where phi is 0 or an end is NaN. Beside a neuron's regime, not instead of it.
    """
    prior = _floats(phi)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.arctanh(prior)
        stuck = np.arctanh(np.clip(_floats(low), -1, 1)) > expected + margin
        jittery = np.arctanh(np.clip(_floats(high), -1, 1)) < expected - margin
    return np.where(prior == 0, "", np.where(stuck, "stuck", np.where(jittery, "jittery", "")))


def onset(steps: ArrayLike, values: ArrayLike, threshold: ArrayLike, above: bool = True) -> Floats:
    """Step from which values stay at or beyond a threshold for good.

    Parameters
    ----------
    steps
        (T,), increasing.
    values
        (..., T). A NaN among them is not beyond.
    threshold
        Broadcasts to (...).
    above
        Beyond is `>=`; False: `<=`.

    Returns
    -------
    ndarray
        (...), a recorded step; NaN where the last value is not beyond.

    Raises
    ------
    ValueError
        Where there is not one step for each of the values' last axis, or none at all.
    """
    at, curve = _series(steps, values)
    limit = np.asarray(threshold, float)[..., None]
    beyond = curve >= limit if above else curve <= limit
    stays = np.logical_and.accumulate(beyond[..., ::-1], axis=-1)[..., ::-1]
    first = np.argmax(stays, axis=-1)
    return np.where(stays.any(axis=-1), at[first], np.nan)


def half_time(steps: ArrayLike, values: ArrayLike) -> Floats:
    """Step from which a curve has done, for good, half of its way from its first to its last value.

    Parameters
    ----------
    steps
        (T,), increasing.
    values
        (..., T).

    Returns
    -------
    ndarray
        (...), a recorded step; NaN for a curve that ends where it began.

    Raises
    ------
    ValueError
        As `onset`.
    """
    at, curve = _series(steps, values)
    first, last = curve[..., :1], curve[..., -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        progress = (curve - first) / (last - first)
    return onset(at, progress, 0.5)


def derived(frame: pd.DataFrame, latent_dim: ArrayLike = 1, stride: ArrayLike = 1) -> pd.DataFrame:
    """Rows of `neurons/` with every statistic that derives from those that they hold (`schema.derivable`).

    Parameters
    ----------
    frame
        Rows with columns of stored statistics.
    latent_dim
        K, one number or one for each row.
    stride
        Positions of the data between the ends of a slope.

    Returns
    -------
    DataFrame
        The rows with further columns.
    """
    names = derivable(str(name) for name in frame.columns)
    return frame.assign(
        **{name: evaluate(name, frame, latent_dim=latent_dim, stride=stride) for name in names}
    )


def transitions(frame: pd.DataFrame) -> pd.DataFrame:
    """Who went where, when: one row for each change of a neuron's regime, in order of step.

    Parameters
    ----------
    frame
        Columns step, layer, neuron, regime, any order of rows.

    Returns
    -------
    DataFrame
        step (the first in the new regime), layer, neuron, before, after (int8 codes).
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
    """Share of codes that are living or mixed.

    Parameters
    ----------
    regimes
        Regime codes, any shape.
    axis
        To be averaged over; all entries by default.

    Returns
    -------
    ndarray
        In [0, 1]; NaN of nothing.
    """
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
