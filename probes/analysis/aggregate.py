"""A layer's neurons together, on the stored probe batch: what its rate is paid for, and how far the aggregate
posterior is from the prior.

In numpy. mu and sigma are (B, N): inputs, neurons of one layer, as `posteriors.table` takes them from
`Run.probe`, in units of the prior. The aggregate is q(z) = (1/B) Σ_b q(z|x_b), an exact mixture over the
probe inputs; nothing is a training batch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from probes.analysis.posteriors import TRUSTED_SHARE, information_bounds, log_ratios

Floats = NDArray[np.float64]
ACTIVE_SPREAD = 0.01
"""Burda, Grosse & Salakhutdinov's threshold: a unit is active where Var_x(E[z|x]) is above it."""
DRAWS = 1024  # of all inputs together; at least LEAST_DRAWS of each
LEAST_DRAWS = 2
DIRECTIONS = 64  # on which aggregates are projected
REPEATS = 8  # draws of each input over which a sliced distance is averaged
NULL_SETS = 1000  # of samples of the prior, of which 95 % are below its limit


class Estimate(NamedTuple):
    """A number with what is known of its error, nats.

    Attributes
    ----------
    value
        Nats; NaN where it cannot be told.
    error
        Standard error over inputs that are drawn at random, the noise of the draws of z included.
    draw_error
        The part of the draws of z alone: of these very inputs.
    """

    value: float
    error: float
    draw_error: float


class RateSplit(NamedTuple):
    """A layer's rate = index-code information + total correlation + dimension-wise KL, nats an example.

    Attributes
    ----------
    rate
        E_b[KL(q(z|x_b) ‖ p)], exact; NaN without a prior.
    index_code
        I(x; z) of the whole layer. At its ceiling a lower bound.
    total_correlation
        KL(q(z) ‖ Π_i q(z_i)). At the ceiling an upper bound.
    dimension_wise
        Σ_i KL(q(z_i) ‖ p(z_i)); NaN without a prior.
    neurons
        Σ_i I(x; z_i) = index_code + total_correlation, which no ceiling of the whole layer touches.
    index_code_at_most
        Upper bound of I(x; z) in expectation, by the other inputs alone; infinite where they lie too far
        apart for one.
    ceiling
        ln B: no estimate of `index_code` is above it.
    at_ceiling
        Whether the inputs are too few to tell index_code and total_correlation apart: the lower bound is
        beyond half of the ceiling.
    inputs, counted
        B, and how many neurons it is of.
    """

    rate: float
    index_code: Estimate
    total_correlation: Estimate
    dimension_wise: Estimate
    neurons: Estimate
    index_code_at_most: float
    ceiling: float
    at_ceiling: bool
    inputs: int
    counted: int


def split_rate(
    mu: ArrayLike,
    sigma: ArrayLike,
    *,
    prior: bool = True,
    draws: int | None = None,
    seed: int = 0,
    corrected: bool = True,
) -> RateSplit:
    """What the rate of a layer of Gaussian neurons is paid for, by Monte Carlo against the exact mixture.

    Parameters
    ----------
    mu, sigma
        (B, N) in units of the prior, Normal(0, 1); sigma positive.
    prior
        Whether that is the prior; without it rate and dimension-wise KL are not known.
    draws
        Of z an input; by default as many as make 1,024 of all inputs, at least 2.
    seed
        Of the draws.
    corrected
        Of the distribution that the inputs are drawn from, the first bias of a mixture of B put back; False:
        of the mixture of these B inputs, in which each is as likely as any other.

    Returns
    -------
    RateSplit
        All NaN for fewer than 2 inputs and where a posterior is not finite.

    Raises
    ------
    ValueError
        For shapes that differ, sigma <= 0, or fewer than 2 draws.

    Notes
    -----
    Chen et al. 2018, "Isolating sources of disentanglement in VAEs", eq. 2; not their minibatch-weighted
    estimators, whose bias is that of a guess at inputs that were not seen. I(x; z) and I(x; z_i) are those of
    `posteriors.mutual_information`, the first with the joint density, all on the same draws. The total
    correlation is Σ_i I(x; z_i) − I(x; z), and the dimension-wise KL the exact rate less Σ_i I(x; z_i), so
    that the parts add up. An input's own contribution is each functional's influence function, hence the
    error over inputs.
    """
    centre, width = _layer(mu, sigma)
    inputs, neurons = centre.shape
    count = _count_draws(inputs, draws)
    kl = None
    if prior:
        kl = 0.5 * (centre**2 + width**2 - 1).sum(1) - np.log(width).sum(1)
    if inputs < 2 or not np.isfinite([centre, width]).all():
        return _unknown(inputs, neurons)
    generator = np.random.default_rng(seed)
    ratios = (
        log_ratios(centre[:, i], width[:, i], generator.standard_normal((inputs, count)))
        for i in range(neurons)
    )
    return _split(ratios, kl, inputs, count, corrected)


def split_rate_of_classes(
    probability: ArrayLike,
    *,
    prior: ArrayLike | None = None,
    draws: int | None = None,
    seed: int = 0,
    corrected: bool = True,
) -> RateSplit:
    """`split_rate` of a layer of categorical neurons.

    Parameters
    ----------
    probability
        (B, N, C) of each class.
    prior
        Probabilities of the prior, (C,) or (N, C); None where they are not known.
    draws, seed, corrected
        As of `split_rate`.

    Returns
    -------
    RateSplit
        As of `split_rate`.

    Raises
    ------
    ValueError
        For no three axes, probabilities that do not add up to 1, or fewer than 2 draws.
    """
    shares = np.asarray(probability, np.float64)
    if shares.ndim != 3:
        raise ValueError(f"probability must be (inputs, neurons, classes), this is {shares.shape}")
    inputs, neurons, _ = shares.shape
    count = _count_draws(inputs, draws)
    if inputs < 2 or not np.isfinite(shares).all():
        return _unknown(inputs, neurons)
    total = shares.sum(2)
    if (shares < 0).any() or (np.abs(total - 1) > 1e-3).any():
        raise ValueError(f"probabilities must add up to 1 over the classes, these to {total.flat[0]:.4g}")
    shares = shares / total[..., None]
    kl = None
    if prior is not None:
        kl = special.rel_entr(shares, np.broadcast_to(np.asarray(prior, float), shares.shape)).sum((1, 2))
    ratios = _class_ratios(shares, count, np.random.default_rng(seed))
    return _split(ratios, kl, inputs, count, corrected)


def _class_ratios(
    shares: Floats, draws: int, generator: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    inputs, neurons, classes = shares.shape
    for i in range(neurons):
        edges = np.cumsum(shares[:, i], 1)
        picked = (generator.random((inputs, draws))[..., None] * edges[:, None, -1:] >= edges[:, None]).sum(2)
        picked = np.minimum(picked, classes - 1).ravel()
        with np.errstate(divide="ignore"):
            logs = np.log(shares[:, i])  # (B, C)
        own = logs[np.repeat(np.arange(inputs), draws), picked]
        yield (logs[:, picked].T - own[:, None]).astype(np.float32)


def _split(
    ratios: Iterable[NDArray[np.float32]], kl: Floats | None, inputs: int, draws: int, corrected: bool
) -> RateSplit:
    """ratios: of each neuron ln q(z_i|x_j) − ln q(z_i|x_b), (B draws, B). kl: (B,) of the whole layer."""
    joint = np.zeros((inputs * draws, inputs))
    told, neurons = np.zeros((inputs, draws)), 0
    for ratio in ratios:
        joint += ratio
        lower, better, _ = information_bounds(ratio, draws)
        told += better if corrected else lower
        neurons += 1
    lower, better, upper = information_bounds(joint, draws)
    at_ceiling = bool(lower.mean() > TRUSTED_SHARE * np.log(inputs))
    index = better if corrected and not at_ceiling else lower
    unknown = np.full((inputs, draws), np.nan)
    return RateSplit(
        rate=float(np.nan if kl is None else kl.mean()),
        index_code=_estimate(index),
        total_correlation=_estimate(told - index),
        dimension_wise=_estimate(unknown if kl is None else kl[:, None] - told),
        neurons=_estimate(told),
        index_code_at_most=float(upper.mean()),
        ceiling=float(np.log(inputs)),
        at_ceiling=at_ceiling,
        inputs=inputs,
        counted=neurons,
    )


def _estimate(of_draw: Floats) -> Estimate:
    """Of contributions (B, S)."""
    inputs, draws = of_draw.shape
    within = of_draw.var(1, ddof=1).mean() / (inputs * draws)
    between = of_draw.mean(1).var(ddof=1) / inputs
    return Estimate(float(of_draw.mean()), float(np.sqrt(between)), float(np.sqrt(within)))


def _unknown(inputs: int, neurons: int) -> RateSplit:
    none = Estimate(np.nan, np.nan, np.nan)
    ceiling = float(np.log(max(inputs, 1)))
    return RateSplit(np.nan, none, none, none, none, np.nan, ceiling, False, inputs, neurons)


def _count_draws(inputs: int, draws: int | None) -> int:
    count = max(LEAST_DRAWS, -(-DRAWS // max(inputs, 1))) if draws is None else draws
    if count < LEAST_DRAWS:
        raise ValueError(f"draws is {count}; an error needs at least {LEAST_DRAWS} of each input")
    return count


class Distance(NamedTuple):
    """A distance of the aggregate posterior from the prior, beside what the prior's own samples have.

    Attributes
    ----------
    value
        The distance.
    null
        Its mean over sets of as many samples of the prior as there are inputs.
    null_95
        95 % of such sets lie below: a value up to here is no sign of a difference.
    """

    value: float
    null: float
    null_95: float


def sliced_wasserstein(mu: ArrayLike, sigma: ArrayLike, seed: int = 0) -> Distance:
    """Sliced 2-Wasserstein distance of the aggregate posterior from Normal(0, 1), prior sds.

    Parameters
    ----------
    mu, sigma
        (B, N) in units of the prior; sigma positive.
    seed
        Of directions and draws.

    Returns
    -------
    Distance
        Prior sds; NaN for fewer than 2 inputs and where a posterior is not finite.

    Raises
    ------
    ValueError
        For shapes that differ or sigma <= 0.

    Notes
    -----
    Root of the mean over 64 random directions θ of W2²(θ·z, Normal(0, 1)), exact between B sorted samples and
    the normal's quantiles, and over 8 sets of one draw an input (Bonneel et al. 2015). Above 0 for samples of
    the prior too, since they are finite: see `null`. Sets of one draw an input are samples of the aggregate;
    averaged, they vary no more than a set of the prior does, so that the limit is kept by 95 % or more.
    """
    centre, width = _layer(mu, sigma)
    inputs, neurons = centre.shape
    if inputs < 2 or not np.isfinite([centre, width]).all():
        return Distance(np.nan, np.nan, np.nan)
    directions = _directions(neurons)
    generator = np.random.default_rng(seed)
    squares = [
        _sliced((centre + width * generator.standard_normal(centre.shape)) @ directions)
        for _ in range(REPEATS)
    ]
    null = _sliced_null(inputs, neurons)
    return Distance(float(np.sqrt(np.mean(squares))), float(null.mean()), float(np.quantile(null, 0.95)))


def _sliced(projected: Floats) -> float:
    """Mean over columns of W2² between the samples (B, L) of a column and Normal(0, 1)."""
    count = len(projected)
    edges = special.ndtri(np.arange(count + 1) / count)
    density = np.exp(-0.5 * edges**2) / np.sqrt(2 * np.pi)  # 0 at the ends
    mass = density[:-1] - density[1:]  # ∫ Φ^{-1}(u) du between the edges
    ordered = np.sort(projected, axis=0)
    return float(np.mean((ordered**2).mean(0) + 1 - 2 * mass @ ordered))


@lru_cache(maxsize=32)
def _directions(neurons: int) -> Floats:
    """(N, L) of length 1, evenly over the sphere; of a single neuron there is one."""
    drawn = np.random.default_rng(neurons).standard_normal((neurons, DIRECTIONS if neurons > 1 else 1))
    return drawn / np.linalg.norm(drawn, axis=0)


@lru_cache(maxsize=64)
def _sliced_null(inputs: int, neurons: int) -> Floats:
    """Sliced distances of NULL_SETS sets of samples of the prior; simulated where they are projected."""
    directions = _directions(neurons)
    if neurons > directions.shape[1]:  # their projections are normal too, of this covariance
        directions = np.asarray(np.linalg.cholesky(directions.T @ directions).T, np.float64)
    generator = np.random.default_rng(inputs)
    squares = [
        _sliced(generator.standard_normal((inputs, len(directions))) @ directions) for _ in range(NULL_SETS)
    ]
    return np.sqrt(np.asarray(squares))


def maximum_mean_discrepancy(mu: ArrayLike, sigma: ArrayLike) -> Distance:
    """Squared maximum mean discrepancy of the aggregate posterior from Normal(0, 1), without bias.

    Parameters
    ----------
    mu, sigma
        (B, N) in units of the prior; sigma positive.

    Returns
    -------
    Distance
        Without a unit, at most 2; below 0 by chance. NaN as for `sliced_wasserstein`.

    Raises
    ------
    ValueError
        For shapes that differ or sigma <= 0.

    Notes
    -----
    Kernel exp(−|z − z'|² / (2 N)): its squared width is N, so that 2 N is the mean squared distance of two
    samples of the prior. Gretton et al. 2012, the U-statistic over pairs of different inputs; what is of the
    prior, and the expectation over z of each pair, in closed form: nothing is drawn. The null is of single
    samples of the prior, B of them, which vary at least as much: the limit is kept by 95 % or more.
    """
    centre, width = _layer(mu, sigma)
    inputs, neurons = centre.shape
    if inputs < 2 or not np.isfinite([centre, width]).all():
        return Distance(np.nan, np.nan, np.nan)
    square = float(neurons)
    logs = np.zeros((inputs, inputs))
    for i in range(neurons):
        spread = square + np.add.outer(width[:, i] ** 2, width[:, i] ** 2)
        logs += np.log(spread / square) + np.subtract.outer(centre[:, i], centre[:, i]) ** 2 / spread
    pairs = np.exp(-0.5 * logs)
    np.fill_diagonal(pairs, 0)
    wide = square + 1 + width**2
    across = np.exp(-0.5 * (np.log(wide / square) + centre**2 / wide).sum(1))
    value = pairs.sum() / (inputs * (inputs - 1)) - 2 * across.mean() + _prior_kernel(neurons)
    null = _mmd_null(inputs, neurons)
    return Distance(float(value), 0.0, float(np.quantile(null, 0.95)))


def _prior_kernel(neurons: int) -> float:
    """Mean of the kernel over pairs of samples of the prior."""
    return float((neurons / (neurons + 2)) ** (neurons / 2))


@lru_cache(maxsize=64)
def _mmd_null(inputs: int, neurons: int) -> Floats:
    """Squared discrepancies of NULL_SETS sets of samples of the prior from it."""
    generator = np.random.default_rng(inputs)
    found = np.empty(NULL_SETS)
    scale = (neurons / (neurons + 1)) ** (neurons / 2)
    for place in range(NULL_SETS):
        z: NDArray[np.float32] = generator.standard_normal((inputs, neurons), np.float32)
        length = np.einsum("ij,ij->i", z, z)
        pairs = np.exp(-(length[:, None] + length - 2 * z @ z.T) / (2 * neurons))
        np.fill_diagonal(pairs, 0)
        across = scale * np.exp(-length / (2 * (neurons + 1))).mean(dtype=np.float64)
        found[place] = pairs.sum(dtype=np.float64) / (inputs * (inputs - 1)) - 2 * across
    return found + _prior_kernel(neurons)


def prior_sd(layer: Mapping[str, Any], config: Mapping[str, Any]) -> float | None:
    """The prior's sd of what the probe batch holds of a layer's neurons, in units of the log.

    Parameters
    ----------
    layer
        Of `Run.layers`.
    config
        `Run.config`.

    Returns
    -------
    float or None
        1 of single dimensions and of watched networks, whose pooled variables are scaled so; of K dimensions
        by `pool`: K^-½ of a mean, K^½ of a sum. Of an autoregressive prior that of its stationary marginal.
        None where the prior is not Normal(0, 1), or it is not said how K dimensions are pooled.
    """
    if layer.get("prior") not in ("standard", "autoregressive"):
        return None
    dimensions = int(layer.get("latent_dim", 1))
    if dimensions == 1 or "watch" in config:
        return 1.0
    return {"mean": dimensions**-0.5, "sum": dimensions**0.5, "sum_sqrt": 1.0}.get(str(config.get("pool")))


def active_units(spread: ArrayLike) -> int:
    """How many neurons are active units in the sense of the literature.

    Parameters
    ----------
    spread
        (N,) Var_x(E[z|x]), prior sd².

    Returns
    -------
    int
        Those above 0.01. NaN does not count.

    Notes
    -----
    Burda, Grosse & Salakhutdinov 2016. Whatever the width: a mean that moves by a tenth of a prior sd within
    a posterior as wide as the prior tells 0.005 nats.
    """
    return int((np.asarray(spread, np.float64) > ACTIVE_SPREAD).sum())


def _layer(mu: ArrayLike, sigma: ArrayLike) -> tuple[Floats, Floats]:
    centre, width = np.asarray(mu, np.float64), np.asarray(sigma, np.float64)
    if centre.ndim != 2 or centre.shape != width.shape:
        raise ValueError(
            f"mu and sigma must be (inputs, neurons) alike, these are {centre.shape} and {width.shape}"
        )
    if (width <= 0).any():
        raise ValueError("sigma must be positive: a point has no density")
    return centre, width
