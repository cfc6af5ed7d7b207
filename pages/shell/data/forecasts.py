"""Forecasts of a run's probe batch, cached; the deterministic twin beside it; which inputs and steps are
looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.shell.data import payloads
from pages.shell.session import cache, url
from pages.shell.session.state import RunContext
from probes.analysis import calibration
from probes.analysis.run_groups import twin_of
from probes.experiments.estimates import clustered_mean
from probes.figures.predictive_scores import COVERAGE
from probes.run_reader import RunReader
from probes.spacing import evenly_spaced, evenly_spaced_between

RUNS_KEPT = 4  # of the probe batch's forecasts: up to some tens of megabytes each
NEEDED = {"step", "input", "horizon", "y", "mean", "latent_variance", "observation_variance", "pit"}


@dataclass(frozen=True)
class Calibration:
    """What the probe batch's forecasts are worth at every step they were taken, from
    `probes.analysis.calibration`.
    """

    pit: pd.DataFrame
    parts: pd.DataFrame


@st.cache_resource(max_entries=RUNS_KEPT, show_spinner="Reading forecasts …")
def predictions(stamp: cache.Stamp, _run: RunReader, steps: tuple[int, ...] = ()) -> pd.DataFrame:
    """Forecasts of the probe batch at every step they were taken; empty for a run without (or of classes).

    `steps` are looked at besides those of the run's own posteriors: a twin has forecasts and no posteriors.
    """
    wanted = sorted({*(int(step) for step in _run.probe_steps()), *steps})
    tables = [_run.predictions(step) for step in wanted] + [_run.predictions()]
    tables = [table for table in tables if len(table) and set(table) >= NEEDED]
    if not tables:
        return pd.DataFrame(columns=sorted(NEEDED))
    return pd.concat(tables, ignore_index=True).drop_duplicates(
        ["step", "input", "horizon"], ignore_index=True
    )


@st.cache_resource(max_entries=RUNS_KEPT, show_spinner=False)
def calibrated(stamp: cache.Stamp, _table: pd.DataFrame) -> Calibration:
    """PIT histograms, and the parts of the predictive variance with the error, over steps."""
    parts = calibration.sharpness_over_steps(_table)
    errors = []
    for _, part in _table.groupby("step", sort=True):
        errors.append(clustered_mean((part["y"] - part["mean"]) ** 2, part["input"]))
    parts["error"] = [float(mean) for mean, _ in errors]
    parts["error_error"] = [float(error) for _, error in errors]
    return Calibration(calibration.pit_histogram(_table), parts)


def find_twin(context: RunContext) -> cache.Entry | None:
    """The newest run with the same settings but for being a deterministic twin."""
    entries = cache.entries().values()
    row = twin_of(context.entry.row, [entry.row for entry in entries])
    return next((entry for entry in entries if row is not None and entry.row["path"] == row["path"]), None)


def typical_inputs(table: pd.DataFrame, count: int) -> list[int]:
    """Inputs from the calmest to the most uncertain: evenly spaced in rank of the predictive variance at the
    last step.
    """
    last = table[table["step"] == table["step"].max()]
    variance = (
        (last["latent_variance"] + last["observation_variance"]).groupby(last["input"]).mean().sort_values()
    )
    return [int(variance.index[place]) for place in evenly_spaced(len(variance), count)]


def spread_steps(steps: Iterable[int], cursor: int, count: int) -> list[int]:
    """At most `count` recorded steps up to the cursor: the first, and the rest evenly spaced over the later
    half.

    Probe steps are log-spaced, so that most of them lie before anything is learnt.
    """
    known = [int(step) for step in steps]
    before = [step for step in known if step <= cursor] or known[:1]
    if len(before) <= count:
        return before
    late = evenly_spaced_between(len(before) // 2, len(before) - 1, count - 1)
    return [before[place] for place in [0, *late]]


def cards(parts: pd.DataFrame, at: int, validation: pd.DataFrame, step: int) -> list[dict[str, Any]]:
    """The probe batch at its step `at`, then coverage of the validation split at `step`, each with its
    course.
    """
    variance = parts["latent"] + parts["observation"]
    numbers = (
        (
            "Predictive sd",
            parts["sd"],
            "",
            "mean of probe batch",
            "Root of the sum of both parts of the variance",
        ),
        (
            "Latent share",
            100 * parts["latent"] / variance,
            "%",
            "of the variance",
            "From drawing neurons; the rest: observation",
        ),
        (
            "Error / variance",
            parts["error"] / variance,
            "",
            "1 is calibrated",
            "Squared error; above 1 is overconfident",
        ),
    )
    place = int(np.flatnonzero(parts["step"] == at)[0])
    items = [
        _card(label, values.to_numpy(float), place, unit, note, words)
        for label, values, unit, note, words in numbers
    ]
    for level in COVERAGE:
        part = validation[validation["name"] == f"coverage_{level}"].sort_values("step")
        seen = int((part["step"] <= step).sum())
        if seen:
            words = "Share of what came that lay in the central band"
            values = 100 * part["value"].to_numpy(float)
            items.append(
                _card(f"In the {level} % band", values, seen - 1, "%", "of the validation split", words)
            )
    return items


def _card(label: str, values: np.ndarray, place: int, unit: str, note: str, words: str) -> dict[str, Any]:
    shown = {
        "label": label,
        "value": payloads.number(values[place]),
        "unit": unit,
        "note": note,
        "help": words,
    }
    return {**shown, "spark": payloads.spark(values)}


def several(
    place: DeltaGenerator,
    label: str,
    options: Sequence[int],
    key: str,
    default: list[int],
    most: int,
    **settings: Any,
) -> list[int]:
    """A choice of at most `most` numbers that lives in the URL under `key`, comma-separated; the default
    stays out of it.
    """
    asked = [item for item in (url.get(key) or "").split(",") if item]
    kept = [int(item) for item in asked if item.isdecimal() and int(item) in options][:most]
    if len(kept) < len(asked):
        instead = ", ".join(map(str, kept or default)) or "the default"
        url.unknown(label.lower(), ", ".join(asked), instead)
        url.put(key, ",".join(map(str, kept)) or None)
    name = f"choose_{key}"
    st.session_state[name] = kept or default

    def changed() -> None:
        chosen = st.session_state[name]
        url.put(key, None if chosen in ([], default) else ",".join(map(str, chosen)))

    place.multiselect(label, options, key=name, max_selections=most, on_change=changed, **settings)
    return kept or default


def final_scores(scalars: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Scores on the test split, one row a forecaster: the runs by name, then the naive forecasts of the first
    of them.

    Columns are the scores' names; scores that nobody has are left out.
    """
    rows: dict[str, dict[str, float]] = {}
    for place, (name, table) in enumerate(scalars.items()):
        for split, part in table.groupby("split", sort=True):
            naive = str(split).removeprefix("test ")
            if split == "test" or (str(split).startswith("test ") and place == 0):
                label = name if split == "test" else naive.replace("_", " ")
                last = part.groupby("name")["value"].last()
                rows[label] = {str(score): float(value) for score, value in last.items()}
    ordered = [*(name for name in scalars if name in rows), *(name for name in rows if name not in scalars)]
    return pd.DataFrame.from_dict({name: rows[name] for name in ordered}, orient="index")
