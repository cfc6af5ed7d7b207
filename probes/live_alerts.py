"""Alerts while a run is recorded, from what is in memory: the rules of `probes.alerts` on the newest records.

Rules look back a few hundred records at most, so that the last `KEPT` give what the whole run would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from probes.alerts import JUDGED_BY, Alert, find, limits_of, warmup_of, where
from probes.families import family_of
from probes.log.blocks import ColumnBlock
from probes.log.row_regimes import RowRegimes
from probes.log.summaries import summarise
from probes.run_reader import LayerInfo
from probes.schema import LAYER_STATISTICS, REGIME, SETTLED
from probes.settling import RECORDS, Settling

KEPT = 1024
"""Records of each layer that are kept: well above `Limits.memory` and `Limits.window` together."""
READ = ("kl", "beta", "mu2", "band_low", "band_high")
"""Statistics whose summaries the rules read, beside the regimes."""
PICKS = "window"
"""The number of a code book itself that the rules read."""
SCALARS = ["step", "split", "name", "value"]
EVENTS = ["step", "layer", "kind"]


class LiveAlerts:
    """Judges records as they come.

    Parameters
    ----------
    layers
        Of the run, in order of depth.
    config
        Of the run: it may name the warm-up and the limits of beta.
    after
        Alerts up to this step are known already.
    """

    def __init__(
        self, layers: Sequence[LayerInfo], config: Mapping[str, Any], after: int | None = None
    ) -> None:
        self._layers, self._names = list(layers), [layer["name"] for layer in layers]
        self._warmup, self._limits = warmup_of(config), limits_of(config)
        self._families = [family_of(layer) for layer in layers]
        self._regimes = [RowRegimes(layer) for layer in layers]
        self._summaries: list[pd.DataFrame] = []
        self._scalars = pd.DataFrame({name: [] for name in SCALARS})
        self._events = pd.DataFrame({name: [] for name in EVENTS})
        self._checked = -1 if after is None else after
        self._told: set[tuple[str, int]] = set()  # of the whole run

    @classmethod
    def of_folder(cls, folder: str | Path, after: int | None = None) -> Self:
        """Go on after what a run holds, by now.

        Parameters
        ----------
        folder
            The run's, flushed.
        after
            Alerts up to this step are known already.

        Raises
        ------
        RunError
            Where a file is damaged.
        """
        from probes.run import Run  # not for recordings that nobody asks

        run = Run(folder)
        self = cls(run.layers, run.config, after)
        for index in range(len(run.layers)):
            steps = run.taken(index, REGIME)[-(RECORDS - 1) :]
            if steps.size:
                rows = run.history(index, None, [REGIME, SETTLED], (int(steps[0]), int(steps[-1])))
                codes = {
                    name: rows.pivot(index="neuron", columns="step", values=name).to_numpy(np.int8)
                    for name in (REGIME, SETTLED)
                }
                stood = Settling.resumed(codes[SETTLED][:, -1], codes[REGIME])
                self._regimes[index] = RowRegimes(run.layers[index], stood)
        self._summaries = [run.layer_summary()]
        self._events = run.events()
        self._add_scalars(run.scalars()[SCALARS])
        if after is not None:
            self._told = {(alert.kind, alert.step) for alert in self._find() if alert.step <= after}
        return self

    def add(self, layer: str, steps: Sequence[int], columns: Mapping[str, np.ndarray]) -> None:
        """The next records of a layer.

        Parameters
        ----------
        layer
            Its name.
        steps
            (T,), increasing.
        columns
            Statistics, name -> (T, N); numbers of the layer itself (T,).
        """
        index = self._names.index(layer)
        rows = {
            name: np.ascontiguousarray(values.T, np.float32)
            for name, values in columns.items()
            if name not in LAYER_STATISTICS
        }
        whole = {PICKS: np.asarray(columns[PICKS], np.float32)} if PICKS in columns else {}
        block = self._regimes[index].with_codes(ColumnBlock(index, np.asarray(steps, np.int64), rows))
        kept = {name: block.columns[name] for name in (*READ, REGIME, SETTLED) if name in block.columns}
        present = {name: block.present[name] for name in kept if name in block.present}
        self._summaries.append(summarise([ColumnBlock(index, block.steps, kept, present, whole)]).to_pandas())

    def add_scalars(self, scalars: Sequence[tuple[int, str, float, str, float | None]]) -> None:
        """Numbers of the whole run: step, name, value, split, epoch each."""
        if scalars:
            steps, names, values, splits, _ = zip(*scalars, strict=True)
            self._add_scalars(pd.DataFrame(dict(zip(SCALARS, (steps, splits, names, values), strict=True))))

    def _add_scalars(self, rows: pd.DataFrame) -> None:
        """Keep what the rules read: validation, and the loss where it is no number."""
        judged = (rows["split"] == "validation") & rows["name"].isin(JUDGED_BY)
        broken = (rows["name"] == "loss") & ~np.isfinite(rows["value"].to_numpy(float))
        if len(kept := rows[judged | broken]):
            self._scalars = pd.concat([self._scalars, kept]) if len(self._scalars) else kept

    def new(self) -> list[Alert]:
        """Alerts since the last call, in order of step; `where` says the layer."""
        found = []
        for alert in self._find():
            of_run = alert.kind, alert.step
            if alert.step > self._checked if alert.layer is not None else of_run not in self._told:
                found.append(
                    replace(alert, where=where({"layer": alert.layer, "layers": alert.layers}, self._names))
                )
            if alert.layer is None:
                self._told.add(of_run)
        if self._summaries:
            (summary,) = self._summaries
            self._checked = max(self._checked, int(summary["step"].max()))
            self._summaries = [summary.groupby("layer").tail(KEPT)]
        return found

    def _find(self) -> list[Alert]:
        if len(self._summaries) > 1:
            self._summaries = [pd.concat(self._summaries, ignore_index=True)]
        summary = self._summaries[0] if self._summaries else pd.DataFrame({"step": [], "layer": []})
        return find(summary, self._scalars, self._events, self._warmup, self._limits, self._families)
