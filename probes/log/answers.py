"""A classifier's answers as rows of `reliability/` and `answers/`, checked when they are handed over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from probes import reliability
from probes.log import arguments, rows

OF = "class_probabilities"
TOLERANCE = 1e-2
"""How far the probabilities of an example may be from 1 in sum: bfloat16 has 8 bits."""


def answer_tables(
    step: int, split: str, probability: ArrayLike, y: ArrayLike, conditional_entropy: ArrayLike | None
) -> tuple[pa.Table, pa.Table]:
    """Rows of `reliability/`, of all examples, and of `answers/`, of those that are kept one by one.

    Arguments as of `Recorder.class_probabilities`, which says what raises ValueError.
    """
    p = arguments.array(probability, f"{OF}: probability", np.float64)
    right = arguments.array(y, f"{OF}: y", np.float64)
    if p.ndim != 2 or p.shape[0] < 1 or p.shape[1] < 2 or right.shape != p.shape[:1]:
        raise ValueError(
            f"{OF}: probability {p.shape} and y {right.shape} must be (n, C) and (n,), of at least one"
            " example and two classes"
        )
    if not (np.isfinite(p).all() and (p >= 0).all() and (np.abs(p.sum(1) - 1) < TOLERANCE).all()):
        raise ValueError(
            f"{OF}: each row of probability must be a distribution: numbers from 0 that sum to 1; give the"
            " softmax, not logits"
        )
    if not ((right >= 0) & (right < p.shape[1]) & (right == np.round(right))).all():
        raise ValueError(f"{OF}: y must hold classes, integers from 0 to {p.shape[1] - 1}")
    classes = right.astype(np.int32)
    predicted = p.argmax(1).astype(np.int32)
    confidence = p.max(1)
    bins = reliability.equal_mass_bins(confidence, predicted == classes)
    at = reliability.spread_points(len(p))
    columns: dict[str, Any] = {
        "input": at,
        "y": classes[at],
        "predicted": predicted[at],
        "confidence": confidence[at],
        "likelihood": p[at, classes[at]],
        "entropy": reliability.entropy(p[at]),
    }
    if conditional_entropy is not None:
        given = arguments.array(conditional_entropy, f"{OF}: conditional_entropy")
        if given.shape != right.shape:
            raise ValueError(f"{OF}: conditional_entropy {given.shape} must be {right.shape}, one an example")
        columns["conditional_entropy"] = given[at]
    if p.shape[1] <= reliability.CLASSES_KEPT:
        columns |= {f"p_{k}": p[at, k].astype(np.float16) for k in range(p.shape[1])}
    return (
        _table("reliability", step, split, {"bin": np.arange(len(bins["count"])), **bins}),
        _table("answers", step, split, columns),
    )


def _table(name: str, step: int, split: str, columns: dict[str, Any]) -> pa.Table:
    """Columns as the table's schema has them, those that it does not have after them."""
    count = len(next(iter(columns.values())))
    given = {"step": np.full(count, step), "split": [split] * count, **columns}
    schema = rows.SCHEMAS[name]
    further = [pa.field(key, pa.array(value).type) for key, value in given.items() if key not in schema.names]
    fields = [*schema, *further]
    arrays = [pa.array(given[field.name]).cast(field.type) for field in fields]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
