"""The catalog as the page Runs shows it: one row a run, or one row a group of seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pages.shell.session.runs import Entry
from probes import notes
from probes.analysis import run_filter, run_groups
from probes.schema import LIKELIHOODS

NAMES_OF_NLL = (*(f"{split}/{name}" for split in ("validation", "test") for name in LIKELIHOODS), "train/nll")
"""Where a run's negative log likelihood is looked for, in this order."""
LIVING = ("living_share",)
RATE = ("rate", "train/rate")


SETTING, SCORE = "setting:", "score:"
"""Before the names of columns that show a setting, or a score `split/name`."""
OWN = (
    *("run", "name", "status", "tags", "created", "rank", "NLL", "to twin", "living"),
    *("network", "steps", "NLL over steps", "rate over steps", "living over steps"),
)
"""Columns that every table of runs can have; settings stand before the network."""
ALWAYS = ("run", "status", "created")
SAME_FOR_ALL = ("network", "steps")
"""Columns that tell nothing where all runs have the same in them."""
UNUSUAL = ("name",)
"""Columns that are shown when they are asked for."""


Configs = Mapping[str, Mapping[str, Any]]
"""Settings of runs by name, as `run_groups.flat_config` gives them."""


def named_rows(entries: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    """The catalog's rows under the names that the dashboard gives the runs."""
    return {name: {**entry.row, "name": name} for name, entry in entries.items()}


def filtered(entries: Mapping[str, Entry], configs: Configs, text: str, archived: bool) -> dict[str, Entry]:
    """Runs that a filter leaves, in their order; archived ones only if they are asked for, there or by
    `archived`. Raises `run_filter.FilterError` for a filter that cannot be applied.
    """
    terms = run_filter.parse(text)
    if not archived and not any(term.key == "archived" for term in terms):
        entries = {name: entry for name, entry in entries.items() if not entry.row.get("archived")}
    if not terms:
        return dict(entries)
    facts = {
        name: run_filter.facts(row, _nll(row), configs[name]) for name, row in named_rows(entries).items()
    }
    run_filter.check(terms, facts.values())
    return {name: entry for name, entry in entries.items() if run_filter.matches(terms, facts[name])}


def runs_frame(shown: Mapping[str, Entry], everything: Mapping[str, Entry]) -> pd.DataFrame:
    """One row a shown run, by name: the columns OWN. Twins are looked for among all runs."""
    rows = [entry.row for entry in shown.values()]
    columns: dict[str, Any] = {
        "run": short_names(shown),
        "name": list(shown),
        "status": [str(row.get("status")) for row in rows],
        "tags": [list(notes.parse(row.get("tags"), None).tags) for row in rows],
        "created": pd.to_datetime(
            pd.Series([entry.created or None for entry in shown.values()], dtype=object),
            utc=True,
            format="ISO8601",
            errors="coerce",
        ).array,
        "network": [_network(row) for row in rows],
        "steps": [row.get("steps") for row in rows],
        "rank": pd.array(run_groups.ranks(rows, NAMES_OF_NLL), dtype="Int64"),
        "NLL": [_nll(row) for row in rows],
        "NLL over steps": [_points(row, NAMES_OF_NLL) for row in rows],
        "to twin": run_groups.twin_deltas(rows, (entry.row for entry in everything.values()), NAMES_OF_NLL),
        "rate over steps": [_points(row, RATE) for row in rows],
        "living": [_living(row) for row in rows],
        "living over steps": [_points(row, LIVING) for row in rows],
    }
    return pd.DataFrame(columns, index=pd.Index(list(shown), name="name of the run"))


def flat_configs(shown: Mapping[str, Entry]) -> Configs:
    """The settings of each run."""
    return {name: run_groups.flat_config(entry.row.get("config") or {}) for name, entry in shown.items()}


def with_columns(
    frame: pd.DataFrame, shown: Mapping[str, Entry], configs: Configs, wanted: Sequence[str]
) -> pd.DataFrame:
    """The frame of `runs_frame` with the settings and scores of `wanted`."""
    more: dict[str, Any] = {}
    for key in wanted:
        if key.startswith(SETTING):
            more[key] = _alike([configs[name].get(key.removeprefix(SETTING)) for name in shown])
        elif key.startswith(SCORE):
            found = [run_groups.score(entry.row, [key.removeprefix(SCORE)]) for entry in shown.values()]
            more[key] = [own[1] if own else None for own in found]
    return frame.assign(**more)


def short_names(entries: Mapping[str, Entry]) -> list[str]:
    """What runs are called in a table: as the user named them, else by what tells them from the others."""
    own = run_groups.short_names(list(entries))
    return [
        str(entry.row.get("shown_name") or name) for entry, name in zip(entries.values(), own, strict=True)
    ]


def offered_columns(shown: Mapping[str, Entry], configs: Configs) -> list[str]:
    """All columns that can be chosen: OWN but for the run itself, every setting, every score."""
    settings = dict.fromkeys(key for name in shown for key in configs[name])
    scores = dict.fromkeys(key for entry in shown.values() for key in entry.row.get("scores") or {})
    return [*OWN[1:], *(f"{SETTING}{key}" for key in settings), *(f"{SCORE}{key}" for key in scores)]


def usual_columns(frame: pd.DataFrame, configs: Configs) -> list[str]:
    """What is shown unless something else is asked for: every setting that varies, and of OWN what holds
    something that tells the runs apart.
    """
    own = [key for key in OWN if key in ALWAYS or (key not in UNUSUAL and any(map(_has_value, frame[key])))]
    if len(frame) > 1:
        own = [key for key in own if key not in SAME_FOR_ALL or len(set(filter(_has_value, frame[key]))) > 1]
    place = next((own.index(key) for key in OWN[OWN.index("network") :] if key in own), len(own))
    varying = run_groups.varying_settings(configs[name] for name in frame.index)
    return [*own[:place], *(f"{SETTING}{key}" for key in varying), *own[place:]]


def _has_value(value: Any) -> bool:
    return bool(value) if isinstance(value, list | str) else bool(pd.notna(value))


def _alike(values: list[Any]) -> Any:
    """Values of a setting as one kind: numbers, truth values, or text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return values
    if kinds <= {int, float}:
        return pd.array([None if value is None else float(value) for value in values], dtype="Float64")
    return [None if value is None else str(value) for value in values]


def groups_frame(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """One row a group of seeds: what its settings are, how its runs ended, median and range."""
    labels = run_groups.group_labels(groups)
    lines = []
    for key, rows in groups.items():
        scores = [value for row in rows if (value := _nll(row)) is not None]
        living = [share for row in rows if (share := _living(row)) is not None]
        line = {
            "group": labels[key],
            "runs": len(rows),
            "seeds": ", ".join(sorted({str(row.get("seed")) for row in rows})),
        }
        for name, values in (("NLL", scores), ("living", living)):
            line |= {
                name: float(np.median(values)) if values else None,
                f"{name} range": _range(values, name == "living"),
            }
        lines.append(line)
    return pd.DataFrame(lines)


def group_curves(
    groups: Mapping[str, Sequence[Mapping[str, Any]]], labels: Mapping[str, str]
) -> dict[str, dict[str, list[np.ndarray]]]:
    """Curves of the runs of those groups that have a label, by quantity and label: from the points that
    manifests keep.
    """
    quantities = {"NLL (nats)": NAMES_OF_NLL, "living share": LIVING}
    return {
        title: {label: [run_groups.curve(row, names) for row in groups[key]] for key, label in labels.items()}
        for title, names in quantities.items()
    }


def _points(row: dict[str, Any], names: Sequence[str]) -> list[float]:
    """A sparkline's values, from the first of the series that the manifest has."""
    series = row.get("sparklines") or {}
    found: Sequence[Sequence[float | None]] = next((series[name] for name in names if name in series), [])
    return [float(point[1]) for point in found if point[1] is not None]


def _network(row: dict[str, Any]) -> str:
    if pd.isna(row["layers"]) or not row["layers"]:  # of a watch that recorded nothing
        return ""
    layers, neurons = int(row["layers"]), int(row["neurons"])
    return f"{layers} × {neurons // layers}" if neurons % layers == 0 else f"{neurons:,}"


def _living(row: Mapping[str, Any]) -> float | None:
    """Share of living neurons in per cent, mean over layers."""
    shares = [share for share in row.get("living_share") or [] if share is not None]
    return 100 * sum(shares) / len(shares) if shares else None


def _nll(row: Mapping[str, Any]) -> float | None:
    found = run_groups.score(row, NAMES_OF_NLL)
    return None if found is None else found[1]


def _range(values: Sequence[float], percent: bool) -> str:
    if len(values) < 2:
        return ""
    return f"{min(values):.0f} to {max(values):.0f}" if percent else f"{min(values):.3f} to {max(values):.3f}"
