"""Runs with planted truth: neurons of known regime, onset, persistence and information, with the noise of a
batch.

    from probes.synthetic import plant, write
    truth = plant([256, 256, 256], steps=2000)
    write("runs/planted", truth, steps=2000)

The world of a planted neuron: an input draws μ from Normal(mean, spread) and ln σ² from a Gaussian of sd
`width` (E σ² is variance); under "mixed" only a share of the inputs does, the others stay at the prior. Every
neuron starts at rest (where its KL is least) and goes to its planted state along a logistic curve whose
middle is its onset.

A step's statistics are drawn from the sampling law that a batch of such inputs gives them, instead of from a
batch: sums of squares are chi-squared, slopes are least squares of Gaussian pairs, means and mean widths
Gaussian. Each statistic has its own law (mean widths: to the central limit; the slope of a mixed neuron: as
if all inputs took part), and kl is the sum of its parts; other dependence between statistics is not
reproduced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.diagnostics import kl_floor, student_quantile
from probes.families.gaussian import GAUSSIAN
from probes.log.background import FLUSH_BYTES
from probes.recorder import Precision, Recorder
from probes.schema import ACTIVE_KL, BLOCK_STEPS, REGIMES

Array = NDArray[Any]

RISE = 0.01  # share of the run in which a neuron goes from 12 % to 88 % of its way
ONSETS = (0.1, 0.6)  # shares of the run between which neurons set out
REST_SPREAD = 1e-4  # what little the mean of a neuron at rest moves
REGIME_CODES = tuple(regime.code for regime in REGIMES)


def plant(
    neurons: Sequence[int],
    steps: int,
    regimes: Sequence[int] | Mapping[int, float] | None = None,
    prior_phi: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Truth of a run: what each neuron ends as, and when it sets out.

    Parameters
    ----------
    neurons
        How many in each layer.
    steps
        Length of the run.
    regimes
        Codes to draw from evenly, or code -> weight; all ten by default (all but mixed under an
        autoregressive prior).
    prior_phi
        Persistence of the autoregressive prior; 0: Normal(0, 1).
    seed
        Of the draw.

    Returns
    -------
    DataFrame
        One row a neuron: layer, neuron, regime (that it ends in), onset (step), phi (slope of its mean),
        information (nats, at the end), and its world: mean, spread, variance, width, share, clamp_share,
        prior_phi.

    Raises
    ------
    ValueError
        For a code that is not a regime, or mixed under an autoregressive prior.
    """
    draw = np.random.default_rng(seed)
    if regimes is None:
        regimes = [code for code in REGIME_CODES if not (prior_phi and code == 9)]
    weights = dict(regimes) if isinstance(regimes, Mapping) else dict.fromkeys(regimes, 1.0)
    unknown = sorted(set(weights) - set(REGIME_CODES))
    if unknown or (prior_phi and 9 in weights):
        raise ValueError(
            f"cannot plant regimes {unknown or [9]}: codes are 0 to 9, without 9 (mixed) under an"
            " autoregressive prior"
        )
    total = int(sum(neurons))
    chances = np.array(list(weights.values()), float)
    code = draw.choice(list(weights), total, p=chances / chances.sum())

    def between(low: float, high: float) -> Array:
        return draw.uniform(low, high, total)

    def where(regime: int, value: Array | float, otherwise: Array | float) -> Array:
        return np.where(code == regime, value, otherwise)

    rest = resting_variance(prior_phi)
    phi = between(0.0, 0.99)
    sign = draw.choice([-1.0, 1.0], total)
    new = movement(phi, prior_phi)  # how much of the spread is news to the prior
    # A living neuron: its aggregate variance, and how much of that its input explains.
    aggregate, explained = between(0.6, 1.4), between(0.2, 1.4)
    variance = rest * aggregate * np.exp(-2 * explained)
    silent = np.isin(code, (4, 5, 6))
    variance = where(3, between(1.3, 2.0), variance)
    variance = where(4, rest * between(0.985, 1.0), variance)
    variance = where(5, between(0.98, 1.0), variance)
    variance = where(6, rest * between(0.2, 0.6), variance)
    variance = where(7, between(0.001, 0.006), variance)
    moving = np.clip((rest * aggregate - variance) / new, 0.1 * rest, 2.0)
    spread = np.where(silent, REST_SPREAD * variance, where(7, 0.5, moving))
    mean = where(5, sign * between(0.6, 1.5) / (1 - abs(prior_phi)), sign * between(0.0, 0.03))
    mean = where(8, sign * between(2.3, 3.0), mean)
    # where the width alone costs little, it would decide who is active
    width = np.where(silent | (code == 3), 0.0, 0.2)
    share = where(9, between(0.3, 0.7), 1.0)
    information = 0.5 * np.log1p(spread * new / variance) + width**2 / 4
    mixture = 0.5 * (
        np.log(share * (variance + spread) + 1 - share) - share * (np.log(variance) - width**2 / 2)
    )
    layer = np.repeat(np.arange(len(neurons)), neurons)
    return pd.DataFrame(
        {
            "layer": layer.astype(np.int16),
            "neuron": np.concatenate([np.arange(n) for n in neurons]).astype(np.int32),
            "regime": code.astype(np.int8),
            "onset": np.round(between(*ONSETS) * steps),
            "phi": phi,
            "information": where(1, np.nan, where(9, mixture, information)),
            "mean": mean,
            "spread": spread,
            "variance": variance,
            "width": width,
            "share": share,
            "clamp_share": where(2, between(0.3, 0.9), 0.0),
            "prior_phi": prior_phi,
        }
    )


def resting_variance(prior_phi: float) -> float:
    """Variance of least KL for a posterior that tells nothing.

    Parameters
    ----------
    prior_phi
        Persistence that the prior expects.

    Returns
    -------
    float
        1, or (1 − φ²)/(1 + φ²) under an autoregressive prior.
    """
    return (1 - prior_phi**2) / (1 + prior_phi**2)


def movement(phi: Array | float, prior_phi: Array | float) -> Array:
    """Var[μ − φ_prior μ'] / Var[μ]: how much of a mean's movement is news to the prior.

    Parameters
    ----------
    phi
        Slope of the mean.
    prior_phi
        Persistence that the prior expects.

    Returns
    -------
    ndarray
        1 − 2 φ φ_prior + φ_prior².
    """
    return np.asarray(1 - 2 * np.asarray(phi) * prior_phi + np.asarray(prior_phi) ** 2)


def statistics(
    truth: pd.DataFrame,
    at: Array,
    steps: int,
    draw: np.random.Generator,
    batch: int = 256,
    series: int = 7,
) -> dict[str, Array]:
    """Statistics of planted neurons at some steps, as a batch would give them.

    Parameters
    ----------
    truth
        Rows of `plant`.
    at
        (T,) steps.
    steps
        Length of the run.
    draw
        Source of the noise.
    batch
        Inputs a step: half of them origins, the others their predecessors. Under an autoregressive prior the
        statistics are of the origins.
    series
        How many series they are of.

    Returns
    -------
    dict
        Name -> (T, N) float32.
    """
    world = {
        name: truth[name].to_numpy(np.float32)
        for name in truth.columns
        if name not in ("layer", "neuron", "regime")
    }
    prior_phi = float(truth["prior_phi"].iloc[0])
    shape = (len(at), len(truth))
    inputs, pairs = (batch // 2, batch // 2) if prior_phi else (batch, batch // 2)
    done = _progress(at, world["onset"], steps)
    rest = resting_variance(prior_phi)

    def normal() -> Array:
        return draw.standard_normal(shape, np.float32)

    def chi2(freedom: float) -> Array:
        return 2 * draw.standard_gamma(freedom / 2, shape, np.float32)

    # The world at these steps, and how many inputs of the batch are in it.
    tau2 = REST_SPREAD * world["variance"] + done * (world["spread"] - REST_SPREAD * world["variance"])
    sigma2 = rest + done * (world["variance"] - rest)
    width = done * world["width"]
    some = np.full(shape, inputs, np.float32)
    mixed = np.flatnonzero(world["share"] < 1)
    some[:, mixed] = np.maximum(draw.binomial(inputs, world["share"][mixed], (len(at), len(mixed))), 2)
    part = some / inputs

    # Means and sums of squares of the inputs in it; the others are at the prior, μ = 0 and σ = 1. Origins
    # resemble their predecessors: the sum of such a pair has variance 1 + φ of the mean's, the difference 1 −
    # φ.
    alike = (
        np.zeros(shape, np.float32)
        if prior_phi
        else np.where(world["share"] < 1, 0, np.broadcast_to(world["phi"], shape))
    )
    centre = done * world["mean"] + np.sqrt(tau2 * (1 + alike) / some) * normal()
    sums, differences = chi2(inputs / 2 - 1), chi2(inputs / 2)
    squares = tau2 * ((1 + alike) * sums + (1 - alike) * differences) / some
    squares[:, mixed] = (tau2 * 2 * draw.standard_gamma((some - 1) / 2) / some)[:, mixed]
    common, own = normal(), normal()
    log_v = np.log(sigma2) - width**2 / 2 + width / np.sqrt(some) * common
    relative = np.sqrt(np.expm1(width**2))  # sd of σ² over inputs, as a share of its mean
    agree = np.divide(width, relative, out=np.ones(shape, np.float32), where=relative > 0)
    v = sigma2 * (
        1 + relative / np.sqrt(some) * (agree * common + np.sqrt(np.maximum(1 - agree**2, 0)) * own)
    )
    mean, variance, log_variance = part * centre, part * v + 1 - part, part * log_v
    spread = part * squares + part * (1 - part) * centre**2

    columns = {"mean": mean, "variance": variance, "spread": spread}
    s2 = 1 - prior_phi**2
    if prior_phi:
        news = tau2 * movement(world["phi"], prior_phi).astype(np.float32) / s2
        r_mean = done * world["mean"] * (1 - prior_phi) / np.sqrt(s2) + np.sqrt(news / inputs) * normal()
        r_spread = news * chi2(inputs - 1) / inputs
        past = prior_phi**2 * variance / (2 * s2)
        columns |= {
            "phi": np.full(shape, prior_phi),
            "past": past,
            "whitened_mean": r_mean,
            "prior_variance": np.full(shape, s2),
        }
    else:
        r_mean, r_spread, past = mean, spread, np.zeros(1, np.float32)
    information = GAUSSIAN.information(variance / s2, r_spread, log_variance - np.log(s2))
    mismatch = GAUSSIAN.mismatch(r_mean, variance / s2, r_spread)
    # of an input with r = 0, above the floor
    base = 0.5 * (sigma2 / s2 - 1 - np.log(sigma2 / s2)) + past - kl_floor(prior_phi)
    columns |= {
        "kl": information + mismatch + past,
        "information": information,
        "mismatch": mismatch,
        "mu2": spread + mean**2,
        "active_share": _active_share(part, base, r_mean, r_spread, some, draw),
        "clamp_share": draw.binomial(inputs, done * world["clamp_share"]) / np.float32(inputs),
    }
    columns |= _slopes(world["phi"], tau2, pairs, series, normal, chi2)
    broken = (truth["regime"].to_numpy() == 1) & (np.asarray(at)[:, None] >= world["onset"])
    columns["non_finite"] = np.where(broken, inputs, 0)
    for name in ("mean", "variance", "spread", "kl", "information", "mismatch", "mu2"):
        columns[name] = np.where(broken, np.nan, columns[name])
    return {name: np.asarray(values, np.float32) for name, values in columns.items()}


def write(
    path: str | Path,
    truth: pd.DataFrame,
    steps: int,
    every: int = 1,
    batch: int = 256,
    series: int = 7,
    seed: int = 0,
    *,
    precision: Precision = "full",
    name: str | None = None,
    flush_seconds: float = 5.0,
    flush_steps: int = BLOCK_STEPS,
    flush_bytes: int = FLUSH_BYTES,
) -> None:
    """Write a run of planted neurons at steps 0, every, 2 every ... < steps.

    Parameters
    ----------
    path
        Folder of the run.
    truth
        Rows of `plant`.
    steps
        Length of the run.
    every
        Steps between two recorded ones.
    batch, series
        Inputs a step, and how many series they are of.
    seed
        Of the noise.
    precision, name, flush_seconds, flush_steps, flush_bytes
        As for `Recorder`.

    Raises
    ------
    RunError
        When the folder holds a run already.
    """
    layers = [part.reset_index(drop=True) for _, part in truth.groupby("layer", sort=True)]
    prior = "autoregressive" if truth["prior_phi"].iloc[0] else "standard"
    described = [
        {"name": f"layer {i + 1}", "neurons": len(part), "prior": prior} for i, part in enumerate(layers)
    ]
    config = {
        "synthetic": True,
        "steps": steps,
        "batch": batch,
        "series": series,
        "every": every,
        "seed": seed,
    }
    draw = np.random.default_rng(seed)
    recorder = Recorder(
        path,
        described,
        config,
        precision,
        flush_seconds,
        name=name,
        flush_steps=flush_steps,
        flush_bytes=flush_bytes,
    )
    with recorder:
        for at in _blocks(steps, every):
            for index, part in enumerate(layers):
                recorder.record_block(at, index, statistics(part, at, steps, draw, batch, series))


def _blocks(steps: int, every: int) -> Iterator[Array]:
    at = np.arange(0, steps, every)
    for first in range(0, len(at), BLOCK_STEPS):
        yield at[first : first + BLOCK_STEPS]


def _progress(at: Array, onset: Array, steps: int) -> Array:
    """Share of its way that each neuron has gone, (T, N), one half at its onset."""
    width = max(RISE * steps / 4, 1e-9)
    return (1 / (1 + np.exp(-np.clip((np.asarray(at)[:, None] - onset) / width, -50, 50)))).astype(np.float32)


def _active_share(
    part: Array, base: Array, r_mean: Array, r_spread: Array, some: Array, draw: np.random.Generator
) -> Array:
    """Share of inputs whose KL, base + r²/2, is above its limit: all in the planted world where its width
    alone costs enough.
    """
    limit, sd = np.sqrt(2 * np.maximum(ACTIVE_KL - base, 0)), np.sqrt(np.maximum(r_spread, 1e-12))
    chance = np.clip(_upper_tail((limit - r_mean) / sd) + _upper_tail((limit + r_mean) / sd), 0, 1)
    counts = np.array(np.broadcast_to(some, chance.shape))
    doubtful = chance < 1 - 1e-6
    counts[doubtful] = draw.binomial(counts[doubtful].astype(int), chance[doubtful])
    return counts / some * part


def _upper_tail(z: Array) -> Array:
    """P(Z > z) of a standard normal, error below 1e-7 (Abramowitz & Stegun 7.1.26)."""
    x = np.abs(z) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * x)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    tail = 0.5 * series * np.exp(-np.minimum(x * x, 100.0))
    return np.where(z < 0, 1 - tail, tail)


def _slopes(phi: Array, tau2: Array, pairs: int, series: int, normal: Any, chi2: Any) -> dict[str, Array]:
    """Least squares of Gaussian pairs within series: the slope given the sum of squares, and the residual
    variance.
    """
    freedom = pairs - series - 1
    squares = chi2(pairs - series)
    noise = 1 - phi**2
    slope = phi + np.sqrt(noise / squares) * normal()
    residual = noise * chi2(freedom) / freedom  # in units of the spread, as squares are
    half = student_quantile(float(freedom)) * np.sqrt(residual / squares)
    return {
        "persistence": slope,
        "persistence_low": slope - half,
        "persistence_high": slope + half,
        "innovation": tau2 * residual,
    }
