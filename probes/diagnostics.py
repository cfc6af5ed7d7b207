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
from probes.schema import LIVING_REGIMES, UNKNOWN, derivable, evaluate

Floats = NDArray[np.float64]

T = TypeVar("T")
NATS_PER_BIT = float(np.log(2))
SMOOTHED = 16.0  # records: half-life of the smoothing of onsets, for fewer than 1,600 records 1 % of them
LAST = 20  # one of so many parts of a curve is its end
CHANGE = 5.0
"""How many times its noise a change must be: white noise alone gets there in 1 %, an autoregression of 0.9 in
1 % over 500 records and in 3 % over 200."""
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
        Ends of the interval: of a whole split that of blocks of time (`persistence.BlockPairs`), since pairs
        that overlap are not independent.
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
    """Step at which a curve, smoothed without lag, first reaches a threshold.

    Parameters
    ----------
    steps
        (T,), increasing.
    values
        (..., T). What is not finite is skipped.
    threshold
        Broadcasts to (...).
    above
        Beyond is `>=`; False: `<=`.

    Returns
    -------
    ndarray
        (...), a recorded step; NaN where the smoothed curve is never beyond. `reverted` says whether it has
        come back since.

    Raises
    ------
    ValueError
        Where there is not one step for each of the values' last axis, or none at all.

    Notes
    -----
    Smoothed is the average over records before and after, weighted 2^(-distance / h), h the smaller of 16
    records and 1 % of them. A sudden change is found where it is if the threshold lies half-way; at a
    threshold near its beginning it is found early, by up to h log2(size / (2 threshold)) records.
    """
    at, curve = _series(steps, values)
    return _first(at, _beyond(_smooth(curve), threshold, above))


def reverted(
    steps: ArrayLike, values: ArrayLike, threshold: ArrayLike, above: bool = True
) -> NDArray[np.bool_]:
    """Whether a curve that has reached a threshold ends on the other side of it.

    Parameters
    ----------
    steps, values, threshold, above
        As for `onset`.

    Returns
    -------
    ndarray of bool
        (...): it has an `onset`, and the median of the last 5 % of the smoothed curve is not beyond.

    Raises
    ------
    ValueError
        As `onset`.
    """
    _, curve = _series(steps, values)
    smooth = _smooth(curve)
    ended = _end(smooth)
    back = np.isfinite(ended) & ~_beyond(ended[..., None], threshold, above)[..., 0]
    return np.asarray(back & _beyond(smooth, threshold, above).any(axis=-1))


def half_time(steps: ArrayLike, values: ArrayLike) -> Floats:
    """Step at which a curve, smoothed without lag, has first done half of its way.

    Parameters
    ----------
    steps
        (T,), increasing.
    values
        (..., T). What is not finite is skipped.

    Returns
    -------
    ndarray
        (...), a recorded step; NaN where the whole change is not beyond the curve's noise.

    Raises
    ------
    ValueError
        As `onset`.

    Notes
    -----
    Smoothed as in `onset`; the way leads from the first value to the median of the last 5 %. Noise is what
    the smoothed curve does over 5 % of the records: 1.4826 / sqrt 2 times the median size of such a
    difference. A change is more than CHANGE times that. So an even ramp of fewer than seven records has none.
    """
    at, curve = _series(steps, values)
    smooth = _smooth(curve)
    seen = np.isfinite(smooth)
    first = np.take_along_axis(smooth, np.argmax(seen, axis=-1)[..., None], axis=-1)
    way = _end(smooth)[..., None] - first
    apart = max(1, curve.shape[-1] // LAST)
    differences = np.abs(smooth[..., apart:] - smooth[..., :-apart])
    noise = 1.4826 / np.sqrt(2) * _median(differences)[..., None]
    rounding = 1e-9 * np.abs(first)
    changed = np.abs(way) > CHANGE * np.nan_to_num(noise) + rounding
    return _first(at, changed & ((smooth - first - way / 2) * np.sign(way) >= 0))


def _smooth(curve: Floats) -> Floats:
    """Average of each finite value with those before and after it along the last axis, weighted
    2^(-distance / h); NaN where the curve is not finite.
    """
    rows = curve.reshape(-1, curve.shape[-1]).T
    half_life = min(SMOOTHED, rows.shape[0] / 100)

    def both_ways(values: Floats) -> Floats:
        before, after = (
            pd.DataFrame(one).ewm(halflife=half_life).sum().to_numpy() for one in (values, values[::-1])
        )
        return before + after[::-1] - values

    seen = np.isfinite(rows)
    with np.errstate(invalid="ignore"):
        smooth = both_ways(np.where(seen, rows, 0.0)) / both_ways(seen.astype(np.float64))
    return np.where(seen, smooth, np.nan).T.reshape(curve.shape)


def _end(smooth: Floats) -> Floats:
    """Median of the last 5 % of a curve."""
    return _median(smooth[..., -max(1, -(-smooth.shape[-1] // LAST)) :])


def _median(values: Floats) -> Floats:
    """Of what is finite along the last axis; NaN of nothing."""
    found = np.full(values.shape[:-1], np.nan)
    some = np.isfinite(values).any(axis=-1)
    found[some] = np.nanmedian(values[some], axis=-1)
    return found


def _beyond(values: Floats, threshold: ArrayLike, above: bool) -> NDArray[np.bool_]:
    limit = np.asarray(threshold, float)[..., None]
    return values >= limit if above else values <= limit


def _first(at: NDArray[Any], beyond: NDArray[np.bool_]) -> Floats:
    """The step of the first True along the last axis; NaN where there is none."""
    return np.where(beyond.any(axis=-1), at[np.argmax(beyond, axis=-1)], np.nan)


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
        Columns step, layer, neuron and settled, or regime where it has none; any order of rows.

    Returns
    -------
    DataFrame
        step (the first in the new regime), layer, neuron, before, after (int8 codes).
    """
    codes = "settled" if "settled" in frame else "regime"
    ordered = frame[["step", "layer", "neuron", codes]].sort_values(
        ["layer", "neuron", "step"], kind="stable"
    )
    before = ordered[codes].shift(fill_value=0)
    same = (ordered["layer"] == ordered["layer"].shift()) & (ordered["neuron"] == ordered["neuron"].shift())
    changed = ordered.assign(before=before.astype("int8"))[same & (before != ordered[codes])]
    result = changed.rename(columns={codes: "after"})[["step", "layer", "neuron", "before", "after"]]
    return result.sort_values(["step", "layer", "neuron"], kind="stable").reset_index(drop=True)


def living_share(regimes: ArrayLike, axis: int | None = None) -> Floats:
    """Share of codes that are living or mixed, among those that are not unknown.

    Parameters
    ----------
    regimes
        Regime codes, any shape.
    axis
        To be averaged over; all entries by default.

    Returns
    -------
    ndarray
        In [0, 1]; NaN as `living_share_of_counts` has it.
    """
    codes = np.asarray(regimes)
    living = np.isin(codes, LIVING_REGIMES).sum(axis=axis)
    unknown = (codes == UNKNOWN).sum(axis=axis)
    return living_share_of_counts(living, unknown, codes.size if axis is None else codes.shape[axis])


def living_share_of_counts(living: ArrayLike, unknown: ArrayLike, neurons: ArrayLike) -> Floats:
    """Share of the neurons that live, among those whose regime is known: living / (neurons - unknown).

    Parameters
    ----------
    living
        Neurons that are living or mixed.
    unknown
        Neurons whose regime is unknown.
    neurons
        All of them.

    Returns
    -------
    ndarray
        In [0, 1]. NaN where the regime of half of the neurons or more is unknown, since the share of all
        could then be nearly anything, and where there are no neurons.
    """
    known = _floats(neurons) - _floats(unknown)
    told = known > _floats(unknown)
    return np.where(told, _floats(living) / np.where(told, known, 1), np.nan)


def _series(steps: ArrayLike, values: ArrayLike) -> tuple[NDArray[Any], Floats]:
    at, curve = np.asarray(steps), _floats(values)
    if at.ndim != 1 or curve.shape[-1:] != at.shape or not at.size:
        raise ValueError(f"values {curve.shape} need one step for each of their last axis, got {at.shape}")
    return at, curve


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, np.float64)
