"""Who went from one regime to another, and when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes import diagnostics
from probes.figures.frames import RAW_STEPS
from probes.schema import REGIMES, SETTLED

RUNS_KEPT = 8  # whose transitions stay in memory
REGIME_NAMES = {regime.code: regime.name for regime in REGIMES}
TABLE_ROWS = 400  # kinds of transition that are listed; a run has a few dozen


@cache.of_run("neurons", keep=RUNS_KEPT, show_spinner="Reading every neuron's regime …")
def transitions(context: RunContext) -> tuple[pd.DataFrame, int]:
    """`diagnostics.transitions` of the whole run, and how many recorded steps lie between two looks (1: every
    transition is seen).

    Long runs and wide networks are looked at less often; a transition is then dated by the first look that
    sees it.
    """
    run = context.run
    recorded, total = run.steps, sum(layer["neurons"] for layer in run.layers)
    columns = int(np.clip(cache.CELLS_AT_ONCE // max(total, 1), 2, RAW_STEPS))
    parts, apart = [], 1
    for layer in range(len(run.layers)):
        values, edges = run.matrix(layer, SETTLED, max_columns=columns)
        if values.shape[1] < 2:
            continue
        steps = np.array([cache.recorded_step(recorded, int(edge) - 1) for edge in edges[1:]])
        apart = max(apart, round(len(recorded) / values.shape[1]))
        changed = values[:, 1:] != values[:, :-1]
        # a change is two cells: the last before it and the first after it
        beside = np.zeros(values.shape, bool)
        beside[:, 1:] |= changed
        beside[:, :-1] |= changed
        neurons, places = np.nonzero(beside)
        regimes = values[neurons, places].astype(np.int8)
        parts.append(
            pd.DataFrame({"step": steps[places], "layer": layer, "neuron": neurons, SETTLED: regimes})
        )
    if not parts:
        return pd.DataFrame(columns=["step", "layer", "neuron", "before", "after"]).astype("int64"), apart
    return diagnostics.transitions(pd.concat(parts, ignore_index=True)), apart


@cache.of_run("neurons", keep=RUNS_KEPT)
def kinds_within(context: RunContext, span: tuple[int, int]) -> pd.DataFrame:
    """`kinds_of_transition` of the run between two steps, inclusive."""
    table, _ = transitions(context)
    return kinds_of_transition(table[table["step"].between(*span)], context.names)


def kinds_of_transition(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """One row a layer, regime left and regime entered: how many transitions (`moves`) of how many neurons;
    first, middle and last step.
    """
    kinds = (
        table.groupby(["layer", "before", "after"])
        .agg(
            moves=("step", "size"),
            neurons=("neuron", "nunique"),
            first=("step", "min"),
            half=("step", "median"),
            last=("step", "max"),
        )
        .reset_index()
    )
    kinds = kinds.sort_values("moves", ascending=False, kind="stable").head(TABLE_ROWS).reset_index(drop=True)
    return kinds.assign(
        half=kinds["half"].astype("int64"),
        where=[names[layer] for layer in kinds["layer"]],
        left=kinds["before"].map(REGIME_NAMES),
        entered=kinds["after"].map(REGIME_NAMES),
    )


def of_kind(table: pd.DataFrame, kind: pd.Series) -> pd.DataFrame:
    """The transitions of one row of `kinds_of_transition`."""
    return table[
        (table["layer"] == kind["layer"])
        & (table["before"] == kind["before"])
        & (table["after"] == kind["after"])
    ]
