"""Training, validation and test: their names, and where one ends and the next begins."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from vdn.records import DataError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def split_ends(rows: int, split: str, counts: str = "") -> tuple[int, int, int]:
    """Ends of the training, validation and test rows, from shares ("0.7,0.1,0.2") or from counts
    ("8640,2880,2880").

    Raises DataError when they are not three positive numbers or exceed the rows.
    """
    text = counts or split
    try:
        parts = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise DataError(f"a split is three numbers with commas between, this is {text!r}") from error
    if len(parts) != 3 or not all(0 < part < math.inf for part in parts):
        raise DataError(f"a split is three positive numbers, this is {text!r}")
    if counts:
        ends = np.cumsum([int(part) for part in parts])
        if ends[-1] > rows:
            raise DataError(f"split of {counts} rows asks for {ends[-1]}, the data has {rows}")
        return int(ends[0]), int(ends[1]), int(ends[2])
    if sum(parts) > 1 + 1e-9:
        raise DataError(f"the shares of a split sum to at most 1, these are {text}")
    first = int(rows * parts[0])
    second = first + int(rows * parts[1])
    whole = sum(parts) > 1 - 1e-9  # then no row is lost to rounding
    return first, second, rows if whole else second + int(rows * parts[2])
