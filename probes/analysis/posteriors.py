"""Statistics of the posteriors on the stored probe batch: the same inputs at every step, so that inputs
cancel out.

In numpy, since the dashboard asks for them. mu and sigma are (B, N): inputs, neurons of one layer, as `table`
takes them from `Run.probe`; for several latent dimensions the log holds mean and sd of the pooled variable,
and all here is about that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from probes.errors import REMEDY, RunError

Floats = NDArray[np.float64]
# of ln B: beyond, inputs are too few to say more than bounds
TRUSTED_SHARE = 0.5
ONE_SIDED_95 = 1.645  # standard errors
LEAST_SIZE = 10.0  # independent positions; of fewer the estimate is 30 to 100 % too large
LARGEST_SIZE = (
    10.0  # independent positions a position: what alternates more cannot be told from a mean of no error
)


def table(probe: pd.DataFrame, layer: int, neurons: int | None = None) -> tuple[Floats, Floats]:
    """mu and sigma of one layer from the rows of one step of `Run.probe`.

    Parameters
    ----------
    probe
        Rows of `Run.probe`.
    layer
        Index of the layer.
    neurons
        How many there must be; as many as the rows name by default.

    Returns
    -------
    tuple of ndarray
        (B, N) each.

    Raises
    ------
    ValueError
        For rows of several steps.
    RunError
        For a layer whose rows are not one for every input and neuron.
    """
    if (probe["step"].to_numpy() != probe["step"].iloc[:1].to_numpy()).any():
        raise ValueError("rows of several steps: ask for one, run.probe(step)")
    own = (probe["layer"] == layer).to_numpy()
    part = probe if own.all() else probe[own]
    row, inputs = _ranks(part["input"])
    column, width = _ranks(part["neuron"])
    place = row * width + column
    counts = np.bincount(place, minlength=inputs * width)
    if not len(part) or (counts != 1).any() or neurons not in (None, width):
        raise RunError(
            f"layer {layer} has {len(part)} probe rows for {inputs} inputs and {neurons or width} neurons:"
            f" some are missing; {REMEDY}"
        )
    mu, sigma = np.empty((2, inputs * width))
    mu[place], sigma[place] = part["mu"].to_numpy(), part["sigma"].to_numpy()
    return mu.reshape(inputs, width), sigma.reshape(inputs, width)


def _ranks(numbers: pd.Series) -> tuple[NDArray[np.int64], int]:
    """Numbers from 0 on, and how many there can be."""
    values = numbers.to_numpy(np.int64)
    if not len(values):
        return values, 0
    return values - values.min(), int(np.ptp(values)) + 1


class Inputs(NamedTuple):
    """Rows of a probe batch by what they are for; `input` counts from 0 in each.

    Attributes
    ----------
    spread
        Inputs spread over the data.
    sequence
        A sequence of consecutive t.
    """

    spread: pd.DataFrame
    sequence: pd.DataFrame


def split_inputs(probe: pd.DataFrame, config: Mapping[str, Any]) -> Inputs:
    """The probe batch's rows as inputs spread over the data and a sequence of consecutive t.

    Parameters
    ----------
    probe
        Rows of `Run.probe`.
    config
        `Run.config`, where `probe_sequence` says how many of the inputs, the last, are the sequence; a run
        without it has none.

    Returns
    -------
    Inputs
        What is about the inputs as a whole (mutual information, neighbours) takes `spread`: neighbours in t
        say nearly the same; what is about t (autocorrelation, effective sample size) takes `sequence`, in
        whose mu and sigma (`table`) rows follow each other in t.

    Raises
    ------
    RunError
        When `probe_sequence` is no number of the batch's inputs.
    """
    length = config.get("probe_sequence") or 0
    inputs = int(probe["input"].max()) + 1 if len(probe) else 0
    if len(probe) and not (isinstance(length, int) and 0 <= length <= inputs):
        raise RunError(
            f"probe batch of {inputs} inputs, of which probe_sequence = {length!r} cannot be the last"
        )
    first = inputs - length
    if not length:
        return Inputs(probe, probe.iloc[:0])  # without a copy of millions of rows
    later = probe["input"] >= first
    return Inputs(probe[~later], probe[later].assign(input=probe.loc[later, "input"] - first))


class MutualInformation(NamedTuple):
    """An estimate of I(x; z_i) for each neuron.

    Attributes
    ----------
    value
        (N,) nats. Where `at_least`, the lower end of a one-sided 95 % interval.
    standard_error
        (N,) nats.
    at_least
        (N,): whether the inputs are too few for more than a lower bound: the value is to be shown as ">=".
    at_most
        (N,) nats: upper end of a one-sided 95 % interval; infinite where inputs lie too far apart for one.
    """

    value: Floats
    standard_error: Floats
    at_least: NDArray[np.bool_]
    at_most: Floats


def mutual_information(mu: ArrayLike, sigma: ArrayLike, draws: int = 4, seed: int = 0) -> MutualInformation:
    """I(x; z_i) of each neuron by Monte Carlo against the aggregate posterior of the B inputs, nats.

    Parameters
    ----------
    mu, sigma
        (B, N); sigma positive.
    draws
        Draws an input, each from its own equally likely stratum.
    seed
        Of the draws.

    Returns
    -------
    MutualInformation
        Of the distribution that the inputs are drawn from. NaN for fewer than 2 inputs and where a posterior
        is not finite; `at_least` where the lower bound is beyond half of ln B.

    Raises
    ------
    ValueError
        For sigma <= 0 or shapes that differ.

    Notes
    -----
    Mean over inputs b and draws z from q(z|x_b) of ln q(z|x_b) - ln (1/B) sum_j q(z|x_j): a lower bound in
    expectation, at most ln B (Poole et al. 2019); with the sum over the other inputs alone an upper bound.
    The value is the lower bound with the first term of its bias, Var_j(q(z|x_j)) / (2 B q(z)^2), put back
    (delta method); its error is that of the mean of both bounds over inputs.
    """
    centre, width = _pair(mu, sigma)
    if (width <= 0).any():
        raise ValueError("sigma must be positive: a point has no density")
    inputs, neurons = centre.shape
    generator = np.random.default_rng(seed)
    value, error, at_most = (np.full(neurons, np.nan) for _ in range(3))
    at_least = np.zeros(neurons, bool)
    for neuron in range(neurons):
        noise = _stratified(generator, inputs, draws)
        if inputs < 2 or not np.isfinite([centre[:, neuron], width[:, neuron]]).all():
            continue
        lower, corrected, upper = _bounds(centre[:, neuron], width[:, neuron], noise)
        at_least[neuron] = lower.mean() > TRUSTED_SHARE * np.log(inputs)
        if at_least[neuron]:
            error[neuron] = _error(lower)
            value[neuron] = lower.mean() - ONE_SIDED_95 * error[neuron]
        else:
            error[neuron] = _error((lower + upper) / 2)
            value[neuron] = corrected.mean()
        if np.isfinite(upper).all():
            at_most[neuron] = upper.mean() + ONE_SIDED_95 * _error(upper)
        else:
            at_most[neuron] = np.inf
    return MutualInformation(value, error, at_least, at_most)


def _error(of_input: Floats) -> float:
    """Standard error of a mean over inputs."""
    return float(of_input.std(ddof=1) / np.sqrt(len(of_input)))


def _stratified(generator: np.random.Generator, rows: int, draws: int) -> Floats:
    """Standard normal draws (rows, draws), one from each of `draws` equally likely strata."""
    return np.asarray(special.ndtri((np.arange(draws) + generator.random((rows, draws))) / draws))


def _bounds(centre: Floats, width: Floats, noise: Floats) -> tuple[Floats, Floats, Floats]:
    """Lower bound, that with its bias put back, and leave-one-out upper bound of each input, (B,), for
    z = centre_b + width_b noise.
    """
    draws = noise.shape[1]
    lower, better, upper = information_bounds(log_ratios(centre, width, noise), draws)
    return lower.mean(1), better.mean(1), upper.mean(1)


def log_ratios(centre: Floats, width: Floats, noise: Floats) -> NDArray[np.float32]:
    """How likely a neuron's draws are under the posteriors of the other inputs.

    Parameters
    ----------
    centre, width
        (B,) mu and sigma of one neuron.
    noise
        (B, draws) standard normal: z = centre_b + width_b noise.

    Returns
    -------
    ndarray
        (B draws, B) float32: ln q(z|x_j) - ln q(z|x_b), rows in the order of noise. Relative to the own
        density, so that nothing overflows.
    """
    own = -0.5 * noise**2 - np.log(width)[:, None]
    z = ((centre[:, None] + width[:, None] * noise) - centre.mean()).astype(np.float32).ravel()
    with np.errstate(over="ignore"):  # of inputs that lie far apart the density is 0
        ratio = np.multiply.outer(z, (1 / width).astype(np.float32))
        ratio -= ((centre - centre.mean()) / width).astype(np.float32)
        np.multiply(ratio, ratio, out=ratio)
        ratio *= np.float32(-0.5)
        ratio -= np.log(width).astype(np.float32)
        ratio -= own.astype(np.float32).ravel()[:, None]
    return ratio


def information_bounds(ratio: NDArray[Any], draws: int) -> tuple[Floats, Floats, Floats]:
    """What each draw says of the mutual information of inputs and what was drawn, nats.

    Parameters
    ----------
    ratio
        (B draws, B): ln q(z|x_j) - ln q(z|x_b), of one neuron (`log_ratios`) or summed over several, which
        are independent given the input. It is overwritten.
    draws
        Of each input, whose rows lie together.

    Returns
    -------
    tuple of ndarray
        (B, draws) each: lower bound, that with its first bias put back, leave-one-out upper bound.

    Notes
    -----
    As in `mutual_information`.
    """
    rows, inputs = ratio.shape
    ratio[np.arange(rows), np.arange(rows) // draws] = -np.inf
    with np.errstate(over="ignore", divide="ignore"):
        # relative to the largest of the others, so that their sum does not vanish
        largest = np.maximum(ratio.max(1), np.finfo(np.float32).min)
        ratio -= largest[:, None]
        np.exp(ratio, out=ratio)
        largest = largest.astype(np.float64)
        others = largest + np.log(ratio.sum(1, dtype=np.float64))
        squares = 2 * largest + np.log(np.einsum("ij,ij->i", ratio, ratio).astype(np.float64))
    every = np.logaddexp(0, others)
    # Var_j / q^2 over all inputs
    varies = inputs * np.exp(np.logaddexp(0, squares) - 2 * every) - 1
    lower, upper = np.log(inputs) - every, np.log(inputs - 1) - others
    lower, better, upper = (
        part.reshape(inputs, draws) for part in (lower, lower + varies / (2 * inputs), upper)
    )
    return lower, better, upper


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


def update_speed(
    mu: ArrayLike, sigma: ArrayLike, previous_mu: ArrayLike, previous_sigma: ArrayLike
) -> tuple[Floats, Floats]:
    """How far posteriors have moved on the same inputs.

    Parameters
    ----------
    mu, sigma
        (B, N) now.
    previous_mu, previous_sigma
        (B, N) before.

    Returns
    -------
    tuple of ndarray
        KL(q || q_previous), nats, and squared Wasserstein-2, prior sd^2: (N,) each, means over inputs.

    Raises
    ------
    ValueError
        For shapes that differ.

    Notes
    -----
    W2^2 = (mu - mu')^2 + (sigma - sigma')^2 for Gaussians.
    """
    m, s = _pair(mu, sigma)
    m0, s0 = _pair(previous_mu, previous_sigma)
    if m.shape != m0.shape:
        raise ValueError(
            f"posteriors of {m.shape} and {m0.shape} inputs and neurons: they must be on the same ones"
        )
    kl = 0.5 * (((m - m0) ** 2 + s**2) / s0**2 - 1) - np.log(s / s0)
    return kl.mean(0), ((m - m0) ** 2 + (s - s0) ** 2).mean(0)


def drift(probes: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """`update_speed` between consecutive recorded probe steps.

    Parameters
    ----------
    probes
        Step -> `Run.probe(step)`.

    Returns
    -------
    DataFrame
        step, previous, layer, neuron, update_kl (nats), wasserstein2 (prior sd^2). Both are per interval,
        whatever its length: divide by step - previous for a speed.
    """
    rows = []
    steps = sorted(probes)
    for before, after in zip(steps, steps[1:], strict=False):
        for layer in sorted(probes[after]["layer"].unique()):
            kl, moved = update_speed(*table(probes[after], layer), *table(probes[before], layer))
            part = pd.DataFrame({"neuron": np.arange(len(kl)), "update_kl": kl, "wasserstein2": moved})
            rows.append(part.assign(step=after, previous=before, layer=layer))
    names = ["step", "previous", "layer", "neuron", "update_kl", "wasserstein2"]
    return pd.concat(rows, ignore_index=True)[names] if rows else pd.DataFrame(columns=names)


def correlation(mu: ArrayLike, other: ArrayLike) -> Floats:
    """Correlation over the inputs of every neuron of one layer with every neuron of another.

    Parameters
    ----------
    mu
        (B, N); or (B, N, D), answers of D numbers each, such as probabilities of classes.
    other
        (B, M) or (B, M, E), on the same inputs.

    Returns
    -------
    ndarray
        (N, M); NaN for a neuron whose mean does not move. Where one of the two answers by several numbers the
        root of their RV coefficient, in [0, 1], which of single numbers is the correlation without its sign.

    Raises
    ------
    ValueError
        For different numbers of inputs.

    Notes
    -----
    RV is |X'Y|² / (|X'X| |Y'Y|) of centred answers X and Y, in Frobenius norms (Robert & Escoufier 1976): the
    order in which classes are numbered does not matter.
    """
    first, second = _each(mu), _each(other)
    if len(first) != len(second):
        raise ValueError(
            f"neurons seen on {len(first)} and on {len(second)} inputs: correlation needs the same inputs"
        )
    if first.shape[2] == second.shape[2] == 1:
        return np.clip(_standard(first[..., 0]).T @ _standard(second[..., 0]), -1, 1)
    first, second = _whitened(first), _whitened(second)
    columns = second.reshape(len(second), -1)
    found = np.empty((first.shape[1], second.shape[1]))
    for place in range(first.shape[1]):  # of many classes all pairs at once would not fit the memory
        across = first[:, place].T @ columns
        found[place] = (across**2).reshape(len(across), *second.shape[1:]).sum((0, 2))
    return np.sqrt(np.clip(found, 0, 1))


def _each(mu: ArrayLike) -> Floats:
    """Answers as (B, N, D)."""
    values = np.asarray(mu, np.float64)
    return values if values.ndim == 3 else values[..., None]


def _whitened(answers: Floats) -> Floats:
    """Centred, and each neuron's over the root of its |X'X|; NaN where it does not move."""
    centred = answers - answers.mean(0)
    size = np.sqrt(np.square(np.einsum("bnd,bne->nde", centred, centred)).sum((1, 2)))
    size[(np.ptp(answers, axis=0) == 0).all(1)] = np.nan
    return centred / np.sqrt(size)[None, :, None]


def nearest(mu: ArrayLike, neuron: int, other: ArrayLike | None = None, count: int = 8) -> pd.DataFrame:
    """Neurons whose means move most like those of one neuron.

    Parameters
    ----------
    mu
        (B, N) of the neuron's layer, or (B, N, D) as in `correlation`.
    neuron
        Its number.
    other
        (B, M) or (B, M, E) of the layer that is searched; mu itself by default.
    count
        How many.

    Returns
    -------
    DataFrame
        neuron, correlation, in order of the correlation's size: the sign of a latent variable is arbitrary.
        Neurons that do not move are left out.

    Raises
    ------
    ValueError
        For different numbers of inputs.
    """
    values = correlation(np.asarray(mu)[:, [neuron]], mu if other is None else other)[0]
    if other is None:
        values[neuron] = np.nan
    order = np.argsort(-np.abs(values), kind="stable")
    order = order[np.isfinite(values[order])][:count]
    return pd.DataFrame({"neuron": order, "correlation": values[order]})


def match(mu: ArrayLike, other: ArrayLike) -> pd.DataFrame:
    """One partner for each neuron, by the largest sum of |correlation|.

    Parameters
    ----------
    mu
        (B, N) or (B, N, D), as in `correlation`.
    other
        (B, M) or (B, M, E), on the same inputs.

    Returns
    -------
    DataFrame
        neuron, partner, correlation: min(N, M) rows in order of neuron. A neuron that does not move has
        correlation NaN and whichever partner is left over.

    Raises
    ------
    ValueError
        For different numbers of inputs.

    Notes
    -----
    Kuhn 1955, by scipy. The best of many is large by chance: `likeness.chance_of_match`.
    """
    values = correlation(mu, other)
    neurons, partners = optimize.linear_sum_assignment(np.nan_to_num(np.abs(values)), maximize=True)
    return pd.DataFrame({"neuron": neurons, "partner": partners, "correlation": values[neurons, partners]})


def same_inputs(predictions: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether the probe batches of two runs are the same inputs, by their targets.

    Parameters
    ----------
    predictions, other
        Rows of one step of `Run.predictions()`.

    Returns
    -------
    bool
        False also where there are none.
    """
    if len(predictions) != len(other) or not len(predictions):
        return False
    keys = ["input", "horizon"]
    first, second = (
        frame.sort_values(keys)[[*keys, "y"]].to_numpy(np.float32) for frame in (predictions, other)
    )
    return bool(np.array_equal(first, second))


def _pair(mu: ArrayLike, sigma: ArrayLike) -> tuple[Floats, Floats]:
    centre, width = np.asarray(mu, np.float64), np.asarray(sigma, np.float64)
    if centre.ndim != 2 or centre.shape != width.shape:
        raise ValueError(
            f"mu and sigma must be (inputs, neurons) alike, these are {centre.shape} and {width.shape}"
        )
    return centre, width


def _standard(mu: ArrayLike) -> Floats:
    """Columns centred and of length 1; NaN where one does not move."""
    values = np.asarray(mu, np.float64)
    centred = values - values.mean(0)
    length = np.sqrt((centred**2).sum(0))
    length[np.ptp(values, axis=0) == 0] = np.nan
    return centred / length
