"""Proper scores of Gaussian and Gaussian-mixture forecasts, in closed form, of mixtures of Student's t, and
of class probabilities.

Shapes: y (B, H); a single forecast has mean and scale broadcastable to y, a mixture of S equally weighted
draws has them (S, B, H); with df (), degrees of freedom, its parts are Student's t of sd `scale`
(`vdn.student`). Scores average over all elements; `reduction="none"` keeps them. NLL in nats, CRPS
and pinball in y's unit.
A score's name, label and unit stand in `probes.schema.SCORES`; `vdn.evaluate` says which a split is given.
The energy score is the one that is no closed form: it is of trajectories that are drawn.
Sources: Gneiting & Raftery 2007; Grimit et al. 2006 for the CRPS of a mixture.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vdn.student import student_cdf, student_nll, student_noise, student_quantile

Reduction = Literal["mean", "none"]
HALF_LN_2PI = 0.5 * math.log(2 * math.pi)
# elements of one temporary of the pairwise term: 8 MB in float32, stays in the cache's reach
CHUNK_ELEMENTS = 1 << 21
TRAJECTORIES = 64  # that a single draw is given: a forecast without latent draws has one
# quantiles that stand for a mixture of Student's t in its CRPS, of all draws and of each, at the least
STUDENT_POINTS, STUDENT_OF_DRAW = 256, 16


def _reduce(values: Tensor, reduction: Reduction) -> Tensor:
    if reduction not in ("mean", "none"):
        raise ValueError(f'reduction must be "mean" or "none", this is {reduction!r}')
    return values.mean() if reduction == "mean" else values


def _cdf(x: Tensor, df: Tensor | None = None) -> Tensor:
    return torch.special.ndtr(x) if df is None else student_cdf(x, df)


def gaussian_nll(y: Tensor, mean: Tensor, scale: Tensor, reduction: Reduction = "mean") -> Tensor:
    """-ln Normal(y; mean, scale^2), nats per element.

    Parameters
    ----------
    y
        (B, H) targets.
    mean, scale
        Forecast, broadcastable to y; scale is its sd, positive.
    reduction
        "mean" over all elements, or "none".

    Returns
    -------
    Tensor
        A scalar, or (B, H) without reduction.

    Raises
    ------
    ValueError
        For another `reduction`, as in all scores here.
    """
    u = (y - mean) / scale
    return _reduce(0.5 * u * u + torch.log(scale) + HALF_LN_2PI, reduction)


def gaussian_crps(y: Tensor, mean: Tensor, scale: Tensor, reduction: Reduction = "mean") -> Tensor:
    """CRPS of Normal(mean, scale^2), in y's unit.

    Parameters
    ----------
    y
        (B, H) targets.
    mean, scale
        Forecast, broadcastable to y; scale is its sd, positive.
    reduction
        "mean" over all elements, or "none".

    Returns
    -------
    Tensor
        A scalar, or (B, H) without reduction.

    Notes
    -----
    scale (u (2 Phi(u) - 1) + 2 phi(u) - 1/sqrt(pi)), u = (y - mean)/scale (Gneiting & Raftery 2007).
    """
    u = (y - mean) / scale
    density = torch.exp(-0.5 * u * u - HALF_LN_2PI)
    return _reduce(scale * (u * (2 * _cdf(u) - 1) + 2 * density - 1 / math.sqrt(math.pi)), reduction)


def pinball(
    y: Tensor, mean: Tensor, scale: Tensor, taus: Tensor | list[float], reduction: Reduction = "mean"
) -> Tensor:
    """Quantile loss of Normal(mean, scale^2), in y's unit.

    Parameters
    ----------
    y
        (B, H) targets.
    mean, scale
        Forecast, broadcastable to y; scale is its sd, positive.
    taus
        (T,) levels of the quantiles, each in (0, 1).
    reduction
        "mean" over all elements, or "none".

    Returns
    -------
    Tensor
        A scalar, or (T, B, H) without reduction.

    Raises
    ------
    ValueError
        For a level outside (0, 1).
    """
    levels = torch.as_tensor(taus, dtype=mean.dtype, device=mean.device)
    if not bool(((levels > 0) & (levels < 1)).all()):
        raise ValueError(f"taus must lie in (0, 1), these are {levels.tolist()}")
    levels = levels.reshape(-1, *([1] * y.dim()))
    error = y - (mean + scale * torch.special.ndtri(levels))
    return _reduce(torch.maximum(levels * error, (levels - 1) * error), reduction)


def mixture_nll(
    y: Tensor,
    mean: Tensor,
    scale: Tensor,
    kind: Literal["joint", "marginal"] = "joint",
    reduction: Reduction = "mean",
    df: Tensor | None = None,
) -> Tensor:
    """NLL of a mixture of S draws, in nats per predicted number.

    Parameters
    ----------
    y
        (B, H) targets.
    mean, scale
        (S, B, H) means and sds of the draws, equally weighted.
    kind
        "joint": -ln[(1/S) sum_s prod_h p_sh] / H; "marginal": -ln[(1/S) sum_s p_sh].
    reduction
        "mean" over all elements, or "none".
    df
        () degrees of freedom of Student's t; None for Gaussians.

    Returns
    -------
    Tensor
        A scalar; without reduction (B,) for "joint" and (B, H) for "marginal".

    Raises
    ------
    ValueError
        For another `kind`.
    """
    nll = gaussian_nll(y, mean, scale, "none") if df is None else student_nll(y, mean, scale, df)
    log_p = -nll  # (S, B, H)
    ln_draws = math.log(log_p.shape[0])
    if kind == "joint":
        return _reduce((ln_draws - torch.logsumexp(log_p.sum(-1), 0)) / y.shape[-1], reduction)
    if kind == "marginal":
        return _reduce(ln_draws - torch.logsumexp(log_p, 0), reduction)
    raise ValueError(f'kind must be "joint" or "marginal", this is {kind!r}')


def _absolute(d: Tensor, s: Tensor) -> Tensor:
    """A(d, s) = E|d + s e|, e standard normal: 2 s phi(d/s) + d (2 Phi(d/s) - 1)."""
    u = d / s
    return (
        torch.exp(-0.5 * u * u)
        .mul_(s)
        .mul_(math.sqrt(2 / math.pi))
        .addcmul_(d, torch.erf(u.mul_(math.sqrt(0.5))))
    )


@torch.no_grad()
def mixture_crps(
    y: Tensor, mean: Tensor, scale: Tensor, reduction: Reduction = "mean", df: Tensor | None = None
) -> Tensor:
    """CRPS of the marginal mixtures, in y's unit: exact for Gaussians. A score: it has no gradient.

    Parameters
    ----------
    y
        (B, H) targets.
    mean
        (S, B, H) means of the draws, equally weighted.
    scale
        Sds of the draws, broadcastable to mean.
    reduction
        "mean" over all elements, or "none".
    df
        () degrees of freedom of Student's t; None for Gaussians.

    Returns
    -------
    Tensor
        A scalar, or (B, H) without reduction.

    Notes
    -----
    Student's t: `STUDENT_POINTS` quantiles or more stand for the mixture, as many of each draw, at levels
    that take turns; their CRPS is within 3 % of the mixture's, a mean over forecasts within 0.1 %.
    Gaussians: mean_s A(y - m_s, s_s) - 1/2 mean_{s,s'} A(m_s - m_s', sqrt(s_s^2 + s_s'^2)), A(d, s) =
    E|d + s e| for a standard normal e (Grimit et al. 2006); the pairs are taken once each and in chunks.
    """
    if df is not None:
        return _reduce(_student_crps(y, mean, scale.expand_as(mean), df), reduction)
    draws = mean.shape[0]
    shape = y.shape
    flat_mean, flat_scale, flat_y = (
        mean.reshape(draws, -1),
        scale.expand_as(mean).reshape(draws, -1),
        y.reshape(-1),
    )
    first, second = torch.triu_indices(draws, draws, 1, device=mean.device)
    parts = []
    size = max(1, CHUNK_ELEMENTS // max(1, draws * draws // 2))
    for at in range(0, flat_y.numel(), size):
        m, s, target = flat_mean[:, at : at + size], flat_scale[:, at : at + size], flat_y[at : at + size]
        variance = s * s
        # s = s' contributes A(0, sqrt(2) s) = 2 s / sqrt(pi); each pair s < s' stands for two.
        same = 2 / math.sqrt(math.pi) * s.sum(0)
        cross = _absolute(m[first] - m[second], (variance[first] + variance[second]).sqrt_()).sum(0)
        parts.append(_absolute(target - m, s).mean(0) - 0.5 * (same + 2 * cross) / draws**2)
    return _reduce(torch.cat(parts).reshape(shape), reduction)


def _student_crps(y: Tensor, mean: Tensor, scale: Tensor, df: Tensor) -> Tensor:
    """CRPS of mixtures of Student's t, (B, H), from quantiles: of draw s at (r + (s + 1/2)/S)/R, r < R/2, and
    at 1 less these, so that equal draws together have S R evenly spaced levels.
    """
    draws, shape = mean.shape[0], y.shape
    half = max(STUDENT_OF_DRAW // 2, -(-STUDENT_POINTS // (2 * draws)))
    count = 2 * half * draws
    levels = torch.arange(count // 2, dtype=torch.float64).add(0.5).div(count)
    lower = student_quantile(levels, df).to(mean).view(half, draws).T
    u = torch.cat([lower, -lower], 1)  # (S, R): a draw's points are symmetric, so that their mean is its own
    weights = (2 * torch.arange(1, count + 1) - count - 1).to(mean) / count**2
    flat_mean, flat_scale, flat_y = mean.reshape(draws, -1).T, scale.reshape(draws, -1).T, y.reshape(-1, 1)
    parts = []
    size = max(1, CHUNK_ELEMENTS // count)
    for at in range(0, len(flat_y), size):
        end = at + size
        points = (flat_mean[at:end, :, None] + flat_scale[at:end, :, None] * u).flatten(1)
        away = (points - flat_y[at:end]).abs().mean(1)
        # NumPy's sort is several times as fast as torch's
        ordered = torch.from_numpy(np.sort(points.cpu().numpy(), axis=1)).to(points)
        parts.append(away - ordered @ weights)
    return torch.cat(parts).reshape(shape)


def trajectories(
    mean: Tensor, scale: Tensor, generator: torch.Generator | None = None, df: Tensor | None = None
) -> Tensor:
    """Trajectories of a mixture's forecasts: one of each draw, `TRAJECTORIES` of a single one.

    Parameters
    ----------
    mean, scale
        (S, B, H) means and sds of the draws, equally weighted.
    generator
        Of the noise.
    df
        () degrees of freedom of Student's t; None for Gaussians.

    Returns
    -------
    Tensor
        (S, B, H), or (`TRAJECTORIES`, B, H) of a single draw; in y's unit.

    Notes
    -----
    m_s + s_s e_s: numbers of a trajectory are independent given its draw, and hang together as draws differ.
    """
    shape = (mean.shape[0] if mean.shape[0] > 1 else TRAJECTORIES, *mean.shape[1:])
    if df is None:
        noise = torch.randn(shape, dtype=mean.dtype, device=mean.device, generator=generator)
    else:
        noise = student_noise(shape, df, mean, generator)
    return noise.mul_(scale).add_(mean)


@torch.no_grad()
def energy_score(y: Tensor, drawn: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Energy score of forecasts of whole trajectories, in y's unit. A score: it has no gradient.

    Parameters
    ----------
    y
        (B, H) targets.
    drawn
        (S, B, H) trajectories drawn from the forecast, S >= 2.
    reduction
        "mean" over examples, or "none".

    Returns
    -------
    Tensor
        A scalar, or (B,) without reduction.

    Raises
    ------
    ValueError
        For a single trajectory, which has no pairs.

    Notes
    -----
    E|Y - y| - 1/2 E|Y - Y'| with the Euclidean norm over H (Gneiting & Raftery 2007), as
    mean_s |Y_s - y| - sum_{s<s'} |Y_s - Y_s'| / (S (S - 1)): fair, without bias at any S (Ferro 2014). H = 1
    is the CRPS. S^2 H operations an example, in chunks; the noise of S draws is averaged over examples.
    """
    draws = drawn.shape[0]
    if draws < 2:
        raise ValueError(f"the energy score needs at least 2 trajectories, this is {draws}")
    size = max(1, CHUNK_ELEMENTS // draws**2)
    parts = []
    for at in range(0, y.shape[0], size):
        target = y[at : at + size]
        paths = (drawn[:, at : at + size] - target).transpose(0, 1)  # (b, S, H)
        # each pair stands there twice; distances by sums of squares alone lose the digits of near ones
        pairs = torch.cdist(paths, paths, compute_mode="donot_use_mm_for_euclid_dist").sum((1, 2))
        parts.append(paths.norm(dim=-1).mean(1) - pairs / (2 * draws * (draws - 1)))
    return _reduce(torch.cat(parts), reduction)


def pit(y: Tensor, mean: Tensor, scale: Tensor, df: Tensor | None = None) -> Tensor:
    """Probability integral transform F(y) of a forecast or of a mixture; never averaged.

    Parameters
    ----------
    y
        (B, H) targets.
    mean, scale
        Forecast, broadcastable to y; (S, B, H) for a mixture of S draws.
    df
        () degrees of freedom of Student's t; None for Gaussians.

    Returns
    -------
    Tensor
        (B, H), uniform on [0, 1] for a calibrated forecast. A mixture of S draws is a forecast of its own,
        narrower than the one that it is drawn from: see `widened_for_draws`.
    """
    values = _cdf((y - mean) / scale, df)
    return values.mean(0) if values.dim() > y.dim() else values


def widened_for_draws(mean: Tensor) -> Tensor:
    """Means of S draws, moved apart so that their mixture is as wide as what it is held against.

    Parameters
    ----------
    mean
        (S, ...) means of the draws.

    Returns
    -------
    Tensor
        (S, ...); a single draw stays where it is.

    Notes
    -----
    A mixture of S draws has (S - 1)/S of the latent variance, and its mean misses by 1/S of it: the PIT of a
    calibrated forecast piles up at both ends. Distances from the mean are stretched by
    sqrt((S + 1)/(S - 1)), so that variance and squared error agree (Fortin et al. 2014, for ensembles).
    """
    draws = len(mean)
    if draws < 2:
        return mean
    centre = mean.mean(0)
    return centre + (mean - centre) * math.sqrt((draws + 1) / (draws - 1))


def coverage(
    y: Tensor,
    mean: Tensor,
    scale: Tensor,
    level: float,
    reduction: Reduction = "mean",
    df: Tensor | None = None,
) -> Tensor:
    """Share of y inside the central interval of probability `level`; exact for mixtures too.

    Parameters
    ----------
    y
        (B, H) targets.
    mean, scale
        Forecast, broadcastable to y; (S, B, H) for a mixture of S draws.
    level
        Probability of the interval, in (0, 1).
    reduction
        "mean" over all elements, or "none".
    df
        () degrees of freedom of Student's t; None for Gaussians.

    Returns
    -------
    Tensor
        A scalar; without reduction (B, H): 1 inside, 0 outside.

    Raises
    ------
    ValueError
        For a level outside (0, 1).

    Notes
    -----
    Inside is (1 - level)/2 <= F(y) <= (1 + level)/2.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), this is {level}")
    u = pit(y, mean, scale, df)
    return _reduce(((u >= (1 - level) / 2) & (u <= (1 + level) / 2)).to(u.dtype), reduction)


def brier(probability: Tensor, y: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Brier score of class probabilities: sum_c (p_c - 1[y=c])^2.

    Parameters
    ----------
    probability
        (B, C), or broadcastable to it.
    y
        (B,) int64.
    reduction
        "mean" over examples, or "none".

    Returns
    -------
    Tensor
        From 0 to 2: a scalar, or (B,) without reduction.

    Notes
    -----
    Brier 1950, over all classes.
    """
    truth = F.one_hot(y, probability.shape[-1]).to(probability.dtype)
    values = (probability - truth).square().sum(-1)
    return values.mean() if reduction == "mean" else values
