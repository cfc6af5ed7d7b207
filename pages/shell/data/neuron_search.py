"""Neurons of a run that match a query at a step, with what has happened to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pages.shell.data import neuron_series, probe_answers, probe_batch, regime_transitions
from pages.shell.session import cache
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from pages.shell.session.url import Pin
from probes.analysis import likeness, neuron_events, posteriors
from probes.analysis.neuron_query import SIMILARITY, History, Query, QueryError, parse
from probes.families import family_of
from probes.figures.frames import RAW_STEPS
from probes.neuron_names import neuron_name
from probes.schema import SETTLED

LAYERS_KEPT = 32  # tables of one row a neuron
SEARCHES_KEPT = 8  # of a row a matching neuron
FREE_CELLS = 2_000_000  # neurons times steps of a layer whose onsets take less than half a second


@dataclass(frozen=True)
class Found:
    """What a query has found: rows of the neurons at the step, in order, with what it asks for; of how many
    they are; the statistics and events that it names.
    """

    rows: pd.DataFrame
    total: int
    named: tuple[str, ...]

    def pinned(self, context: RunContext, most: int) -> list[Pinned]:
        """The first `most` as neurons of their run."""
        rows = self.rows.head(most)
        return [
            Pinned(Pin(context.entry.name, int(layer), int(neuron)), context)
            for layer, neuron in zip(rows["layer"], rows["neuron"], strict=True)
        ]


@cache.of_run("neurons", "probe", keep=SEARCHES_KEPT)
def find(context: RunContext, text: str, step: int) -> Found:
    """Run a query at a recorded step. Raises QueryError for what it cannot read, or the run does not hold."""
    widths = [layer["neurons"] for layer in context.layers]
    query = parse(text, context.names, known(context), widths, families(context))
    asked = [*(name for name, _, _ in query.limits), *(name for name, _ in query.order)]
    names = [name for name in asked if name in known(context)]
    now = probe_batch.beside(context, neuron_series.rows_at(context, step), step, names)
    if query.similar is not None:
        now = now.assign(**{SIMILARITY: _similarity(context, step, query.similar, now)})
    found = query.select(now, _history(context, query, step, now))
    named = [*names, *query.asked_events, *([SIMILARITY] if query.similar else [])]
    return Found(found, len(now), tuple(dict.fromkeys(named)))


def nothing(context: RunContext) -> Found:
    """What a query finds that cannot be read."""
    total = sum(int(layer["neurons"]) for layer in context.layers)
    return Found(pd.DataFrame(columns=["layer", "neuron", SETTLED]), total, ())


def families(context: RunContext) -> list[str]:
    """Names of the layers' families, as a query may name them."""
    return [family_of(layer).name for layer in context.layers]


def known(context: RunContext) -> list[str]:
    """Statistics that a query may name."""
    return [*context.run.available, *probe_batch.offered(context)]


def _history(context: RunContext, query: Query, step: int, now: pd.DataFrame) -> History | None:
    if not (query.was or query.asked_events):
        return None
    moves, _ = regime_transitions.transitions(context)
    parts = [neuron_events.regime_events(moves, now, int(context.run.steps[0]))]
    if "onset" in query.asked_events:
        layers = range(len(context.layers)) if query.layers is None else sorted(query.layers)
        parts += [onsets(context, layer) for layer in layers]
    return History(pd.concat(parts, ignore_index=True), neuron_events.settled_until(moves, now, step))


@cache.of_run("neurons", keep=LAYERS_KEPT, show_spinner="Reading every neuron's course …")
def onsets(context: RunContext, layer: int) -> pd.DataFrame:
    """`neuron_events.onsets` of a layer; of more than RAW_STEPS recorded steps from means of several."""
    if "contraction" not in context.run.available:
        return pd.DataFrame(columns=neuron_events.COLUMNS)
    values, edges = context.run.matrix(layer, "contraction", max_columns=RAW_STEPS)
    return neuron_events.onsets(layer, edges[:-1], values)


def quick_onsets(context: RunContext, layer: int) -> bool:
    """Whether the onsets of a whole layer are read in no time."""
    return int(context.layers[layer]["neurons"]) * min(len(context.run.steps), RAW_STEPS) <= FREE_CELLS


def _similarity(context: RunContext, step: int, neuron: tuple[int, int], now: pd.DataFrame) -> np.ndarray:
    """Correlation of every neuron's answers with those of one over the probe inputs that were stored at or
    before a step; NaN where it is within what chance gives the nearest of so many, in 19 of 20 cases.
    """
    name = neuron_name(*neuron)
    stored = probe_answers.stored_step(Pinned(Pin(context.entry.name, *neuron), context), step)
    layer = None if stored is None else probe_answers.of_layer(context, stored, neuron[0])
    if stored is None or layer is None:
        raise QueryError(
            f"“similar:{name}” compares answers to a probe batch, which this run has not stored of that layer"
        )
    mine = layer[:, neuron[1]]
    found = probe_answers.of_layers(context, stored, len(layer))
    others = [np.delete(mu, neuron[1], axis=1) if i == neuron[0] else mu for i, mu in found.items()]
    limit = likeness.chance_of_nearest(mine, others).upper
    if np.isnan(limit):
        raise QueryError(f"“similar:{name}”: its mean does not move with the input, so that none is like it")
    alike: dict[tuple[int, int], float] = {}
    for index, mu in found.items():
        values = posteriors.correlation(mine[:, None], mu)[0]
        alike |= {(index, i): value for i, value in enumerate(values.tolist()) if abs(value) >= limit}
    wanted = zip(now["layer"].tolist(), now["neuron"].tolist(), strict=True)
    return np.array([alike.get(key, np.nan) for key in wanted])
