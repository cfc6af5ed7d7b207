"""What runs have in common: the same config but for the seed, the same but for being a twin, and what
differs.

Rows are those of `probes.catalog` as dicts; everything here is from manifests alone.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.spacing import evenly_spaced

Row = Mapping[str, Any]
ABSENT = "–"
"""Stands in a table of differences for a key that a run does not have."""

LABEL_KEYS = 3
"""Settings that a group is called by: more would not fit a line."""

CURVE_POINTS = 64
"""Steps of a common curve; a manifest's sparkline has at most 32 points, so nothing of it is lost."""


def score(row: Row, names: Sequence[str]) -> tuple[str, float] | None:
    """The first of some scores that a run has a finite last value of.

    Parameters
    ----------
    row
        Of `probes.catalog`, as a dict.
    names
        "split/name" of the scores.

    Returns
    -------
    tuple or None
        Name and value.
    """
    scores = row.get("scores") or {}
    for name in names:
        value = (scores.get(name) or {}).get("value")
        if isinstance(value, int | float) and np.isfinite(value):
            return name, float(value)
    return None


def curve(row: Row, names: Sequence[str]) -> NDArray[np.float64]:
    """The first of some sparklines that a run has.

    Parameters
    ----------
    row
        Of `probes.catalog`, as a dict.
    names
        Of the sparklines.

    Returns
    -------
    ndarray
        (P, 2) steps and finite values; (0, 2) without one.
    """
    series = row.get("sparklines") or {}
    found: list[Any] = next((series[name] for name in names if series.get(name)), [])
    kept = [point for point in found if len(point) == 2 and None not in point]
    return np.asarray(kept, float).reshape(-1, 2)


TWIN_KEYS = (
    *("data", "columns", "window", "horizon", "split", "split_rows"),
    *("layers", "neurons", "latent_dim", "pool", "encoder", "normalise", "read_first", "seed"),
)
"""Settings that a run and its deterministic twin have in common; the twin's learning rate and steps may be
tuned apart, and what it does not read (beta, sigma, prior, control) may be anything."""


def flat_config(config: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """A config as one level.

    Parameters
    ----------
    config
        Of a run; settings inside settings get their names joined by dots.
    prefix
        Before each name.

    Returns
    -------
    dict
        Name -> value, in the config's own order.
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):  # as JSON gives them; asking for a Mapping takes ten times as long
            found |= flat_config(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def varying_settings(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Settings of which runs have more than one value, in the order in which the configs name them.

    Parameters
    ----------
    configs
        Of the runs, as `flat_config` gives them.

    Returns
    -------
    list of str
        A run that lacks a setting says nothing of it; lists of objects, which fit no cell, are left out.
    """
    seen: dict[str, Any] = {}
    found: dict[str, None] = {}
    for config in configs:
        for key, value in config.items():
            if key not in found and seen.setdefault(key, value) != value and not _has_objects(value):
                found[key] = None
    return [key for key in seen if key in found]


def _has_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def short_names(names: Sequence[str]) -> list[str]:
    """Names of runs by what differs: words that all of them have are left out.

    Parameters
    ----------
    names
        Any number; words are what stands between hyphens, underscores and blanks.

    Returns
    -------
    list of str
        In the same order, all different where the names are; the names themselves where no letter would be
        left of one, or two would be called the same.
    """
    words = [[word for word in re.split(r"[-_\s]+", name) if word] for name in names]
    common = set(words[0]).intersection(*words[1:]) if len(words) > 1 else set()
    short = ["-".join(word for word in parts if word not in common) for parts in words]
    bare = any(not re.search(r"[^\W\d_]", name) for name in short)
    if not common or bare or len(set(short)) < len(set(names)):
        return list(names)
    return short


DATA_KEYS = ("data", "columns", "horizon", "split", "split_rows")
"""Settings that say which targets a run is scored on."""


def ranks(rows: Sequence[Row], names: Sequence[str]) -> list[int | None]:
    """Places of runs by their last score, among those that were scored on the same data.

    Parameters
    ----------
    rows
        Of `probes.catalog`, as dicts.
    names
        "split/name" of scores of which less is better; of each run the first that it has. Different ones are
        not compared.

    Returns
    -------
    list of (int or None)
        1 is the best, equal scores have the same place; None without a score, or without `data` in the
        config.
    """
    known: list[tuple[Any, float] | None] = []
    for row in rows:
        config, own = row.get("config") or {}, score(row, names)
        data = repr([config.get(key) for key in DATA_KEYS]) if config.get("data") is not None else None
        known.append(((data, own[0]), own[1]) if own and data else None)
    values: dict[Any, list[float]] = {}
    for group, value in filter(None, known):
        values.setdefault(group, []).append(value)
    ordered = {group: sorted(found) for group, found in values.items()}
    return [bisect.bisect_left(ordered[found[0]], found[1]) + 1 if found else None for found in known]


def twin_of(row: Row, rows: Iterable[Row]) -> Row | None:
    """The newest run with `twin` true and a run's settings in `TWIN_KEYS`.

    Parameters
    ----------
    row
        The run, of `probes.catalog`, as a dict.
    rows
        Where it is looked for.

    Returns
    -------
    Mapping or None
        None for a twin, or where there is none.
    """
    config = row.get("config") or {}
    if not config or config.get("twin"):
        return None
    found = [
        other
        for other in rows
        if (own := other.get("config") or {}).get("twin")
        and all(own.get(key) == config.get(key) for key in TWIN_KEYS)
    ]
    return max(found, key=lambda other: str(other.get("created") or ""), default=None)


def twin_deltas(rows: Iterable[Row], everything: Iterable[Row], names: Sequence[str]) -> list[float | None]:
    """Last score of each run minus that of its twin.

    Parameters
    ----------
    rows
        The runs, of `probes.catalog`, as dicts.
    everything
        Where their twins are looked for.
    names
        "split/name" of scores; the first that both have is taken.

    Returns
    -------
    list of (float or None)
        Below 0 the run is the better; None without a twin, or a score that both have.
    """
    twins: dict[str, list[Row]] = {}
    for other in everything:
        if (config := other.get("config") or {}).get("twin"):
            twins.setdefault(_twin_key(config), []).append(other)
    found: list[float | None] = []
    for row in rows:
        twin = twin_of(row, twins.get(_twin_key(row.get("config") or {}), ())) if twins else None
        both = ((score(row, [name]), score(twin, [name])) for name in names) if twin is not None else ()
        found.append(next((own[1] - other[1] for own, other in both if own and other), None))
    return found


def _twin_key(config: Mapping[str, Any]) -> str:
    """The same for configs that agree in TWIN_KEYS (1 and 1.0 do)."""
    values = (config.get(key) for key in TWIN_KEYS)
    return repr([float(value) if isinstance(value, int) else value for value in values])


def differences(configs: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """What differs between configs.

    Parameters
    ----------
    configs
        Name of a run -> its config.

    Returns
    -------
    DataFrame
        One row a key, one column a run, values as text, ABSENT where there is none; in the configs' own order
        of keys.
    """
    flat = [flat_config(config) for config in configs.values()]
    rows = {}
    for key in dict.fromkeys(key for config in flat for key in config):
        values = [config.get(key, ABSENT) for config in flat]
        if any(value != values[0] or type(value) is not type(values[0]) for value in values[1:]):
            rows[str(key)] = [str(value) for value in values]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(configs)).rename_axis("setting")


def seed_groups(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Runs that differ by their seed alone (the manifest's `group`).

    Parameters
    ----------
    rows
        Of `probes.catalog`, as dicts.

    Returns
    -------
    dict
        Group -> its rows, largest group first. Runs whose settings are not known are left out: those without
        a config, and those of which `probes.watch` has written the only part of it.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.get("group") and set(row.get("config") or ()) - {"watch"}:
            found.setdefault(str(row["group"]), []).append(row)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def seed_pairs(row: Row, reference: Row, rows: Iterable[Row]) -> list[tuple[Row, Row]]:
    """Trainings of two settings that have a seed in common.

    Parameters
    ----------
    row, reference
        One run of each, of `probes.catalog`, as dicts.
    rows
        Where the others are looked for: finished runs that differ from one of the two by their seed alone.

    Returns
    -------
    list of tuple
        A pair a seed, in order of seeds, the newest of each; only the two themselves where fewer than two
        seeds are common, or the settings are the same.
    """
    groups = row.get("group"), reference.get("group")
    found: tuple[dict[Any, Row], dict[Any, Row]] = ({}, {})
    if None not in groups and groups[0] != groups[1]:
        for other in sorted((*rows, row, reference), key=lambda other: str(other.get("created") or "")):
            for group, seeds in zip(groups, found, strict=True):
                if other.get("group") == group and other.get("status") == "finished":
                    seeds[other.get("seed")] = other
    common = sorted((found[0].keys() & found[1].keys()) - {None})
    return [(found[0][seed], found[1][seed]) for seed in common] if len(common) > 1 else [(row, reference)]


def group_labels(groups: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """What tells each group from the others, `beta=0.05 layers=3`. Labels differ.

    Parameters
    ----------
    groups
        As `seed_groups` returns them.

    Returns
    -------
    dict
        Group -> the LABEL_KEYS settings with the most values, those that all groups have first, and those
        that tell it from the others that have the same in these.
    """
    configs = {
        key: {k: v for k, v in flat_config(rows[0]["config"]).items() if k != "seed" and not _has_objects(v)}
        for key, rows in groups.items()
    }
    table = differences(configs) if len(configs) > 1 else pd.DataFrame()
    ranked = sorted(
        table.index, key=lambda name: ((table.loc[name] == ABSENT).any(), -table.loc[name].nunique())
    )

    def told(key: str, names: Sequence[str]) -> str:
        return " ".join(f"{name}={table.loc[name, key]!s}" for name in names)

    own = {key: [name for name in ranked if table.loc[name, key] != ABSENT] for key in configs}
    first = {key: told(key, names[:LABEL_KEYS]) for key, names in own.items()}
    labels: dict[str, str] = {}
    for key, config in configs.items():
        alike = [other for other in configs if first[other] == first[key]]
        more = [name for name in own[key][LABEL_KEYS:] if table.loc[name, alike].nunique() > 1]
        label = told(key, [*own[key][:LABEL_KEYS], *more]) or f"data={config.get('data', ABSENT)}"
        doubles = sum(other == label or other.startswith(f"{label} (") for other in labels.values())
        labels[key] = f"{label} ({doubles + 1})" if doubles else label
    return labels


def common_curve(curves: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Curves of several runs on common steps, linear between a curve's points.

    Parameters
    ----------
    curves
        (P_i, 2) steps and values; empty ones are left out.

    Returns
    -------
    tuple of ndarray
        Steps (P,) and values (R, P), NaN where a run has no step around; both empty without curves.
    """
    kept = [item for item in curves if len(item)]
    if not kept:
        return np.zeros(0), np.zeros((0, 0))
    steps = np.unique(np.concatenate([item[:, 0] for item in kept]))
    if len(steps) > CURVE_POINTS:
        steps = steps[evenly_spaced(len(steps), CURVE_POINTS)]
    values = [np.interp(steps, item[:, 0], item[:, 1], left=np.nan, right=np.nan) for item in kept]
    return steps, np.stack(values)
