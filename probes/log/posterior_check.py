"""Posteriors and usage of classes that a run holds, against the families of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from probes.families import family_of
from probes.families.gaussian import Gaussian
from probes.families.others import OF_CLASSES
from probes.log.posterior_rows import SHARES, SUM_TOLERANCE

PARAMETERS = ("parameters", "sequence_parameters")
"""Tables of posteriors by the names of their families."""


class PosteriorCheck:
    """Rows of `parameters/`, `sequence_parameters/` or `classes/` against the families of their layers, batch
    after batch.

    table: the table's name; any other has no faults. layers: of the manifest. tolerance: relative error of
    the numbers, beside that of shares.
    """

    def __init__(self, table: str, layers: Sequence[Mapping[str, Any]], tolerance: float = 0.0) -> None:
        self._table, self._layers, self._tolerance = table, layers, tolerance + SUM_TOLERANCE
        self._faults: dict[str, None] = {}
        self._sums: list[pd.DataFrame] = []

    def add(self, rows: pa.Table) -> None:
        """Look at some rows; their keys are sound."""
        if self._table not in (*PARAMETERS, "classes"):
            return
        place = "index" if self._table in PARAMETERS else "class"
        value = "value" if self._table in PARAMETERS else "usage"
        frame = rows.to_pandas().rename(columns={place: "place", value: "value"})
        for key, part in frame.groupby("layer"):
            layer = self._layers[int(str(key))]
            family, name = family_of(layer), layer["name"]
            if self._table in PARAMETERS:
                self._look_at_names(part, layer)
                shares = part[part["name"].isin(SHARES) & (family.name != "bernoulli")]
            else:
                if family.name not in OF_CLASSES:
                    self._say(f"layer {name!r} is {family.label}, which has no classes")
                shares = part
            if family.name in OF_CLASSES and (most := int(part["place"].max())) >= layer.get(
                "classes", most + 1
            ):
                self._say(f"names {place} {most} of layer {name!r}, which has {layer['classes']}")
            if (shares["value"] < 0).any():
                self._say(f"holds a negative {_shares(self._table)} of layer {name!r}")
            keys = [key for key in ("step", "layer", "neuron", "input", "t") if key in shares]
            self._sums.append(shares.groupby(keys)["value"].sum(min_count=1).reset_index())

    def faults(self) -> list[str]:
        """What is wrong with the rows added, in words."""
        if self._sums:
            joined = pd.concat(self._sums)
            keys = [key for key in joined.columns if key != "value"]
            sums = joined.groupby(keys)["value"].sum(min_count=1)
            wrong = sums[(sums - 1).abs() > self._tolerance]
            if len(wrong):
                row = dict(zip(keys, map(int, np.atleast_1d(wrong.index[0])), strict=True))
                what = _shares(self._table)
                self._say(f"{what} of {row} sums to {wrong.iloc[0]:.6g}, not 1 ({len(wrong)} such)")
        return list(self._faults)

    def _look_at_names(self, part: pd.DataFrame, layer: Mapping[str, Any]) -> None:
        family = family_of(layer)
        known = () if isinstance(family, Gaussian) else family.parameters
        if other := sorted(set(part["name"]) - set(known)):
            self._say(f"holds {', '.join(other)} of layer {layer['name']!r}, which is {family.label}")

    def _say(self, fault: str) -> None:
        self._faults[fault] = None


def _shares(table: str) -> str:
    """What shares of classes are called in a table."""
    return "probability" if table in PARAMETERS else "usage"
