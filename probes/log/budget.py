"""A size that a run stays below: says at the start what it will weigh, and records fewer steps in time.

Only the rows of neurons are thinned, since they are nearly all of a run: of the steps that the schedule
keeps, the first in each `spacing` steps stays. All other tables count against the size and are kept whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from probes.log import rows
from probes.log.segments import split_by_coverage
from probes.storage import Storage

GB = 1e9
TYPICAL = {"full": 3.8, "10bit": 2.0}
"""Bytes a number of `neurons/` takes with its share of the pyramid, before this run's own have been
measured.
"""
MOST = {"full": 5.2, "10bit": 3.6}
"""The same of numbers that do not compress."""
SUMMARY_NUMBERS = 8
"""Numbers a step that a layer's summaries take of each statistic: as many as so many neurons."""
MEASURED = 64
"""Recorded steps on the disk from which on their own size counts, and not the typical one."""
REVIEWED = 256
"""Recorded steps after which the size on the disk is looked at again."""
TARGET = 0.95
"""Share of the size that is planned with: closing a run writes the pyramid of its last block."""


def table_bytes(storage: Storage) -> int:
    """Bytes of the files of a run's tables that count."""
    total = 0
    for table in rows.TABLES:
        sizes = {entry.name: entry.size or 0 for entry in storage.entries(table)}
        total += sum(sizes[segment.name] for segment in split_by_coverage(sizes)[0])
    return total


class Budget:
    """The size that one recorder keeps to.

    Parameters
    ----------
    limit
        Most bytes of the run's tables.
    every
        Of the recorder's schedule.
    storage, state
        Of the run, and its manifest, which its writer keeps up to date. `config["steps"]` there says how
        many steps there will be, where it is an integer; without it half of what is left is used before
        every doubling.
    """

    def __init__(self, limit: float, every: int, storage: Storage, state: dict[str, Any]) -> None:
        self.limit = limit
        self._every = every
        self.spacing = 1
        self._storage, self._state = storage, state
        steps = (state["config"] or {}).get("steps")
        self._total = steps if isinstance(steps, int) and not isinstance(steps, bool) and steps > 0 else None
        self._statistics: set[str] = set()
        self._kept = [-1] * len(state["layers"])  # the last step kept of each layer
        self._first = self._newest = -1  # of any layer, since the spacing changed
        self._count = self._since = 0  # steps kept in all, and since the spacing changed
        self._numbers = 0  # of all steps kept
        self._before = self._disk = table_bytes(storage)
        # steps on the disk: at the start, and when it was last looked at
        self._recorded = self._written = self._measured = int(state["steps"]["count"])
        self._looked = 0  # steps kept by then
        self._next = self._halfway()
        self._said = self._over = False

    def due(self, step: int) -> bool:
        """Whether a step that the schedule keeps is kept."""
        return step == self._newest or step // self.spacing > self._newest // self.spacing

    def mask(self, layer: int, steps: np.ndarray) -> np.ndarray:
        """Which steps of a layer are kept, (T,) bool, of those that the schedule keeps."""
        buckets = steps // self.spacing
        return buckets > np.concatenate([[self._kept[layer] // self.spacing], buckets[:-1]])

    def note(self, layer: int, steps: np.ndarray, columns: Sequence[str]) -> None:
        """Count what of a layer was kept."""
        neurons = self._state["layers"][layer]["neurons"]
        self._numbers += steps.size * len(columns) * (neurons + SUMMARY_NUMBERS)
        self._statistics.update(columns)
        new = steps[steps > self._newest]
        if new.size:
            self._first = int(new[0]) if not self._since else self._first
            self._count, self._since = self._count + new.size, self._since + new.size
            self._newest = int(new[-1])
        self._kept[layer] = int(steps[-1])

    def review(self, step: int) -> list[str]:
        """What is to be said before the first layer records `step`: the weight at the start, and each
        thinning.
        """
        if not self._count:
            return []
        if self._count - self._looked >= REVIEWED or self._exceeded(step):
            self._look()
        said = [] if self._said else [self._weight(step)]
        self._said = True
        before = self.spacing
        while self._exceeded(step) and self.spacing < 2**40:
            self.spacing = 2 * max(self.spacing, self._gap(step))
            self._since, self._next = 0, self._halfway()
            if self._total is None or step >= self._total:
                break
        if self.spacing > before:
            size = f"about {_size(self._used())} of max_gb={self.limit / GB:g} are used"
            said.append(f"from step {step} on one step in {self.spacing} is recorded, at most: {size}")
        if self._disk > self.limit and not self._over:
            self._over = True
            said.append(
                f"max_gb={self.limit / GB:g} is exceeded, with {_size(self._disk)}: what is recorded beside"
                " the neurons is not thinned"
            )
        return said

    def _exceeded(self, step: int) -> bool:
        """Whether fewer steps must be recorded from now on."""
        if self._total is None or step >= self._total:
            return self._used() > self._next
        left = (self._total - step) / max(self.spacing, self._gap(step))
        return self._disk + (self._pending() + left) * self._step_bytes() > TARGET * self.limit

    def _halfway(self) -> float:
        used = self._used()
        step = MOST[self._state["precision"]] * self._numbers / max(1, self._count)
        return used + max((TARGET * self.limit - used) / 2, step)

    def _look(self) -> None:
        self._written = int(self._state["steps"]["count"])  # first: what is written meanwhile counts twice
        self._disk, self._looked = table_bytes(self._storage), self._count
        self._measured = int(self._state["steps"]["count"])

    def _pending(self) -> int:
        """Steps kept that the last look at the disk has not seen there."""
        return max(0, self._count - (self._written - self._recorded))

    def _used(self) -> float:
        most = MOST[self._state["precision"]]
        return self._disk + self._pending() * most * self._numbers / max(1, self._count)

    def _step_bytes(self) -> float:
        """Bytes of a recorded step."""
        seen = self._measured - self._recorded
        if seen >= MEASURED:
            return (self._disk - self._before) / seen
        return TYPICAL[self._state["precision"]] * self._numbers / self._count

    def _gap(self, step: int) -> int:
        """Steps from one that is kept to the next; `step` is the next that might be."""
        if self._since > 1:
            return max(self._every, round((self._newest - self._first) / (self._since - 1)))
        return self.spacing if self.spacing > 1 else max(self._every, step - self._newest)

    def _weight(self, step: int) -> str:
        neurons = sum(layer["neurons"] for layer in self._state["layers"])
        each = self._step_bytes()
        gap = self._gap(step)
        text = (
            f"{neurons:,} neurons with {len(self._statistics)} statistics take about {_size(each)} a"
            " recorded step"
        )
        if self._total is None:
            room = max(0, int((self.limit - self._disk) / each))
            return (
                f"{text}: max_gb={self.limit / GB:g} holds about {room:,} of them, and steps are thinned out"
                " before it is reached (config['steps'] would say how many will come)"
            )
        weight = self._disk + (self._total - step) / gap * each
        every = "every one recorded" if gap == 1 else f"one in {gap} recorded"
        return f"{text}; with {self._total:,} steps, {every}, the run will weigh about {_size(weight)}"


def _size(size: float) -> str:
    for unit, name in ((GB, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size / 1e3:.3g} kB"
