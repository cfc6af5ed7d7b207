"""Alerts of a run with the neurons that made them, and where they are in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.alerts.code_book_rules import DEAD_CODES
from probes.alerts.finding import Alert, find
from probes.alerts.limits import Limits, limits_of, warmup_of
from probes.alerts.parts import MAY_LIVE
from probes.families import family_of
from probes.run_reader import RunReader
from probes.schema import DEAD, REGIME, REGIMES, SETTLED

COLUMNS = {
    "step": "int64",
    "layer": "Int16",
    "layers": "object",
    "kind": "str",
    "count": "int64",
    "neurons": "object",
    "neuron_layers": "object",
    "text": "str",
    "advice": "str",
}


def alerts(run: RunReader, limits: Limits | None = None) -> pd.DataFrame:
    """Alerts of a run in order of step, one an event.

    Parameters
    ----------
    run
        The run.
    limits
        When rules fire; by default with the limits of beta that the configuration names.

    Returns
    -------
    pandas.DataFrame
        Columns step, layer (where it began; null: the run), layers (list: all that take part), kind, count
        (neurons concerned), neurons (list of ids), neuron_layers (list: the layer of each), text, advice. The
        neurons of a regime alert are those that made the move; other alerts concern whole layers and name
        none.
    """
    found = find(
        run.layer_summary(),
        run.scalars(),
        run.events(),
        warmup_of(run.config),
        limits or limits_of(run.config),
        [family_of(layer) for layer in run.layers],
    )
    rows = []
    for alert in found:
        named = {layer: _neurons(run, alert, layer) for layer in alert.layers}
        neurons = [neuron for ids in named.values() for neuron in ids]
        layers = [layer for layer, ids in named.items() for _ in ids]
        rows.append(
            (
                alert.step,
                alert.layer,
                list(alert.layers),
                alert.kind,
                alert.count,
                neurons,
                layers,
                alert.text,
            )
            + (alert.advice,)
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def where(alert: Mapping[Any, Any], names: Sequence[str]) -> str:
    """Where an alert (a row of `alerts`) is: the layer in which it began and how many more, or "the run"."""
    if pd.isna(alert["layer"]):
        return "the run"
    more = len(alert["layers"]) - 1
    return names[int(alert["layer"])] + (f" and {more} more" if more else "")


def _neurons(run: RunReader, alert: Alert, layer: int) -> list[int]:
    """Neurons of a layer that were fine before the alert and are in its trouble at the end of its part."""
    parts = [part for part in alert.parts if part.layer == layer and part.after]
    if not parts:
        return []
    of_one_record = {"non-finite": 1, DEAD_CODES: DEAD}
    if alert.kind in of_one_record:
        codes = [of_one_record[alert.kind]]
        came = [_came_in(run, layer, REGIME, codes, part.before, part.after) for part in parts]
        return np.flatnonzero(np.any(came, axis=0)).tolist()
    dead = [code for code in range(len(REGIMES)) if code not in MAY_LIVE]
    return np.flatnonzero(_came_in(run, layer, SETTLED, dead, parts[0].before, parts[-1].after)).tolist()


def _came_in(
    run: RunReader,
    layer: int,
    column: str,
    codes: list[int],
    before: tuple[int, int] | None,
    after: tuple[int, int] | None,
) -> NDArray[np.bool_]:
    """(N,): neurons that have one of the codes at most of the steps `after`, and had not at most of those
    before.
    """

    def most(steps: tuple[int, int] | None) -> NDArray[np.bool_]:
        rows = run.history(layer, None, [column], steps)
        return rows[column].isin(codes).groupby(rows["neuron"]).mean().to_numpy() > 0.5

    return most(after) & ~most(before) if before else most(after)
