"""Which steps are recorded: every step, every N-th, or a geometric start that thins out to every N-th."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Schedule:
    """Keep every `every`-th step; with `geometric` r > 1 also steps at powers of r while those are closer
    together.

    `Schedule(100, geometric=1.05)` keeps each of the first 20 steps, then ever fewer, and from about step
    2,000 on every 100th. Raises ValueError for `every` below 1 or `geometric` of 1 or less.
    """

    every: int = 1
    geometric: float | None = None

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every is {self.every}; it must be at least 1")
        if self.geometric is not None and self.geometric <= 1:
            raise ValueError(f"geometric is {self.geometric}; it must be greater than 1")

    def due(self, step: int) -> bool:
        """Whether a step is kept."""
        if step % self.every == 0:
            return True
        if self.geometric is None or step * (self.geometric - 1) >= self.every:
            return False
        # Whether the last power up to this step lies beyond the one before; the logarithm of a power may fall
        # short of a whole number.
        return step <= 1 or self.geometric ** math.floor(math.log(step, self.geometric) + 1e-9) > step - 1

    def mask(self, steps: np.ndarray) -> np.ndarray:
        """`due` of each of several steps, (T,) bool."""
        if self.every == 1:
            return np.ones(steps.size, bool)
        return np.array([self.due(int(step)) for step in steps])
