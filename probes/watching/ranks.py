"""Processes that train one model together: how they meet, and how their sums of the same steps become one.

They talk over a process group of their own (gloo, on the CPU), so that nothing of the training's own
communication is touched or waited for. Whoever does not answer within `TIMEOUT` is given up, and so is the
group: `RanksLostError`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from probes.watching.rank_sums import (
    PAIR,
    PARTS,
    first_pass,
    means_of,
    of_share,
    placed,
    pooled,
    second_pass,
    shape_of_all,
    with_parts,
)
from probes.watching.shares import Share

TIMEOUT = timedelta(seconds=60)
"""How long the others are waited for, at a flush and at the first step."""
HURRY = timedelta(seconds=5)
"""And at the end of a training that broke off."""
LOST = "a process of the training was lost"
OF_PAIRS = ("x", "y", "pairs")
NOTHING: Mapping[str, Any] = MappingProxyType({})
SEEN = "seen"
"""1 at steps at which a process has something of a layer."""
Sums = dict[str, dict[str, Tensor]]
"""Layer -> name -> (T, ...)."""
Kind = list[Any]
_watches: Counter[str] = Counter()


class RanksLostError(RuntimeError):
    """A process did not answer, or answered what cannot be pooled."""


class Pooled(NamedTuple):
    """What one exchange gave: groups of layers that were seen at the same steps, with these steps and sums of
    all rows, on rank 0 alone; whether some process has come to its end; what was lost elsewhere; steps that
    not all processes have; layers whose sums have not one shape; of layers that a process reads no more the
    steps that are left out.
    """

    groups: list[tuple[list[int], Sums]]
    ended: bool
    lost: int
    partial: list[int]
    refused: list[str]
    left_out: dict[str, int]


def is_together() -> bool:
    """Whether this is one of several processes that have met already (`init_process_group`)."""
    known = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return known and dist.get_backend() != "fake" and hasattr(dist, "ProcessGroupGloo")


class Meeting:
    """Where those processes find each other that watch into one folder; none of the others is waited for
    long.

    Parameters
    ----------
    folder
        As all of them say it.
    """

    def __init__(self, folder: str) -> None:
        _watches[folder] += 1
        digest = blake2b(folder.encode(), digest_size=8).hexdigest()
        self._key = f"probes/{digest}/{_watches[folder]}"
        self._announced = False
        if is_together():
            self._announce()

    def _announce(self) -> None:
        if not self._announced:
            _store().set(f"{self._key}/{dist.get_rank()}", "watches")
            self._announced = True

    def ranks(self) -> Ranks | None:
        """All processes, once all of them watch; None where some do not, or there is one alone.

        Raises RanksLostError where they have found each other and then do not answer.
        """
        if not is_together():
            return None
        self._announce()
        store, rank, size = _store(), dist.get_rank(), dist.get_world_size()
        decision = f"{self._key}/all"
        try:
            if rank == 0:
                try:
                    store.wait([f"{self._key}/{other}" for other in range(size)], TIMEOUT / 2)
                except RuntimeError:
                    store.set(decision, "no")
                else:
                    store.set(decision, "yes")
            store.wait([decision], TIMEOUT)
            if store.get(decision) != b"yes":
                return None
            return Ranks(dist.PrefixStore(f"{self._key}/group", store), rank, size)  # type: ignore[attr-defined]
        except RuntimeError as error:
            raise RanksLostError(LOST) from error


def _store() -> Any:
    return dist.distributed_c10d._get_default_store()


class Ranks:
    """The processes of one training.

    Parameters
    ----------
    store
        Of their own.
    rank, size
        This process's number, and how many there are.
    """

    def __init__(self, store: Any, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self._left_out: dict[str, int] = {}
        self._group: Any = dist.ProcessGroupGloo(store, rank, size, TIMEOUT)

    def agree(self, value: object) -> list[Any]:
        """What each process says.

        Parameters
        ----------
        value
            Plain values.

        Returns
        -------
        list
            One for each process, by rank, the same on all of them.

        Raises
        ------
        RanksLostError
            Where one does not answer.
        """
        said = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        sizes = [int(size) for size in self._all(torch.tensor([len(said)]))]
        padded = torch.zeros(max(sizes), dtype=torch.uint8)
        padded[: len(said)] = said
        every = self._all(padded)
        return [json.loads(bytes(one[:size].tolist())) for one, size in zip(every, sizes, strict=True)]

    def pool(
        self,
        steps: Sequence[int],
        sums: Sums,
        families: Mapping[str, str],
        *,
        shares: Mapping[str, Share] = NOTHING,
        left_out: Mapping[str, int] = NOTHING,
        ends: bool = False,
        lost: int = 0,
        hurry: bool = False,
    ) -> Pooled:
        """Add up the sums of all processes, on rank 0.

        Parameters
        ----------
        steps
            T steps, those that this process has.
        sums
            Of each layer, `poolable()` stacked over these steps, with `SEEN`.
        families
            Of the layers; rank 0 alone is asked.
        shares
            Of layers whose neurons this process has a part of; their sums are of these neurons.
        left_out
            Layers that this process reads no more, and the first step without: from there on the others'
            rows would be taken for all.
        ends
            Whether this is the last that comes from this process.
        lost
            What it could not read since the last time.
        hurry
            Whether to wait for `HURRY` alone.

        Returns
        -------
        Pooled
            Without groups on other ranks.

        Raises
        ------
        RanksLostError
            Where one does not answer.
        """
        wait = HURRY if hurry else None
        sums = dict(sums) | {at: with_parts(sums[at], one) for at, one in shares.items() if at in sums}
        shapes = {
            layer: {name: _kind(name, value, shares.get(layer)) for name, value in sorted(some.items())}
            for layer, some in sorted(sums.items())
        }
        mine = json.dumps([list(steps), shapes, dict(left_out)])
        digest = int.from_bytes(blake2b(mine.encode(), digest_size=7).digest(), "big")
        headers = self._all(torch.tensor([digest, int(ends), lost]), wait)
        ended = any(bool(one[1]) for one in headers)
        lost = sum(int(one[2]) for rank, one in enumerate(headers) if rank != self.rank)
        partial: list[int] = []
        refused: list[str] = []
        if any(int(one[0]) != digest for one in headers):
            said = self.agree([list(steps), shapes, dict(left_out)])
            had = [set(one) for one, _, _ in said]
            for layer, step in (item for _, _, one in said for item in one.items()):
                self._left_out[layer] = min(step, self._left_out.get(layer, step))
            common = sorted(set.intersection(*had))
            partial = sorted(set.union(*had) - set(common))
            shapes, refused = _union([one for _, one, _ in said])
            at = torch.tensor([list(steps).index(step) for step in common], dtype=torch.long)
            sums = {
                layer: {name: value[at.to(value.device)] for name, value in some.items()}
                for layer, some in sums.items()
            }
            steps = common
        own = {layer: share for layer, share in shares.items() if layer in sums and layer in shapes}
        full = {
            layer: _completed(sums.get(layer, {}), of, len(steps), own.get(layer))
            for layer, of in shapes.items()
        }
        given = {layer: first_pass(some) for layer, some in full.items()}
        first = self._added(given | {at: placed(given[at], one) for at, one in own.items()}, wait, True)
        means = {layer: means_of(some) for layer, some in first.items()}
        around = means | {at: of_share(means[at], one) for at, one in own.items()}
        given = {layer: second_pass(some, around[layer]) for layer, some in full.items()}
        second = self._added(given | {at: placed(given[at], one) for at, one in own.items()}, wait, False)
        if self.rank:
            return Pooled([], ended, lost, partial, refused, {})
        groups: dict[tuple[int, ...], Sums] = {}
        left: dict[str, int] = {}
        for layer, some in first.items():
            seen = some[SEEN] > 0
            if (parts := some.get(PARTS)) is not None:
                even = (parts == parts[:, :1]).all(1)
                partial += [step for step, one in zip(steps, (seen & ~even).tolist(), strict=True) if one]
                seen &= even
            if (end := self._left_out.get(layer)) is not None:
                late = seen & torch.tensor([step >= end for step in steps], device=seen.device)
                left[layer] = int(late.sum())
                seen &= ~late
            there = tuple(step for step, one in zip(steps, seen.tolist(), strict=True) if one)
            if there and layer in families:
                found = pooled(families[layer], some, second[layer])
                groups.setdefault(there, {})[layer] = {name: value[seen] for name, value in found.items()}
        refused += sorted(first.keys() - families.keys())
        groups_of_steps = [(list(there), some) for there, some in groups.items()]
        return Pooled(groups_of_steps, ended, lost, sorted(set(partial)), refused, left)

    def _added(self, sums: Sums, wait: timedelta | None, everywhere: bool) -> Sums:
        """Sums of all processes; where not everywhere, on rank 0."""
        found: Sums = {layer: {} for layer in sums}
        for dtype in (torch.float32, torch.float64):
            parts = [
                (layer, name, value)
                for layer, some in sums.items()
                for name, value in some.items()
                if value.dtype == dtype
            ]
            if not parts:
                continue
            flat = torch.cat([value.reshape(-1) for *_, value in parts])
            self._add(flat, wait, everywhere)
            pieces = flat.split([value.numel() for *_, value in parts])
            for (layer, name, value), piece in zip(parts, pieces, strict=True):
                found[layer][name] = piece.view(value.shape)
        return found

    def _all(self, value: Tensor, wait: timedelta | None = None) -> list[Tensor]:
        """The value of each process, by rank."""
        found = value.new_zeros(self.size, len(value))
        found[self.rank] = value
        self._add(found, wait, everywhere=True)
        return list(found)

    def _add(self, value: Tensor, wait: timedelta | None, everywhere: bool) -> None:
        """In place, the sum of all processes' values; where not everywhere, on rank 0."""
        options = dist.AllreduceOptions() if everywhere else dist.ReduceOptions()
        if wait is not None:
            options.timeout = wait
        try:
            (self._group.allreduce if everywhere else self._group.reduce)([value], options).wait()
        except RuntimeError as error:
            raise RanksLostError(LOST) from error


def _kind(name: str, value: Tensor, share: Share | None) -> Kind:
    """Its precision and, without the steps, its shape; of all neurons."""
    return [str(value.dtype).removeprefix("torch."), *shape_of_all(name, value, share)]


def _union(shapes: Sequence[Mapping[str, Mapping[str, Kind]]]) -> tuple[Any, list[str]]:
    """What each layer has that some process has, and the layers that are not the same."""
    found: dict[str, dict[str, Kind]] = {}
    refused = set()
    for one in shapes:
        for layer, names in one.items():
            known = found.setdefault(layer, {})
            refused |= {layer for name, shape in names.items() if known.get(name, shape) != shape}
            known.update(names)
    kept = {layer: dict(sorted(found[layer].items())) for layer in sorted(found) if layer not in refused}
    return kept, sorted(refused)


def _completed(
    sums: Mapping[str, Tensor], kinds: Mapping[str, Kind], count: int, share: Share | None
) -> dict[str, Tensor]:
    """A layer's sums with all that other processes have of it: nothing, where this one has no rows, else not
    known.
    """
    rows = sums.get("count")
    found = {}
    for name, (dtype, *shape) in kinds.items():
        if name in sums:
            found[name] = sums[name]
            continue
        if share is not None and shape and name != PARTS:
            shape = [share.stop - share.start, *shape[1:]]
        value = torch.zeros(count, *shape, dtype=getattr(torch, str(dtype)))
        if not value.is_floating_point():
            found[name] = value
            continue
        if rows is not None and not name.startswith(PAIR) and name not in OF_PAIRS:
            value[rows.cpu() > 0] = torch.nan
        found[name] = value
    return found


def stacked(steps: Sequence[int], summed: Sequence[tuple[list[int], Sums]]) -> Sums:
    """Sums of all steps, name -> (T, ...), with `SEEN`; at steps at which there is nothing of a layer zeros.

    Parameters
    ----------
    steps
        T steps.
    summed
        Some of them, and by layer their sums.

    Returns
    -------
    dict
        Layer -> name -> tensor.
    """
    found: Sums = {}
    alike = {json.dumps({layer: sorted(sums) for layer, sums in layers.items()}) for _, layers in summed}
    if len(alike) == 1 and [step for some, _ in summed for step in some] == list(steps):  # as almost always
        for layer, first in summed[0][1].items():
            found[layer] = {name: torch.cat([layers[layer][name] for _, layers in summed]) for name in first}
            found[layer][SEEN] = torch.ones(len(steps), dtype=torch.float64)
        return found
    place = {step: at for at, step in enumerate(steps)}
    for some, layers in summed:
        at = [place[step] for step in some]
        for layer, sums in layers.items():
            into = found.setdefault(layer, {SEEN: torch.zeros(len(steps), dtype=torch.float64)})
            into[SEEN][at] = 1.0
            for name, value in sums.items():
                if name not in into:
                    into[name] = value.new_zeros(len(steps), *value.shape[1:])
                into[name][at] = value
    return found
