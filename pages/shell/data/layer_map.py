"""The map of a layer: one statistic of every neuron over steps, as an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pages.shell.data import payloads
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.canvas import pack
from probes.figures import frames
from probes.schema import (
    ALARMING,
    LIVING_REGIMES,
    REGIME,
    REGIMES,
    SETTLED,
    SEVERITY,
    STATISTICS,
    UNKNOWN,
    absent_reason,
)  # fmt: skip
from probes.spacing import evenly_spaced

COLUMNS = 1000  # of the image: about one a pixel
ROWS = 1024  # of the image: more than it has pixels; wider layers show neurons at evenly spaced ranks
CELLS = 940_000  # of the image, a byte each: it is most of what the page sends
SORTS = {"statistic": "this statistic", "kl": "KL", "regime": "regime", "index": "number"}
"""Values of `sort` in the URL -> labels; of what changes the last of the steps shown is taken."""


@dataclass(frozen=True)
class LayerMap:
    """Values (neurons, columns) and the steps at the columns' edges; `order`: the neurons that are drawn, by
    row; `ranks`: their places among all; `settled`: every neuron's regime at the last of the steps; `alarms`:
    columns with a step at which neurons were broken.
    """

    layer: int
    statistic: str
    sort: str
    values: np.ndarray
    edges: np.ndarray
    order: np.ndarray
    ranks: np.ndarray
    settled: np.ndarray
    steps_per_column: float
    alarms: list[dict[str, Any]]


def layer_map(
    context: RunContext,
    layer: int,
    statistic: str,
    sort: str,
    span: tuple[int, int],
    highlighted: Sequence[int],
) -> LayerMap:
    """The map between two recorded steps, sorted by one of SORTS; the neurons `highlighted` are among those
    drawn.
    """
    values, edges = cache.matrix(context, layer, statistic, COLUMNS, span)
    if STATISTICS[statistic].cost == "P":
        values = _held(values)
    needed = tuple(name for name in ("kl", SETTLED) if name in (*context.run.statistics, SETTLED))
    now = cache.at(context, cache.recorded_step(context.run.steps, span[1]), needed)
    now = now[now["layer"] == layer]
    settled = now[SETTLED].to_numpy(np.uint8) if len(now) else np.full(len(values), UNKNOWN, np.uint8)
    order = _order(sort, values, now)
    ranks = evenly_spaced(len(order), min(ROWS, max(CELLS // max(values.shape[1], 1), 1)))
    ranks = np.union1d(ranks, np.flatnonzero(np.isin(order, highlighted)))
    recorded = np.searchsorted(context.run.steps, [span[0], span[1] + 1])
    per_column = int(recorded[1] - recorded[0]) / max(values.shape[1], 1)
    severe, _ = cache.matrix(context, layer, REGIME, COLUMNS, span)
    return LayerMap(
        layer, statistic, sort, values, edges, order[ranks], ranks, settled, per_column, _alarms(severe)
    )


def _held(values: np.ndarray) -> np.ndarray:
    """Columns at which nothing was taken as the last before them that was."""
    taken = np.isfinite(values).any(axis=0)
    last = np.maximum.accumulate(np.where(taken, np.arange(len(taken)), -1))
    return np.where(last >= 0, values[:, last], np.nan)


def _alarms(severe: np.ndarray) -> list[dict[str, Any]]:
    """Columns of (N, C) most severe regimes that hold an alarming one, with how many neurons, in words."""
    found = []
    for column in np.flatnonzero(np.isin(severe, ALARMING).any(axis=0)).tolist():
        counts = [(code, int((severe[:, column] == code).sum())) for code in SEVERITY if code in ALARMING]
        counts = [(code, count) for code, count in counts if count]
        said = ", ".join(f"{count:,} {REGIMES[code].name}" for code, count in counts)
        text = f"neurons at some step here: {said}"
        found.append({"column": column, "text": text, "color": REGIMES[counts[0][0]].color})
    return found


def _order(sort: str, values: np.ndarray, now: pd.DataFrame) -> np.ndarray:
    """Neurons in the order that was asked for, most first; what was not recorded comes last. Regimes stand in
    the order of their codes, those that live first, and in one of them the statistic decides.
    """
    last = np.nan_to_num(values[:, -1], nan=-np.inf)
    if sort == "index" or (sort != "statistic" and now.empty) or (sort == "kl" and "kl" not in now):
        return np.arange(len(values))
    if sort == "kl":
        last = now["kl"].fillna(-np.inf).to_numpy(float)
    elif sort == "regime":
        codes = now[SETTLED].to_numpy(int)
        return np.lexsort((-last, np.where(np.isin(codes, LIVING_REGIMES), codes - len(REGIMES), codes)))
    return np.argsort(-last, kind="stable")


def absent(found: LayerMap, log: bool) -> dict[str, str]:
    """Why cells of the map are empty: those of a whole `column`, and those of a single `cell`."""
    entry = STATISTICS[found.statistic]
    taken = np.flatnonzero(np.isfinite(found.values).any(axis=0))
    if not len(taken):
        column = f"not recorded of this layer in these steps; {absent_reason(found.statistic)}"
    elif entry.cost == "P":
        column = f"taken with the probe batch, for the first time here at step {found.edges[taken[0]]:,}"
    else:
        column = "not taken at these steps"
    cell = absent_reason(found.statistic)
    return {"column": column, "cell": f"{cell}, or not positive" if log else cell}


def payload(
    found: LayerMap,
    layer: int,
    layer_name: str,
    log: bool,
    highlighted: Sequence[int],
    cursor: int,
    revision: int,
    gaussian: bool = True,
) -> bytes:
    """What the canvas draws. `revision` counts the changes of cursor and choice that are not its own;
    `gaussian` says whether the layer is.
    """
    entry = STATISTICS[found.statistic].of_family(gaussian)
    image = frames.quantise(found.values[found.order], found.statistic, True if log else None)
    by_index = found.sort == "index"
    header: dict[str, Any] = {
        "rows": len(found.order),
        "columns": found.values.shape[1],
        "order": found.order.tolist(),
        "edges": found.edges.tolist(),
        "columnTitle": "step",
        "columnNames": [],
        "ranks": None if len(found.order) == len(found.values) else found.ranks.tolist(),
        "numbered": by_index,
        "colors": entry.colors,
        "low": image.low,
        "high": image.high,
        "log": image.log,
        "title": entry.label,
        "unit": entry.unit,
        "rowTitle": "neuron" if by_index else "rank of the neuron",
        "layer": layer_name,
        "index": layer,
        "chosen": list(highlighted),
        "alarms": found.alarms,
        "regimes": [{"name": regime.name, "color": regime.color} for regime in REGIMES],
        "absent": absent(found, image.log),
        "cursor": cursor,
        "revision": revision,
        "label": (
            f"{entry.title} of {len(found.order)} neurons of {layer_name} over steps {found.edges[0]:,} to"
            f" {found.edges[-1] - 1:,}, sorted by {SORTS[found.sort]}; colours from"
            f" {payloads.number(image.low)} to {payloads.number(image.high)}"
        ),
    }
    return pack(header, {"cells": image.cells, "settled": found.settled[found.order]})


def summary_at(context: RunContext, step: int) -> pd.DataFrame:
    """Quantiles and regime counts of each layer at a recorded step."""
    rows = cache.summary(context)
    return rows[rows["step"] == step]


def table(found: LayerMap) -> pd.DataFrame:
    """The map to take away: one row a neuron, one column a step (the first of those that a column stands
    for).
    """
    return (
        pd.DataFrame(found.values, columns=[f"step {edge}" for edge in found.edges[:-1]])
        .rename_axis("neuron")
        .reset_index()
    )


def value_at(context: RunContext, layer: int, neuron: int, statistic: str, step: int) -> float | None:
    """The number of one neuron at a recorded step; None if its layer was not recorded there."""
    now = cache.at(context, step, (statistic,))
    row = now[(now["layer"] == layer) & (now["neuron"] == neuron)]
    return float(row[statistic].iloc[0]) if len(row) else None
