"""Statistics of neurons, step after step: which order they come in, which steps are kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from probes.log.budget import GB, Budget
from probes.log.schedule import Schedule
from probes.log.writer import Chunk, Writer
from probes.recorder.tables import TablesRecorder

logger = logging.getLogger("probes.recorder")

BUDGET_EVENT = "budget"
"""Kind of the events that say what `max_gb` does."""


class NeuronsRecorder(TablesRecorder):
    """Records statistics of neurons: each layer in the order of its steps, all layers of one before the
    next.
    """

    def _begin_neurons(self, writer: Writer, schedule: Schedule, after: int) -> None:
        self._schedule = schedule
        self._first: int | None = None  # first step of this writing session
        self._last = [after] * len(self.layers)  # newest step of each layer
        self._seen = after  # newest step of any layer
        self._held: dict[int, Chunk] = {}  # newest step of each layer where the schedule passes it over
        self._budget: Budget | None = None
        if self.settings.max_gb is not None:
            self._budget = Budget(
                self.settings.max_gb * GB, self.settings.every, writer.storage, writer.state
            )

    def due(self, step: int) -> bool:
        """Whether the schedule, and the budget, keep a step: ask before computing statistics.

        Parameters
        ----------
        step
            The step.
        """
        if self._first in (None, step):
            return True
        return self._schedule.due(step) and (self._budget is None or self._budget.due(step))

    def record(self, step: int, layer: int | str, **statistics: ArrayLike) -> None:
        """Record statistics of every neuron of a layer at one step, all layers before the next step.

        Parameters
        ----------
        step
            Greater than the layer's last.
        layer
            Name or index.
        **statistics
            name=array (N,), or (N, K) for K latent dimensions, which is reduced over K as the registry says
            (sums for kl and information, means for the rest). Copied, as float32. name=number of the whole
            layer, beside them: one of `schema.LAYER_STATISTICS`.

        Raises
        ------
        ValueError
            For an unknown layer or statistic, a wrong width, a step that does not increase; nothing of the
            call is then recorded.
        RecorderError
            When the recorder is closed, or writing has failed (`strict`).
        """
        index = self._checks.index(layer)
        number = self._checks.step(step, index)
        columns, whole = self._checks.columns(statistics, None, index)
        self._add(np.array([number]), index, columns, whole)

    def record_block(
        self, steps: Sequence[int] | np.ndarray, layer: int | str, statistics: Mapping[str, ArrayLike]
    ) -> None:
        """`record` of many steps of a layer at once.

        Parameters
        ----------
        steps
            (T,), increasing. All layers record a block before the next block begins, which is the first that
            begins after all recorded steps; they may differ in their steps within it.
        layer
            Name or index.
        statistics
            name -> (T, N) or (T, N, K); of the whole layer name -> (T,).

        Raises
        ------
        ValueError, RecorderError
            As `record`.
        """
        index = self._checks.index(layer)
        numbers = self._checks.steps(steps, index)
        columns, whole = self._checks.columns(statistics, numbers.size, index)
        self._add(numbers, index, columns, whole)

    def _add(
        self, numbers: np.ndarray, index: int, columns: dict[str, np.ndarray], whole: dict[str, np.ndarray]
    ) -> None:
        """Buffer what is checked but for its steps: (T,), columns (T, N), and of the whole layer (T,)."""
        if not columns:
            raise ValueError(
                f"no statistic given for layer {self.layers[index]['name']!r} at step {numbers[0]}"
            )
        chunk = Chunk(index, numbers, columns, whole)
        with self._turn, self._background.wake:
            self._background.check_open()
            self._check_order(numbers, index)
            if self._first is None:
                self._first = int(numbers[0])
            if numbers[0] > self._seen:
                self._background.complete = self._seen
                self._review(int(numbers[0]))
            kept = self._schedule.mask(numbers) | (numbers == self._first)
            if self._budget is not None and kept.any():
                kept[kept] = self._budget.mask(index, numbers[kept])
                if kept.any():
                    self._budget.note(index, numbers[kept], list(columns))
            self._seen = max(self._seen, int(numbers[-1]))
            self._last[index] = int(numbers[-1])
            self._held.pop(index, None)
            if not kept[-1]:
                self._held[index] = chunk.select(slice(-1, None))
            if kept.any():
                self._background.add_chunk(chunk if kept.all() else chunk.select(kept))
            if min(self._last) == self._seen:
                self._background.complete = self._seen
            self._background.tell()

    def _review(self, step: int) -> None:
        """Let the budget look ahead before a new step, and say what it has to say in the run and to the
        user.
        """
        for said in () if self._budget is None else self._budget.review(step):
            logger.warning("%s: %s", self.path, said)
            self.event(step, BUDGET_EVENT, text=said)

    def _check_order(self, numbers: np.ndarray, index: int) -> None:
        name = self.layers[index]["name"]
        before = np.concatenate([[self._last[index]], numbers[:-1]])
        if (numbers <= before).any():
            at = int(np.argmax(numbers <= before))
            raise ValueError(
                f"step {numbers[at]} of layer {name!r} does not increase: the step before it is {before[at]}"
            )
        if numbers[0] <= self._background.complete:
            late = (
                f"step {numbers[0]} of layer {name!r} comes too late: step {self._background.complete} is"
                " complete"
            )
            raise ValueError(f"{late}; record all layers of a step before the next step")
