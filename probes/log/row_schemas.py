"""Which tables a run has, which columns they always have, and whether a file's columns and keys are these."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from probes.errors import REMEDY, RunError
from probes.log.blocks import CODES, KEY_FIELDS, is_grid, pyramid_name
from probes.log.limits import LARGEST, MAX_CLASSES
from probes.schema import FORCES, PYRAMID, REGIME, SEQUENCE, SETTLED

STEP, LAYER, NEURON = KEY_FIELDS


def _column(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SCHEMAS: dict[str, pa.Schema] = {
    "scalars": pa.schema(
        [
            STEP,
            pa.field("epoch", pa.float64()),
            _column("time", pa.float64()),
            _column("split", pa.string()),
            _column("name", pa.string()),
            _column("value", pa.float64()),
        ]
    ),
    "events": pa.schema(
        [
            STEP,
            LAYER.with_nullable(True),
            _column("kind", pa.string()),
            NEURON.with_nullable(True),
            pa.field("value", pa.float64()),
            _column("text", pa.string()),
        ]
    ),
    "probe": pa.schema(
        [
            *KEY_FIELDS,
            _column("input", pa.int32()),
            *(_column(name, pa.float32()) for name in ("mu", "sigma")),
        ]
    ),
    "parameters": pa.schema(
        [
            *KEY_FIELDS,
            _column("input", pa.int32()),
            _column("name", pa.string()),
            _column("index", pa.int32()),
            _column("value", pa.float32()),
        ]
    ),
    "classes": pa.schema([*KEY_FIELDS, _column("class", pa.int32()), _column("usage", pa.float32())]),
    "inputs": pa.schema(
        [STEP, _column("input", pa.int32()), _column("kind", pa.string()), _column("content", pa.string())]
    ),
    "forces": pa.schema(
        [*KEY_FIELDS, _column("term", pa.string()), *(_column(name, pa.float32()) for name in FORCES)]
    ),
    "sequence": pa.schema(
        [*KEY_FIELDS, _column("t", pa.int32()), *(_column(name, pa.float32()) for name in SEQUENCE)]
    ),
    "sequence_parameters": pa.schema(
        [
            *KEY_FIELDS,
            _column("t", pa.int32()),
            _column("name", pa.string()),
            _column("index", pa.int32()),
            _column("value", pa.float32()),
        ]
    ),
    "evaluation": pa.schema([STEP, _column("split", pa.string()), LAYER, NEURON]),
    "predictions": pa.schema([STEP]),
    "reliability": pa.schema(
        [
            STEP,
            _column("split", pa.string()),
            _column("bin", pa.int16()),
            *(_column(name, pa.float64()) for name in ("low", "high", "confidence")),
            *(_column(name, pa.int64()) for name in ("count", "right")),
        ]
    ),
    "answers": pa.schema(
        [
            STEP,
            _column("split", pa.string()),
            *(_column(name, pa.int32()) for name in ("input", "y", "predicted")),
            *(_column(name, pa.float32()) for name in ("confidence", "likelihood", "entropy")),
        ]
    ),
    "origin_scores": pa.schema(
        [
            STEP,
            _column("split", pa.string()),
            _column("origin", pa.int64()),
            _column("span", pa.int32()),
            _column("target", pa.float32()),
        ]
    ),
}
"""Columns that are always there; evaluation has the statistics beside them, predictions what the task has,
answers the probability of each class, origin_scores the scores.
"""
OF_FAMILIES = ("parameters", "classes", "sequence_parameters")
"""Tables that only runs with layers of other families than the Gaussian have."""
ROUNDED = ("probe", "parameters", "classes", "forces", "sequence", "sequence_parameters")
"""Tables of many numbers that `precision="10bit"` rounds, as it rounds statistics. Targets and scores stay as
they are.
"""
LAYER_COLUMNS = pa.schema([STEP, LAYER, *(_column(f"regime_{code}", pa.int32()) for code in range(10))])
"""Columns of `layers/` that are always there; summaries, and since format 1.2 settled counts and those of
the regime unknown, stand beside them.
"""
COUNT = re.compile(f"({REGIME}|{SETTLED})_[0-9]+")
"""Names of the counts of neurons in `layers/`."""
TABLES = ("neurons", *map(pyramid_name, PYRAMID), "layers", *SCHEMAS)
"""Every folder of a run's rows."""
LAYER_KEYS = pa.schema([STEP, LAYER])
"""What an empty `layers/` is read as."""


def check_columns(schema: pa.Schema, name: str, path: str) -> None:
    """Raises RunError where a file of the folder `name` lacks a column that is always there, or has one of
    another type.
    """
    for field in _schema(name):
        if field.name not in schema.names:
            raise RunError(
                f"{path} lacks the column `{field.name}`: this is not a file of `{name}/`; remove it"
            )
        if schema.field(field.name).type != field.type:
            text = f"column `{field.name}` is {schema.field(field.name).type}, not {field.type}"
            raise RunError(f"{path}: {text}: this is not a file of `{name}/`; remove it")
    for field in schema:
        numbers = {"layers": pa.types.is_floating, "evaluation": pa.types.is_floating}.get(name, is_plain)
        if name == "layers" and COUNT.fullmatch(field.name):
            numbers = pa.types.is_integer
        if field.name not in _schema(name).names and not numbers(field.type):
            raise RunError(
                f"{path}: column `{field.name}` is {field.type}, which `{name}/` does not hold; remove it"
            )


def is_plain(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_string(kind)
    )


def _schema(name: str) -> pa.Schema:
    return SCHEMAS.get(name, LAYER_COLUMNS)


def known_table(name: str) -> str:
    """The name of a table. Raises KeyError for one that no run has."""
    if name not in TABLES:
        raise KeyError(f"a run has no table {name!r}; its tables are {', '.join(TABLES)}")
    return name


def lasting_columns(name: str) -> pa.Schema:
    """The columns that are there in every file of a table (`settled` since format 1.2)."""
    if is_grid(name):
        return pa.schema([*KEY_FIELDS, *(_column(code, pa.int8()) for code in CODES)])
    return _schema(name)


def check_keys(table: pa.Table, name: str, path: str, widths: Sequence[int]) -> None:
    """Raises RunError where a key is null, or is no step, layer or neuron of the run. widths: neurons of each
    layer.
    """
    for field in _schema(name):
        if field.name in table.column_names and not field.nullable and table[field.name].null_count:
            raise RunError(f"{path}: column `{field.name}` has gaps, which it must not have; {REMEDY}")
    if not table.num_rows:
        return
    limits = {
        "step": (-LARGEST, LARGEST), "layer": (0, len(widths) - 1), "input": (0, LARGEST), "t": (0, LARGEST),
        "index": (0, MAX_CLASSES - 1), "class": (0, MAX_CLASSES - 1),
    }  # fmt: skip
    for key, (least, most) in limits.items():
        if key in table.column_names and pa.types.is_integer(table.schema.field(key).type):
            low, high = pc.min_max(table[key]).as_py().values()
            if low is not None and not least <= low <= high <= most:
                wrong = low if low < least else high
                raise RunError(f"{path} names {key} {wrong}, which the run does not have; {REMEDY}")
    if {"layer", "neuron"} <= set(table.column_names):
        there = table.select(["layer", "neuron"]).drop_null()
        neurons = there["neuron"].to_numpy()
        if ((neurons < 0) | (neurons >= np.asarray(widths)[there["layer"].to_numpy()])).any():
            raise RunError(f"{path} names a neuron that its layer does not have; {REMEDY}")
