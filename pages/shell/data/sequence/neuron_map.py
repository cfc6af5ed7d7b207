"""The map neurons x positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pages.shell.data import payloads
from pages.shell.data.sequence.beliefs import QUANTITIES, LayerPath
from pages.shell.data.sequence.contents import sign
from pages.shell.session.runs import RunContext
from probes.canvas import pack
from probes.figures import frames
from probes.spacing import evenly_spaced

ROWS = 256  # neurons of the map: more than its pixels


def order_of(path: LayerPath, memory: pd.DataFrame, sort: str, quantity: str) -> np.ndarray:
    """Neurons of a layer, whose rows are `memory`, from the top of the map by one of SORTS; of a code book
    those that were picked.
    """
    count = path.m.shape[1]
    if path.of_codes:
        used = np.flatnonzero(path.m.any(0))
        return used[np.argsort(-path.m.sum(0)[used], kind="stable")]
    if sort == "memory" and "half_life" in memory:
        return np.argsort(memory["half_life"].to_numpy(float), kind="stable")
    if sort == "variation":
        return np.argsort(-np.nan_to_num(path.quantity(quantity).std(0)), kind="stable")
    return np.arange(count)


SORTS = {"memory": "half-life of the prior", "variation": "variation along t", "index": "index"}
"""Value of `sort_sequence` in the URL -> how the map's rows are sorted."""


def map_payload(
    context: RunContext,
    path: LayerPath,
    layer: int,
    names: Sequence[str],
    quantity: str,
    sort: str,
    memory: pd.DataFrame,
    chosen: Sequence[int],
    t: int,
    revision: int,
) -> bytes:
    """The map neurons x positions, as the canvas of maps draws it. `revision` counts the changes of t and of
    the neuron that are not its own.
    """
    entry = QUANTITIES[quantity]
    values = path.quantity(quantity).T
    order = order_of(path, memory[memory["layer"] == layer], sort, quantity)
    shown = evenly_spaced(len(order), min(ROWS, len(order)))
    shown = np.union1d(shown, np.flatnonzero(np.isin(order, list(chosen))))
    if quantity == "picked":
        image = frames.Image((1 + np.round(254 * values[order[shown]])).astype(np.uint8), 0.0, 1.0, False)
    else:
        image = frames.quantise_as(values[order[shown]], entry.colors, log=False)
    by_index = sort == "index" and len(order) == len(values)
    row, sorted_by = ("code", "number of picks") if path.of_codes else ("neuron", SORTS[sort])
    header: dict[str, Any] = {
        "rows": len(shown),
        "columns": values.shape[1],
        "order": order[shown].tolist(),
        "edges": list(range(values.shape[1] + 1)),
        "columnTitle": "t",
        "columnNames": [sign(name) for name in names],
        "ranks": None if len(shown) == len(order) else shown.tolist(),
        "numbered": by_index,
        "colors": entry.colors,
        "low": image.low,
        "high": image.high,
        "log": False,
        "title": entry.label,
        "unit": entry.unit,
        "rowTitle": row if by_index else f"rank of the {row}",
        "layer": context.names[layer],
        "index": layer,
        "chosen": list(chosen),
        "alarms": [],
        "regimes": [],
        "absent": {"column": "not recorded", "cell": "not recorded"},
        "cursor": t,
        "revision": revision,
        "label": (
            f"{entry.label} of {len(shown)} {row}s of {context.names[layer]} at {values.shape[1]} positions,"
            f" sorted by {sorted_by}; colours from {payloads.number(image.low)} to"
            f" {payloads.number(image.high)}"
        ),
    }
    return pack(header, {"cells": image.cells})
