"""How alike layers are on the same probe inputs, and what likeness chance alone gives.

Chance is what is left when the inputs of one layer are permuted: as many inputs, neurons and effective
dimensions, and nothing in common. Where networks have been probed before training, their likeness then is the
second thing to compare with: an architecture and its data alone make neurons alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probes.analysis import posteriors

Floats = NDArray[np.float64]

REPEATS = 200  # permutations of one neuron's inputs, or of a layer's
FEWEST_REPEATS = 20  # where the products of one would take seconds
PRODUCTS = 2e9  # that all permutations of a neuron may take, unless these are fewer
MATCHINGS = 10  # of a layer against another: each gives one value a neuron
VARIANCE_KEPT = 0.99  # share of a layer's variance in the directions that SVCCA compares
MOST_CHANCE = 0.95  # of a mean canonical correlation that still leaves room to tell likeness from chance


class Chance(NamedTuple):
    """Likeness of neurons that have nothing in common.

    Attributes
    ----------
    median
        Half of them are more alike.
    upper
        5 % of them are.
    """

    median: float
    upper: float


def chance_of_nearest(mu: ArrayLike, others: ArrayLike | Sequence[ArrayLike], seed: int = 0) -> Chance:
    """Largest |correlation| of one neuron with any of many, by chance.

    Parameters
    ----------
    mu
        (B,) means of the neuron, or (B, D) as in `posteriors.correlation`.
    others
        (B, M) or (B, M, E) of those among which the nearest is sought; or several layers of them.
    seed
        Of the permutations.

    Returns
    -------
    Chance
        Over permutations of the neuron's inputs; NaN where it, or every other, does not move.

    Raises
    ------
    ValueError
        For different numbers of inputs.
    """
    answers = np.asarray(mu, np.float64)
    answers = answers.reshape(len(answers), -1)
    layers = _layers(others)
    products = answers.size * sum(layer.size / max(len(layer), 1) for layer in layers)
    repeats = int(np.clip(PRODUCTS / max(products, 1), FEWEST_REPEATS, REPEATS))
    generator = np.random.default_rng(seed)
    orders = generator.permuted(np.tile(np.arange(len(answers))[:, None], repeats), axis=0)
    return _chance(_largest_of(answers[orders], layers))


def chance_of_match(mu: ArrayLike, other: ArrayLike, seed: int = 0) -> Chance:
    """|Correlation| of partners, when every neuron gets one (`posteriors.match`), by chance.

    Parameters
    ----------
    mu
        (B, N) or (B, N, D), as in `posteriors.correlation`.
    other
        (B, M) or (B, M, E), on the same inputs.
    seed
        Of the permutations.

    Returns
    -------
    Chance
        Over neurons and permutations of the inputs of `other`.

    Raises
    ------
    ValueError
        For different numbers of inputs.
    """
    second = np.asarray(other, np.float64)
    generator = np.random.default_rng(seed)
    found = [
        posteriors.match(mu, second[generator.permutation(len(second))])["correlation"].abs()
        for _ in range(MATCHINGS)
    ]
    return _chance(np.concatenate(found))


def nearest_in_layers(mu: ArrayLike, others: ArrayLike | Sequence[ArrayLike], own: bool = False) -> Floats:
    """Largest |correlation| of each neuron with any of many.

    Parameters
    ----------
    mu
        (B, N) or (B, N, D), as in `posteriors.correlation`.
    others
        (B, M) or (B, M, E); or several layers of them.
    own
        Whether the first N of `others` are the neurons themselves, which do not count.

    Returns
    -------
    ndarray
        (N,); NaN for a neuron that does not move.

    Raises
    ------
    ValueError
        For different numbers of inputs.
    """
    return _largest_of(mu, _layers(others), own)


def _layers(others: ArrayLike | Sequence[ArrayLike]) -> list[Floats]:
    """Layers of answers, of one as of several."""
    several = isinstance(others, list | tuple)
    return [np.asarray(layer, np.float64) for layer in (others if several else [others])]  # type: ignore[union-attr]


def _largest_of(mu: ArrayLike, layers: Sequence[Floats], own: bool = False) -> Floats:
    best = np.full(np.shape(mu)[1], np.nan)
    for place, layer in enumerate(layers):
        values = posteriors.correlation(mu, layer)
        if own and place == 0:
            np.fill_diagonal(values, np.nan)
        best = np.fmax(best, _largest(values))
    return best


class Likeness(NamedTuple):
    """How alike two layers are as wholes; 1 is alike up to rotation (and scale: SVCCA), 0 not at all.

    Attributes
    ----------
    cka
        Linear centred kernel alignment without the bias of few inputs.
    cka_chance
        What 95 % of permutations of the inputs stay below.
    svcca
        Mean canonical correlation of the main directions, less what chance gives: 0 by chance, 1 at most.
    svcca_chance
        What 95 % of permutations stay below.
    """

    cka: float
    cka_chance: float
    svcca: float
    svcca_chance: float


def layers_alike(mu: ArrayLike, other: ArrayLike, seed: int = 0) -> Likeness:
    """Linear CKA and SVCCA of two layers on the same inputs, with their level of chance.

    Parameters
    ----------
    mu
        (B, N), or (B, N, D) as in `posteriors.correlation`.
    other
        (B, M) or (B, M, E), on the same inputs.
    seed
        Of the permutations.

    Returns
    -------
    Likeness
        NaN for fewer than 4 inputs and for a layer that does not move; SVCCA's where the main directions are
        as many as the inputs, since chance alone then gives 1.

    Raises
    ------
    ValueError
        For different numbers of inputs.

    Notes
    -----
    CKA is HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) (Kornblith et al. 2019), with the unbiased HSIC of Song et
    al. 2012. SVCCA (Raghu et al. 2017) keeps the directions of 99 % of the variance; with chance m, the mean
    over permutations, its mean correlation r is shown as (r - m) / (1 - m).
    """
    first, second = (np.reshape(np.asarray(layer, np.float64), (len(layer), -1)) for layer in (mu, other))  # type: ignore[arg-type]
    if len(first) != len(second):
        raise ValueError(
            f"layers seen on {len(first)} and on {len(second)} inputs: likeness needs the same inputs"
        )
    inputs = len(first)
    if inputs < 4 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return Likeness(*[float("nan")] * 4)
    generator = np.random.default_rng(seed)
    orders = [np.arange(inputs), *(generator.permutation(inputs) for _ in range(REPEATS))]

    grams = [_off_diagonal(layer) for layer in (first, second)]
    sizes = [_hsic(gram, gram) for gram in grams]
    scale = np.sqrt(sizes[0] * sizes[1]) if min(sizes) > 0 else np.nan
    cka = np.array([_hsic(grams[0], grams[1][np.ix_(order, order)]) for order in orders]) / scale

    axes = [_main_directions(layer) for layer in (first, second)]
    if min(part.shape[1] for part in axes) == 0:
        return Likeness(float("nan"), float("nan"), float("nan"), float("nan"))
    canonical = [np.linalg.svd(axes[0].T @ axes[1][order], compute_uv=False) for order in orders]
    raw = np.array([values.mean() for values in canonical])
    chance = raw[1:].mean()
    svcca = (raw - chance) / (1 - chance) if chance < MOST_CHANCE else np.full_like(raw, np.nan)
    return Likeness(
        float(cka[0]), float(np.quantile(cka[1:], 0.95)),
        float(svcca[0]), float(np.quantile(svcca[1:], 0.95)),
    )  # fmt: skip


def _off_diagonal(layer: Floats) -> Floats:
    """Inner products of centred rows, without those of a row with itself."""
    centred = layer - layer.mean(0)
    gram = centred @ centred.T
    np.fill_diagonal(gram, 0)
    return gram


def _hsic(first: Floats, second: Floats) -> float:
    """Unbiased HSIC of two matrices of inner products without their diagonals (Song et al. 2012)."""
    n = len(first)
    sums = first.sum(0), second.sum(0)
    together = (first * second).sum() + sums[0].sum() * sums[1].sum() / ((n - 1) * (n - 2))
    return float((together - 2 / (n - 2) * (sums[0] @ sums[1])) / (n * (n - 3)))


def _main_directions(layer: Floats) -> Floats:
    """Orthonormal (B, d): the d directions that hold VARIANCE_KEPT of the variance over inputs."""
    left, sizes, _ = np.linalg.svd(layer - layer.mean(0), full_matrices=False)
    total = (sizes**2).sum()
    if total <= 1e-12 * (layer**2).sum():
        return left[:, :0]
    kept = int(np.searchsorted(np.cumsum(sizes**2), VARIANCE_KEPT * total)) + 1
    return left[:, :kept]


def _largest(correlations: Floats) -> Floats:
    """Largest size along each row; NaN where nothing moves."""
    sizes = np.where(np.isfinite(correlations), np.abs(correlations), -1)
    best = sizes.max(axis=1, initial=-1)
    return np.where(best >= 0, best, np.nan)


def _chance(sizes: Floats) -> Chance:
    found = sizes[np.isfinite(sizes)]
    if not len(found):
        return Chance(float("nan"), float("nan"))
    median, upper = np.quantile(found, (0.5, 0.95))
    return Chance(float(median), float(upper))
