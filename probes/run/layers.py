"""What a run says of whole layers: their recorded steps, stored statistics and summaries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from probes.errors import RunError
from probes.log.blocks import CODES, column_rank
from probes.log.rows import join
from probes.log.summaries import COUNTS, summarise
from probes.run.opened import OpenedRun, frozen, reading
from probes.schema import SETTLED, STATISTICS, derivable, with_inputs


class LayersReader(OpenedRun):
    """Reads which steps and statistics the layers of a run have, and their summaries."""

    _recorded: tuple[np.ndarray, np.ndarray] | None
    _steps: np.ndarray | None

    def _list(self) -> None:
        super()._list()
        self._recorded, self._steps = None, None

    @property
    @reading
    def statistics(self) -> list[str]:
        """Names of the stored statistics, in the registry's order."""
        known = set(self.manifest.get("statistics") or [])
        if (
            self.manifest.get("status") == "running" and self._levels.raw.segments
        ):  # a killed writer may not have come to its manifest
            known |= set(self._levels.raw.file(self._levels.raw.segments[-1]).columns) - set(CODES)
        return sorted(known, key=column_rank)

    @property
    def available(self) -> list[str]:
        """Names of the registry that can be asked for: stored statistics, then what derives from them."""
        stored = [name for name in self.statistics if name in STATISTICS]
        return [*stored, *derivable(stored)]

    @property
    @reading
    def steps(self) -> NDArray[np.int64]:
        """(T,) int64: every step at which some layer is recorded."""
        # pages ask dozens of times; sorting 10,000 steps anew costs each time a millisecond
        if self._steps is None:
            recorded = self._recorded_steps()[0]
            self._steps = frozen(
                recorded[np.append(True, recorded[1:] != recorded[:-1])] if recorded.size else recorded
            )
        return self._steps

    @reading
    def taken(self, layer: int | str, statistic: str) -> NDArray[np.int64]:
        """Steps at which a statistic was taken: NaN at another step means that it was not.

        Parameters
        ----------
        layer
            Name or index.
        statistic
            Name, "regime" or "settled".

        Returns
        -------
        numpy.ndarray
            (T,) int64, increasing, read-only.

        Raises
        ------
        RunError
            For an unknown layer or statistic.
        """
        _, stored = self._statistics([statistic])
        index = self.layer_index(layer)
        instead = STATISTICS[statistic].instead if statistic in STATISTICS else None
        told_by = [name for name in (stored[0], *(instead or ())[:1]) if name in stored]
        return frozen(np.unique(np.concatenate([self._taken(index, name) for name in told_by])))

    @reading
    def layer_summary(self) -> pd.DataFrame:
        """How each statistic is distributed over a layer's neurons, at every step.

        Returns
        -------
        pandas.DataFrame
            Rows (step, layer): KIND_mean, KIND_p05, _p25, _p50, _p75, _p95 of every statistic, over its
            finite values; counts of the rows' own regimes regime_0 .. regime_9 and of what the last records
            agree on, settled_0 .. settled_10. Rows before format 1.2 have not settled: their regimes count.
            layer_NAME, numbers of the layer itself (`schema.LAYER_STATISTICS`), where any layer has them.
        """
        summary = self._summary().to_pandas(use_threads=False)  # threads cost more than they save on some MB
        for code in COUNTS[SETTLED]:
            own = summary.get(f"regime_{code}", 0)
            name = f"settled_{code}"
            summary[name] = (
                summary[name].fillna(own) if name in summary else own + 0 * summary["layer"]
            ).fillna(0)
        return summary

    def _recorded_steps(self) -> tuple[np.ndarray, np.ndarray]:
        """(steps, layers) of every recorded (step, layer), sorted by step within each layer."""
        if self._recorded is None:
            table = self._tables["layers"].read(["step", "layer"])
            steps, layers = [table["step"].to_numpy()], [table["layer"].to_numpy()]
            for first, last in self._levels.uncovered(self._tables["layers"].segments):
                for index in range(len(self.layers)):
                    found = self._levels.raw.steps(index, first, last)
                    steps.append(found)
                    layers.append(np.full(found.size, index, np.int16))
            all_steps, all_layers = (
                arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for arrays in (steps, layers)
            )
            if all_steps.size and int(all_steps[-1]) > self._levels.raw.until:
                known = all_steps <= self._levels.raw.until
                all_steps, all_layers = all_steps[known], all_layers[known]
            if not (all_steps[1:] >= all_steps[:-1]).all():
                order = np.argsort(all_steps, kind="stable")
                all_steps, all_layers = all_steps[order], all_layers[order]
            self._recorded = all_steps, all_layers
        return self._recorded

    def _layer_steps(self, layer: int) -> np.ndarray:
        steps, layers = self._recorded_steps()
        return steps[layers == layer]

    def _taken(self, layer: int, name: str) -> np.ndarray:
        """Steps at which a statistic of a layer is there (regimes always are)."""
        if name in CODES:
            return self._layer_steps(layer)
        summary = self._summary()
        mine = summary.filter(pc.equal(summary["layer"], layer))
        return mine["step"].to_numpy()[mine[f"{name}_mean"].is_valid().to_numpy()]

    def _summary(self) -> pa.Table:
        tables = [self._until_now(self._tables["layers"].read())]
        for first, last in self._levels.uncovered(self._tables["layers"].segments):
            names, _ = self._statistics(None)
            blocks = [
                self._levels.raw.read(i, self._neurons(i, None), names, first, last)
                for i in range(len(self.layers))
            ]
            blocks = [block for block in blocks if block.steps.size]
            if blocks:
                tables.append(summarise(blocks))
        if len(tables) == 1:
            return tables[0]
        return join([table for table in tables if table.num_columns]).sort_by(
            [("step", "ascending"), ("layer", "ascending")]
        )

    def _until_now(self, rows: pa.Table) -> pa.Table:
        """Rows without those that came after a snapshot."""
        if not len(rows) or pc.max(rows["step"]).as_py() <= self._levels.raw.until:
            return rows
        return rows.filter(pc.less_equal(rows["step"], self._levels.raw.until))

    def _statistics(self, statistics: Sequence[str] | None) -> tuple[list[str], list[str]]:
        """Columns that are asked for, and the stored ones that they are made of."""
        stored = [*CODES, *self.statistics]
        if statistics is None:
            return stored, stored
        asked = list(dict.fromkeys(statistics))
        known = [*stored, *derivable(stored)]
        unknown = [name for name in asked if name not in known]
        if unknown:
            raise RunError(f"{self.path} does not hold {unknown}; it has {known}")
        return asked, with_inputs(asked, stored)
