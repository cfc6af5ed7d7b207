"""The table of the page Neurons: one row a neuron, with its regime, when it contracted, and what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pages.shell.data import neuron_search, neuron_series, probe_batch
from pages.shell.data.neuron_search import Found
from pages.shell.data.shown_neurons import Shown
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from pages.shell.session.url import Pin
from probes.analysis.neuron_query import EVENTS
from probes.neuron_names import neuron_names
from probes.schema import REGIMES, SETTLED

COLUMNS = ("information", "kl", "contraction", "entropy", "perplexity", "usage", "persistence")
"""Statistics that the table shows beside those that the query names, as far as the runs have them."""
ROWS = 200  # the best of a sorted query
NOT_DRAWN = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='24' height='16'/>"
REGIME_NAMES = {regime.code: regime.name for regime in REGIMES}


@dataclass(frozen=True)
class Table:
    """Rows as they are shown, beside their neurons; the statistics and events among the columns."""

    rows: pd.DataFrame
    pins: list[Pin]
    statistics: tuple[str, ...]
    events: tuple[str, ...]


def of_shown(shown: Shown, step: int, looks: Shown | None = None) -> Table:
    """The neurons that are drawn, of one run or several, in the colours of `looks`."""
    found = []
    for one in shown.all:
        at = cache.recorded_step(one.context.run.steps, step)
        row = neuron_series.row_at(one.context, one.pin.layer, one.pin.neuron, at)
        if row is not None:
            found.append((one.context, row.to_dict()))
    rows = pd.DataFrame([row for _, row in found], columns=None if found else ["layer", "neuron", SETTLED])
    return _table(rows, [context for context, _ in found], looks or shown, ())


def of_second(shown: Shown, step: int) -> Table:
    """The neurons of the second run that are drawn."""
    return of_shown(Shown(list(shown.second), shown.why), step, looks=shown)


def of_found(context: RunContext, found: Found, shown: Shown, first: bool = False) -> Table:
    """What a query has found, the first ROWS; those that are drawn before all others with `first`."""
    rows = found.rows
    if first:
        drawn = {(one.pin.layer, one.pin.neuron) for one in shown.neurons}
        keys = zip(rows["layer"], rows["neuron"], strict=True)
        rows = rows.iloc[np.argsort([key not in drawn for key in keys], kind="stable")]
    rows = rows.head(ROWS)
    return _table(rows.reset_index(drop=True), [context] * len(rows), shown, found.named)


def in_words(found: Found, shown: Shown, step: int) -> str:
    """How many a query has found, and which of them are drawn."""
    said = f"{len(found.rows):,} of {found.total:,} neurons at step {step:,}"
    if len(found.rows) > ROWS:
        said += f"; the first {ROWS} are listed"
    if shown.why == "found" and len(shown.neurons) < len(found.rows):
        said += f"; the first {len(shown.neurons)} are drawn"
    return f"{said}. Tick a row to pin it."


def _table(rows: pd.DataFrame, contexts: Sequence[RunContext], shown: Shown, named: Sequence[str]) -> Table:
    of = [context.entry.name for context in contexts]
    pins = [
        Pin(run, int(layer), int(neuron))
        for run, layer, neuron in zip(of, rows["layer"], rows["neuron"], strict=True)
    ]
    drawn = {one.pin: color for one, color in zip(shown.all, shown.colors, strict=True)}
    looks = dict(zip((one.pin for one in shown.all), shown.dashed, strict=True))
    columns: dict[str, object] = {
        "drawn": [_swatch(drawn[pin], looks[pin]) if pin in drawn else NOT_DRAWN for pin in pins],
        "neuron": neuron_names(rows),
    }
    if len(set(of)) > 1:
        columns["run"] = of
    names = [context.names[pin.layer] for context, pin in zip(contexts, pins, strict=True)]
    if any(name != f"layer {pin.layer + 1}" for name, pin in zip(names, pins, strict=True)):
        columns["layer"] = names
    columns["regime"] = [REGIME_NAMES.get(int(code), "?") for code in rows[SETTLED]]
    events = tuple(dict.fromkeys(["onset", *(name for name in named if name in EVENTS)]))
    for event in events:
        columns[event] = rows[event] if event in rows else _onsets(pins, contexts, shown)
    statistics = tuple(
        name
        for name in dict.fromkeys([*named, *COLUMNS])
        if name not in EVENTS and name in rows and rows[name].notna().any()
    )
    columns |= {name: probe_batch.shown(rows, name) for name in statistics}
    return Table(pd.DataFrame(columns), pins, statistics, events)


def _onsets(pins: Sequence[Pin], contexts: Sequence[RunContext], shown: Shown) -> list[float]:
    """Of every row where a whole layer is read in no time, else of those that are drawn."""
    drawn = {one.pin: one for one in shown.all}
    whole: dict[tuple[str, int], dict[int, float]] = {}
    found = []
    for pin, context in zip(pins, contexts, strict=True):
        key = pin.run, pin.layer
        if neuron_search.quick_onsets(context, pin.layer):
            if key not in whole:
                table = neuron_search.onsets(context, pin.layer)
                whole[key] = dict(zip(table["neuron"].tolist(), table["step"].tolist(), strict=True))
            found.append(float(whole[key].get(pin.neuron, np.nan)))
        else:
            found.append(neuron_series.onset(drawn[pin]) if pin in drawn else np.nan)
    return found


def _swatch(color: str, dashed: bool) -> str:
    """A neuron's line as an image: its colour, dashed as it is drawn."""
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    line = f'<path d="M2 8h20" stroke="{color}" stroke-width="5"{dash}/>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="24" height="16">{line}</svg>'
    return "data:image/svg+xml," + svg.replace("#", "%23").replace('"', "'")
