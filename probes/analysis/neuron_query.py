"""A small language for finding neurons of one run: `layer:2 regime:dead kl>0.3 sort:-kl`.

Terms (`probes.analysis.terms`) are separated by spaces and all must hold:

- `family:categorical`, `family:codes,beta`: layers whose posteriors are of that family
- `layer:2`, `layer:1,3`, `layer:1-3`, `layer:"my layer"`: a layer's name, or its place counted from 1
- `neuron:17`, `neuron:3,20-40`: the neuron's number, from 0
- `regime:dead`, `regime:at-prior,frozen`: the regime that a neuron has settled in
- `kl>0.3`, `spread<=1e-3`: a statistic, one of < <= > >= =, a number; a neuron without the statistic does not
  match
- `1:9`, `1:9,2:3`: these neurons, layers counted from 1; of several such terms one is to hold
- `was:living`: a regime that the neuron has settled in at some step up to the one that is looked at
- `left>500`, `died:900-1100`, `onset<300`: a step at which something happened to it (`EVENTS`), with a sign
  or as a range; of several deaths one is to match
- `similar:1:9`: neurons whose mean moves like that one's on the probe batch, the most similar first
- `sort:kl`, `sort:-kl`: by a statistic, an event, `layer`, `neuron` or `regime`, with - the largest first;
  more of them break ties
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from probes.analysis.terms import TermError, split, unquoted
from probes.families import FAMILIES
from probes.families.gaussian import GAUSSIAN
from probes.neuron_names import read_neuron
from probes.schema import REGIMES

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
}  # fmt: skip
EVENTS = {
    "left": "first recorded step at which its settled regime is not “at prior”",
    "died": "step at which its settled regime became dead",
    "onset": "first step at which its smoothed contraction reaches 0.05",
}
"""What a query can ask the step of, in words."""
SIMILARITY = "similarity"
"""Column of the correlation with the neuron that `similar:` names."""
_KEYS = ("layer", "family", "neuron", "regime", "was", *EVENTS, "similar", "sort")


class QueryError(ValueError):
    """A query that cannot be understood: says which term, and what would do."""


@dataclass(frozen=True)
class History:
    """What happened to the neurons of a run, for queries that ask for it (`probes.analysis.neuron_events`).

    Attributes
    ----------
    events
        Columns layer, neuron, event (of `EVENTS`), step.
    settled
        Columns layer, neuron, settled: every regime that a neuron has settled in, once each.
    """

    events: pd.DataFrame
    settled: pd.DataFrame


@dataclass(frozen=True)
class Query:
    """Conditions, all of which hold, and order.

    Attributes
    ----------
    layers
        Indices; None: any.
    neurons
        (first, last) of ranges; None: any.
    regimes
        Codes; None: any.
    limits
        (statistic, sign, number).
    order
        (column, whether the largest is first); later ones break ties.
    named
        (layer, neuron) of those that are named; None: any.
    was
        For each term the codes of which one is to have been settled in.
    events
        (event, first step, last step), inclusive.
    similar
        (layer, neuron) of the one that others are to move like.
    """

    layers: frozenset[int] | None = None
    neurons: tuple[tuple[int, int], ...] | None = None
    regimes: frozenset[int] | None = None
    limits: tuple[tuple[str, str, float], ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    named: frozenset[tuple[int, int]] | None = None
    was: tuple[frozenset[int], ...] = ()
    events: tuple[tuple[str, float, float], ...] = ()
    similar: tuple[int, int] | None = None

    @property
    def asked_events(self) -> tuple[str, ...]:
        """The events that `select` needs, once each."""
        return tuple(
            name
            for name in EVENTS
            if name in {event for event, _, _ in self.events} | {by for by, _ in self.order}
        )

    def select(self, frame: pd.DataFrame, history: History | None = None) -> pd.DataFrame:
        """The rows that match, in the asked order (else the frame's).

        Parameters
        ----------
        frame
            Columns layer, neuron, settled, where the query names them, and the statistics that it names;
            with `similar` SIMILARITY, NaN for a neuron that is not.
        history
            Where the query has `was` or `asked_events`.

        Returns
        -------
        DataFrame
            Rows of `frame`, with a column for each asked event: its first step, of deaths the last.

        Raises
        ------
        ValueError
            Where the history is needed and not given.
        """
        if (self.was or self.asked_events) and history is None:
            raise ValueError("this query asks what happened to neurons: give `select` their history")
        keep = np.ones(len(frame), bool)
        if self.layers is not None:
            keep &= frame["layer"].isin(self.layers).to_numpy()
        if self.neurons is not None:
            number = frame["neuron"].to_numpy()
            keep &= np.any([(number >= low) & (number <= high) for low, high in self.neurons], axis=0)
        if self.regimes is not None:
            keep &= frame["settled"].isin(self.regimes).to_numpy()
        for name, sign, value in self.limits:
            keep &= _SIGNS[sign](frame[name].to_numpy(dtype=float, na_value=np.nan), value)
        if self.named is not None:
            keep &= _among(frame, self.named)
        for codes in self.was:
            assert history is not None
            table = history.settled
            keep &= _among(frame, _neurons(table[table["settled"].isin(codes)]))
        for event, low, high in self.events:
            assert history is not None
            table = history.events
            table = table[(table["event"] == event) & table["step"].between(low, high)]
            keep &= _among(frame, _neurons(table))
        order = self.order
        if self.similar is not None:
            keep &= frame[SIMILARITY].notna().to_numpy()
            order = order or ((SIMILARITY, True),)
        found = frame[keep]
        for event in self.asked_events:
            assert history is not None
            found = _with_event(found, history.events, event)
        if order:
            names, falling = zip(*order, strict=True)
            ascending = [not down for down in falling]
            columns = ["settled" if name == "regime" else name for name in names]
            size = lambda part: part.abs() if part.name == SIMILARITY else part  # noqa: E731 - of either sign
            found = found.sort_values(
                columns, ascending=ascending, kind="stable", na_position="last", key=size
            )
        return found


def _neurons(table: pd.DataFrame) -> set[tuple[int, int]]:
    return set(zip(table["layer"].tolist(), table["neuron"].tolist(), strict=True))


def _among(frame: pd.DataFrame, neurons: Collection[tuple[int, int]]) -> np.ndarray:
    keys = zip(frame["layer"].tolist(), frame["neuron"].tolist(), strict=True)
    return np.fromiter((key in neurons for key in keys), bool, len(frame))


def _with_event(frame: pd.DataFrame, events: pd.DataFrame, event: str) -> pd.DataFrame:
    """The frame's rows with the event's step, NaN where it has not happened."""
    steps = events[events["event"] == event].groupby(["layer", "neuron"])["step"]
    step = (steps.max() if event == "died" else steps.min()).rename(event)
    return frame.drop(columns=[event], errors="ignore").join(step, on=["layer", "neuron"])


def parse(
    text: str,
    layers: Sequence[str],
    statistics: Sequence[str],
    widths: Sequence[int] | None = None,
    families: Sequence[str] | None = None,
) -> Query:
    """Read a query about a run.

    Parameters
    ----------
    text
        The query, see the module's text.
    layers
        Names of the run's layers.
    statistics
        Names of its statistics.
    widths
        Neurons of each layer, so that a neuron that is named and not there is told; by default none is.
    families
        Name of each layer's family; by default all are Gaussian.

    Returns
    -------
    Query
        Conditions and order.

    Raises
    ------
    QueryError
        For what it cannot read; the message says which term, and what would do.
    """
    found: dict[str, Any] = {"layers": None, "neurons": None, "regimes": None}
    limits: list[tuple[str, str, float]] = []
    was: list[frozenset[int]] = []
    events: list[tuple[str, float, float]] = []
    named: set[tuple[int, int]] = set()
    similar: tuple[int, int] | None = None
    order: list[tuple[str, bool]] = []
    try:
        parsed = split(text)
    except TermError as error:
        raise QueryError(str(error)) from None
    for each in parsed:
        term, key = each.text, (each.key or "").lower()
        if key in EVENTS and (each.sign in _SIGNS or each.sign == ":"):
            events.append((key, *_steps(each.sign, each.value, term)))
        elif each.sign in _SIGNS:
            limits.append((_statistic(key, statistics, term), each.sign, _number(each.value, term)))
        elif each.sign == ":" and key in _KEYS:
            values = _values(each.value, term)
            if key == "layer":
                found["layers"] = _both(found["layers"], _layers(values, layers, term))
            elif key == "family":
                of = families or [GAUSSIAN.name] * len(layers)
                found["layers"] = _both(found["layers"], _layers_of(values, of, term))
            elif key == "regime":
                found["regimes"] = _both(
                    found["regimes"], frozenset(_regime(value, term) for value in values)
                )
            elif key == "neuron":
                if found["neurons"] is not None:
                    raise QueryError(f"“{term}”: neuron is asked for twice; write neuron:3,7 for several")
                found["neurons"] = tuple(_span(value, term) for value in values)
            elif key == "was":
                was.append(frozenset(_regime(value, term) for value in values))
            elif key == "similar":
                if similar is not None or len(values) > 1:
                    raise QueryError(f"“{term}”: similar asks for one neuron, such as similar:1:9")
                similar = _neuron(values[0], term, layers, widths)
            else:
                order += [_sort(value, statistics, term) for value in values]
        elif each.sign == ":":
            raise QueryError(
                f"“{term}”: {_suggest(key, _KEYS)}. A term starts with {', '.join(k + ':' for k in _KEYS)}"
            )
        elif not each.sign and ":" in each.value:
            named |= {_neuron(value, term, layers, widths) for value in _values(each.value, term)}
        else:
            raise QueryError(
                f"“{term}” is no term: write layer:2, 1:9, regime:dead, kl>0.3, died:900-1100 or sort:-kl"
            )
    if any(name == SIMILARITY for name, *_ in (*limits, *order)) and similar is None:
        raise QueryError(f"“{SIMILARITY}” is to a neuron: name it, such as similar:1:9")
    return Query(
        **found, limits=tuple(limits), order=tuple(order), named=frozenset(named) if named else None,
        was=tuple(was), events=tuple(events), similar=similar,
    )  # fmt: skip


def _neuron(value: str, term: str, layers: Sequence[str], widths: Sequence[int] | None) -> tuple[int, int]:
    found = read_neuron(value) if ":" in value else None
    if found is None:
        raise QueryError(f"“{term}”: “{value}” names no neuron; write layer:neuron, layers from 1, as in 1:9")
    layer, neuron = found
    if layer >= len(layers):
        raise QueryError(f"“{term}”: this run has layers 1 to {len(layers)}")
    if widths is not None and neuron >= widths[layer]:
        raise QueryError(f"“{term}”: layer {layer + 1} has neurons 0 to {widths[layer] - 1}")
    return found


def _steps(sign: str, value: str, term: str) -> tuple[float, float]:
    """First and last step that match."""
    if sign == ":":
        low, high = _span(value, term)
        return low, high
    if not re.fullmatch(r"\d+", value):
        raise QueryError(f"“{term}”: “{value}” is no step; write it like 500, or a range like died:900-1100")
    step = int(value)
    return {
        "<": (0, step - 1), "<=": (0, step), ">": (step + 1, np.inf), ">=": (step, np.inf), "=": (step, step),
    }[sign]  # fmt: skip


def _values(text: str, term: str) -> list[str]:
    values = [unquoted(value.strip()) for value in re.findall(r'(?:"[^"]*"|[^,"])+', text)]
    if not values or not all(values) or text.endswith(","):
        raise QueryError(f"“{term}” names nothing after the colon")
    return values


def _both(before: frozenset[int] | None, now: frozenset[int]) -> frozenset[int]:
    """Terms are all to hold, so that naming a key twice asks for what both name."""
    return now if before is None else before & now


def _layers(values: Sequence[str], names: Sequence[str], term: str) -> frozenset[int]:
    found: set[int] = set()
    for value in values:
        lowered = [name.lower() for name in names]
        if value.lower() in lowered:
            found.add(lowered.index(value.lower()))
            continue
        if not re.fullmatch(r"\d+(-\d+)?", value):
            raise QueryError(
                f"“{term}”: {_suggest(value, names)}; a layer is named, or counted from 1 to {len(names)}"
            )
        low, high = _span(value, term)
        if low < 1 or high > len(names):
            raise QueryError(f"“{term}”: this run has layers 1 to {len(names)}")
        found |= set(range(low - 1, high))
    return frozenset(found)


def _layers_of(values: Sequence[str], families: Sequence[str], term: str) -> frozenset[int]:
    """Layers of some families. One that is known and not in the run matches nothing."""
    asked = [value.lower().replace("-", "_").replace(" ", "_") for value in values]
    for value, name in zip(values, asked, strict=True):
        if name not in FAMILIES:
            there = ", ".join(dict.fromkeys(families))
            raise QueryError(f"“{term}”: {_suggest(value, list(FAMILIES))}; this run has {there}")
    return frozenset(index for index, name in enumerate(families) if name in asked)


def _span(value: str, term: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", value)
    if not match:
        raise QueryError(f"“{term}”: “{value}” is no number and no range like 20-40")
    low, high = int(match[1]), int(match[2] or match[1])
    if high < low:
        raise QueryError(f"“{term}”: the range {value} is empty; write the smaller number first")
    return low, high


def _regime(value: str, term: str) -> int:
    names = [regime.name.replace(" ", "-") for regime in REGIMES]
    asked = value.lower().replace(" ", "-")
    if asked not in names:
        raise QueryError(f"“{term}”: {_suggest(value, names)}; regimes are {', '.join(names)}")
    return REGIMES[names.index(asked)].code


def _statistic(name: str, statistics: Sequence[str], term: str) -> str:
    if name.lower() not in (*statistics, SIMILARITY):
        raise QueryError(f"“{term}”: {_suggest(name, statistics)}; this run has {', '.join(statistics)}")
    return name.lower()


def _number(value: str, term: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise QueryError(f"“{term}”: “{value}” is no number; write it like 0.3 or 1e-3") from None


def _sort(value: str, statistics: Sequence[str], term: str) -> tuple[str, bool]:
    falling = value.startswith("-")
    known = [*statistics, *EVENTS, "layer", "neuron", "regime"]
    return _statistic(value.lstrip("+-"), known, term), falling


def _suggest(value: str, known: Sequence[str]) -> str:
    close = get_close_matches(value.lower(), [name.lower() for name in known], n=1)
    return f"“{value}” is unknown" + (f" (did you mean {close[0]}?)" if close else "")
