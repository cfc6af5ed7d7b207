"""What is kept of a posterior between its forward pass and its statistics: its tensors, or sums.

A small batch costs by its thirty operations, not by its rows. So small batches are copied and kept: those of
a step are summed together, and so are those of several steps, each step for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from probes.moments import Moments
from probes.sequence_moments import TokenMoments
from probes.watching.layouts import Observed
from probes.watching.tensors import CHANGED_IN_PLACE

Read = Callable[[Any], Any]
Taken = tuple[Tensor | None, ...]
Kind = tuple[object, ...]
"""Shape of a batch's tensors, dtype and device of each."""
Sums = dict[str, Tensor]
"""`Moments.sufficient_statistics()` of steps."""

KEPT_BYTES = 1 << 20  # of copies, before they are summed: fewer than a processor's cache holds
SMALL_BYTES = KEPT_BYTES // 8  # of a batch, or of a step, that is kept: beyond, copying costs what it spares


class Reading:
    """A posterior that was computed, to be read when and if it is needed: call it.

    Raises ValueError when a tensor was changed in place since `hold`, and what `read` raises.

    Parameters
    ----------
    read
        What was taken -> the posterior.
    taken
        Tensors, and None for what there is none of.
    apart
        Whether rows are read each for itself, so that `read` of batches one after the other is the batches'
        `read` one after the other, where all tensors have one shape.
    unknown_prior
        Whether the user says that the prior cannot be said.
    map
        That a Gaussian stands behind.
    layout
        As the user wrote it.

    Attributes
    ----------
    made
        While it is handed over, the mean or the distribution with its graph, where that is not among what was
        taken.
    calls
        How many calls of a module its rows are of, one after the other.
    is_ours
        Whether nobody else has the tensors, so that they need no copy.
    """

    __slots__ = (
        "_apart", "_versions", "calls", "is_ours", "layout", "made", "map", "read", "taken", "unknown_prior",
    )  # fmt: skip

    def __init__(
        self,
        read: Read,
        taken: Taken,
        apart: bool = False,
        unknown_prior: bool = False,
        map: str | None = None,
        layout: str | None = None,
    ) -> None:
        self.read, self.taken, self.unknown_prior, self.map = read, taken, unknown_prior, map
        self.layout = layout
        self._apart = apart
        self.made: Any = None
        self.calls, self.is_ours = 1, False
        self._versions: list[int] | None = None

    def hold(self) -> int:
        """From now on tensors must not change; returns the bytes that are kept alive."""
        self._versions, size = [], 0
        for tensor in self.taken:
            if tensor is not None:
                size += tensor.nbytes
                if not tensor.is_inference():
                    self._versions.append(tensor._version)
        return size

    def __call__(self) -> Any:
        return self.read(self.unchanged())

    def kind(self) -> Kind | None:
        """What batches have in common that can be read as one; None: this one is read alone."""
        first = self.taken[0] if self._apart else None
        if first is None or first.is_nested:
            return None
        shape = first.shape
        if len(shape) < 2 or not shape[0]:
            return None
        kind: list[object] = [shape, self.calls]
        for tensor in self.taken:
            if tensor is None:
                kind.append(None)
            elif tensor.is_nested or tensor.layout != torch.strided or tensor.shape != shape:
                return None
            else:
                kind += (tensor.dtype, tensor.device)
        return tuple(kind)

    def copied(self) -> Taken:
        """What was taken, as it is now."""
        if self.is_ours:
            return self.taken
        return tuple([None if value is None else value.clone() for value in self.unchanged()])

    def unchanged(self) -> Taken:
        """What was taken, which has not been changed since `hold`."""
        if self._versions is not None and self._counted() != self._versions:
            raise ValueError(CHANGED_IN_PLACE)
        return self.taken

    @property
    def nbytes(self) -> int:
        """Bytes of what was taken."""
        return sum(tensor.nbytes for tensor in self._tensors())

    def _tensors(self) -> list[Tensor]:
        return [value for value in self.taken if isinstance(value, Tensor)]

    def _counted(self) -> list[int]:
        return [tensor._version for tensor in self._tensors() if not tensor.is_inference()]


@dataclass(frozen=True)
class Rows:
    """Batches of one step and layer, unread; bytes and calls of each."""

    read: Read
    kind: Kind
    batch_bytes: int
    batches: list[Taken]
    shared: bool
    batch_calls: int = 1

    def like(self, other: Rows) -> bool:
        """Whether both have the same rows, so that they can be summed beside each other."""
        return self.kind == other.kind and len(self.batches) == len(other.batches)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.batch_bytes * len(self.batches)

    @property
    def calls(self) -> int:
        """Of the module, one after the other."""
        return self.batch_calls * len(self.batches)


@torch.no_grad()
def sums_of(steps: Sequence[Rows], poolable: bool = False) -> Sums:
    """Sums of several steps, stacked, whose rows are `like` each other's: of each those of it alone, to the
    rounding of float32; as `Moments.poolable` where asked for.

    A step's neurons are taken for neurons of their own, which stand beside those of the others.
    """
    first, count = steps[0], len(steps)
    observed = first.read(_joined([batch for step in steps for batch in step.batches]))
    moments = updated(None, _beside(observed, count), first.shared, first.calls)
    sums = moments.poolable() if poolable else moments.sufficient_statistics()
    return {
        name: value.expand(count) if value.dim() == 0 else value.unflatten(0, (count, -1))
        for name, value in sums.items()
    }


def _joined(batches: Sequence[Taken]) -> Taken:
    """Batches one after the other."""
    if len(batches) == 1:
        return batches[0]
    return tuple(None if parts[0] is None else torch.cat(parts) for parts in zip(*batches, strict=True))


def _beside(observed: Observed, count: int) -> Observed:
    """(count R, N, K), step after step, as (R, count N, K)."""
    if count == 1:
        return observed

    def turned(value: Tensor | None) -> Tensor | None:
        if value is None:
            return None
        return value.unflatten(0, (count, -1)).transpose(0, 1).flatten(1, 2)

    *tensors, positions = observed
    return Observed(*map(turned, tensors))._replace(positions=positions)  # type: ignore[arg-type]


class Pool:
    """One layer over the batches of a step.

    Parameters
    ----------
    size
        Neurons and latent dimensions of the layer.
    shared
        Whether the posterior is the same for every input.
    """

    every_step = False  # whether steps that are not recorded count too

    def __init__(self, size: tuple[int, int], shared: bool) -> None:
        self.size, self.shared = size, shared
        self._moments: Moments | None = None  # None: no batch yet
        self._rows: Rows | None = None  # besides these sums
        self._kind: Kind | None = None  # that was read and fits
        self._batch_bytes = self._most = 0  # of a batch of this kind, and how many are kept

    def add(self, reading: Reading) -> None:
        """One batch. Raises ValueError for another size, what reading it raises, and what sums of odd tensors
        raise.
        """
        kind = reading.kind()
        if kind is None:
            self.add_observed(reading())
            return
        if kind != self._kind:
            self._check(reading())
            self._kind, self._batch_bytes = kind, reading.nbytes
            small = self._batch_bytes <= SMALL_BYTES
            self._most = int(KEPT_BYTES // max(1, self._batch_bytes)) if small else 0
        rows = self._rows
        if rows is not None and (rows.kind is not self._kind or len(rows.batches) >= self._most):
            self._sum_up()
        if not self._most:
            self._update(reading(), reading.calls)
            return
        if self._rows is None:
            calls = reading.calls
            self._rows = Rows(reading.read, self._kind, self._batch_bytes, [], self.shared, calls)
        self._rows.batches.append(reading.copied())

    def add_observed(self, observed: Any) -> None:
        """One batch that was read. Raises as `add`."""
        self._check(observed)
        self._sum_up()
        self._update(observed)

    def take(self) -> Moments | Rows | None:
        """What was added since the last call: rows, where they are few."""
        rows = self._rows
        if rows is not None and self._moments is None and rows.size <= SMALL_BYTES:
            self._rows = None
            return rows
        return self.take_sums()

    def take_sums(self) -> Moments | None:
        """What was added since the last call."""
        self._sum_up()
        taken, self._moments = self._moments, None
        return taken

    def give(self, known: Any) -> None:
        """Begin with what was taken before."""
        self._moments = known

    def anew(self) -> Pool:
        """An empty pool of the same kind."""
        return Pool(self.size, self.shared)

    def _check(self, observed: Any) -> None:
        if not isinstance(observed, Observed):
            raise ValueError("it was Gaussian with independent components, a batch is another distribution")
        mu, (neurons, dimensions) = observed.mu, self.size
        if mu.shape[1:] != self.size:
            raise ValueError(
                f"it has {neurons} neurons, a batch is {tuple(mu.shape)}"
                if mu.shape[1] != neurons
                else f"it has {dimensions} dimensions or positions a neuron, a batch is {tuple(mu.shape)}"
            )

    def _sum_up(self) -> None:
        rows, self._rows = self._rows, None
        if rows is not None:
            self._update(rows.read(_joined(rows.batches)), rows.calls)

    def _update(self, observed: Observed, calls: int = 1) -> None:
        self._moments = updated(self._moments, observed, self.shared, calls)


def updated(moments: Moments | None, observed: Observed, shared: bool, calls: int = 1) -> Moments:
    """Sums (None: of nothing) with one more batch, or those of several calls one after the other."""
    if moments is None:
        moments = Moments() if observed.positions is None else TokenMoments()
    if isinstance(moments, TokenMoments) and observed.positions is not None:
        _count_effective(moments, observed, observed.positions, calls)
    mu, sigma, log_sigma, prior_mu, prior_sigma, previous, mask, log_variance, _ = observed
    if sigma is None:
        return moments.update_plain(mu, log_variance=log_variance, shared=shared)
    if mu.shape == sigma.shape and prior_mu is prior_sigma is previous is mask is None:
        return moments.update_plain(mu, sigma, log_sigma=log_sigma, shared=shared)
    return moments.update(
        mu, sigma, prior_mu, prior_sigma, log_sigma=log_sigma, previous_mu=previous, mask=mask, shared=shared
    )


def _count_effective(moments: TokenMoments, observed: Observed, positions: int, calls: int) -> None:
    """What the positions of sequences are worth, by the course of the mean, in the units of its prior.

    Calls of one position each go on with the sequences of the calls before, those of more are whole ones.
    """
    mean = observed.mu if observed.prior_mu is None else observed.mu.float() - observed.prior_mu
    if observed.prior_sigma is not None:
        mean = mean / observed.prior_sigma
    if positions > 1:
        shape = (-1, positions)
        mask = None if observed.mask is None else observed.mask.unflatten(0, shape)
        moments.effective.update(mean.unflatten(0, shape), mask)
    else:
        shape = (calls, -1)
        mask = None if observed.mask is None else observed.mask.unflatten(0, shape).transpose(0, 1)
        moments.effective.extend(mean.unflatten(0, shape).transpose(0, 1), mask)
