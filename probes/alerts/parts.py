"""What one layer does in an alert, and what is counted of a layer's records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.schema import LIVING_REGIMES, REGIME, REGIMES, SETTLED, UNKNOWN

ROUNDING = 1e-9  # shares are quotients of counts: 1 - 0.8 is a little less than 0.2
LIVING = list(LIVING_REGIMES)
MAY_LIVE = [*LIVING, UNKNOWN]
"""An unknown neuron is evidence of nothing: it neither lives nor has left living."""


@dataclass(frozen=True)
class Part:
    """What one layer does in an alert. count: neurons concerned.

    before, after: first and last of the recorded steps that are compared to name the neurons; none where a
    rule concerns the whole layer. side: what kind of event beside its name, such as up or down.
    """

    step: int
    layer: int | None
    kind: str
    count: int
    text: str
    advice: str
    side: str = ""
    before: tuple[int, int] | None = None
    after: tuple[int, int] | None = None


def settled_counts(layer: pd.DataFrame) -> NDArray[np.int64]:
    """Counts of settled regimes (T, 11), of those of the step where a record has no settled ones."""

    settled = counts_of(layer, SETTLED)
    return np.where(settled.sum(1, keepdims=True) > 0, settled, counts_of(layer, REGIME))


def counts_of(layer: pd.DataFrame, prefix: str) -> NDArray[np.int64]:
    none = pd.Series(0, index=layer.index)
    columns = [layer.get(f"{prefix}_{code}", none).fillna(0) for code in range(len(REGIMES))]
    return np.column_stack(columns).astype(np.int64)


def layer_width(layer: pd.DataFrame, at: int) -> int:
    """Neurons that a record counts."""
    return int(settled_counts(layer.iloc[[at]]).sum())


def run_lengths(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How long the unbroken run of True is that ends at each place; 0 where there is none."""
    before = np.maximum.accumulate(np.where(flags, -1, np.arange(len(flags))))
    return np.where(flags, np.arange(len(flags)) - before, 0)
