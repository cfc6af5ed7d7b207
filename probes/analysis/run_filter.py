"""Choosing runs of a catalog by a line of text: `layers=3 beta<0.05 status:finished tag:keep nyc`.

A term (`probes.analysis.terms`) is KEY SIGN VALUE, or a word that the name, status, tags or notes contain; a
run has to meet all terms. Keys are those of the runs' configs (nested ones with dots), and those of `facts`.
Signs: = (or :), !=, <, <=, >, >=.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from probes.analysis.run_groups import flat_config
from probes.analysis.terms import TermError, split, unquoted

FALLBACKS = ("seed", "layers", "neurons")
"""Taken from the catalog where the config does not name them; neurons are then those of all layers."""

_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_WORDS = {"true": True, "yes": True, "false": False, "no": False}
_NEAR = 0.5  # likeness from which another key is proposed


class FilterError(ValueError):
    """A filter that cannot be applied; the message says what is wrong with it and what would do."""


@dataclass(frozen=True)
class Term:
    """One condition.

    Attributes
    ----------
    key
        None: a word to be found.
    sign
        "=", "!=", "<", "<=", ">" or ">="; "has" without a key.
    value
        As it is written.
    """

    key: str | None
    sign: str
    value: str


def parse(text: str) -> list[Term]:
    """Terms of a filter.

    Parameters
    ----------
    text
        The filter, see the module's text.

    Returns
    -------
    list of Term
        All of which a run has to meet.

    Raises
    ------
    FilterError
        For a quote that is not closed or a term that has no value.
    """
    try:
        parsed = split(text)
    except TermError as error:
        raise FilterError(str(error)) from None
    conditions = []
    for term in parsed:
        value = unquoted(term.value)
        if term.key is None and (term.value != value or not re.search(r"[<>=]|:$", value)):
            conditions.append(Term(None, "has", value))
        elif term.key is None or not value:
            raise FilterError(
                f"“{term.text}” is no condition: write a key, a sign and a value, as in beta<0.05"
            )
        else:
            conditions.append(Term(term.key.lower(), "=" if term.sign == ":" else term.sign, value))
    return conditions


def facts(
    row: Mapping[str, Any], nll: float | None = None, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a filter can ask of a run.

    Parameters
    ----------
    row
        Of `probes.catalog`, as a dict.
    nll
        The score that the caller goes by.
    settings
        The row's config as `run_groups.flat_config` gives it, where the caller has it.

    Returns
    -------
    dict
        Key, in lower case -> value: the config's keys, and those that every run has, whatever its config:
        name, status, tag, notes, created, recorded (the number of recorded steps), nll, living (the share of
        neurons in percent), archived.
    """
    settings = flat_config(row.get("config") or {}) if settings is None else settings
    shares = [share for share in row.get("living_share") or [] if share is not None]
    known = {key: row.get(key) for key in FALLBACKS}
    known |= {key.lower(): value for key, value in settings.items()}
    known |= {
        "name": _names(row), "status": row.get("status"), "tag": list(row.get("tags") or []),
        "notes": row.get("notes"),
        "created": row.get("created"), "recorded": row.get("steps"), "nll": nll,
        "living": 100 * sum(shares) / len(shares) if shares else None,
        "archived": bool(row.get("archived")),
    }  # fmt: skip
    return known


def _names(row: Mapping[str, Any]) -> str | list[str] | None:
    """A run's name, and the one that it is shown under where that is another."""
    own, shown = row.get("name"), row.get("shown_name")
    return [str(own), str(shown)] if shown else own


def check(terms: Iterable[Term], runs: Iterable[Mapping[str, Any]]) -> None:
    """Look whether terms can be applied to some runs.

    Parameters
    ----------
    terms
        As `parse` returns them.
    runs
        `facts` of each.

    Raises
    ------
    FilterError
        For a key that no run has, or an order that cannot be decided.
    """
    known = list(runs)
    keys = {key for run in known for key in run}
    for term in terms:
        if term.key is None:
            continue
        if term.key not in keys:
            near = difflib.get_close_matches(term.key, keys, n=3, cutoff=_NEAR)
            hint = (
                f"did you mean {' or '.join(near)}?"
                if near
                else f"some that there are: {', '.join(sorted(keys)[:8])} …"
            )
            raise FilterError(f"no run has “{term.key}”; {hint}")
        if term.sign in _SIGNS and term.key != "created":
            if _number(term.value) is None:
                raise FilterError(
                    f"“{term.key}{term.sign}{term.value}”: {term.sign} needs a number on its right"
                )
            values = [run[term.key] for run in known if run.get(term.key) is not None]
            if values and all(_number(value) is None for value in values):
                raise FilterError(f"“{term.key}” is text here (such as {values[0]!r}): use = or !=")


def matches(terms: Iterable[Term], run: Mapping[str, Any]) -> bool:
    """Whether a run meets all terms. What a run does not have meets none but !=.

    Parameters
    ----------
    terms
        As `parse` returns them.
    run
        Its `facts`.

    Returns
    -------
    bool
        True without terms.
    """
    return all(_meets(term, run) for term in terms)


def _meets(term: Term, run: Mapping[str, Any]) -> bool:
    if term.key is None:
        text = " ".join(str(run.get(key) or "") for key in ("name", "status", "tag", "notes"))
        return term.value.casefold() in text.casefold()
    value = run.get(term.key)
    if term.sign == "!=":
        return not _equal(value, term.value)
    if value is None:
        return False
    if term.sign == "=":
        return _equal(value, term.value)
    if term.key == "created":  # ISO dates sort as text
        return bool(_SIGNS[term.sign](str(value), term.value))
    left, right = _number(value), _number(term.value)
    return left is not None and right is not None and bool(_SIGNS[term.sign](left, right))


def _equal(value: Any, wanted: str) -> bool:
    if isinstance(value, list | tuple):
        return any(_equal(item, wanted) for item in value)
    if isinstance(value, bool):
        return _WORDS.get(wanted.casefold()) is value
    left, right = _number(value), _number(wanted)
    if left is not None and right is not None:
        return math.isclose(left, right, rel_tol=1e-9)
    return str(value).casefold() == wanted.casefold()


def _number(value: Any) -> float | None:
    """A value as a number, None if it is none (a bool is none)."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
