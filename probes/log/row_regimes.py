"""Regimes of rows as they come: what each row's own numbers say, and what the last rows agree on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probes import regimes
from probes.families import family_of
from probes.log.blocks import ColumnBlock, presence
from probes.schema import FEWEST_ROWS, REGIME, SETTLED
from probes.settling import UNKNOWN, Settling


class RowRegimes:
    """The regimes of one layer, block after block.

    layer: its item of the manifest. settling: how its neurons stood after the last row before. rounding: as
    of `regimes.codes`.
    """

    def __init__(
        self,
        layer: Mapping[str, Any],
        settling: Settling | None = None,
        rounding: float = regimes.ROUNDING,
    ) -> None:
        self._rounding = rounding
        self._latent_dim, self._family = layer["latent_dim"], family_of(layer)
        # a code has no prior to be at: one that was never picked is dead
        leaves = not layer.get("trained") and "usage" not in self._family.required
        self._settling = settling or Settling(layer["neurons"], trained=not leaves)

    def with_codes(self, block: ColumnBlock) -> ColumnBlock:
        """The next rows with their codes; what is NaN for want of inputs is absent there."""
        columns, present = block.columns, dict(block.present)
        unknown = np.zeros((block.neurons, block.steps.size), bool)
        if "rows" in columns:
            few = columns["rows"] < FEWEST_ROWS
            unknown = few & (presence(block, "rows"))
            present |= _undefined(block, unknown.all(axis=0))
        taken = {name: np.broadcast_to(mask, columns[name].shape) for name, mask in present.items()}
        codes = regimes.codes(
            columns, taken, latent_dim=self._latent_dim, family=self._family, rounding=self._rounding
        )
        settled = self._settling.update(np.where(unknown, np.int8(UNKNOWN), codes))
        columns = columns | {REGIME: codes, SETTLED: settled}
        return ColumnBlock(block.layer, block.steps, columns, present, block.whole)


def _undefined(block: ColumnBlock, few: np.ndarray) -> dict[str, np.ndarray]:
    """Presence of the columns that are NaN for every neuron at steps of too `few` inputs: null there."""
    found = {}
    for name, values in block.columns.items() if few.any() else ():
        absent = few & np.isnan(values).all(axis=0)
        if absent.any():
            found[name] = presence(block, name) & ~absent
    return found
