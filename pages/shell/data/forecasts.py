"""Forecasts of a run's probe batch; the deterministic twin beside it; which inputs and steps are shown at
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pages.shell.data import payloads
from pages.shell.session import cache, runs
from pages.shell.session.runs import RunContext
from probes.analysis import calibration
from probes.analysis.run_groups import twin_of
from probes.analysis.tails import mixture_df
from probes.experiments.estimates import clustered_mean, degrees_of_freedom, half_width
from probes.figures.predictive_scores import COVERAGE
from probes.spacing import evenly_spaced

STEPS_KEPT = 96  # of them at one step
RUNS_KEPT = 4  # of the probe batch's forecasts: up to some tens of megabytes each
NEEDED = {"step", "input", "horizon", "y", "mean", "latent_variance", "observation_variance", "pit"}


@dataclass(frozen=True)
class Calibration:
    """What the probe batch's forecasts are worth at every step they were taken, from
    `probes.analysis.calibration`.
    """

    pit: pd.DataFrame
    parts: pd.DataFrame


@cache.of_run("probe", "predictions", keep=RUNS_KEPT, show_spinner="Reading forecasts …")
def predictions(context: RunContext, steps: tuple[int, ...] = ()) -> pd.DataFrame:
    """Forecasts of the probe batch at every step they were taken; empty for a run without (or of classes).

    `steps` are looked at besides those of the run's own posteriors: a twin has forecasts and no posteriors.
    """
    newest = cache.predictions(context)
    last = int(newest["step"].iloc[0]) if len(newest) else -1
    wanted = sorted({*(int(step) for step in cache.probe_steps(context)), *steps} - {last})
    tables = [_predictions_at(context, step, step > last) for step in wanted] + [newest]
    tables = [table for table in tables if len(table) and set(table) >= NEEDED]
    if not tables:
        return pd.DataFrame(columns=sorted(NEEDED))
    return pd.concat(tables, ignore_index=True).drop_duplicates(
        ["step", "input", "horizon"], ignore_index=True
    )


def _predictions_at(context: RunContext, step: int, to_come: bool) -> pd.DataFrame:
    """Forecasts at a step; after the last one that has any they may be on their way."""
    return _stored_predictions(context, step, context.run.extent("predictions") if to_come else 0)


@cache.of_run(keep=STEPS_KEPT)
def _stored_predictions(context: RunContext, step: int, rows: int) -> pd.DataFrame:
    return context.run.predictions(step)


@cache.of_run("probe", "predictions", keep=RUNS_KEPT)
def calibration_over_steps(context: RunContext, steps: tuple[int, ...] = ()) -> Calibration:
    """PIT densities, and the parts of the predictive variance with the error, over steps. Arguments as of
    `predictions`.
    """
    table = predictions(context, steps)
    parts = calibration.sharpness_over_steps(table)
    blocks = "block" if "block" in table else "input"
    errors = []
    for _, part in table.groupby("step", sort=True):
        mean, error = clustered_mean((part["y"] - part["mean"]) ** 2, part[blocks])
        errors.append((float(mean), float(half_width(error, degrees_of_freedom(len(part), part[blocks])))))
    parts[["error", "error_half_width"]] = np.reshape(errors, (-1, 2))
    return Calibration(calibration.pit_density(table), parts)


@cache.of_run("probe", "predictions", keep=STEPS_KEPT)
def pit_histogram(context: RunContext, step: int) -> pd.DataFrame:
    """The PIT histogram of a step with its band, which is drawn anew for each step."""
    table = predictions(context)
    return calibration.pit_histogram(table[table["step"] == step])


def steps_of(table: pd.DataFrame) -> list[int]:
    """Steps at which forecasts were taken, in order."""
    return [int(step) for step in np.unique(table["step"].to_numpy(np.int64))]


def is_scalar(table: pd.DataFrame) -> bool:
    """Whether forecasts are of single numbers, not of series."""
    return bool((table["horizon"] == 0).all())


def at_or_before(table: pd.DataFrame, step: int) -> pd.DataFrame:
    """The forecasts of the last step that was taken at or before `step`, else of the first."""
    taken = steps_of(table)
    return table[table["step"] == cache.recorded_step(taken, step)] if taken else table


def same_data(context: RunContext, other: RunContext) -> bool:
    """Whether two runs say that they learn from the same data; a run that does not say may."""
    own, beside = (run.run.config.get("data") for run in (context, other))
    return own == beside or None in (own, beside)


def find_twin(context: RunContext) -> runs.Entry | None:
    """The newest run with the same settings but for being a deterministic twin."""
    entries = runs.entries().values()
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
    places = evenly_spaced(len(variance), count)
    return [int(variance.index[place]) for place in places]


def spread_steps(steps: Sequence[int], cursor: int, count: int) -> list[int]:
    """At most `count` recorded steps up to the cursor: the first, and the rest evenly spaced over the later
    half.

    Probe steps are log-spaced, so that most of them lie before anything is learnt.
    """
    before = [int(step) for step in steps if step <= cursor] or [int(steps[0])]
    if len(before) <= count:
        return before
    late = np.linspace(len(before) // 2, len(before) - 1, count - 1).round().astype(int)
    return [before[place] for place in np.unique([0, *late])]


def number_cards(parts: pd.DataFrame, at: int, validation: pd.DataFrame, step: int) -> list[dict[str, Any]]:
    """The probe batch at its step `at`, then coverage of the validation split at `step`, each with its
    values over steps.
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
        _card(label, values.to_numpy(float), place, unit, note, explanation)
        for label, values, unit, note, explanation in numbers
    ]
    for level in COVERAGE:
        part = validation[validation["name"] == f"coverage_{level}"].sort_values("step")
        seen = int((part["step"] <= step).sum())
        if seen:
            explanation = "Share of what came that lay in the central band"
            values = 100 * part["value"].to_numpy(float)
            items.append(
                _card(f"In the {level} % band", values, seen - 1, "%", "of the validation split", explanation)
            )
    return items


def _card(
    label: str, values: np.ndarray, place: int, unit: str, note: str, explanation: str
) -> dict[str, Any]:
    shown = {
        "label": label,
        "value": payloads.number(values[place]),
        "unit": unit,
        "note": note,
        "help": explanation,
    }
    return {**shown, "spark": payloads.spark(values)}


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


def weights_in_words(tested: pd.DataFrame) -> str:
    """Whose the scores of `final_scores` are: weights of an earlier step, where training kept the best."""
    steps = tested["weights_step"].dropna() if "weights_step" in tested else pd.Series(dtype=float)
    if steps.empty:
        return "at the end"
    each = [f"{step:,.0f} steps" + (f" ({name})" if len(steps) > 1 else "") for name, step in steps.items()]
    return f"with the best weights by validation, after {', '.join(each)}"


def law_of_bands(table: pd.DataFrame) -> str:
    """Whose quantiles the bands of predictions are; they have the mixture's mean and variance."""
    return "Student's t" if mixture_df(table) is not None else "a Gaussian"
