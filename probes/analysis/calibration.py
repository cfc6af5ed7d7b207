"""Can the uncertainty be trusted: PIT, coverage and sharpness of the probe batch's forecasts over steps.

Frames are `Run.predictions()`: step, input, horizon, y, mean, latent_variance, observation_variance, pit, and
`block` where inputs share their time: inputs of different blocks are independent, without it all are.

Bands say where a calibrated forecast lies. Numbers of one input hang together, and so do inputs of one block;
how closely is measured in the batch, and forecasts that hang together as closely are drawn (`null_shares`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtri

from probes.experiments.estimates import risk_curve

Floats = NDArray[np.float64]
LEVELS = (0.5, 0.8, 0.95)
BINS = 10
BAND = 0.95  # share of the batches of a calibrated forecast that lie in a band everywhere
REPEATS = 1000  # batches that are drawn for a band
AT_ONCE = 50  # of them: some megabytes
FEWEST_BLOCKS = 12  # of several inputs, to tell how closely those hang together; with fewer they count as one


def pit_density(predictions: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """How often the target falls into each of equal parts of its predictive distribution, per step.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()`.
    bins
        How many parts.

    Returns
    -------
    DataFrame
        step, bin, left, right, density: 1 everywhere when calibrated; null without a PIT that is a number.

    Notes
    -----
    Gneiting, Balabdaoui & Raftery 2007.
    """
    edges = np.linspace(0, 1, bins + 1)
    rows = []
    for step, part in predictions.groupby("step", sort=True):
        values = part["pit"].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        density = np.histogram(values, edges)[0] * bins / len(values) if len(values) else np.nan
        frame = pd.DataFrame(
            {"bin": np.arange(bins), "left": edges[:-1], "right": edges[1:], "density": density}
        )
        rows.append(frame.assign(step=step))
    names = ["step", "bin", "left", "right", "density"]
    return pd.concat(rows, ignore_index=True)[names] if rows else pd.DataFrame(columns=names)


def pit_histogram(predictions: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """`pit_density` with the band of a calibrated forecast.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()`.
    bins
        How many parts.

    Returns
    -------
    DataFrame
        The columns of `pit_density`, and low, high: the bins of a calibrated forecast lie between them, all
        at once, in 95 % of probe batches. It costs some 50 ms a step.
    """
    edges = np.linspace(0, 1, bins + 1)
    table = pit_density(predictions, bins)
    bands = [
        np.stack(simultaneous_band(bins * null_shares(part, edges), np.ones(bins)), 1)
        for _, part in predictions.groupby("step", sort=True)
    ]
    low, high = np.concatenate(bands).T if bands else np.zeros((2, 0))
    return table.assign(low=np.maximum(low, 0), high=high)


def coverage_over_steps(predictions: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """Share of targets inside the central interval of each level, per step.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()`.
    levels
        Probabilities of the intervals.

    Returns
    -------
    DataFrame
        step, level, coverage, and low, high: the shares of a calibrated forecast lie between them, at all
        levels of a step at once, in 95 % of probe batches.

    Notes
    -----
    Exact from the PIT: (1 - level)/2 <= F(y) <= (1 + level)/2.
    """
    wanted = np.asarray(levels, np.float64)
    edges = np.unique(np.concatenate([[0, 1], (1 - wanted) / 2, (1 + wanted) / 2]))
    centres = (edges[1:] + edges[:-1]) / 2
    inside = np.abs(centres - 0.5) <= wanted[:, None] / 2  # (levels, parts)
    rows = []
    for step, part in predictions.groupby("step", sort=True):
        values = part["pit"].to_numpy(np.float64)
        distance = np.abs(values[np.isfinite(values)] - 0.5)
        low, high = simultaneous_band(null_shares(part, edges) @ inside.T, wanted)
        for level, bottom, top in zip(wanted, low, high, strict=True):
            share = float((distance <= level / 2).mean()) if len(distance) else np.nan
            rows.append((step, float(level), share, max(float(bottom), 0.0), min(float(top), 1.0)))
    return pd.DataFrame(rows, columns=["step", "level", "coverage", "low", "high"])


def simultaneous_band(simulated: Floats, centre: Floats) -> tuple[Floats, Floats]:
    """Band that simulated numbers keep to, all of them at once, in 95 % of the simulations.

    Parameters
    ----------
    simulated
        (R, M).
    centre
        (M,), their expectation.

    Returns
    -------
    tuple of ndarray
        (M,) each: centre -+ c sd, c the 95 % quantile of the largest deviation in sds; NaN where a number is.
    """
    sd = simulated.std(0)
    deviation = np.abs(simulated - centre) / np.where(sd > 0, sd, 1)
    half = np.quantile(deviation.max(1), BAND, method="higher") * sd
    return centre - half, centre + half


def null_shares(predictions: pd.DataFrame, edges: Floats, repeats: int = REPEATS) -> Floats:
    """Shares of the PIT between edges in batches of a calibrated forecast that hang together as this one.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()` of one step.
    edges
        (M + 1,) increasing, from 0 to 1.
    repeats
        How many batches are drawn, the same each time.

    Returns
    -------
    ndarray
        (repeats, M); NaN where no PIT is a number.

    Notes
    -----
    A Gaussian copula. The PITs of a horizon are ranked over inputs, so that what is measured is dependence
    alone, whatever the calibration: the correlation of normal scores between horizons, and their mean product
    over pairs of inputs of one block, rho, 0 to 1, taken as 1 where fewer than 12 blocks could tell. Drawn
    scores are sqrt(rho) a_block + sqrt(1 - rho) e_input, both with the horizons' correlation. An input whose
    horizons are one counts once, as it should.
    """
    part = predictions[np.isfinite(predictions["pit"].to_numpy(np.float64))]
    if part.empty:
        return np.full((repeats, len(edges) - 1), np.nan)
    table = part.pivot_table(index="input", columns="horizon", values="pit", aggfunc="first")
    values = table.to_numpy(np.float64)
    there = np.isfinite(values)
    names = part.groupby("input")["block"].first() if "block" in part else pd.Series(table.index, table.index)
    block = np.unique(names.loc[table.index], return_inverse=True)[1]
    factor, rho = _dependence(_normal_scores(values), block)

    cuts, parts = ndtri(edges[1:-1]).astype(np.float32), len(edges) - 1
    generator, shares = np.random.default_rng(0), []
    for start in range(0, repeats, AT_ONCE):
        count = min(AT_ONCE, repeats - start)
        noise = np.sqrt(1 - rho) * _normal(generator, count, len(values), len(factor))
        if rho > 0:
            noise += np.sqrt(rho) * _normal(generator, count, block.max() + 1, len(factor))[:, block]
        drawn = np.searchsorted(cuts, (noise @ factor)[:, there]) + parts * np.arange(count)[:, None]
        shares.append(np.bincount(drawn.ravel(), minlength=count * parts).reshape(count, parts))
    return np.concatenate(shares) / there.sum()


def _normal(generator: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return generator.standard_normal(shape, dtype=np.float32)


def _normal_scores(values: Floats) -> Floats:
    """Normal scores (n, H) of the ranks over inputs, mean square 1 at each horizon; 0 where there is no
    value, 1 where all are alike.
    """
    count = np.isfinite(values).sum(0)
    scores = ndtri((stats.rankdata(values, axis=0, nan_policy="omit") - 0.5) / count)
    size = np.sqrt(np.nansum(scores**2, 0) / len(values))
    return np.where(size > 0, np.nan_to_num(scores) / np.where(size > 0, size, 1), 1.0)


def _dependence(scores: Floats, block: NDArray[np.intp]) -> tuple[NDArray[np.float32], np.float32]:
    """Factor (r, H) of the horizons' correlation, and the correlation of inputs of one block."""
    inputs = len(scores)
    singular, axes = np.linalg.svd(scores / np.sqrt(inputs), full_matrices=False)[1:]
    factor = (singular[:, None] * axes).astype(np.float32)
    size = np.bincount(block)
    pairs = (size * (size - 1)).sum()
    if not pairs:
        return factor, np.float32(0)
    if len(size) < FEWEST_BLOCKS:
        return factor, np.float32(1)
    sums = np.zeros((len(size), scores.shape[1]))
    np.add.at(sums, block, scores)
    product = ((sums**2).sum() - (scores**2).sum()) / (pairs * scores.shape[1])
    # scores are around the mean of the batch, which takes 1/blocks of rho and 1/inputs of the rest with it
    rest = (1 - product) / inputs
    rho = (product + rest) / (1 - (1 - product) / len(size) + rest)
    return factor, np.float32(np.clip(rho, 0, 1))


def sharpness_over_steps(predictions: pd.DataFrame) -> pd.DataFrame:
    """Parts of the predictive variance, per step.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()`.

    Returns
    -------
    DataFrame
        step, latent, observation (batch means), sd (mean root of their sum).
    """
    rows = []
    for step, part in predictions.groupby("step", sort=True):
        latent = part["latent_variance"].to_numpy(np.float64)
        observation = part["observation_variance"].to_numpy(np.float64)
        rows.append((step, latent.mean(), observation.mean(), np.sqrt(latent + observation).mean()))
    return pd.DataFrame(rows, columns=["step", "latent", "observation", "sd"])


def risk_coverage_over_steps(predictions: pd.DataFrame) -> pd.DataFrame:
    """Squared error of the probe inputs kept, as the most uncertain are dropped, per step.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()`.

    Returns
    -------
    DataFrame
        step, uncertainty ("latent variance" or "output variance", that of the observation, each averaged over
        an input's horizons), coverage, risk.
    """
    rows = []
    for step, part in predictions.groupby("step", sort=True):
        squared = (part["y"] - part["mean"]) ** 2
        of_input = (
            part.assign(error=squared)
            .groupby("input")[["error", "latent_variance", "observation_variance"]]
            .mean()
        )
        for name, column in (
            ("latent variance", "latent_variance"),
            ("output variance", "observation_variance"),
        ):
            coverage, risk = risk_curve(of_input["error"], of_input[column])
            rows.append(pd.DataFrame({"step": step, "uncertainty": name, "coverage": coverage, "risk": risk}))
    return (
        pd.concat(rows, ignore_index=True)
        if rows
        else pd.DataFrame(columns=["step", "uncertainty", "coverage", "risk"])
    )
