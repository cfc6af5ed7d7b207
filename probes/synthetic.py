"""Runs with planted truth: neurons of known regime, onset, persistence and information.

    from probes.synthetic import plant, write
    truth = plant([256, 256, 256], steps=2000)
    write("runs/planted", truth, steps=2000)

A planted neuron is a law of posteriors. An input draws each dimension's μ from Normal(± mean, spread), the
sign alternating over dimensions, and ln σ² from a Gaussian of sd `width` (E σ² is variance). Only a share
`share` of the inputs does so, the others stay at rest, where the KL is least; of those that do, a share
`moving` moves its μ, by so much more that the spread is the same; σ of a share `clamp_share` lies at its
lower limit. Every neuron starts at rest and goes to its planted law along a logistic curve whose middle is
its onset.

A step draws a batch of posteriors from that law, new for every neuron and step, and computes the statistics
from it by `probes.moments`, as a training step does. No statistic has a sampling law of its own here: what a
batch does to information, slopes and their intervals, at any size, is what it does to real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from probes.log.background import FLUSH_BYTES
from probes.moments import moments
from probes.recorder import Precision, Recorder
from probes.schema import BLOCK_STEPS

Array = NDArray[Any]

RISE = 0.01  # share of the run in which a neuron goes from 12 % to 88 % of its way
ONSETS = (0.1, 0.6)  # shares of the run between which neurons set out
REST_SPREAD = 1e-4  # what little the mean of a neuron at rest moves, in units of its variance
SIGMA_LIMITS = (0.01, 10.0)  # what the planted network limits σ to
CHUNK = 2**18  # values of μ drawn at a time: a megabyte, so that passes over them stay in the cache

SILENT = (0.0, 0.001, 0.002)
TELLING = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.4)
INFORMATION: dict[int, tuple[float, ...]] = {
    0: TELLING,
    1: TELLING,
    2: TELLING,
    3: (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
    4: SILENT,
    5: SILENT,
    6: SILENT,
    7: (2.75, 3.0, 3.25),
    8: TELLING,
    9: (0.3, 0.5, 1.0),
}
"""Regime code -> nats a latent dimension that its neurons are planted with (code 2: before σ is limited)."""


def plant(
    neurons: Sequence[int],
    steps: int,
    regimes: Sequence[int] | Mapping[int, float] | None = None,
    prior_phi: float = 0.0,
    seed: int = 0,
    latent_dim: int = 1,
) -> pd.DataFrame:
    """Truth of a run: what each neuron ends as, and when it sets out.

    Parameters
    ----------
    neurons
        How many in each layer.
    steps
        Length of the run.
    regimes
        Codes to draw from evenly, or code -> weight; all of `INFORMATION` by default.
    prior_phi
        Persistence of the autoregressive prior; 0: Normal(0, 1).
    seed
        Of the draw.
    latent_dim
        K, latent dimensions of every neuron: alike but for the sign of their means.

    Returns
    -------
    DataFrame
        One row a neuron: layer, neuron, regime (that it ends in), onset (step), phi (slope of its mean),
        information (nats, summed over dimensions, at the end: the Gaussian upper estimate of its law), and
        that law (the module's text): mean, spread, variance, width, share, moving, clamp_share, prior_phi,
        latent_dim.

    Raises
    ------
    ValueError
        For a code that cannot be planted, and K below 1.
    """
    draw = np.random.default_rng(seed)
    chosen = list(INFORMATION) if regimes is None else regimes
    weights = dict(chosen) if isinstance(chosen, Mapping) else dict.fromkeys(chosen, 1.0)
    unknown = sorted(set(weights) - set(INFORMATION))
    if unknown:
        raise ValueError(
            f"cannot plant regimes {unknown}: codes are {min(INFORMATION)} to {max(INFORMATION)}"
        )
    if latent_dim < 1:
        raise ValueError(f"latent_dim is {latent_dim}: a neuron has at least one latent dimension")
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
    information = np.select(
        [code == one for one in weights], [draw.choice(INFORMATION[one], total) for one in weights]
    )
    # where the width alone costs little, it would decide who is active
    width = np.where(np.isin(code, (3, 4, 5, 6)), 0.0, np.minimum(0.2, np.sqrt(information)))
    share = where(9, between(0.3, 0.7), 1.0)
    ratio = np.exp(2 * information / share - width**2 / 2)  # aggregate variance / E σ² of who takes part
    variance = rest * np.minimum(where(9, 1.0, between(0.6, 1.4)) / ratio, 1)
    variance = where(3, between(1.3, 2.0), variance)
    variance = where(4, rest * between(0.985, 1.0), variance)
    variance = where(5, between(0.98, 1.0), variance)
    variance = where(6, rest * between(0.2, 0.6), variance)
    spread = variance * (ratio - 1) / new
    mean = where(5, sign * between(0.6, 1.5) / (1 - abs(prior_phi)), sign * between(0.0, 0.03))
    mean = where(8, sign * between(2.3, 3.0), where(9, 0.0, mean))
    clamped = where(2, between(0.3, 0.9), 0.0)
    limited = _limited_information(variance, spread * new, width, clamped, 1 - prior_phi**2)
    layer = np.repeat(np.arange(len(neurons)), neurons)
    return pd.DataFrame(
        {
            "layer": layer.astype(np.int16),
            "neuron": np.concatenate([np.arange(n) for n in neurons]).astype(np.int32),
            "regime": code.astype(np.int8),
            "onset": np.round(between(*ONSETS) * steps),
            "phi": phi,
            "information": latent_dim * where(1, np.nan, where(2, limited, information)),
            "mean": mean,
            "spread": spread,
            "variance": variance,
            "width": width,
            "share": share,
            "moving": 1.0,
            "clamp_share": clamped,
            "prior_phi": prior_phi,
            "latent_dim": latent_dim,
        }
    )


def alike(
    neurons: int,
    information: float,
    share: float = 1.0,
    moving: float = 1.0,
    phi: float = 0.0,
    latent_dim: int = 1,
) -> pd.DataFrame:
    """Neurons of one law from the first step on, whose aggregate posterior is the prior.

    Parameters
    ----------
    neurons
        How many, in one layer.
    information
        Nats a latent dimension.
    share, moving
        Of the inputs, those that take part, and of these those that move their μ (the module's text).
    phi
        Slope of the mean over pairs.
    latent_dim
        K.

    Returns
    -------
    DataFrame
        As of `plant`; the regime, which limits decide, is 0.
    """
    variance = np.exp(-2 * information / share)  # of who takes part; the others tell nothing
    one = plant([1], 1, [0], latent_dim=latent_dim).assign(
        onset=-np.inf,
        phi=phi,
        information=latent_dim * information,
        mean=0.0,
        spread=1 - variance,
        variance=variance,
        width=0.0,
        share=share,
        moving=moving,
    )
    rows = one.loc[one.index.repeat(neurons)].reset_index(drop=True)
    return rows.assign(neuron=rows.index.astype(np.int32))


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


class Posteriors(NamedTuple):
    """What a batch of B inputs makes of N neurons at T steps: origins, then as many predecessors.

    Attributes
    ----------
    mu
        (B, T N, K) float32, prior standard deviations; a neuron's columns are N apart.
    log_sigma
        ln σ of the same shape.
    """

    mu: Tensor
    log_sigma: Tensor


def posteriors(
    truth: pd.DataFrame,
    at: Array,
    steps: int,
    draw: np.random.Generator,
    batch: int = 256,
    pairs: bool = True,
) -> Posteriors:
    """A batch of posteriors of planted neurons for each of some steps.

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
        B, inputs a step.
    pairs
        Half of the inputs are origins, the others their predecessors, which take part and move where their
        origins do; False: all inputs are independent.

    Returns
    -------
    Posteriors
        Of B x T x N x K values: large ones are drawn in parts by `statistics`.

    Raises
    ------
    ValueError
        For an odd number of inputs in pairs, or none.
    """
    _check_batch(batch, pairs)
    return _posteriors(_laws(truth, at, steps), _generator(draw), batch, pairs)


def statistics(
    truth: pd.DataFrame,
    at: Array,
    steps: int,
    draw: np.random.Generator,
    batch: int = 256,
    series: int = 7,
) -> dict[str, Array]:
    """Statistics of planted neurons at some steps: `probes.moments` of a batch of posteriors each.

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
        How many series they are of; 0: no pairs, hence no slopes, and all inputs are independent.

    Returns
    -------
    dict
        Name -> (T, N) float32.

    Raises
    ------
    ValueError
        For an odd number of inputs in pairs, or none; for an autoregressive prior without pairs.
    """
    _check_batch(batch, series > 0)
    prior_phi = float(truth["prior_phi"].iloc[0])
    if prior_phi and not series:
        raise ValueError("an autoregressive prior needs predecessors: give at least one series")
    laws, generator = _laws(truth, at, steps), _generator(draw)
    columns = max(1, CHUNK // (batch * laws.latent_dim))
    parts: dict[str, list[Tensor]] = {}
    for first in range(0, len(laws.mean), columns):
        part = laws.part(slice(first, first + columns))
        for name, values in _moments(part, generator, batch, series, prior_phi).items():
            parts.setdefault(name, []).append(values.expand(len(part.mean)))
    return {name: torch.cat(values).numpy().reshape(len(at), -1) for name, values in parts.items()}


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
    latent_dim = int(truth["latent_dim"].iloc[0])
    described = [
        {"name": f"layer {i + 1}", "neurons": len(part), "latent_dim": latent_dim, "prior": prior}
        for i, part in enumerate(layers)
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


def _check_batch(batch: int, pairs: bool) -> None:
    if batch < 1 or (pairs and batch % 2):
        raise ValueError(f"batch is {batch}: at least one input, and an even number where they are in pairs")


def _generator(draw: np.random.Generator) -> torch.Generator:
    """torch draws normals three times as fast as numpy."""
    return torch.Generator().manual_seed(int(draw.integers(2**63)))


def _limited_information(variance: Array, news: Array, width: Array, clamped: Array, s2: float) -> Array:
    """½ (ln(E v + Var r) − E ln v) where a share of the inputs has σ at its lower limit."""
    low = SIGMA_LIMITS[0] ** 2
    total = (1 - clamped) * variance + clamped * low + news
    log_variance = (1 - clamped) * (np.log(variance) - width**2 / 2) + clamped * np.log(low)
    return np.asarray(0.5 * (np.log(total) - log_variance))


class _Laws(NamedTuple):
    """Laws of posteriors, one for each neuron and step, (C,)."""

    mean: Tensor
    spread: Tensor
    variance: Tensor
    width: Tensor
    share: Tensor
    moving: Tensor
    clamp_share: Tensor
    phi: Tensor
    broken: Tensor
    rest: float
    latent_dim: int

    def part(self, columns: slice) -> _Laws:
        fields = self._asdict()
        cut: dict[str, Any] = {n: v[columns] for n, v in fields.items() if isinstance(v, Tensor)}
        return self._replace(**cut)


def _laws(truth: pd.DataFrame, at: Array, steps: int) -> _Laws:
    """Where each neuron is on its way at each step, flat: (T N,)."""
    world = {name: truth[name].to_numpy(float) for name in truth.columns}
    rest = resting_variance(world["prior_phi"][0])
    done = _progress(at, world["onset"], steps)
    broken = (world["regime"] == 1) & (np.asarray(at)[:, None] >= world["onset"])

    def flat(values: Array) -> Tensor:
        return torch.from_numpy(np.broadcast_to(values, done.shape).reshape(-1).astype(np.float32))

    little = REST_SPREAD * world["variance"]
    return _Laws(
        mean=flat(done * world["mean"]),
        spread=flat(little + done * (world["spread"] - little)),
        variance=flat(rest + done * (world["variance"] - rest)),
        width=flat(done * world["width"]),
        share=flat(world["share"]),
        moving=flat(world["moving"]),
        clamp_share=flat(done * world["clamp_share"]),
        phi=flat(world["phi"]),
        broken=flat(broken) > 0,
        rest=rest,
        latent_dim=int(world["latent_dim"][0]),
    )


def _progress(at: Array, onset: Array, steps: int) -> Array:
    """Share of its way that each neuron has gone, (T, N), one half at its onset."""
    width = max(RISE * steps / 4, 1e-9)
    return np.asarray(1 / (1 + np.exp(-np.clip((np.asarray(at)[:, None] - onset) / width, -50, 50))))


def _posteriors(laws: _Laws, generator: torch.Generator, batch: int, pairs: bool) -> Posteriors:
    shape, independent = (batch, len(laws.mean), laws.latent_dim), batch // 2 if pairs else batch

    def chosen(columns: Tensor, chance: Tensor, rows: int) -> Tensor:
        """Which rows of some columns are chosen, (B, columns, 1); a pair is as one."""
        found = torch.rand(rows, len(columns), 1, generator=generator) < chance[columns, None]
        return found.repeat(batch // rows, 1, 1)

    mu = torch.randn(shape, generator=generator)
    if pairs:  # μ = φ μ' + what is new
        mu[:independent].mul_((1 - laws.phi**2).sqrt()[:, None])
        mu[:independent].addcmul_(laws.phi[:, None], mu[independent:])
    mu.mul_((laws.spread / laws.moving).sqrt()[:, None])
    if len(some := torch.nonzero(laws.moving < 1)[:, 0]):
        mu[:, some] *= chosen(some, laws.moving, independent)
    mu.add_(laws.mean[:, None] * (1.0 - 2.0 * (torch.arange(laws.latent_dim) % 2)))

    log_sigma = torch.randn(shape, generator=generator) if laws.width.any() else torch.zeros(shape)
    log_sigma.mul_(0.5 * laws.width[:, None]).add_(0.5 * (laws.variance.log() - laws.width**2 / 2)[:, None])
    if len(some := torch.nonzero(laws.clamp_share)[:, 0]):
        limited = chosen(some, laws.clamp_share, batch)
        log_sigma[:, some] = log_sigma[:, some].masked_fill_(limited, np.log(SIGMA_LIMITS[0]))

    if len(some := torch.nonzero(laws.share < 1)[:, 0]):
        absent = ~chosen(some, laws.share, independent)
        mu[:, some] = mu[:, some].masked_fill_(absent, 0)
        log_sigma[:, some] = log_sigma[:, some].masked_fill_(absent, 0.5 * np.log(laws.rest))
    if len(some := torch.nonzero(laws.broken)[:, 0]):
        mu[:, some] = log_sigma[:, some] = torch.nan
    return Posteriors(mu, log_sigma)


def _moments(
    laws: _Laws, generator: torch.Generator, batch: int, series: int, prior_phi: float
) -> dict[str, Tensor]:
    mu, log_sigma = _posteriors(laws, generator, batch, series > 0)
    sigma, half = log_sigma.exp(), batch // 2
    given: dict[str, Any] = {"sigma_limits": SIGMA_LIMITS}
    if series:
        given |= {"previous_mu": mu[half:], "series": torch.arange(half) % series, "n_series": series}
    if prior_phi:
        given |= {"phi": torch.full(mu.shape[1:2], prior_phi), "previous_sigma": sigma[half:]}
        mu, sigma, log_sigma = mu[:half], sigma[:half], log_sigma[:half]
    return moments(mu, sigma, log_sigma=log_sigma, **given)
