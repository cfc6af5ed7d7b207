"""Statistics of the stored probe batch, ready for tables and figures: of every neuron, at the step before the
cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from pages.shell.data import neuron_series
from pages.shell.session import cache, pins
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from probes.analysis import probe_statistics
from probes.schema import PROBED, STATISTICS
from probes.spacing import evenly_spaced

SAMPLED = 1024  # neurons of a layer: their mutual information takes 0.3 ms each
RECORDED = ("share_from_input",)
"""Columns of `neurons/` that training takes at the steps of the probe batch alone."""


def offered(context: RunContext) -> list[str]:
    """Statistics that can be asked for beside those of every step; empty where no probe batch is stored."""
    return list(PROBED) if len(cache.probe_steps(context)) else []


def at(context: RunContext, step: int) -> tuple[int, pd.DataFrame] | None:
    """The stored step at or before the cursor (else the first) and every neuron's statistics there: layer,
    neuron, RECORDED, and what `probe_statistics.of_layer` gives. None where no probe batch is stored.
    """
    stored = neuron_series.probe_step(context, step)
    if stored is None:
        return None
    rows = cache.probe_rows(context, stored)
    parts = [_of_layer(context, stored, layer, rows) for layer in range(len(context.layers))]
    table = pd.concat([part.assign(layer=layer) for layer, part in enumerate(parts)], ignore_index=True)
    return stored, _with_recorded(context, stored, table)


def sampled(context: RunContext, step: int) -> tuple[int, pd.DataFrame] | None:
    """`at` of up to `SAMPLED` neurons of each layer, evenly spaced: as many as tell how they are
    distributed.
    """
    stored = neuron_series.probe_step(context, step)
    if stored is None:
        return None
    rows = cache.probe_rows(context, stored)
    parts = [
        _of_layer(context, stored, layer, rows, SAMPLED).assign(layer=layer)
        for layer in range(len(context.layers))
    ]
    return stored, _with_recorded(context, stored, pd.concat(parts, ignore_index=True))


@cache.of_run(keep=cache.SLICES_KEPT, show_spinner="Reading the probe batch …")
def _of_layer(context: RunContext, step: int, layer: int, rows: int, most: int | None = None) -> pd.DataFrame:
    """`rows`: how many had come of a step that may still grow. most: neurons, all without it."""
    earlier = cache.probe_steps(context)
    earlier = earlier[earlier < step]
    before = int(earlier[-1]) if len(earlier) else None
    neurons = context.layers[layer]["neurons"]
    chosen = evenly_spaced(neurons, most or neurons)
    if len(chosen) == neurons:
        read, sequence = cache.probe_layer, cache.probe_sequence(context, step, layer)
    else:
        read = partial(cache.probe_neurons, neurons=chosen)
        sequence = cache.probe_sequence_of(context, step, layer, chosen)
    now = read(context, step, layer)
    of_some = probe_statistics.of_layer(
        now, None if before is None else read(context, before, layer), sequence
    )
    return of_some.assign(neuron=chosen[of_some["neuron"]])


def _with_recorded(context: RunContext, step: int, table: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in RECORDED if name in context.run.statistics]
    if not names or step not in context.run.steps:
        return table
    recorded = cache.at(context, step, tuple(names))[["layer", "neuron", *names]]
    return table.merge(recorded, on=["layer", "neuron"], how="left")


def beside(context: RunContext, rows: pd.DataFrame, step: int, names: Sequence[str]) -> pd.DataFrame:
    """Rows of neurons with those of `names` that the probe batch has, of its step."""
    wanted = [name for name in names if name in (*offered(context), *RECORDED)]
    if not wanted:
        return rows
    if set(wanted) <= set(RECORDED):  # nothing is to be computed
        stored = neuron_series.probe_step(context, step)
        if stored is None or stored not in context.run.steps:
            return rows
        table = cache.at(context, stored, tuple(wanted))
    else:
        found = at(context, step)
        assert found is not None  # something is offered
        table = found[1]
    prefixes = tuple(f"{name}_" for name in wanted)
    known = [name for name in map(str, table) if name in wanted or name.startswith(prefixes)]
    rows = rows.drop(columns=[name for name in known if name in rows])
    return rows.merge(table[["layer", "neuron", *known]], on=["layer", "neuron"], how="left")


def shown_statistics(table: pd.DataFrame) -> list[str]:
    """Statistics that some neuron of a table has, in the registry's order."""
    return [name for name in STATISTICS if name in table and table[name].notna().any()]


def shown(table: pd.DataFrame, name: str) -> np.ndarray:
    """A statistic's column as tables show it: numbers, or words where a number alone would claim too much."""
    if name == "mutual_information":
        return np.array([probe_statistics.told(row) for _, row in table.iterrows()], object)
    return table[name].to_numpy(float, na_value=np.nan)


def of_neurons(shown: Sequence[Pinned], step: int) -> pd.DataFrame:
    """The shown neurons' rows of `at`, with their name and the step; empty if no run has any."""
    parts = []
    for neuron, name in zip(shown, pins.labels(shown), strict=True):
        found = at(neuron.context, step)
        if found is not None:
            stored, table = found
            mine = table[(table["layer"] == neuron.pin.layer) & (table["neuron"] == neuron.pin.neuron)]
            parts.append(mine.assign(name=name, step=stored))
    joined = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["name", "step"])
    return joined[["name", "step", *(c for c in joined if c not in ("name", "step", "layer", "neuron"))]]
