"""What is told by the order of a probe sequence: autocorrelation, half-lives, effective sample sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probes.analysis.posteriors.probe_rows import Floats

LEAST_SIZE = 10.0  # independent positions; of fewer the estimate is 30 to 100 % too large
# independent positions a position: what alternates more cannot be told from a mean of no error
LARGEST_SIZE = 10.0


def autocorrelation(values: ArrayLike, max_lag: int | None = None) -> Floats:
    """Autocorrelation of series at consecutive positions.

    Parameters
    ----------
    values
        (T, N).
    max_lag
        T - 1 by default.

    Returns
    -------
    ndarray
        (N, max_lag + 1): lag 0 is 1; NaN for a constant series.

    Notes
    -----
    The usual estimate with 1/T at every lag, which is positive semi-definite.
    """
    series = np.asarray(values, np.float64)
    length = len(series)
    lags = length - 1 if max_lag is None else min(max_lag, length - 1)
    centred = (series - series.mean(0)).T
    spectrum = np.fft.rfft(centred, 2 * length, axis=1)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, : lags + 1]
    still = np.ptp(series, axis=0) == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        result = covariance / covariance[:, :1]
    result[still] = np.nan
    return result


def unbiased_autocorrelation(values: ArrayLike, max_lag: int | None = None) -> Floats:
    """Autocorrelation of short series, without the bias of their own mean.

    Parameters
    ----------
    values
        (T, N), T at least 4.
    max_lag
        T // 2 by default: later lags are of a few products.

    Returns
    -------
    ndarray
        (N, max_lag + 1): lag 0 is 1; NaN for a constant series.

    Raises
    ------
    ValueError
        For fewer than 4 positions.

    Notes
    -----
    v + (1 - v) r_k T / (T - k), r_k of `autocorrelation`: taking off a series' own mean takes v = Var(mean) /
    variance off every lag. v = 1 / `effective_sample_size`, of which it is a part: a fixed point.
    """
    series = _sequence(values)
    length = len(series)
    rho = autocorrelation(series)
    lost = np.minimum(1 / effective_sample_size(series), 1)[:, None]
    lags = length // 2 if max_lag is None else min(max_lag, length - 1)
    return (lost + (1 - lost) * rho * length / (length - np.arange(length)))[:, : lags + 1]


def measured_half_life(values: ArrayLike) -> Floats:
    """First lag at which the autocorrelation falls below one half.

    Parameters
    ----------
    values
        (T, N) at consecutive positions, T at least 4.

    Returns
    -------
    ndarray
        (N,) in t; NaN where it does not within T // 4 (later lags are of too few independent products: the
        half-life is longer than the sequence can say), and for a constant series.

    Raises
    ------
    ValueError
        For fewer than 4 positions.
    """
    below = unbiased_autocorrelation(values, len(np.asarray(values)) // 4) < 0.5
    return np.where(below.any(axis=1), below.argmax(axis=1), np.nan)


def effective_sample_size(values: ArrayLike) -> Floats:
    """How many independent positions tell as much about the mean as the T of a series.

    Parameters
    ----------
    values
        (T, N), T at least 4.

    Returns
    -------
    ndarray
        (N,), at most LARGEST_SIZE T; NaN for a constant series. Below LEAST_SIZE a series is too short to
        tell (`too_short`): the number is then too large.

    Raises
    ------
    ValueError
        For fewer than 4 positions.

    Notes
    -----
    T / (-1 + 2 sum_t P_t), P_t = rho_2t + rho_2t+1, summed up to the first that is not positive and made
    non-increasing (initial monotone sequence, Geyer 1992). rho_k = v (1 - k/T) + (1 - v) r_k puts back what
    the series' own mean has taken off, v = 1 / size, by iteration.
    """
    series = _sequence(values)
    length = len(series)
    raw = autocorrelation(series)
    window = 1 - np.arange(length) / length
    lost = np.zeros(len(raw))
    for _ in range(8):
        rho = lost[:, None] * window + (1 - lost[:, None]) * raw
        pairs = rho[:, : length // 2 * 2].reshape(len(rho), -1, 2).sum(2)
        kept = np.logical_and.accumulate(pairs > 0, axis=1)
        time = -1 + 2 * np.minimum.accumulate(np.where(kept, pairs, 0), axis=1).sum(1)
        lost = np.clip(time / length, 0, 0.99)
    return np.where(np.isnan(raw[:, 0]), np.nan, length / np.maximum(time, 1 / LARGEST_SIZE))


def too_short(sizes: ArrayLike) -> NDArray[np.bool_]:
    """Whether a series is shorter than ten of its autocorrelation times: too short to tell its size.

    Parameters
    ----------
    sizes
        As `effective_sample_size` gives them, any shape.

    Returns
    -------
    ndarray of bool
        False for a constant series, which has none.
    """
    return np.asarray(np.asarray(sizes, np.float64) < LEAST_SIZE)


def _sequence(values: ArrayLike) -> Floats:
    series = np.asarray(values, np.float64)
    if len(series) < 4:
        raise ValueError(f"a sequence needs at least 4 positions, these are {len(series)}")
    return series
