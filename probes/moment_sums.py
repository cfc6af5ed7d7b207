"""Sums over the rows of a batch, which `probes.moments` pools over batches and derives statistics from.

Everything is float32, products and sums over rows only: a variance is taken around the batch's own mean and
pooled by Chan, Golub & LeVeque (1983), since E[x²] − E[x]² is noise at a mean of 1e3 and a spread of 1e-3.
(`torch.var` over rows costs 15 times as much.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from probes.persistence import BASE_ROWS, base_of, row_sum
from probes.schema import ACTIVE_KL

LIMIT_TOLERANCE = 1e-5  # relative: exp(ln limit) need not give the limit back
PART = 1 << 16  # numbers of a matrix that are summed at once on a CPU
LARGEST = torch.finfo(torch.float32).max


@dataclass
class CentredMoments:
    """Mean, as base + rest, and mean squared deviation, each (N K,).

    Two numbers for the mean: between micro-batches means of 1e3 differ by less than the rounding of their
    sum.
    """

    base: Tensor
    rest: Tensor
    square: Tensor

    @property
    def mean(self) -> Tensor:
        return self.base + self.rest

    @property
    def wide_mean(self) -> Tensor:
        """In float64, where the device has it."""
        if self.base.device.type == "mps":
            return self.mean
        return self.base.double() + self.rest.double()

    def pooled(self, other: CentredMoments, share: Tensor) -> CentredMoments:
        shift = (other.base - self.base) + (other.rest - self.rest)
        square = self.square + share * (other.square - self.square) + share * (1 - share) * shift * shift
        return CentredMoments(self.base, self.rest + share * shift, square)


@dataclass
class MomentSums:
    """Sums over rows, as means by name, (N K,) or (N,); `mu` and, where whitened by a prior, `r` with their
    deviations. `independent` of the `count` rows are inputs of their own: a predecessor is nearly its origin.
    """

    count: Tensor
    independent: Tensor
    mu: CentredMoments
    means: dict[str, Tensor]
    non_finite: Tensor
    r: CentredMoments | None = None

    def pooled(self, other: MomentSums) -> MomentSums:
        count = self.count + other.count
        share = other.count / count.clamp_min(1)
        return MomentSums(
            count,
            self.independent + other.independent,
            self.mu.pooled(other.mu, share),
            {name: value + share * (other.means[name] - value) for name, value in self.means.items()},
            self.non_finite + other.non_finite,
            self.r.pooled(other.r, share) if self.r is not None and other.r is not None else None,
        )


def plain_sums(
    mu: Tensor,
    sigma: Tensor | None,
    log_sigma: Tensor | None,
    log_variance: Tensor | None,
    counts_non_finite: bool = False,
) -> MomentSums:
    """Sums over rows under Normal(0, 1), of (B, N, K); part of the rows after part, so that what is computed
    of one stays in the cache. Inputs without a finite KL are counted where there are any.
    """
    rows, neurons, dimensions = mu.shape
    width = neurons * dimensions
    m, s, log = (
        None if value is None else value.detach().flatten(1).float()
        for value in (mu, sigma, log_sigma if log_variance is None else log_variance)
    )
    assert m is not None  # mu is given
    on_cpu = m.device.type == "cpu"  # elsewhere asking whether all is finite would make the device wait
    counts_non_finite = counts_non_finite or not on_cpu
    step = max(1, PART // max(1, width)) if on_cpu else max(1, rows)
    scratch, logs = m.new_empty((2, min(step, rows), width))
    sums = m.new_zeros((1, 4 * width + 3 * neurons))
    sizes = [width] * 4 + [neurons] * 3
    rest, square, variance, log_v, kl_sum, active, finite = sums.split_with_sizes(sizes, 1)
    first = min(BASE_ROWS, rows)
    ones, minus_one = m.new_ones((1, max(first, len(scratch)))), m.new_full((), -1.0)
    base = torch.addmm(rest, ones[:, :first], m[:first], alpha=1 / max(1, first))
    of_log = 2.0 if s is not None else 1.0
    for start in range(0, rows, step):
        mean = m[start : start + step]
        one, product, log_part = ones[:, : len(mean)], scratch, logs
        if len(mean) < len(scratch):  # the last
            product, log_part = scratch[: len(mean)], logs[: len(mean)]
        # σ² − 1 − ln σ² + μ²: in this order least is lost near the prior
        if s is None:
            assert log is not None  # one of both is given
            log_part = log[start : start + step]
            variance.addmm_(one, torch.exp(log_part, out=product))
            product.sub_(1.0).sub_(log_part)
        else:
            sd = s[start : start + step]
            log_part = torch.log(sd, out=log_part) if log is None else log[start : start + step]
            variance.addmm_(one, torch.mul(sd, sd, out=product))
            torch.addcmul(minus_one, sd, sd, out=product).sub_(log_part, alpha=2.0)
        log_v.addmm_(one, log_part, alpha=of_log)
        kl = product.addcmul_(mean, mean)  # twice
        if dimensions != 1:
            kl = kl.view(len(mean), neurons, dimensions).sum(2)
        kl_sum.addmm_(one, kl, alpha=0.5)
        if counts_non_finite:
            finite.addmm_(one, (kl <= LARGEST).float())
        active.addmm_(one, kl.gt_(2 * ACTIVE_KL))
        centred = torch.sub(mean, base, out=product)
        rest.addmm_(one, centred)
        square.addmm_(one, centred.mul_(centred))
    if not counts_non_finite and not math.isfinite(kl_sum.sum().item()):
        return plain_sums(mu, sigma, log_sigma, log_variance, True)
    count = m.new_full((), float(rows))
    non_finite = count - finite[0] if counts_non_finite else finite[0]  # these are zeros
    sums /= max(1, rows)
    means = {"variance": variance[0], "log_v": log_v[0], "kl": kl_sum[0], "active_share": active[0]}
    deviation = torch.addcmul(square, rest, rest, value=-1.0).clamp_min_(0)
    return MomentSums(count, count, CentredMoments(base[0], rest[0], deviation[0]), means, non_finite)


class BatchRows:
    """Tensors broadcastable to (B, N, K) as float32 matrices (B, N K), or (1, N K) where all rows are one;
    their means.
    """

    def __init__(self, shape: torch.Size, mask: Tensor | None, device: torch.device) -> None:
        self.shape = shape
        self.mask = mask
        like: Any = {"device": device, "dtype": torch.float32}  # a program may have another default
        self.ones = torch.ones(1, shape[0], **like) if mask is None else mask.float()[None]
        self.count = torch.full((), float(shape[0]), **like) if mask is None else self.ones.sum()
        self.divisor = max(1, shape[0]) if mask is None else self.count.clamp_min(1)
        self.share = self.ones / self.divisor

    def matrix(self, value: Tensor | float, like: Tensor, filler: float) -> Tensor:
        """`value` on the device of `like`, with `filler` in masked rows."""
        value = torch.as_tensor(value, device=like.device).detach()
        if value.shape != self.shape:
            try:
                value = value.expand(self.shape)
            except RuntimeError as error:
                raise ValueError(
                    f"a tensor of shape {tuple(value.shape)} does not fit mu's {tuple(self.shape)}"
                ) from error
        if value.stride(0) == 0 and len(value):
            return value[0].reshape(1, -1).float()
        return self.filled(value.flatten(1).float(), filler)

    def filled(self, value: Tensor, filler: float) -> Tensor:
        return value if self.mask is None else torch.where(self.mask[:, None], value, filler)

    def mean(self, value: Tensor) -> Tensor:
        return value[0] if len(value) == 1 else row_sum(self.share, value)


class PosteriorRows:
    """The matrices of one batch and what is summed from them."""

    def __init__(self, rows: BatchRows, mu: Tensor, sigma: Tensor, log_sigma: Tensor | None) -> None:
        self.rows = rows
        self.mu = rows.matrix(mu, mu, 0.0)
        self.sigma = rows.matrix(sigma, mu, 1.0)
        self.log_sigma = self.sigma.log() if log_sigma is None else rows.matrix(log_sigma, mu, 0.0)
        # Standard prior until `whiten` says otherwise: r = (μ − m)/s and v = σ²/s².
        self.prior_mu: Tensor | None = None
        self.prior_sigma: Tensor | None = None
        self.scratch = torch.empty_like(self.mu)  # one buffer for all products, so that it stays in the cache

    def mean_square(self, value: Tensor) -> Tensor:
        if len(value) == 1:
            return value[0] * value[0]
        fits = value.shape == self.scratch.shape  # sigma may have more rows than a mean that all inputs share
        return self.rows.mean(torch.mul(value, value, out=self.scratch if fits else None))

    def centred(self, value: Tensor) -> CentredMoments:
        """Mean and variance over rows, taken around the mean of a few of them."""
        base = base_of(value, self.rows.mask)
        centred = value - base
        rest = self.rows.mean(centred)
        return CentredMoments(base, rest, (self.rows.mean(centred.mul_(centred)) - rest * rest).clamp_min(0))

    def count_of(self, compare: Any, value: Tensor, limit: Any) -> Tensor:
        """Count of rows where `compare(value, limit)`; written as numbers at once, which costs a third of a
        boolean first.
        """
        if len(value) == 1:
            return compare(value[0], limit, out=torch.empty_like(value[0])) * self.rows.count
        out = self.scratch if value.shape == self.scratch.shape else torch.empty_like(value)
        return row_sum(self.rows.ones, compare(value, limit, out=out))

    def sums(self, mu: CentredMoments, limits: tuple[float, float] | None) -> MomentSums:
        means = {"variance": self.mean_square(self.sigma), "log_v": 2 * self.rows.mean(self.log_sigma)}
        count = self.rows.count
        if limits is not None:
            low, high = limits[0] * (1 + LIMIT_TOLERANCE), limits[1] * (1 - LIMIT_TOLERANCE)
            means["clamp_share"] = self.count_of(_outside, self.sigma, (low, high)) / self.rows.divisor
        return MomentSums(count, count, mu, means, torch.zeros_like(means["variance"][: self.rows.shape[1]]))

    def whiten(self, sums: MomentSums, prior_mu: Tensor | float, prior_sigma: Tensor | float) -> None:
        """Add the moments of r and v; a prior that all inputs share needs no pass over the rows."""
        m = self.prior_mu = self.rows.matrix(prior_mu, self.mu, 0.0)
        s = self.prior_sigma = self.rows.matrix(prior_sigma, self.mu, 1.0)
        means, mu = sums.means, sums.mu
        if len(m) == 1 and len(s) == 1:
            sums.r = CentredMoments((mu.base - m[0]) / s[0], mu.rest / s[0], mu.square / (s[0] * s[0]))
        else:
            sums.r = self.centred((self.mu - m) / s)
        means["v"] = means["variance"] / (s[0] * s[0]) if len(s) == 1 else self.mean_square(self.sigma / s)
        means["log_v"] = means["log_v"] - 2 * self.rows.mean(s.log())
        means["prior_variance"] = self.mean_square(s)

    def past(self, phi: Tensor, previous_sigma: Tensor) -> Tensor:
        """φ² σ'² / (2 s²) of each row and dimension: what the predecessor's own uncertainty adds to the
        KL.
        """
        assert self.prior_sigma is not None  # `update` whitens under an autoregressive prior
        ratio = self.rows.matrix(previous_sigma, self.mu, 0.0) * self.by_dimension(phi) / self.prior_sigma
        return 0.5 * ratio * ratio

    def by_dimension(self, value: Tensor) -> Tensor:
        return value[:, None].expand(self.rows.shape[1:]).reshape(-1)

    def add_kl(self, sums: MomentSums, kl: Tensor | None, past: Tensor | None, floor: Tensor | float) -> None:
        """Add the mean of the inputs' KL (B, N), the share of active inputs, and the count of non-finite
        ones.
        """
        if kl is None:
            kl = self.analytic_kl(past)
        elif kl.shape != self.rows.shape[:2]:
            raise ValueError(
                f"kl has shape {tuple(kl.shape)}, one KL an input and neuron is {tuple(self.rows.shape[:2])}"
            )
        kl = self.rows.filled(kl.detach().float(), 0.0)
        mean = sums.means["kl"] = self.rows.mean(kl)
        sums.means["active_share"] = self.count_of(torch.gt, kl, floor + ACTIVE_KL) / self.rows.divisor
        # elsewhere asking would make the device wait
        if kl.device.type != "cpu" or not math.isfinite(mean.sum().item()):
            sums.non_finite = sums.count - self.count_of(torch.le, kl, LARGEST)

    def analytic_kl(self, past: Tensor | None) -> Tensor:
        """KL of each input, (B, N), nats, summed over dimensions."""
        r, sigma, log_sigma = self.mu, self.sigma, self.log_sigma
        if self.prior_mu is not None and self.prior_sigma is not None:
            r = (r - self.prior_mu) / self.prior_sigma
            sigma, log_sigma = sigma / self.prior_sigma, log_sigma - self.prior_sigma.log()
        # (σ² − 1)/2 − ln σ + r²/2: in this order least is lost near the prior, and three passes over the rows
        # make it.
        kl = torch.addcmul(sigma.new_full((), -0.5), sigma, sigma, value=0.5)
        kl = kl.sub_(log_sigma) if kl.shape == log_sigma.shape else kl - log_sigma
        kl = torch.addcmul(kl, r, r, value=0.5, out=kl if kl.shape == r.shape else None)
        if past is not None:
            kl = kl + past
        return kl if self.rows.shape[2] == 1 else kl.reshape(self.rows.shape).sum(2)


def _outside(value: Tensor, limits: tuple[float, float], out: Tensor) -> Tensor:
    """1 where `value` is not strictly between the limits, else 0, in `out`."""
    return torch.ne(torch.clamp(value, *limits, out=out), value, out=out)
