"""Which neurons move alike over the same inputs: correlation, nearest neurons, the best matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from probes.analysis.posteriors.probe_rows import Floats

NEAREST = 8  # neighbours of a neuron that are listed


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


def nearest(mu: ArrayLike, neuron: int, other: ArrayLike | None = None, count: int = NEAREST) -> pd.DataFrame:
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


def assignment(cost: ArrayLike) -> NDArray[np.int64]:
    """A column of its own for each row, with the least sum of costs.

    Parameters
    ----------
    cost
        (n, m), n <= m, finite.

    Returns
    -------
    ndarray of int64
        (n,) columns.

    Raises
    ------
    ValueError
        For more rows than columns.

    Notes
    -----
    Kuhn 1955, by scipy.
    """
    table = np.asarray(cost, np.float64)
    rows, columns = table.shape
    if rows > columns:
        raise ValueError(f"{rows} rows cannot each have one of {columns} columns")
    return optimize.linear_sum_assignment(table)[1].astype(np.int64)


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


def neighbours(
    mu: np.ndarray, neuron: int, others: Mapping[int, np.ndarray], own_layer: int | None, count: int = NEAREST
) -> pd.DataFrame:
    """Neurons of several layers whose means move most like one neuron's over the same probe inputs.

    Parameters
    ----------
    mu
        (B, N) of the neuron's layer.
    neuron
        Its number.
    others
        Layer -> (B, M).
    own_layer
        The neuron's layer if `others` are of its own run, so that it is not its own neighbour.
    count
        How many.

    Returns
    -------
    DataFrame
        layer, neuron, correlation, in order of the correlation's size.
    """
    parts = []
    for layer, values in others.items():
        found = nearest(mu, neuron, None if layer == own_layer else values, count)
        parts.append(found.assign(layer=layer))
    joined = (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=["layer", "neuron", "correlation"])
    )
    order = np.argsort(-joined["correlation"].abs().to_numpy(float), kind="stable")[:count]
    return joined.iloc[order][["layer", "neuron", "correlation"]].reset_index(drop=True)


def partners(mu: np.ndarray, other: np.ndarray, neurons: Sequence[int]) -> pd.DataFrame:
    """The partners of some neurons when every neuron of a layer gets one of another run's.

    Parameters
    ----------
    mu, other
        (B, N) and (B, M), on the same inputs.
    neurons
        The numbers of those that are asked for.

    Returns
    -------
    DataFrame
        neuron, partner, correlation.

    Notes
    -----
    The matching (`match`) is over all neurons of both layers, so that no two share a partner.
    """
    matched = match(mu, other)
    return matched[matched["neuron"].isin(list(neurons))].reset_index(drop=True)


def _standard(mu: ArrayLike) -> Floats:
    """Columns centred and of length 1; NaN where one does not move."""
    values = np.asarray(mu, np.float64)
    centred = values - values.mean(0)
    length = np.sqrt((centred**2).sum(0))
    length[np.ptp(values, axis=0) == 0] = np.nan
    return centred / length
