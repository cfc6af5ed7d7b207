"""A classifier's answers: reliability, ECE and entropies of a split, at the cursor and over steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pages.shell.data import payloads
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.analysis import class_calibration
from probes.schema import LIKELIHOODS, SCORES
from probes.spacing import evenly_spaced

RUNS_KEPT = 8
STEPS_KEPT = 128  # answers at one step, tens of kilobytes each
STEPS_DRAWN = 96  # of the entropies: each is a reading
SPLITS = ("validation", "test")


@cache.of_run("reliability", keep=RUNS_KEPT)
def reliability(context: RunContext) -> pd.DataFrame:
    """Bins of all answers, at every step they were taken; empty for a run of no classes."""
    return context.run.reliability()


def splits(context: RunContext) -> list[str]:
    """Splits whose answers are there, those of training's own validation first."""
    there = reliability(context)["split"].unique().tolist()
    known = [split for split in SPLITS if split in there]
    return known + sorted(set(there) - set(known))


@cache.of_run("reliability", keep=RUNS_KEPT)
def over_steps(context: RunContext, split: str) -> pd.DataFrame:
    """`class_calibration.calibration_over_steps` of a split."""
    table = reliability(context)
    return class_calibration.calibration_over_steps(table[table["split"] == split])


def diagram(context: RunContext, split: str, step: int) -> pd.DataFrame:
    """`class_calibration.reliability_diagram` of a split at one of its steps."""
    table = reliability(context)
    return class_calibration.reliability_diagram(table[(table["split"] == split) & (table["step"] == step)])


def steps_of(context: RunContext, split: str) -> list[int]:
    """Steps at which a split was answered, in order."""
    return [int(step) for step in over_steps(context, split)["step"]]


@cache.of_run(keep=STEPS_KEPT)
def _answers_at(context: RunContext, step: int, rows: int) -> pd.DataFrame:
    """`rows`: of a step to which more may come."""
    return class_calibration.with_parts(context.run.answers(step))


def last(context: RunContext) -> pd.DataFrame:
    """The answers to single examples at the last step that has them; empty for a run of no classes."""
    steps = context.run.answer_steps()
    if not len(steps):
        return pd.DataFrame()
    return _answers_at(context, int(steps[-1]), context.run.extent("answers"))


def answers(context: RunContext, split: str, step: int) -> pd.DataFrame:
    """Answers one by one at a step, with `right` and the latent part of the entropy."""
    newest = step >= int(reliability(context)["step"].max())
    table = _answers_at(context, step, context.run.extent("answers") if newest else 0)
    return table[table["split"] == split]


@cache.of_run("answers", keep=RUNS_KEPT, show_spinner="Reading answers …")
def entropies(context: RunContext, split: str) -> pd.DataFrame:
    """`class_calibration.entropy_over_steps` of a split, at up to `STEPS_DRAWN` steps."""
    steps = steps_of(context, split)
    shown = [steps[place] for place in evenly_spaced(len(steps), STEPS_DRAWN)]
    tables = [answers(context, split, step) for step in shown]
    return class_calibration.entropy_over_steps(pd.concat(tables, ignore_index=True))


def entropy_histogram(context: RunContext, split: str, step: int) -> pd.DataFrame:
    """`class_calibration.entropy_histogram` of a split at a step."""
    table = answers(context, split, step)
    classes = table.filter(regex=r"^p_\d+$").notna().any().sum()
    return class_calibration.entropy_histogram(table, int(classes) or None)


def number_cards(
    context: RunContext, split: str, at: int, scalars: pd.DataFrame, step: int
) -> list[dict[str, Any]]:
    """Accuracy, proper scores, ECE and entropy of a split, at its step `at` (scores: at or before `step`)."""
    table = over_steps(context, split)
    place = int(np.flatnonzero(table["step"] == at)[0])
    now = table.iloc[place]
    answered = f"of {int(now['count']):,} answers"
    ends = f"95 %: {100 * now['accuracy_low']:.1f} to {100 * now['accuracy_high']:.1f}"
    items = [_card("Accuracy", 100 * table["accuracy"], place, "%", ends, f"Right answers, {answered}")]
    for names in (LIKELIHOODS, ("brier",)):
        part = scalars[(scalars["split"] == split) & scalars["name"].isin(names)].sort_values("step")
        seen = int((part["step"] <= step).sum())
        if seen:
            score = SCORES[str(part["name"].iloc[0])]
            note = "lower is better" if score.name != "brier" else "0 to 2, lower is better"
            items.append(_card(score.label, part["value"], seen - 1, score.short_unit, note, score.meaning))
    null = f"calibrated: below {now['null_95']:.3f}"
    items.append(_card("ECE", table["ece"], place, "", null, SCORES["ece"].meaning))
    gap = 100 * (table["confidence"] - table["accuracy"])
    items.append(
        _card("Overconfidence", gap, place, "%", "confidence − accuracy", "Mean confidence less accuracy")
    )
    return items


def _card(
    label: str, values: pd.Series, place: int, unit: str, note: str, explanation: str
) -> dict[str, Any]:
    series = values.to_numpy(float)
    shown = {"label": label, "value": payloads.number(series[place]), "unit": unit, "note": note}
    return {**shown, "help": explanation, "spark": payloads.spark(series)}
