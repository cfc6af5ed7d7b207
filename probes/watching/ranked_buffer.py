"""A buffer of one process of several: its sums wait until all processes have a flush of them, and rank 0
moves the statistics of all rows to the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import SupportsFloat

import torch

from probes.errors import first_line
from probes.run_reader import FinalStatus
from probes.watching.family_pools import Summed as PoolSums
from probes.watching.pooling import Rows, Sums, sums_of
from probes.watching.ranks import NOTHING, Pooled, Ranks, RanksLostError, stacked
from probes.watching.shares import Share, Shared
from probes.watching.statistics_buffer import BUFFERED_STEPS, StatisticsBuffer

ROWS = 16
"""Sums of each latent dimension, about, and 8 bytes each: what is kept until a flush is bounded by them."""
KEPT_BYTES = 128e6
GONE = "what follows is recorded nowhere"


@dataclass
class RankedBuffer(StatisticsBuffer):
    """As `StatisticsBuffer`, once `join` has been called; before, and where there is one process, the same.

    flush_steps: recorded steps between two exchanges, the same on all processes.
    """

    flush_steps: int = BUFFERED_STEPS
    shares: dict[str, Share] = field(default_factory=dict)
    """Layers whose neurons this process has a part of."""
    others: dict[str, bool] = field(default_factory=dict)
    """Layers that other processes record, and whether what this one sees of them is lost."""
    _ranks: Ranks | None = None
    _rank: int = 0
    _steps: list[int] = field(default_factory=list)  # since the last exchange
    _left_out: dict[str, int] = field(default_factory=dict)  # layers, from a step on, since then
    _gone: str = ""  # why the others are not heard any more
    _told: int = 0  # of what was lost

    def join(
        self, ranks: Ranks | None, rank: int, numbers: int, shared: Mapping[str, Shared] = NOTHING
    ) -> None:
        """Become one of several processes.

        Parameters
        ----------
        ranks
            All of them; None: nothing is heard of the others, and this one records nothing.
        rank
            This process's number.
        numbers
            Of all layers, neurons times latent dimensions, which bounds the steps of a flush.
        shared
            How the processes share each layer.
        """
        for layer, how in shared.items():
            own = how.by_rank.get(rank)
            if own is not None and own.parts > 1:
                self.shares[layer] = own
            elif own is None and not how.plain:
                self.others[layer] = rank not in how.copies
        self._ranks, self._rank = ranks, rank
        self.flush_steps = max(1, min(self.flush_steps, int(KEPT_BYTES // (8 * ROWS * max(1, numbers)))))

    def add(self, step: int, seen: Mapping[str, PoolSums | Rows]) -> None:
        """What this process saw of each layer in a step."""
        if self._gone:
            self._count_gone(step)
        elif self._ranks is None:
            super().add(step, seen)
        else:
            self._steps.append(step)
            if self.others:
                seen = self._without_others(seen)
            self._take(step, seen)
            if len(self._steps) >= self.flush_steps:
                self._exchange(ends=False)

    def _without_others(self, seen: Mapping[str, PoolSums | Rows]) -> dict[str, PoolSums | Rows]:
        self._lost += sum(self.others.get(name, False) for name in seen)
        return {name: one for name, one in seen.items() if name not in self.others}

    def scalar(self, step: int, name: str, value: SupportsFloat, split: str, epoch: float | None) -> None:
        """Rank 0's numbers alone are kept."""
        if not self._rank:
            super().scalar(step, name, value, split, epoch)

    def leave_out(self, layer: str, step: int) -> None:
        """A layer that this process reads no more, from a step on: so do the others, from there."""
        if self._ranks is not None:
            self._left_out[layer] = step

    def flush(self) -> None:
        """As of the base; sums wait for those of the other processes."""
        if self._ranks is None:
            super().flush()
        elif self._began:
            self._hand_on([])

    def close(self, status: FinalStatus) -> None:
        """The last exchange, and the end of the run: as interrupted where the others were not heard."""
        if self._ranks is not None:
            self._exchange(ends=True, hurry=status != "finished")
        super().close("interrupted" if self._gone and status == "finished" else status)

    def forget(self) -> None:
        """In a forked child: talk to nobody."""
        self._ranks, self._steps = None, []
        super().forget()

    def _sums_of(self, steps: Sequence[Rows]) -> Sums:
        return super()._sums_of(steps) if self._ranks is None else sums_of(steps, poolable=True)

    def _sums_of_one(self, step: PoolSums) -> Sums:
        return super()._sums_of_one(step) if self._ranks is None else step.poolable()

    def _add_sums(self, steps: list[int], sums: dict[str, Sums]) -> None:
        if self._ranks is None:
            super()._add_sums(steps, sums)
        else:
            self._summed.append((steps, sums))

    @torch.no_grad()
    def _exchange(self, ends: bool, hurry: bool = False) -> None:
        assert self._ranks is not None  # the callers looked
        self._sum_up()
        summed, self._summed, self._waiting = self._summed, [], 0
        steps, self._steps = self._steps, []
        left_out, self._left_out = self._left_out, {}
        lost, self._told = self._lost - self._told, self._lost
        try:
            found = self._ranks.pool(
                steps,
                stacked(steps, summed),
                self._families,
                shares=self.shares,
                left_out=left_out,
                ends=ends,
                lost=lost,
                hurry=hurry,
            )
        except RanksLostError as error:
            self.leave(str(error), steps)
            return
        except Exception as error:  # noqa: BLE001 - training goes on; the others will find this one lost
            self.leave(f"sums of the processes cannot be added up: {first_line(error)}", steps)
            return
        self._say(found)
        if self.recorder is not None or self._began:
            self._hand_on([[group] for group in found.groups])
        if ends:
            self._ranks = None
        elif found.ended:
            self.leave("a process of the training has closed its watch", [])

    def _say(self, found: Pooled) -> None:
        if self._rank:
            return
        if found.partial:
            said = ", ".join(map(str, found.partial[:5]))
            error = RuntimeError(f"steps that not all processes have are left out: {said}")
            self.failed(error, len(found.partial), "partial")
        for layer in found.refused:
            error = RuntimeError(f"layer {layer!r} is not the same on all processes, or is not one of rank 0")
            self.failed(error, 1, f"refused {layer}")
        for layer, count in found.left_out.items():
            if not count:
                continue
            error = RuntimeError(
                f"layer {layer!r}: another process reads it no more, and its rows are missing"
            )
            self.failed(error, count, f"left out {layer}")
        if found.lost:
            self.failed(RuntimeError(f"other processes have lost {found.lost} batches"), found.lost, "others")
        self._told = self._lost

    def leave(self, why: str, steps: Sequence[int]) -> None:
        """Go on alone, and record nothing more: a part of the rows would be taken for all. The run ends as
        interrupted, with what is there.

        Parameters
        ----------
        why
            In a few words.
        steps
            Those whose sums are lost.
        """
        self._ranks, self._gone = None, why
        self._summed, self._kept = [], []
        if self._rank:
            self._lost += len(steps)
            return
        recorder, listed = self.recorder, self._scalars
        self._scalars = []
        if recorder is not None:
            for scalar in filter(None, map(self._read, listed)):
                self._store(1, recorder.scalar, *scalar)
            recorder.close("interrupted")
        self.failed(RuntimeError(f"{why}; {GONE}, and the run ends as interrupted"), len(steps), "gone")

    def _count_gone(self, step: int) -> None:
        if self._rank:
            self._lost += 1
            return
        self.failed(RuntimeError(f"step {step}: {self._gone}; {GONE}"), 1, "gone")
