"""Statistics that follow from others: of rows, frames, matrices, and of what is reduced to quantiles."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes.schema.statistic import Statistic
from probes.schema.statistics import STATISTICS

SETTINGS = ("latent_dim", "stride")
"""Parameters of `Statistic.derive` that are no statistics."""
OPPOSITE = {"min": "max", "max": "min", "p05": "p95", "p25": "p75", "p75": "p25", "p95": "p05"}
"""Kind of a reduced column -> the kind that it is after a decreasing function; others stay."""
AGREEMENT = 1e-4
"""Relative: by how much a derived quantile may depend on which quantile of another input it is taken at."""


@functools.cache
def inputs_of(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Statistics that a derived statistic needs, and those that it takes into account where they are there.

    A statistic without `derive` needs itself alone. Raises KeyError for a name that is not in the registry.
    """
    formula = STATISTICS[name].derive
    if formula is None:
        return (name,), ()
    parameters = [p for p in inspect.signature(formula).parameters.values() if p.name not in SETTINGS]
    needed = tuple(p.name for p in parameters if p.default is p.empty)
    return needed, tuple(p.name for p in parameters if p.default is not p.empty)


def derivable(held: Iterable[str]) -> list[str]:
    """Names of the derived statistics that follow from those that are held, in the registry's order."""
    known = set(held)
    return [
        name
        for name, statistic in STATISTICS.items()
        if statistic.derive is not None
        and name not in known
        and any(known.issuperset(enough) for enough in (inputs_of(name)[0], statistic.instead) if enough)
    ]


def with_inputs(names: Iterable[str], held: Iterable[str]) -> list[str]:
    """What has to be read of the statistics that are held so that `names` can be evaluated, each once."""
    known = set(held)
    needed: dict[str, None] = {}
    for name in names:
        parts = ((name,),) if name in known or name not in STATISTICS else inputs_of(name)
        needed |= dict.fromkeys(one for part in parts for one in part if one in known)
    return list(needed)


def evaluate(
    name: str,
    columns: Mapping[str, Any] | Any,
    kind: str = "",
    *,
    latent_dim: Any = 1,
    stride: Any = 1,
    standard: Any = True,
) -> NDArray[np.float64]:
    """A statistic of rows that hold it, or hold what it derives from.

    Parameters
    ----------
    name : str
        A statistic of the registry.
    columns : mapping or DataFrame
        Names to arrays of one shape: rows of `neurons/`, matrices, or reduced columns NAME_KIND.
    kind : str
        "" for the columns as named. "mean", "p05" .. "p95": NAME_KIND over neurons, as in `layers/`. "min",
        "max": NAME_KIND over the steps of a bucket, as in `pyramid/`.
    latent_dim, stride
        K of each row's layer, and positions of the data between the ends of a slope.
    standard
        Whether an absent prior variance means 1 (`families.standard_prior` of each row's layer); else what
        hangs on it is NaN.

    Returns
    -------
    ndarray
        float64, of the columns' shape. NaN where an input is, and where a reduced value does not follow from
        reduced inputs: inputs other than the first differ between neurons or steps, a mean of what is not
        linear, a quantile outside of `Statistic.domain`. Optional inputs that are null count as absent.

    Raises
    ------
    KeyError
        For a name that is not in the registry, or inputs that are not there.
    """
    own = f"{name}_{kind}" if kind else name
    if own in columns:
        return as_floats(columns[own])
    statistic = STATISTICS[name]
    if statistic.derive is None:
        raise KeyError(f"no column {own!r}, and {name!r} derives from no others")
    needed, optional = inputs_of(name)
    settings = {"latent_dim": latent_dim, "stride": stride}
    settings = {key: settings[key] for key in _settings_of(name)}
    if not kind:
        inputs = {one: _input(one, (one,), columns, one in needed, standard) for one in (*needed, *optional)}
        return _apply(statistic, {one: values[0] for one, values in inputs.items()}, settings)
    found = _reduced(name, columns, kind, settings, standard, needed[0])
    if statistic.instead is None or f"{statistic.instead[0]}_{kind}" not in columns:
        return found
    other = _reduced(name, columns, kind, settings, standard, statistic.instead[1])
    return np.where(np.isnan(as_floats(columns[f"{statistic.instead[0]}_{kind}"])), found, other)


def _reduced(
    name: str, columns: Mapping[str, Any], kind: str, settings: Mapping[str, Any], standard: Any, first: str
) -> NDArray[np.float64]:
    """As `evaluate`, of reduced columns, followed along one of the inputs."""
    statistic = STATISTICS[name]
    needed, optional = inputs_of(name)
    source = OPPOSITE.get(kind, kind) if statistic.monotone == "decreasing" else kind
    (values,) = _input(first, (f"{first}_{source}",), columns, first in needed, standard)
    linear = statistic.linear and first in needed
    if statistic.monotone is None or (kind == "mean" and not linear):
        return np.full_like(values, np.nan)
    # It follows where it does not matter at which of their own reduced values the other inputs are taken.
    bounds = ("min", "max") if kind in ("min", "max") else ("mean", "p05", "p95")
    beside = {
        one: _input(one, (*(f"{one}_{bound}" for bound in bounds), one), columns, one in needed, standard)
        for one in (*needed, *optional)
        if one != first
    }
    results = [
        _apply(
            statistic,
            {first: values} | {one: held[place % len(held)] for one, held in beside.items()},
            settings,
        )
        for place in range(len(bounds))
    ]
    with np.errstate(invalid="ignore"):
        scale = AGREEMENT * np.maximum(np.abs(results[0]), 1e-3)
        follows = np.logical_and.reduce([~(np.abs(other - results[0]) > scale) for other in results[1:]])
        lowest = next((low for low in (f"{first}_p05", f"{first}_min") if low in columns), None)
        if lowest is not None:
            follows &= ~(as_floats(columns[lowest]) < statistic.domain)
    return np.where(follows, results[0], np.nan)


@functools.cache
def _settings_of(name: str) -> tuple[str, ...]:
    formula = STATISTICS[name].derive
    return tuple(key for key in SETTINGS if formula and key in inspect.signature(formula).parameters)


def _input(
    name: str, sources: Iterable[str], columns: Mapping[str, Any], needed: bool, standard: Any
) -> list[NDArray[np.float64]]:
    """An input's values from those of its columns that are there; where it may be absent, its neutral
    value.
    """
    neutral: Any = STATISTICS[name].neutral
    found = [as_floats(columns[source]) for source in sources if source in columns]
    if not found and needed and not _stands_in(name, columns):
        raise KeyError(f"{' or '.join(sources)} is needed")
    if needed or neutral is None:
        return found or [np.asarray(np.nan)]
    if name == "prior_variance":
        neutral = np.where(standard, neutral, np.nan)
    return [np.where(np.isnan(values), neutral, values) for values in found] or [np.asarray(neutral, float)]


def _stands_in(name: str, columns: Mapping[str, Any]) -> bool:
    """Whether what takes the place of a needed input is there, in whatever reduced form."""
    instead = [
        statistic.instead
        for statistic in STATISTICS.values()
        if statistic.instead and name in inputs_of(statistic.name)[0]
    ]
    return any(
        all(any(column == one or column.startswith(f"{one}_") for column in columns) for one in pair)
        for pair in instead
    )


def _apply(
    statistic: Statistic, inputs: Mapping[str, Any], settings: Mapping[str, Any]
) -> NDArray[np.float64]:
    assert statistic.derive is not None
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(statistic.derive(**inputs, **settings), np.float64)


def as_floats(column: Any) -> NDArray[np.float64]:
    """A column of a frame, table or mapping as float64, its nulls as NaN."""
    if isinstance(column, np.ndarray):
        return column.astype(np.float64, copy=False)
    if hasattr(column, "to_numpy"):
        return np.asarray(column.to_numpy(dtype=float, na_value=np.nan), np.float64)
    return np.asarray(column, np.float64)
