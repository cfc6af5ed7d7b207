"""What modules have put out in the calls of a step, gathered to be read as one batch.

To read one small batch takes more than its rows do. So a network that calls its encoder at each position
pays for a note a call, and for one reading a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock, local
from typing import Any

import torch
from torch import Tensor

from probes.watching.pooling import KEPT_BYTES, SMALL_BYTES, Reading
from probes.watching.posterior_source import PosteriorSource, UnknownPrior
from probes.watching.slots import DISTRIBUTION, Slot
from probes.watching.tensors import CHANGED_IN_PLACE, NotReadable

STRIDED = torch.strided


class Unread:
    """Calls of a layer, to be read when and if they are needed.

    Parameters
    ----------
    nbytes
        Bytes that are kept alive.
    read
        Gives them as batches, or why one cannot be read.
    """

    __slots__ = ("nbytes", "read")

    def __init__(self, nbytes: int, read: Callable[[], Iterator[Reading | Exception]]) -> None:
        self.nbytes, self.read = nbytes, read


class Calls:
    """What some heads have put out, call after call, without its graph.

    Parameters
    ----------
    heads
        How many there are.
    copies
        Whether tensors are copied; else they must not change until they are read.

    Attributes
    ----------
    nbytes
        Bytes that are kept alive, once nothing more is put here.
    """

    __slots__ = ("_versions", "columns", "copies", "nbytes", "room")

    def __init__(self, heads: int, copies: bool) -> None:
        self.copies, self.room, self.nbytes = copies, KEPT_BYTES, 0  # bytes that are left, and kept
        self.columns: list[list[Tensor]] = [[] for _ in range(heads)]
        self._versions: list[list[int]] = [[] for _ in range(heads)]

    def put(self, head: int, value: Tensor) -> bool:
        """Keep one more; False where there is no room, and for a parameter."""
        size, column = value.nbytes, self.columns[head]
        if size > self.room or size > SMALL_BYTES or (not column and is_own(value)):
            return False
        self.room -= size
        value = value.detach()
        if self.copies:
            column.append(value.clone())
        else:
            column.append(value)
            self._versions[head].append(value._version)
        return True

    def split(self) -> Calls:
        """Take out what has no partner yet; this one then takes no more."""
        rest, room = Calls(len(self.columns), self.copies), self.room
        self.room = -1
        self.nbytes = KEPT_BYTES - room
        whole = min(map(len, self.columns))
        if whole == max(map(len, self.columns)):
            return rest
        for mine, its in ((self.columns, rest.columns), (self._versions, rest._versions)):
            for head, column in enumerate(mine):
                its[head], mine[head] = column[whole:], column[:whole]  # type: ignore[index]
        without = sum(value.nbytes for column in rest.columns for value in column)
        rest.room -= without
        self.nbytes -= without
        return rest

    @torch.no_grad()
    def batches(self) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
        """How many calls, and what their heads have put out: calls of one shape in one, row after row.

        Raises NotReadable where a tensor was changed that is no copy.
        """
        if not self.copies and self._versions != [[one._version for one in some] for some in self.columns]:
            raise NotReadable(CHANGED_IN_PLACE)
        group: list[tuple[Tensor, ...]] = []
        before: object = None
        for call in zip(*self.columns, strict=True):
            kind = _kind(call[0])
            joins = len(kind[0]) > 1 and all([_kind(one) == kind for one in call[1:]])
            if group and not (joins and kind == before):
                yield len(group), _joined(group)
                group = []
            group.append(call)
            before = kind if joins else None
        if group:
            yield len(group), _joined(group)


def _kind(value: Tensor) -> tuple[torch.Size, torch.dtype, torch.device]:
    return value.shape, value.dtype, value.device


def _joined(calls: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return calls[0] if len(calls) == 1 else tuple([torch.cat(heads) for heads in zip(*calls, strict=True)])


def is_own(value: Tensor) -> bool:
    """Whether a tensor is a parameter, or a view of one, which the optimiser changes; or has no version."""
    whole = value if value._base is None else value._base
    return (whole.is_leaf and whole.requires_grad) or value.is_inference()


def may_wait(value: Any) -> bool:
    """Whether something is a small tensor that is nobody's `is_own`."""
    plain = type(value) is Tensor and value.layout is STRIDED and not value.is_nested
    return plain and value.nbytes <= SMALL_BYTES and not is_own(value)


class _Own(local):
    """The calls of this thread."""

    calls: Calls | None = None


class Gathering:
    """Gathers what the heads of one path put out, and hands it on.

    Parameters
    ----------
    heads
        How many there are (an attribute too).
    is_due
        Whether the step that runs is recorded.
    receive
        Gets calls of all heads.

    Attributes
    ----------
    uneven
        Outputs whose partners never came.
    waits
        Whether outputs need not be read at once.
    """

    def __init__(self, heads: int, is_due: Callable[[], bool], receive: Callable[[Calls], None]) -> None:
        self.heads, self._is_due, self._receive = heads, is_due, receive
        self._own = _Own()
        self._lock = Lock()
        self._all: list[Calls] = []  # of all threads
        self.uneven, self.waits = 0, True

    def put(self, head: int, value: Any) -> bool:
        """Keep what one head has put out; False for what cannot wait (`may_wait`)."""
        calls = self._own.calls
        if type(value) is not Tensor or value.layout is not STRIDED or value.is_nested:
            return False
        if calls is not None and calls.put(head, value):
            return True
        if not may_wait(value):
            return False
        rest = None
        if calls is not None and calls.room >= 0:  # there is no room
            rest = calls.split()
            self._hand_on(calls)
        calls = self._own.calls = rest or Calls(self.heads, self._is_due())
        with self._lock:
            self._all.append(calls)
        return calls.put(head, value)

    def break_off(self) -> list[list[Tensor]]:
        """What follows is not gathered: hand on what is whole; returns what this thread has besides."""
        calls, self._own.calls = self._own.calls, None
        if calls is None or calls.room < 0:
            return [[] for _ in range(self.heads)]
        rest = calls.split()
        self._hand_on(calls)
        return rest.columns

    def reset(self) -> None:
        """What has no partner in this thread never gets one."""
        calls = self._own.calls
        if calls is None or calls.room < 0 or len(set(map(len, calls.columns))) == 1:
            return
        self.uneven += sum(map(len, self.break_off()))

    def end_step(self) -> None:
        """Hand on what all threads have."""
        with self._lock:
            ended, self._all = self._all, []
        for calls in ended:
            if calls.room >= 0:
                self.uneven += sum(map(len, calls.split().columns))
                self._receive(calls)

    def clear(self) -> None:
        """Forget what was gathered."""
        with self._lock:
            for calls in self._all:
                calls.room = -1
            self._all.clear()

    def _hand_on(self, calls: Calls) -> None:
        with self._lock:
            self._all = [one for one in self._all if one is not calls]
        if calls.columns[0]:
            self._receive(calls)


def places_of(layers: Sequence[PosteriorSource]) -> list[int] | None:
    """Which tensors of an output layers are read from; None where they need more than tensors, such as the
    graph behind them, or what is known while the call runs.
    """
    found: set[Any] = set()
    for layer in layers:
        prior = layer.prior
        slots = [layer.slot, *([prior] if isinstance(prior, Slot) else [])]
        plain = type(layer) is PosteriorSource and layer.origin in ("output", "layers") and layer.apart
        known = prior is None or isinstance(prior, (tuple, Slot, UnknownPrior))
        if not plain or not known or layer.function is not None:
            return None
        if any(slot.halves or slot.form == DISTRIBUTION for slot in slots):
            return None
        found |= {key for slot in slots for key in (slot.mean, slot.scale)}
    if not found or not all(type(key) is int and key >= 0 for key in found):
        return None
    return sorted(found)
