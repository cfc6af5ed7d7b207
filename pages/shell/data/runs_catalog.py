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


def named_rows(entries: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    """The catalog's rows under the names that the dashboard gives the runs."""
    return {name: {**entry.row, "name": name} for name, entry in entries.items()}


def filtered(entries: Mapping[str, Entry], text: str) -> dict[str, Entry]:
    """Runs that a filter leaves, in their order. Raises `run_filter.FilterError` for one that cannot be
    applied.
    """
    terms = run_filter.parse(text)
    facts = {name: run_filter.facts(row, _nll(row)) for name, row in named_rows(entries).items()}
    run_filter.check(terms, facts.values())
    return {name: entry for name, entry in entries.items() if run_filter.matches(terms, facts[name])}


def runs_frame(shown: Mapping[str, Entry], everything: Mapping[str, Entry]) -> pd.DataFrame:
    """One row a shown run; its twin is looked for among all runs."""
    rows = list(named_rows(everything).values())
    return pd.DataFrame(
        [
            _catalog_line(entry)
            | {
                "tags": list(notes.parse(entry.row.get("tags"), entry.row.get("notes")).tags),
                "to twin": run_groups.twin_delta(entry.row, rows, NAMES_OF_NLL),
                "rate over steps": run_groups.curve(entry.row, RATE)[:, 1].tolist(),
            }
            for entry in shown.values()
        ]
    )


def groups_frame(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """One row a group of seeds: what its settings are, how its runs ended, median and range."""
    labels = run_groups.group_labels(groups)
    lines = []
    for key, rows in groups.items():
        scores = [value for row in rows if (value := _nll(row)) is not None]
        living = [share for row in rows if (share := run_filter.facts(row)["living"]) is not None]
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


def _catalog_line(entry: Entry) -> dict[str, Any]:
    """What the catalog itself says of a run."""
    row = entry.row
    shares = [share for share in row.get("living_share") or [] if share is not None]
    scores = row.get("scores") or {}
    score = next((scores[name]["value"] for name in NAMES_OF_NLL if name in scores), None)
    return {
        "run": entry.name,
        "status": str(row.get("status")),
        "created": pd.to_datetime(entry.created, utc=True) if entry.created else None,
        "network": _network(row),
        "steps": row.get("steps"),
        "NLL": None if score is None else float(score),
        "NLL over steps": _points(row, NAMES_OF_NLL),
        "living": 100 * float(np.mean(shares)) if shares else None,
        "living over steps": _points(row, LIVING),
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


def _nll(row: Mapping[str, Any]) -> float | None:
    found = run_groups.score(row, NAMES_OF_NLL)
    return None if found is None else found[1]


def _range(values: Sequence[float], percent: bool) -> str:
    if len(values) < 2:
        return ""
    return f"{min(values):.0f} to {max(values):.0f}" if percent else f"{min(values):.3f} to {max(values):.3f}"
