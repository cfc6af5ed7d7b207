"""A small language for finding neurons of one run: `layer:2 regime:dead kl>0.3 sort:-kl`.

Terms (`probes.analysis.terms`) are separated by spaces and all must hold:

- `layer:2`, `layer:1,3`, `layer:1-3`, `layer:"my layer"`: a layer's name, or its place counted from 1
- `neuron:17`, `neuron:3,20-40`: the neuron's number, from 0
- `regime:dead`, `regime:at-prior,frozen`: the regime that a neuron has settled in
- `kl>0.3`, `spread<=1e-3`: a statistic, one of < <= > >= =, a number; a neuron without the statistic does not
  match
- `sort:kl`, `sort:-kl`: by a statistic, `layer`, `neuron` or `regime`, with - the largest first; more of them
  break ties
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from probes.analysis.terms import TermError, split, unquoted
from probes.schema import REGIMES

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
}  # fmt: skip
_KEYS = ("layer", "neuron", "regime", "sort")


class QueryError(ValueError):
    """A query that cannot be understood: says which term, and what would do."""


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
    """

    layers: frozenset[int] | None = None
    neurons: tuple[tuple[int, int], ...] | None = None
    regimes: frozenset[int] | None = None
    limits: tuple[tuple[str, str, float], ...] = ()
    order: tuple[tuple[str, bool], ...] = ()

    def select(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows that match, in the asked order (else the frame's).

        Parameters
        ----------
        frame
            Columns layer, neuron, settled, where the query names them, and the statistics that it names.

        Returns
        -------
        DataFrame
            Rows of `frame`.
        """
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
        found = frame[keep]
        if self.order:
            names, falling = zip(*self.order, strict=True)
            ascending = [not down for down in falling]
            columns = ["settled" if name == "regime" else name for name in names]
            found = found.sort_values(columns, ascending=ascending, kind="stable", na_position="last")
        return found


def parse(text: str, layers: Sequence[str], statistics: Sequence[str]) -> Query:
    """Read a query about a run.

    Parameters
    ----------
    text
        The query, see the module's text.
    layers
        Names of the run's layers.
    statistics
        Names of its statistics.

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
    order: list[tuple[str, bool]] = []
    try:
        parsed = split(text)
    except TermError as error:
        raise QueryError(str(error)) from None
    for each in parsed:
        term, key = each.text, (each.key or "").lower()
        if each.sign in _SIGNS:
            limits.append((_statistic(key, statistics, term), each.sign, _number(each.value, term)))
        elif each.sign == ":" and key in _KEYS:
            values = _values(each.value, term)
            if key == "layer":
                found["layers"] = _both(found["layers"], _layers(values, layers, term))
            elif key == "regime":
                found["regimes"] = _both(
                    found["regimes"], frozenset(_regime(value, term) for value in values)
                )
            elif key == "neuron":
                if found["neurons"] is not None:
                    raise QueryError(f"“{term}”: neuron is asked for twice; write neuron:3,7 for several")
                found["neurons"] = tuple(_span(value, term) for value in values)
            else:
                order += [_sort(value, statistics, term) for value in values]
        elif each.sign == ":":
            raise QueryError(
                f"“{term}”: {_suggest(key, _KEYS)}. A term starts with {', '.join(k + ':' for k in _KEYS)}"
            )
        else:
            raise QueryError(
                f"“{term}” is no term: write layer:2, neuron:17, regime:dead, kl>0.3 or sort:-kl"
            )
    return Query(**found, limits=tuple(limits), order=tuple(order))


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
    if name.lower() not in statistics:
        raise QueryError(f"“{term}”: {_suggest(name, statistics)}; this run has {', '.join(statistics)}")
    return name.lower()


def _number(value: str, term: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise QueryError(f"“{term}”: “{value}” is no number; write it like 0.3 or 1e-3") from None


def _sort(value: str, statistics: Sequence[str], term: str) -> tuple[str, bool]:
    falling = value.startswith("-")
    known = [*statistics, "layer", "neuron", "regime"]
    return _statistic(value.lstrip("+-"), known, term), falling


def _suggest(value: str, known: Sequence[str]) -> str:
    close = get_close_matches(value.lower(), [name.lower() for name in known], n=1)
    return f"“{value}” is unknown" + (f" (did you mean {close[0]}?)" if close else "")
