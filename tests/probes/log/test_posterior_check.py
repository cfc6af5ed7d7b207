"""Posteriors against the families of their layers, batch after batch; whole runs are in test_check.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from probes.log.posterior_check import PosteriorCheck
from probes.log.posterior_rows import class_table, parameter_table

LAYERS: list[dict[str, Any]] = [
    {"name": "words", "neurons": 2, "family": "categorical", "classes": 3},
    {"name": "shares", "neurons": 2, "family": "beta"},
]
THIRDS = np.full((4, 2, 3), 1 / 3, np.float32)


def usage(value: float, place: int = 0) -> pa.Table:
    """Rows of `classes/`, of which one has another value."""
    table = class_table(5, 0, LAYERS[0], np.full((2, 3), 1 / 3))
    values = table["usage"].to_numpy().copy()
    values[place] = value
    return table.set_column(table.column_names.index("usage"), "usage", pa.array(values))


def faults(table: str, *batches: pa.Table, tolerance: float = 0.0) -> list[str]:
    found = PosteriorCheck(table, LAYERS, tolerance)
    for batch in batches:
        found.add(batch)
    return found.faults()


def test_shares_of_one_input_may_come_in_two_batches() -> None:
    table = parameter_table(5, 0, LAYERS[0], {"probability": THIRDS})
    assert faults("parameters", table) == []
    assert faults("parameters", table.slice(0, 4), table.slice(4)) == []
    [fault] = faults("parameters", table.slice(0, 4))
    assert "probability of" in fault
    assert "'neuron': 0, 'input': 1} sums to 0.333333, not 1 (1 such)" in fault


def test_a_sum_is_held_to_the_tolerance_of_the_numbers() -> None:
    assert "sums to 1.05" in faults("classes", usage(1 / 3 + 0.05))[0]
    assert faults("classes", usage(1 / 3 + 0.05), tolerance=0.06) == []
    assert "holds a negative usage of layer 'words'" in faults("classes", usage(-0.5), tolerance=2)


def test_names_are_those_of_the_family() -> None:
    table = parameter_table(5, 0, LAYERS[0], {"probability": THIRDS})
    of_the_other = table.set_column(1, "layer", pa.array(np.ones(table.num_rows, np.int16)))
    assert faults("parameters", of_the_other)[0] == "holds probability of layer 'shares', which is Beta"


def test_tables_of_nothing_of_the_kind_have_no_faults() -> None:
    assert faults("scalars", pa.table({"step": [1], "value": [2.0]})) == []
    assert faults("classes") == []
