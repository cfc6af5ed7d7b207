"""Posteriors that are known by draws: flows, dropout, ensembles, implicit posteriors."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from probes.family_moments.rows import Pooled, Rows
from probes.schema import FEWEST_ROWS


class SampleMoments:
    """Pooled statistics of draws: within a row, between rows, and KL where log densities are given."""

    def __init__(self) -> None:
        self._pooled: Pooled | None = None
        self._draws = 0

    @torch.no_grad()
    def update(
        self,
        z: Tensor,
        log_q: Tensor | None = None,
        log_prior: Tensor | None = None,
        *,
        mask: Tensor | None = None,
    ) -> Self:
        """Add the draws of B inputs.

        Parameters
        ----------
        z
            (S, B, N): S draws of each input's posterior, each by itself or, of an ensemble, the same for all.
        log_q, log_prior
            ln densities of the draws, nats: (S, B, N) of each neuron alone, or (S, B) of all together, which
            gives the layer's joint KL and none of single neurons.
        mask
            (B,): False leaves a row out, whatever it holds.

        Returns
        -------
        SampleMoments
            Itself.

        Raises
        ------
        ValueError
            Where shapes do not belong together, only one log density is given, or updates differ in S.
        """
        if z.dim() != 3 or not len(z):
            raise ValueError(f"draws are (S, B, N), got {tuple(z.shape)}")
        if (log_q is None) != (log_prior is None):
            raise ValueError("a KL needs both log densities, of the posterior and of the prior")
        if self._draws not in (0, len(z)):
            raise ValueError(f"{len(z)} draws a row cannot be pooled with {self._draws}")
        self._draws = count = len(z)
        z = z.detach() if z.dtype == torch.float64 else z.detach().float()
        rows = Rows(z.shape[1], mask, z.device)
        mean = z.mean(0)
        deviation = z - mean
        within = (deviation * deviation).sum(0) / max(1, count - 1)
        if count < 2:
            within = torch.full_like(within, math.nan)
        means = {"within": rows.mean(within), "common": rows.mean(deviation.transpose(0, 1))}  # (N,), (S, N)
        centred = {"mean": rows.centred(mean)}
        bad = mean
        if log_q is not None and log_prior is not None:
            if log_q.shape != log_prior.shape or log_q.shape not in (z.shape, z.shape[:2]):
                raise ValueError(
                    f"log densities are {tuple(z.shape)} or {tuple(z.shape[:2])}, not {tuple(log_q.shape)}"
                    f" and {tuple(log_prior.shape)}"
                )
            kl = (log_q.detach() - log_prior.detach()).float().mean(0)
            centred["kl" if kl.dim() == 2 else "joint_kl"] = rows.centred(kl)
            bad = mean + (kl if kl.dim() == 2 else kl[:, None])
        part = Pooled(rows.count, rows.non_finite(bad), means, centred)
        self._pooled = part if self._pooled is None else self._pooled.merged(part)
        return self

    def merge(self, other: SampleMoments) -> Self:
        """Pool with what another has seen, in place.

        Parameters
        ----------
        other
            Of the same layer, with as many draws a row.

        Returns
        -------
        SampleMoments
            Itself.

        Raises
        ------
        ValueError
            Where the two were updated with different arguments.
        """
        if other._pooled is not None:
            if self._draws not in (0, other._draws):
                raise ValueError(f"{other._draws} draws a row cannot be pooled with {self._draws}")
            self._draws = other._draws
            self._pooled = other._pooled if self._pooled is None else self._pooled.merged(other._pooled)
        return self

    def sufficient_statistics(self) -> dict[str, Tensor]:
        """All that the statistics depend on; stacked over steps they are what `derive_family` takes.

        Returns
        -------
        dict
            Name -> (N,) or ().

        Raises
        ------
        ValueError
            Before the first update.
        """
        found = self.poolable()
        return found | {"common": between_draws(found["common"], 0)}

    def poolable(self) -> dict[str, Tensor]:
        """Sums of these rows alone, for a pool over several processes (`probes.watching.rank_sums`).

        Returns
        -------
        dict
            As `sufficient_statistics`, but `common` (S, N): each draw's mean deviation, for `between_draws`.

        Raises
        ------
        ValueError
            Before the first update.
        """
        if self._pooled is None:
            raise ValueError("no batch yet: update first")
        pooled = self._pooled
        found = dict(pooled.means)
        for name, (mean, square) in pooled.centred.items():
            found |= {name: mean, f"{name}_square": square}
        draws = torch.full_like(pooled.count, float(self._draws))
        return found | {"non_finite": pooled.non_finite, "count": pooled.count, "draws": draws}

    def statistics(self) -> dict[str, Tensor]:
        """Statistics of all rows so far, as `derive_family` gives them.

        Returns
        -------
        dict
            mean, variance, spread, non_finite, rows (N,); with log densities kl, kl_error, or joint_kl ().

        Raises
        ------
        ValueError
            Before the first update.
        """
        return derive_samples(self.sufficient_statistics())


def between_draws(deviations: Tensor, axis: int) -> Tensor:
    """Variance between the draws' own means over rows.

    Parameters
    ----------
    deviations
        Mean over rows of each draw's deviation from its row's mean.
    axis
        That of the draws.

    Returns
    -------
    Tensor
        Without that axis.
    """
    return deviations.square().sum(axis) / max(1, deviations.shape[axis] - 1)


def derive_samples(sums: dict[str, Tensor]) -> dict[str, Tensor]:
    """Statistics of draws from their sums, as `SampleMoments.statistics`.

    Parameters
    ----------
    sums
        Of one step, or each stacked over steps.

    Returns
    -------
    dict
        Name -> (..., N) float32; joint_kl (...,).

    Notes
    -----
    Two-way analysis of variance: row means lie about the rows' own means by the noise of S draws, which adds
    (within − common) / S to their mean squared deviation; common is the variance between the draws' own means
    over rows. Of independent draws it is within / B, of an ensemble, whose members are the same for all rows,
    what they differ by everywhere, which moves no row against another. Taken off, the spread has no bias and
    may lie below 0 by chance; it is recorded as it is, so that averages over steps have none either.
    """
    count, draws = sums["count"][..., None], sums["draws"][..., None]
    some = torch.where(count >= 1, 0.0, math.nan)
    within = sums["within"]
    noise = (within - sums["common"]) / draws
    result = {
        "mean": sums["mean"] + some,
        "variance": within + some,
        "spread": sums["mean_square"] - noise + torch.where(count >= FEWEST_ROWS, 0.0, math.nan),
        "non_finite": sums["non_finite"],
        "rows": count.expand(within.shape),
    }
    if "kl" in sums:
        result |= {"kl": sums["kl"] + some, "kl_error": standard_error(sums["kl_square"], count)}
    if "joint_kl" in sums:
        result["joint_kl"] = sums["joint_kl"] + some[..., 0]
    return {name: value.float() for name, value in result.items()}


def standard_error(square: Tensor, count: Tensor) -> Tensor:
    """Of an average over rows; NaN of one row.

    Parameters
    ----------
    square
        Mean squared deviation of the rows.
    count
        Of rows.
    """
    return torch.where(count >= 2, (square / (count - 1).clamp_min(1)).sqrt(), math.nan)
