"""Mutual information of inputs and one neuron, by Monte Carlo against the aggregate posterior."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from probes.analysis.posteriors.probe_rows import Floats, checked

# of ln B: beyond, inputs are too few to say more than bounds
TRUSTED_SHARE = 0.5
ONE_SIDED_95 = 1.645  # standard errors


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
    centre, width = checked(mu, sigma)
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
