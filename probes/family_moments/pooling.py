"""Sums of posteriors of one family over rows, and the statistics that follow from them.

Pooled in float64, so that batches in any order give the numbers of one. `probes.families.exponential` has the
formulas; q~, the member with the rows' average expectations, is found when statistics are derived.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from probes.effective_rows import EffectiveRows
from probes.families import FAMILIES
from probes.families.exponential import EXPONENTIAL, NUMPY, ExponentialFamily, Functions
from probes.families.gaussian import GAUSSIAN
from probes.families.moments_only import MOMENTS_ONLY
from probes.family_moments.class_sums import class_sums
from probes.family_moments.rows import Pooled, Rows, wide
from probes.family_moments.samples import derive_samples, standard_error
from probes.precision import unrounded
from probes.schema import ACTIVE_KL, FEWEST_ROWS

Parameters = Mapping[str, Tensor]


def _xlogy(x: Tensor, y: Tensor) -> Tensor:
    """x ln y, 0 where x is: a third of the cost of torch's, which has no vector code."""
    found = x * y.clamp_min(torch.finfo(y.dtype).tiny).log()
    if x is y:
        return found
    never = y == 0
    if y.device.type == "cpu" and not never.any():
        return found
    return torch.where(never & (x != 0), -math.inf, found)


def _sum_xlogy(x: Tensor, y: Tensor) -> Tensor:
    """Σ x ln y over the last axis: by products with a vector, half of the cost of sums."""
    leading = zip(y.shape[:-1], y.stride()[:-1], strict=True)
    if x is not y and y.numel() and all(size == 1 or not stride for size, stride in leading):
        vector = y[(0,) * (y.dim() - 1)]  # one prior for all neurons
        if vector.device.type == "cpu" and vector.all():
            return x @ vector.log()
    return _xlogy(x, y) @ x.new_ones(x.shape[-1])


def _sum_products(x: Tensor, y: Tensor) -> Tensor:
    """Σ x y over the last axis: a third of the cost where no product is that of 0 and an infinity."""
    if x.device.type == "cpu" and not (found := (x * y) @ x.new_ones(x.shape[-1])).isnan().any():
        return found
    return torch.where(x == 0, x, x * y).sum(-1)


TORCH = Functions(
    torch.log, torch.exp, torch.log1p, torch.lgamma, torch.digamma, _xlogy, _sum_xlogy, _sum_products,
    torch.special.i0e, torch.special.i1e, torch.cos, torch.sin, torch.where,
)  # fmt: skip


class FamilyMoments:
    """Pooled statistics of N neurons of one family: the same whatever the batching.

    Parameters
    ----------
    family
        A name of `families.FAMILIES` that has parameters of its own: no Gaussian, code book or samples.
    prior_by_row
        Whether rows have priors of their own: there is no mismatch then.

    Raises
    ------
    ValueError
        For another family.
    """

    def __init__(self, family: str, *, prior_by_row: bool = False) -> None:
        if family not in EXPONENTIAL and family not in MOMENTS_ONLY:
            known = sorted(EXPONENTIAL.keys() | MOMENTS_ONLY.keys())
            raise ValueError(f"{family!r} has no sums of its own; known are {known}")
        self.family = family
        self.prior_by_row = prior_by_row
        self._pooled: Pooled | None = None
        self._prior: dict[str, Tensor] | None = None
        self._varies: Tensor | None = None  # 1 where rows or batches had different priors
        self._shared = False
        self._effective: EffectiveRows | None = None  # of rows that are positions of sequences

    @torch.no_grad()
    def update(
        self,
        parameters: Parameters,
        prior: Parameters | None = None,
        *,
        mask: Tensor | None = None,
        kl: Tensor | None = None,
        shared: bool = False,
        estimated: bool = False,
        positions: int | None = None,
    ) -> Self:
        """Add the posteriors of B inputs.

        Parameters
        ----------
        parameters
            By the family's names, (B, N), or (B, N, C) of C components a neuron; those of a generic
            distribution are sample and, where known, mean, variance and entropy.
        prior
            Broadcastable to the parameters; None: not known, or of another family (then give `kl`).
        mask
            (B,): False leaves a row out, whatever it holds.
        kl
            (B, N): the KL of each input, nats; absent, it is computed from the prior.
        shared
            Whether this is the posterior of every input, as those of weights are: `rows` is left out then.
        estimated
            Whether `kl` is of one draw a row: its standard error is recorded, its active share not.
        positions
            T, where rows are sequences of T positions each, which depend on each other: `rows` is then what
            they are worth (`probes.effective_rows`), by the course of the parameters. 1: rows are the next
            positions of the sequences of the update before.

        Returns
        -------
        FamilyMoments
            Itself.

        Raises
        ------
        ValueError
            Where a parameter is missing, shapes do not belong together, or an update has other arguments than
            those before.
        """
        _complete(self.family, parameters, "")
        if prior is not None:
            _complete(self.family, prior, "prior of a ")
        kind = EXPONENTIAL.get(self.family)
        vector = kind is not None and kind.vector
        first = _first(self.family, parameters)
        if first.dim() != 2 + vector:
            raise ValueError(
                f"{'(B, N, C)' if vector else '(B, N)'} of a {self.family}, got {tuple(first.shape)}"
            )
        with unrounded(first.device):
            rows = Rows(len(first), mask, first.device)
            own = {
                name: _number(value.expand(first.shape), kind)
                for name, value in parameters.items()
                if name != "logits" or vector  # of two classes p ln p is cheaper, and loses nothing
            }
            own = _of_members(self.family, own)
            given = None if prior is None else {n: _number(v, kind, first) for n, v in prior.items()}
            means = None
            if self.family == "categorical" and mask is None and kl is None:
                means = class_sums(own, given)
            if means is not None:
                pooled = Pooled(rows.count, torch.zeros_like(means["kl"]), means)
            else:
                pooled = _summed(self.family, rows, own, given, kl, estimated)
            self._keep_prior(rows, given, first)
        if positions is not None:
            self._effective = self._effective or EffectiveRows()
            there = None if mask is None else mask.unflatten(0, (-1, positions))
            add = self._effective.update if positions > 1 else self._effective.extend
            add(_course(self.family, parameters).unflatten(0, (-1, positions)), there)
        self._shared = shared
        self._pooled = pooled if self._pooled is None else self._pooled.merged(pooled)
        return self

    def merge(self, other: FamilyMoments) -> Self:
        """Pool with what another has seen, in place.

        Parameters
        ----------
        other
            Of the same layer.

        Returns
        -------
        FamilyMoments
            Itself.

        Raises
        ------
        ValueError
            Where the two are of different families, or were updated with different arguments.
        """
        if other.family != self.family:
            raise ValueError(f"a {other.family} cannot be pooled with a {self.family}")
        if other._pooled is None:
            return self
        self._shared = other._shared
        if self._pooled is None:
            self._pooled, self._varies = other._pooled, other._varies
            self._prior = None if other._prior is None else dict(other._prior)
            return self
        if (self._prior is None) != (other._prior is None):
            raise ValueError("cannot pool with and without one prior for all rows")
        self._pooled = self._pooled.merged(other._pooled)
        if other._prior is not None and other._varies is not None:
            self._compare(other._prior, other._varies)
        return self

    def sufficient_statistics(self) -> dict[str, Tensor]:
        """All that the statistics depend on; stacked over steps they are what `derive_family` takes.

        Returns
        -------
        dict
            Name -> (N,), (N, C) or (), float64.

        Raises
        ------
        ValueError
            Before the first update.
        """
        return by_neuron(self.family, self.poolable(), 1)

    def poolable(self) -> dict[str, Tensor]:
        """Sums of these rows alone, for a pool over several processes (`probes.watching.rank_sums`).

        Returns
        -------
        dict
            As `sufficient_statistics`; components stand apart, `by_neuron` puts them together.

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
        if self._prior is not None and self._varies is not None:
            found |= {f"prior_of_{name}": value for name, value in self._prior.items()}
            found["prior_varies"] = self._varies
        found |= {"non_finite": pooled.non_finite, "count": pooled.count}
        if self._effective is not None:
            found["effective_rows"] = self._effective.result()
        return found if self._shared else found | {"rows": pooled.count}

    def result(self) -> dict[str, Tensor]:
        """Statistics of all rows so far: `derive_family(family, self.sufficient_statistics())`.

        Returns
        -------
        dict
            Name -> (N,).

        Raises
        ------
        ValueError
            Before the first update.
        """
        return derive_family(self.family, self.sufficient_statistics())

    def _keep_prior(self, rows: Rows, given: dict[str, Tensor] | None, first: Tensor) -> None:
        """The prior of all rows, (N,) or (N, C), and where it is not one."""
        if given is None or self.prior_by_row or self.family not in EXPONENTIAL:
            return
        neurons = first.shape[1]
        varies = torch.zeros(neurons, dtype=torch.float64 if first.device.type != "mps" else torch.float32,
                             device=first.device)  # fmt: skip
        found = {}
        for name, value in given.items():
            if not len(value):
                found[name] = value.new_full(value.shape[1:], math.nan)
                continue
            if len(value) == 1:
                found[name] = value[0]
                continue
            at = 0 if rows.mask is None else rows.mask.to(torch.uint8).argmax()
            found[name] = torch.where(rows.count > 0, value[at], math.nan)
            other = rows.kept((value != value[at]).float()).reshape(len(value), neurons, -1)
            varies = torch.maximum(varies, other.amax((0, 2)).to(varies.dtype))
        self._compare(found, varies)

    def _compare(self, prior: dict[str, Tensor], varies: Tensor) -> None:
        if self._prior is None or self._varies is None:
            self._prior, self._varies = dict(prior), varies
            return
        self._varies = torch.maximum(self._varies, varies)
        for name, value in self._prior.items():
            known = ~(value.isnan() | prior[name].isnan())  # a batch without rows tells of none
            other = (known & (value != prior[name])).reshape(len(self._varies), -1).any(1)
            self._varies = torch.maximum(self._varies, other.to(self._varies.dtype))
            self._prior[name] = torch.where(value.isnan(), prior[name], value)


def by_neuron(family: str, sums: Mapping[str, Tensor], axes: int) -> dict[str, Tensor]:
    """Sums as `derive_family` takes them, of those whose components stand apart.

    Parameters
    ----------
    family
        A name of `families.FAMILIES`.
    sums
        `FamilyMoments.poolable()` of one step, or stacked over steps.
    axes
        Axes of a number a neuron: 1, or 2 with steps in front.

    Returns
    -------
    dict
        Name -> tensor.
    """
    found = dict(sums)
    if family == "dirichlet":
        found["shares"] = found["mean"]
    for name in ("mean", "mean_square", "variance", "prior_variance"):
        if name in found and found[name].dim() > axes:
            found[name] = found[name].mean(-1)
    return found


def _summed(
    family: str,
    rows: Rows,
    own: dict[str, Tensor],
    prior: dict[str, Tensor] | None,
    kl: Tensor | None,
    estimated: bool,
) -> Pooled:
    """Averages of one batch."""
    kind = EXPONENTIAL.get(family)
    first = _first(family, own)
    part = _exponential(kind, own, prior) if kind is not None else _moments(family, own, prior)
    if kl is not None:
        if kl.shape != first.shape[:2]:
            raise ValueError(
                f"kl has shape {tuple(kl.shape)}, one KL an input and neuron is {tuple(first.shape[:2])}"
            )
        part["kl"] = kl.detach()
    told = part.get("kl", part.get("score", part.get("entropy", first)))
    means = {
        name: rows.mean(number)
        for name, number in part.items()
        if name != "mean" and not (name == "kl" and estimated)
    }
    if "kl" in part and not estimated:
        means["active_share"] = rows.mean((part["kl"] > ACTIVE_KL).float())
    centred: dict[str, tuple[Tensor, Tensor]] = {
        name: rows.centred(part[name])
        for name in ("mean", "kl")
        if name in part and (name == "mean" or estimated)
    }
    return Pooled(rows.count, rows.non_finite(told), means, centred)


def _complete(family: str, parameters: Parameters, of: str) -> None:
    """Raises ValueError where a parameter is missing."""
    names = FAMILIES[family].parameters
    missing = [name for name in names if name not in parameters]
    if missing:
        raise ValueError(
            f"a {of}{family} has the parameters {', '.join(names)}: {', '.join(missing)} is missing"
        )


def _first(family: str, parameters: Parameters) -> Tensor:
    names = FAMILIES[family].parameters
    if len(names) == 1:
        return parameters[names[0]]
    shape = torch.broadcast_shapes(*(parameters[name].shape for name in names))
    return parameters[names[0]].expand(shape)


_LEAST = {"poisson": "rate", "von_mises": "concentration"}
"""Parameters of which negative numbers would go through the formulas unnoticed."""


def _of_members(family: str, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameters, NaN where no member has them, as a distribution that was not validated may."""
    name = _LEAST.get(family, "probability")
    if name not in own or "logits" in own:
        return own
    value, most = own[name], math.inf if family in _LEAST else 1
    if value.device.type == "cpu" and value.numel():  # a look is cheaper than a copy
        low, high = value.aminmax()
        if low >= 0 and high <= most:
            return own
    return own | {name: torch.where((value >= 0) & (value <= most), value, math.nan)}


def _number(value: Any, kind: ExponentialFamily | None, like: Tensor | None = None) -> Tensor:
    """In the precision that a family asks for; with `like`, broadcast to it."""
    value = torch.as_tensor(value, device=None if like is None else like.device).detach()
    if kind is None or kind.double:
        value = wide(value)
    elif value.dtype != torch.float64:
        value = value.float()
    if like is None:
        return value
    try:
        value = value.expand(like.shape)
        return value[:1] if len(value) and value.stride(0) == 0 else value  # one for all rows
    except RuntimeError as error:
        raise ValueError(
            f"a prior of shape {tuple(value.shape)} does not fit parameters {tuple(like.shape)}"
        ) from error


def _exponential(
    kind: ExponentialFamily, own: dict[str, Tensor], prior: dict[str, Tensor] | None
) -> dict[str, Tensor]:
    """By name what is averaged over rows, (B, N) or (B, N, C)."""
    t = kind.statistics(TORCH, own)
    score = kind.score(TORCH, own, t)
    found = {f"t{at}": value for at, value in enumerate(t)}
    found["score"] = score
    base = kind.base(TORCH, own)
    if base is not None:
        found["base"] = base
    mean, variance = kind.mean(TORCH, own), kind.variance(TORCH, own, t)
    if mean is not None:
        found["mean"] = mean
    if variance is not None:
        found["variance"] = variance
    if prior is not None:
        found["kl"] = score - kind.score(TORCH, prior, t)
        of_prior = kind.statistics(TORCH, prior)
        if variance is None:
            found["prior_entropy"] = -kind.score(TORCH, prior, of_prior)
        else:
            found["prior_variance"] = kind.variance(TORCH, prior, of_prior)
    return found


def _moments(family: str, own: dict[str, Tensor], prior: dict[str, Tensor] | None) -> dict[str, Tensor]:
    found = MOMENTS_ONLY[family](TORCH, own, prior)
    if "variance" in found:
        found["log_variance"] = found["variance"].log()
    return found


def derive_family(family: str, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Statistics from their sums. What each is stands in `schema.STATISTICS`.

    Parameters
    ----------
    family
        A name of `families.FAMILIES`.
    sums
        `sufficient_statistics()` of one step, or each stacked over steps: (T, N), (T, N, C), (T,).

    Returns
    -------
    dict
        Name -> (..., N) float32. kl where there was a prior or a KL; mismatch where the prior was one for all
        rows, NaN for a neuron whose prior was not. NaN: all but non_finite and rows where no row counts, what
        tells how rows differ where there is only one.
    """
    return {name: value.float() for name, value in derived(family, sums).items()}


def derived(family: str, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`derive_family` in the precision of the sums, float64 where the device has it.

    Parameters
    ----------
    family, sums
        As for `derive_family`.

    Returns
    -------
    dict
        As `derive_family`.
    """
    if family == "samples":
        return derive_samples(dict(sums))
    count = sums["count"][..., None]
    some = several = torch.where(count >= 1, 0.0, math.nan)
    if "rows" in sums:
        several = torch.where(count >= FEWEST_ROWS, 0.0, math.nan)
    result: dict[str, Tensor] = {
        name: sums[name] + some
        for name in ("entropy", "mean", "variance", "kl", "active_share", "prior_entropy", "prior_variance")
        if name in sums
    }
    if "mean_square" in sums and "variance" in sums:
        result["spread"] = sums["mean_square"] + some
    if "kl_square" in sums:
        result["kl_error"] = standard_error(sums["kl_square"], count) + some
    if family in EXPONENTIAL:
        result["entropy"] = -sums["score"] - sums.get("base", 0.0) + some
        of_all, mismatch = _matched(EXPONENTIAL[family], sums)
        result["information"] = sums["score"] - of_all + several
        if mismatch is not None:
            result["mismatch"] = mismatch + several
        if family in ("categorical", "bernoulli"):
            result["perplexity"] = (-of_all).exp() + some
    elif "variance" in sums:
        found = GAUSSIAN.information(sums["variance"], sums["mean_square"], sums["log_variance"])
        result["information"] = torch.where(found.isfinite(), found, math.nan) + several
    if family == "von_mises":
        length = torch.hypot(sums["t0"], sums["t1"])
        result["mean"] = torch.atan2(sums["t1"], sums["t0"]) + some
        result["spread"] = 1 - length - sums["variance"] + some
    for name in ("mean", "variance", "spread", "prior_variance"):  # infinite: there is none
        if name in result:
            result[name] = torch.where(result[name].isfinite(), result[name], math.nan)
    result["non_finite"] = sums["non_finite"]
    if "rows" in sums:
        result["rows"] = sums.get("effective_rows", count.expand(sums["non_finite"].shape))
    return result


def _course(family: str, parameters: Parameters) -> Tensor:
    """(B, N, K): what the dependence of rows on each other is seen by: means, or the family's parameters."""
    known = ("mean",) if "mean" in parameters else FAMILIES[family].parameters
    shown = [parameters[name] for name in known]
    wide = torch.broadcast_tensors(*(value if value.dim() == 3 else value[..., None] for value in shown))
    return torch.cat(wide, -1)


def _matched(kind: ExponentialFamily, sums: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """s(q~, E t), and the mismatch where there is one: in numpy, where q~ is found."""
    t = tuple(_array(sums[name]) for name in ("t0", "t1") if name in sums)
    mismatch = None
    with np.errstate(all="ignore"):
        of_all = kind.score(NUMPY, kind.match(t), t)
        if "prior_varies" in sums:
            prior = {
                name.removeprefix("prior_of_"): _array(value)
                for name, value in sums.items()
                if name.startswith("prior_of_")
            }
            mismatch = of_all - kind.score(NUMPY, prior, t)
            mismatch = np.where(_array(sums["prior_varies"]) > 0, np.nan, mismatch)

    def back(value: Any) -> Tensor:
        return torch.as_tensor(value).to(sums["score"].device, sums["score"].dtype)

    return back(of_all), None if mismatch is None else back(mismatch)


def _array(value: Tensor) -> Any:
    return value.detach().cpu().double().numpy()
