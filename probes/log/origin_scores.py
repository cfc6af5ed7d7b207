"""Scores of single origins as rows of `origin_scores/`, checked when they are handed over."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from probes.log import arguments, rows

OF = "origin_scores"
SCHEMA = rows.SCHEMAS[OF]


def origin_table(
    step: int,
    split: str,
    origin: ArrayLike,
    target: ArrayLike,
    span: int,
    scores: Mapping[str, ArrayLike],
) -> pa.Table:
    """Rows of `origin_scores/`, in order of the origins.

    Arguments as of `Recorder.origin_scores`, which says what raises ValueError.
    """
    at = arguments.array(origin, f"{OF}: origin", np.float64)
    if at.ndim != 1 or not len(at):
        raise ValueError(f"{OF}: origin {at.shape} must be (n,), of at least one origin")
    if not (np.isfinite(at).all() and (at == np.round(at)).all() and len(np.unique(at)) == len(at)):
        raise ValueError(
            f"{OF}: origin must hold integers, each once: average the series of one origin before"
        )
    if not scores:
        raise ValueError(f"{OF}: no score is given, such as crps=(n,)")
    taken = [name for name in scores if name in SCHEMA.names]
    if taken:
        raise ValueError(f"{OF}: {', '.join(taken)} is a column of the table: give the score another name")
    found = {name: arguments.array(values, f"{OF}: {name}") for name, values in scores.items()}
    found = {"target": arguments.array(target, f"{OF}: target"), **found}
    wrong = [f"{name} {values.shape}" for name, values in found.items() if values.shape != at.shape]
    if wrong:
        raise ValueError(f"{OF}: {', '.join(wrong)} must be {at.shape}, one an origin")
    order = np.argsort(at)
    keys = {
        "step": np.full(len(at), step),
        "split": [split] * len(at),
        "origin": at[order].astype(np.int64),
        "span": np.full(len(at), span, np.int32),
    }
    columns = keys | {name: values[order] for name, values in found.items()}
    further = [pa.field(name, pa.float32(), nullable=False) for name in scores]
    schema = pa.schema([*SCHEMA, *further])
    return pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
