"""Layer summaries: how each statistic is distributed over a layer's neurons at each step, and the regime
counts.

Computed once when a segment is written, so that no page reads every neuron to draw a band.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from probes.log.blocks import CODES, ColumnBlock, column_rank, presence
from probes.schema import RAW_REGIMES, REGIME, REGIMES, SETTLED, UNKNOWN, layer_column

QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.50, "p75": 0.75, "p95": 0.95}
KINDS = ("mean", *QUANTILES)
COUNTS = {REGIME: RAW_REGIMES, SETTLED: tuple(regime.code for regime in REGIMES)}
"""Column of codes -> those that are counted, as COLUMN_CODE."""


def summary_over_neurons(values: np.ndarray) -> dict[str, np.ndarray]:
    """(N, T) -> mean and quantiles (linear interpolation) over the neurons, each (T,) float32.

    Over the finite values alone: one broken neuron must not blank the layer (`regime_1` counts it). NaN
    where no value is finite.
    """
    ordered = np.ascontiguousarray(values.T, dtype=np.float32)
    finite = np.isfinite(ordered)
    if finite.all():
        count = np.full(ordered.shape[0], ordered.shape[1])
        total = ordered.sum(axis=1, dtype=np.float64)
    else:
        count = finite.sum(axis=1)
        total = np.where(finite, ordered, 0).sum(axis=1, dtype=np.float64)
        ordered = np.where(finite, ordered, np.float32(np.inf))
    ordered = np.sort(ordered, axis=1)
    rows = np.arange(ordered.shape[0])
    some = count > 0
    with np.errstate(over="ignore", invalid="ignore"):
        result = {"mean": (total / count).astype(np.float32)}
        for kind, quantile in QUANTILES.items():
            position = quantile * np.maximum(count - 1, 0)
            low = position.astype(np.int64)
            high = np.minimum(low + 1, np.maximum(count - 1, 0))
            below, above = ordered[rows, low].astype(np.float64), ordered[rows, high].astype(np.float64)
            between = below + (position - low) * (above - below)
            result[kind] = np.where(some, between, np.nan).astype(np.float32)
    return result


def summarise(blocks: list[ColumnBlock]) -> pa.Table:
    """Rows (step, layer), sorted: KIND_mean, KIND_p05 .. KIND_p95 of every statistic, counts regime_0 ..
    regime_9, settled_0 .. settled_10; of the regime unknown only where there are some. layer_NAME of
    numbers of the layer itself, where there are any.
    """
    steps = np.concatenate([block.steps for block in blocks])
    layers = np.concatenate([np.full(block.steps.size, block.layer, np.int16) for block in blocks])
    order = np.lexsort((layers, steps))
    arrays = {"step": pa.array(steps[order]), "layer": pa.array(layers[order])}
    for name in sorted({n for block in blocks for n in block.columns} - set(CODES), key=column_rank):
        summaries = [
            summary_over_neurons(block.columns[name]) if name in block.columns else None for block in blocks
        ]
        absent = ~np.concatenate([presence(block, name) for block in blocks])[order]
        for kind in KINDS:
            values = np.concatenate(
                [
                    summary[kind] if summary else np.zeros(block.steps.size, np.float32)
                    for summary, block in zip(summaries, blocks, strict=True)
                ]
            )[order]
            arrays[f"{name}_{kind}"] = pa.array(values, mask=absent if absent.any() else None)
    for name in sorted({name for block in blocks for name in block.whole}):
        values = np.concatenate(
            [block.whole.get(name, np.full(block.steps.size, np.nan, np.float32)) for block in blocks]
        )[order]
        arrays[layer_column(name)] = pa.array(values, mask=np.isnan(values))
    for column, codes in COUNTS.items():
        if all(column in block.columns for block in blocks):
            for code in codes:
                counts = np.concatenate([(block.columns[column] == code).sum(axis=0) for block in blocks])
                if code == UNKNOWN and not counts.any():  # runs from before there was such a regime have none
                    continue
                arrays[f"{column}_{code}"] = pa.array(counts[order].astype(np.int32))
    # What is never null is read a third faster when the schema says so.
    fields = [pa.field(name, array.type, nullable=array.null_count > 0) for name, array in arrays.items()]
    return pa.table(arrays, schema=pa.schema(fields))
