"""The table `runs`: one row a run, its settings and last scores as columns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

FIXED = pa.schema(
    [
        pa.field("run", pa.string()),
        pa.field("path", pa.string()),
        pa.field("status", pa.string()),
        pa.field("created", pa.string()),
        pa.field("seed_group", pa.string()),
        pa.field("tags", pa.string()),
        pa.field("recorded", pa.int64()),
        pa.field("last_step", pa.int64()),
        pa.field("n_layers", pa.int64()),
        pa.field("n_neurons", pa.int64()),
        pa.field("living_share", pa.float64()),
    ]
)
"""Columns that are always there: run is the name, unique; recorded counts steps; living_share is of all
neurons at the end.
"""
MOST_COLUMNS = 1000
"""So many settings and scores at most are columns: those of most runs."""


def runs_table(
    rows: Mapping[str, Mapping[str, Any]],
) -> tuple[pa.Table, dict[str, str], dict[str, str]]:
    """The table, and which column holds which setting and which score.

    rows: of `probes.catalog_rows`, by the run's name.
    """
    fixed = [_fixed(name, row) for name, row in rows.items()]
    arrays = [pa.array([one[field.name] for one in fixed], field.type) for field in FIXED]
    names = list(FIXED.names)
    found = {
        "config": [_settings(row) for row in rows.values()],
        "score": [
            {key: score.get("value") for key, score in (row.get("scores") or {}).items()}
            for row in rows.values()
        ],
    }
    columns: dict[str, dict[str, str]] = {"config": {}, "score": {}}
    for prefix, of_runs in found.items():
        for key in _most_frequent(of_runs, MOST_COLUMNS - len(names)):
            column = free_name(key.replace("/", "_") if prefix == "score" else key, prefix, names)
            names.append(column)
            arrays.append(_column([one.get(key) for one in of_runs]))
            columns[prefix][key] = column
    return pa.Table.from_arrays(arrays, names), columns["config"], columns["score"]


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a configuration, those of nested ones under dotted names."""
    for key, value in config.items():
        if isinstance(value, dict):  # as JSON has it
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _settings(row: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run; the seed from the manifest where the configuration has none."""
    found = dict(flat(row.get("config") or {}))
    return found if "seed" in found or row.get("seed") is None else found | {"seed": row["seed"]}


def _fixed(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    shares = [(share, n) for share, n in zip(row["living_share"], row["layer_neurons"], strict=False)
              if share is not None]  # fmt: skip
    neurons = sum(n for _, n in shares)
    return {
        "run": name, "path": str(row["path"]), "status": row["status"], "created": row["created"],
        "seed_group": row["group"], "tags": " ".join(map(str, row["tags"] or ())),
        "recorded": row["steps"], "last_step": row["last_step"], "n_layers": row["layers"],
        "n_neurons": row["neurons"],
        "living_share": sum(share * n for share, n in shares) / neurons if neurons else None,
    }  # fmt: skip


def _most_frequent(found: Iterable[Mapping[str, Any]], most: int) -> list[str]:
    """Keys in their own order; of too many those that most have."""
    counts = Counter(key for one in found for key in one)
    kept = {key for key, _ in counts.most_common(max(most, 0))}
    return [key for key in counts if key in kept]


def free_name(key: str, prefix: str, taken: Sequence[str]) -> str:
    """A column's name that is not taken; upper and lower case are the same to SQL."""
    known = {name.lower() for name in taken}
    tried = [key, f"{prefix}_{key}", *(f"{prefix}_{key}_{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in tried if name and name.lower() not in known)


def _column(values: Sequence[Any]) -> pa.Array:
    """Values of one kind as they are, of numbers as numbers; else the texts of all."""
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, bool) for value in there):
        return pa.array(values, pa.bool_())
    if there and all(_is_number(value) for value in there):
        whole = all(isinstance(value, int) and abs(value) < 2**63 for value in there)
        return pa.array(values, pa.int64()) if whole else pa.array(
            [None if value is None else float(np.float64(value)) for value in values], pa.float64()
        )  # fmt: skip
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < 1e300)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
