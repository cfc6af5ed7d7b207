"""What runs have in common: the same config but for the seed, the same but for being a twin, and what
differs.

Rows are those of `probes.catalog` as dicts; everything here is from manifests alone.
"""

from __future__ import annotations

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


def twin_delta(row: Row, rows: Iterable[Row], names: Sequence[str]) -> float | None:
    """Last score of a run minus that of its twin.

    Parameters
    ----------
    row
        The run, of `probes.catalog`, as a dict.
    rows
        Where its twin is looked for.
    names
        "split/name" of scores; the first that both have is taken.

    Returns
    -------
    float or None
        Below 0 the run is the better.
    """
    twin = twin_of(row, rows)
    if twin is None:
        return None
    for name in names:
        own, other = score(row, [name]), score(twin, [name])
        if own and other:
            return own[1] - other[1]
    return None


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
    keys = list(dict.fromkeys(key for config in configs.values() for key in config))
    rows = {}
    for key in keys:
        values = [config.get(key, ABSENT) for config in configs.values()]
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
        Group -> its rows, largest group first; runs without a config are left out.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.get("group") and row.get("config"):
            found.setdefault(str(row["group"]), []).append(row)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def group_labels(groups: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """What tells each group from the others, `beta=0.05 layers=3`. Labels differ.

    Parameters
    ----------
    groups
        As `seed_groups` returns them.

    Returns
    -------
    dict
        Group -> the LABEL_KEYS settings with the most values, those that all groups have first.
    """
    configs = {
        key: {k: v for k, v in rows[0]["config"].items() if k != "seed"} for key, rows in groups.items()
    }
    table = differences(configs) if len(configs) > 1 else pd.DataFrame()
    ranked = sorted(
        table.index, key=lambda name: ((table.loc[name] == ABSENT).any(), -table.loc[name].nunique())
    )
    labels: dict[str, str] = {}
    for key, config in configs.items():
        told = [name for name in ranked if table.loc[name, key] != ABSENT][:LABEL_KEYS]
        label = (
            " ".join(f"{name}={table.loc[name, key]}" for name in told)
            or f"data={config.get('data', ABSENT)}"
        )
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
