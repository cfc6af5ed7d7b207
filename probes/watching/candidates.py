"""A posterior found before the first step, what it has shown so far, and whether two of them are one."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any

import torch
from torch import Tensor

from probes.watching.family_pools import AnyPool, pool_for
from probes.watching.family_readings import AnyObserved
from probes.watching.layouts import positions_of
from probes.watching.posterior_source import RANK_OBSERVED, PosteriorSource, UnknownPrior
from probes.watching.prior_links import Kept
from probes.watching.shares import Placed


@dataclass
class Candidate:
    """A posterior found before the first step. `tensors`, its first ones, are kept so that their addresses
    stay theirs; of later ones the sums alone. `prior`: its prior's first mean. `given`: whether it came with
    a prior. `failures`: why batches after the first were not read. `kept`: what it was, where it waits for
    its prior. `calls`: of the first step. `moves`: whether it varies with its input or is trained.
    `made_with`: `graph_uses.made_with`.
    `placed`, `digests`: what tells, of several processes, which share of it this one has; of each batch.
    """

    source: PosteriorSource
    tensors: tuple[Tensor, ...]
    pool: AnyPool
    given: bool
    failures: list[str] = dataclass_field(default_factory=list)
    kept: Kept = dataclass_field(default_factory=Kept)
    prior: Tensor | None = None
    calls: int = 1
    moves: bool = True
    made_with: frozenset[int] = frozenset()
    placed: Placed | None = None
    digests: list[str | None] = dataclass_field(default_factory=list)

    @property
    def values(self) -> str | None:
        """What tells its batches from others; None where one of them does not differ from row to row."""
        return None if None in self.digests else " ".join(map(str, self.digests))

    @classmethod
    def of(cls, source: PosteriorSource, tensors: tuple[Tensor, ...], observed: AnyObserved) -> Candidate:
        """With its first batch. Raises what sums of odd tensors raise."""
        pool = pool_for(observed, shared=source.of != "activations")
        pool.add_observed(observed)
        return cls(source, tensors, pool, observed.has_prior)

    def copied(self) -> Candidate:
        """As it is now: what is added later to one of both is not in the other."""
        return replace(
            self,
            pool=deepcopy(self.pool),
            kept=self.kept.copied(),
            failures=self.failures.copy(),
            digests=self.digests.copy(),
        )

    @property
    def positions(self) -> int | None:
        """Of its first batch, as of `Observed`."""
        return positions_of(self.tensors[0].shape, self.source.layout or "rows") if self.tensors else None

    @property
    def kind_of_prior(self) -> str:
        """What the manifest calls the layer's prior."""
        if isinstance(self.source.prior, UnknownPrior):
            return "unknown"
        return "given" if self.source.prior is not None or self.given else self.source.default_prior

    def same_as(self, other: Candidate) -> bool:
        """Whether both are of the same tensors: a mean, or a scale that was computed (a parameter may serve
        several). A cast or a copy of a mean is the same mean.
        """
        try:
            addresses = {tensor.data_ptr() for tensor in self.tensors}
            return any(tensor.data_ptr() in addresses for tensor in other.tensors) or _same_numbers(
                self.tensors[0], other.tensors[0]
            )
        except RuntimeError:  # tensors without memory
            return False

    def is_prior_of(self, other: Candidate) -> bool:
        """Whether the mean is that of another's prior."""
        return (
            other is not self
            and other.prior is not None
            and other.prior.data_ptr() == self.tensors[0].data_ptr()
        )

    def is_put_together_of(self, others: Iterable[Candidate]) -> bool:
        """Whether the mean is those of others side by side, of which each has as much of a prior: a neuron is
        of one layer.
        """
        axis = 1 if self.source.layout == "channels" else -1
        whole = self.tensors[0] if self.tensors else None
        if (
            self.source.rank == RANK_OBSERVED
            or self.source.of != "activations"
            or whole is None
            or not whole.dim()
        ):
            return False
        pieces = [
            one.tensors[0]
            for one in others
            if one is not self
            and one.tensors
            and one.source.of == "activations"
            and one.source.family == self.source.family
            and (has_prior(one) or not has_prior(self))
            and _fits(one.tensors[0], whole, axis)
        ]
        at = 0
        while at < whole.shape[axis]:
            found = next(
                (one for one in pieces if _same_numbers(one, _block(whole, axis, at, one.shape[axis]))), None
            )
            if found is None:
                return False
            at += found.shape[axis]
        return True


def _fits(part: Tensor, whole: Tensor, axis: int) -> bool:
    """Whether a tensor may stand in another beside more, along an axis."""
    if part.dim() != whole.dim() or part.dtype != whole.dtype or part.shape[axis] >= whole.shape[axis]:
        return False
    return _block(whole, axis, 0, part.shape[axis]).shape == part.shape


def _block(whole: Tensor, axis: int, start: int, size: int) -> Tensor:
    return whole.narrow(axis, start, min(size, whole.shape[axis] - start))


def has_prior(candidate: Candidate) -> bool:
    """Whether it came with a prior, or was given one."""
    return candidate.given or candidate.source.prior is not None


def _same_numbers(one: Tensor, other: Tensor) -> bool:
    """Whether a mean is a copy of another, to the rounding of the coarser. One number throughout, as heads
    may begin with, is no evidence.
    """
    if one.shape != other.shape or one.device != other.device or bool((one == one.flatten()[0]).all()):
        return False
    if one.dtype == other.dtype:
        return torch.equal(one, other)
    rounding = max(torch.finfo(one.dtype).eps, torch.finfo(other.dtype).eps)
    return torch.allclose(one.double(), other.double(), rtol=rounding, atol=0)


def same_place(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are views of the same numbers, in the same shape."""
    try:
        return one.shape == other.shape and one.data_ptr() == other.data_ptr()
    except RuntimeError:  # tensors without memory
        return False


def varies(source: PosteriorSource, value: Any) -> bool:
    """Whether a posterior varies over the rows of a batch, or with parameters that are trained."""
    if source.family in ("samples", "codes"):
        return True
    tensors = source.tensors(value)
    if any(tensor.requires_grad for tensor in tensors) or not torch.is_grad_enabled():
        return True
    return any(tensor.dim() > 1 and bool((tensor != tensor[:1]).any()) for tensor in tensors)
