"""How much of a value is carried from one position of the data to the next: slopes over pairs, on the device.

A pair is a value at position t and its predecessor at t − stride of the same series. The slope of the one on
the other is taken within series (each series' own means removed), otherwise the level of a series would look
like memory.

The interval is that of the slope, with errors that hold whatever the noise of each pair (White 1980): the
slope's variance is the sum of its squared scores, x e for predecessor x and residual e. Pairs of a training
batch are scores of their own; those of a whole split overlap, and their scores are summed by blocks of time
(Liang & Zeger 1986).
"""

from __future__ import annotations

from probes.persistence.block_pairs import BlockPairs
from probes.persistence.pairs import Pairs
from probes.persistence.slope_intervals import LEAST_EFFECTIVE, ROUNDING, slopes
from probes.persistence.sums import BASE_ROWS, base_of, row_sum

__all__ = [
    "BASE_ROWS",
    "LEAST_EFFECTIVE",
    "ROUNDING",
    "BlockPairs",
    "Pairs",
    "base_of",
    "row_sum",
    "slopes",
]
