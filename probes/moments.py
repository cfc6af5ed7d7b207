"""One step's posterior -> statistics of every neuron, on the device, without a synchronisation.

`moments(...)` serves one batch; `Moments` pools micro-batches, or a whole split, to the same numbers. The
sums over rows are made in `moment_sums`.

A training loop keeps `Moments.sufficient_statistics()` of each step and derives the statistics of a block of
steps at once, by `derive`: the thirty small operations on vectors (N,) that this takes cost a step more than
the passes over two of its matrices (B, N).

For every neuron kl = information + mismatch + past. The three parts are computed from r = (μ − m)/s and v =
σ²/s² per latent dimension and summed; `kl` from the KL of each input as the network computed it. That they
agree checks both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from probes.families.gaussian import GAUSSIAN
from probes.moment_sums import BatchRows, CentredMoments, MomentSums, PosteriorRows, plain_sums
from probes.persistence import BlockPairs, Pairs, slopes
from probes.precision import unrounded
from probes.schema import FEWEST_ROWS

PER_DIMENSION = {
    "mu",
    "mu_square",
    "variance",
    "log_v",
    "r",
    "r_square",
    "v",
    "clamp_share",
    "prior_variance",
    "past",
}
"""Sums that there is one of for each neuron and dimension; the others are one a neuron."""


def moments(
    mu: Tensor,
    sigma: Tensor,
    prior_mu: Tensor | None = None,
    prior_sigma: Tensor | None = None,
    *,
    n_series: int = 1,
    sigma_limits: tuple[float, float] | None = None,
    kl: Tensor | None = None,
    log_sigma: Tensor | None = None,
    phi: Tensor | None = None,
    previous_mu: Tensor | None = None,
    previous_sigma: Tensor | None = None,
    series: Tensor | None = None,
    mask: Tensor | None = None,
    pair_mask: Tensor | None = None,
) -> dict[str, Tensor]:
    """Statistics of one batch: those of `Moments(n_series, sigma_limits)` after one `update`.

    Parameters
    ----------
    mu, sigma, prior_mu, prior_sigma
        As for `Moments.update`.
    n_series, sigma_limits
        As for `Moments`.
    kl, log_sigma, phi, previous_mu, previous_sigma, series, mask, pair_mask
        As for `Moments.update`.

    Returns
    -------
    dict
        Name -> (N,) float32 on the tensors' device, as `derive` returns them.

    Raises
    ------
    ValueError
        Where shapes do not belong together.
    """
    pooled = Moments(n_series, sigma_limits).update(
        mu,
        sigma,
        prior_mu,
        prior_sigma,
        kl=kl,
        log_sigma=log_sigma,
        phi=phi,
        previous_mu=previous_mu,
        previous_sigma=previous_sigma,
        series=series,
        mask=mask,
        pair_mask=pair_mask,
    )
    return pooled.result()


class Moments:
    """Pooled statistics of N neurons with K latent dimensions: the same whatever the batching.

    Parameters
    ----------
    n_series
        Number of series that pairs come from (ids 0 .. n_series − 1).
    sigma_limits
        (low, high) that the network limits σ to; given, `clamp_share` is counted.
    n_blocks
        For a whole split, whose windows overlap: the number of blocks of time that its pairs come from (ids 0
        .. n_blocks − 1), which the slopes' interval takes for independent (`BlockPairs`). None: a training
        batch, whose pairs are.
    """

    def __init__(
        self,
        n_series: int = 1,
        sigma_limits: tuple[float, float] | None = None,
        n_blocks: int | None = None,
    ) -> None:
        self.n_series = n_series
        self.sigma_limits = sigma_limits
        self.n_blocks = n_blocks
        self._shape = torch.Size()
        self._shared = False
        self._sums: MomentSums | None = None
        self._pairs: Pairs | None = None  # of a batch
        self._block_pairs: BlockPairs | None = None  # of a split

    @torch.no_grad()
    def update(
        self,
        mu: Tensor,
        sigma: Tensor,
        prior_mu: Tensor | None = None,
        prior_sigma: Tensor | None = None,
        *,
        kl: Tensor | None = None,
        log_sigma: Tensor | None = None,
        phi: Tensor | None = None,
        previous_mu: Tensor | None = None,
        previous_sigma: Tensor | None = None,
        series: Tensor | None = None,
        mask: Tensor | None = None,
        pair_mask: Tensor | None = None,
        shared: bool = False,
        block: Tensor | None = None,
        past: Tensor | None = None,
    ) -> Moments:
        """Add the posteriors of B inputs.

        Parameters
        ----------
        mu
            (B, N, K). The positions of a sequence are rows: flatten (B, T, N, K) first.
        sigma
            Broadcastable to mu, as all below (what all inputs share costs nothing); positive.
        prior_mu, prior_sigma
            Normal(0, 1) without them.
        kl
            (B, N): the KL of each input, nats, summed over K; absent, it is computed.
        log_sigma
            ln σ: spares a logarithm.
        phi
            (N,): persistence of an autoregressive prior. It needs previous_mu and previous_sigma of all B
            rows; the prior, where not given, is Normal(phi μ', 1 − phi²); kl includes `past`. Pass the
            origins alone as mu then: their predecessors stand under another prior.
        previous_mu
            (P, N, K): row p of mu, for p < P, has the predecessor previous_mu[p]. A batch of origins followed
            by their predecessors passes `previous_mu=mu[B // 2:]`.
        previous_sigma
            Sds of the predecessors.
        series
            (P,) id of each pair's series.
        mask
            (B,): False leaves a row out, whatever it holds.
        pair_mask
            (P,): the same for pairs; mask[:P] by default.
        shared
            Whether this is the posterior of every input, as those of weights are: the batch is not a sample
            then, and `rows` is left out.
        block
            (P,) id of each pair's block of time, where there are `n_blocks`.
        past
            (B, N, K) nats, with phi and a prior given: what an uncertain past adds to the KL, where that is
            not φ² σ'² / (2 s²) since the posterior follows its past too.

        Returns
        -------
        Moments
            Itself.

        Raises
        ------
        ValueError
            Where shapes do not belong together, an update has other arguments than those before, or `block`
            is given without `n_blocks` or the other way round.
        """
        if mu.dim() != 3:
            raise ValueError(f"mu is (B, N, K), got {tuple(mu.shape)}")
        if phi is not None:
            phi = phi.detach().float()
            if past is not None and prior_mu is None:
                raise ValueError("a past that is given needs its prior beside it: prior_mu and prior_sigma")
            if past is None and (
                previous_mu is None or previous_sigma is None or len(previous_mu) != len(mu)
            ):
                raise ValueError(
                    "under an autoregressive prior (phi) every row of mu needs previous_mu and previous_sigma"
                )
            if prior_mu is None and previous_mu is not None:
                prior_mu, prior_sigma = phi[:, None] * previous_mu, ((1 - phi) * (1 + phi)).sqrt()[:, None]
        if block is not None and self.n_blocks is None:
            raise ValueError("ids of blocks of time need their number: Moments(n_blocks=...)")
        self._shape = mu.shape[1:]
        with unrounded(mu.device):
            rows = BatchRows(mu.shape, mask, mu.device)
            posterior = PosteriorRows(rows, mu, sigma, log_sigma)
            halves = (
                mask is None
                and pair_mask is None
                and previous_mu is not None
                and _is_second_half(previous_mu, mu)
            )
            centred = (
                self._centred_by_halves(posterior, series)
                if halves and self.n_blocks is None
                else posterior.centred(posterior.mu)
            )
            sums = posterior.sums(centred, self.sigma_limits)
            if halves:
                sums.independent = sums.count / 2
            if prior_mu is not None or prior_sigma is not None:
                posterior.whiten(
                    sums, 0.0 if prior_mu is None else prior_mu, 1.0 if prior_sigma is None else prior_sigma
                )
            floor: Tensor | float = 0.0
            if past is not None:  # of a posterior that follows its past: the KL may be 0
                past = rows.matrix(past, mu, 0.0)
            elif phi is not None and previous_sigma is not None:
                past = posterior.past(phi, previous_sigma)
                floor = GAUSSIAN.kl_floor(phi, mu.shape[2])
            if phi is not None and past is not None:
                sums.means |= {"past": rows.mean(past), "phi": phi}
            posterior.add_kl(sums, kl, past, floor)
        self._shared = shared
        self._pool(sums)
        if previous_mu is not None:
            count = len(previous_mu)
            pair_mask = mask[:count] if pair_mask is None and mask is not None else pair_mask
            if self.n_blocks is not None:
                self._block_pairs = self._block_pairs or BlockPairs(self.n_series, self.n_blocks)
                self._block_pairs.update(mu[:count], previous_mu, series, pair_mask, block=block)
            elif not halves:
                self._pairs = self._pairs or Pairs(self.n_series)
                self._pairs.update(mu[:count], previous_mu, series, pair_mask)
        return self

    def update_plain(
        self,
        mu: Tensor,
        sigma: Tensor | None = None,
        *,
        log_sigma: Tensor | None = None,
        log_variance: Tensor | None = None,
        shared: bool = False,
    ) -> Moments:
        """Add the posteriors of B inputs under Normal(0, 1): `update` in half of its operations and passes.

        Parameters
        ----------
        mu
            (B, N, K).
        sigma
            Of the shape of mu.
        log_sigma
            ln σ beside sigma: spares a logarithm.
        log_variance
            ln σ² instead of sigma.
        shared
            As for `update`.

        Returns
        -------
        Moments
            Itself.

        Raises
        ------
        ValueError
            Where shapes are not one, or of sigma and log_variance not one is given.
        """
        scale = sigma if log_variance is None else log_variance
        if scale is None or (sigma is not None and log_variance is not None):
            raise ValueError("give sigma or log_variance")
        if mu.dim() != 3 or any(
            other is not None and other.shape != mu.shape for other in (scale, log_sigma)
        ):
            raise ValueError(f"mu, sigma and log_sigma have one shape (B, N, K), mu is {tuple(mu.shape)}")
        self._shape, self._shared = mu.shape[1:], shared
        with unrounded(mu.device):
            self._pool(plain_sums(mu, sigma, log_sigma, log_variance))
        return self

    def merge(self, other: Moments) -> Moments:
        """Pool with what another has seen, in place: another worker's share of a split, say.

        Parameters
        ----------
        other
            Of the same layer.

        Returns
        -------
        Moments
            Itself.

        Raises
        ------
        ValueError
            Where the two were updated with different arguments, or one of them has blocks of time.
        """
        if (self.n_blocks is None) != (other.n_blocks is None):
            raise ValueError("cannot pool statistics with and without blocks of time: give both n_blocks")
        if other._sums is not None:
            self._shape, self._shared = other._shape, other._shared
            self._pool(other._sums)
        if other._pairs is not None:
            self._pairs = (self._pairs or Pairs(self.n_series)).merge(other._pairs)
        if other._block_pairs is not None and self.n_blocks is not None:
            own = self._block_pairs or BlockPairs(self.n_series, self.n_blocks)
            self._block_pairs = own.merge(other._block_pairs)
        return self

    def result(self) -> dict[str, Tensor]:
        """Statistics of all rows so far: `derive(self.sufficient_statistics())`.

        Returns
        -------
        dict
            Name -> (N,).

        Raises
        ------
        ValueError
            Before the first update.
        """
        return derive(self.sufficient_statistics())

    def poolable(self) -> dict[str, Tensor]:
        """Sums of these rows alone, for a pool over several processes (`probes.watching.rank_sums`).

        Returns
        -------
        dict
            As `sufficient_statistics`, means that deviations are taken around in float64; of pairs what
            `Pairs.poolable` returns.

        Raises
        ------
        ValueError
            Before the first update.
        """
        found = self._row_sums()
        assert self._sums is not None  # else it has raised
        centred = {"mu": self._sums.mu} | ({} if self._sums.r is None else {"r": self._sums.r})
        found |= {name: one.wide_mean.reshape(self._shape) for name, one in centred.items()}
        return found | (self._pairs.poolable() if self._pairs is not None else {})

    def sufficient_statistics(self) -> dict[str, Tensor]:
        """All that the statistics depend on; stacked over steps they are what `derive` takes.

        Returns
        -------
        dict
            Name -> (N, K), (N,) or ().

        Raises
        ------
        ValueError
            Before the first update.
        """
        pairs = self._pairs or self._block_pairs
        return self._row_sums() | (pairs.sufficient_statistics() if pairs is not None else {})

    def _row_sums(self) -> dict[str, Tensor]:
        """Those of rows, without pairs."""
        if self._sums is None:
            raise ValueError("no batch yet: update first")
        sums = self._sums
        found = {"mu": sums.mu.mean, "mu_square": sums.mu.square, **sums.means}
        if sums.r is not None:
            found |= {"r": sums.r.mean, "r_square": sums.r.square}
        for name in PER_DIMENSION & found.keys():
            found[name] = found[name].reshape(self._shape)
        found |= {"non_finite": sums.non_finite, "count": sums.count}
        if not self._shared:
            found["rows"] = sums.independent
        return found

    def _centred_by_halves(self, posterior: PosteriorRows, series: Tensor | None) -> CentredMoments:
        """Of (B, N K), origins then predecessors: the pairs' sums hold those of all rows, which spares half
        of the passes.
        """
        mu = posterior.mu
        base = mu[:1].clone()
        values = (mu - base).view(2, len(mu) // 2, -1)
        self._pairs = self._pairs or Pairs(self.n_series)
        rest, squares = self._pairs.add(self._shape, base, values, series, scratch=posterior.scratch)
        return CentredMoments(base[0], rest, squares / len(mu))

    def _pool(self, part: MomentSums) -> None:
        if self._sums is None:
            self._sums = part
            return
        odd = sorted(self._sums.means.keys() ^ part.means.keys())
        if odd:
            raise ValueError(
                f"updates with and without {', '.join(odd)} cannot be pooled: give every update the same"
                " arguments"
            )
        self._sums = self._sums.pooled(part)


def derive(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Statistics from their sums. What each is stands in `schema.STATISTICS`.

    Parameters
    ----------
    sums
        `Moments.sufficient_statistics()` of one step, or each stacked over steps: (T, N, K), (T, N), (T,).

    Returns
    -------
    dict
        Name -> (..., N) float32. Always: mean, variance, kl, information, spread, mismatch, width_spread,
        mu2, active_share, non_finite; rows unless the posterior is shared; with a prior given whitened_mean
        and prior_variance; with phi also phi and past; with limits clamp_share; with pairs what `slopes`
        returns. kl, information, mismatch, width_spread and past are
        nats, summed over K. NaN: all but non_finite and rows where no row counts, what is told by
        how the mean moves with the input where only one does (spread is 0 there).
    """
    r, r_square = sums.get("r", sums["mu"]), sums.get("r_square", sums["mu_square"])
    v = sums.get("v", sums["variance"])
    some = several = torch.where(sums["count"][..., None] >= 1, 0.0, math.nan).float()
    if "rows" in sums:
        several = torch.where(sums["rows"][..., None] >= FEWEST_ROWS, 0.0, math.nan).float()
    result = {
        "mean": sums["mu"].mean(-1) + some,
        "variance": sums["variance"].mean(-1) + some,
        "kl": sums["kl"] + some,
        "information": GAUSSIAN.information(v, r_square, sums["log_v"]).sum(-1) + several,
        "spread": sums["mu_square"].mean(-1) + some,
        "mismatch": GAUSSIAN.mismatch(r, v, r_square).sum(-1) + several,
        "width_spread": GAUSSIAN.width_spread(v, sums["log_v"]).clamp_min(0).sum(-1) + several,
        "mu2": (sums["mu_square"] + sums["mu"] ** 2).mean(-1) + some,
        "active_share": sums["active_share"] + some,
        "non_finite": sums["non_finite"],
    }
    if "rows" in sums:
        result["rows"] = sums.get("effective_rows", sums["rows"][..., None].expand(sums["kl"].shape))
    if "clamp_share" in sums:
        result["clamp_share"] = sums["clamp_share"].mean(-1) + some
    if "r" in sums:
        result |= {
            "whitened_mean": sums["r"].mean(-1) + some,
            "prior_variance": sums["prior_variance"].mean(-1) + some,
        }
    if "past" in sums:
        result |= {"phi": sums["phi"], "past": sums["past"].sum(-1) + some}
    return result | (slopes(sums) if "pairs" in sums else {})


def _is_second_half(previous: Tensor, mu: Tensor) -> bool:
    """Whether `previous` is the second half of the rows of `mu`: the same memory, not a copy."""
    half = mu[len(mu) // 2 :]
    same = (
        previous.shape == half.shape and previous.stride() == half.stride() and previous.dtype == half.dtype
    )
    return same and 2 * len(half) == len(mu) > 0 and previous.data_ptr() == half.data_ptr()
