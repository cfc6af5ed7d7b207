"""Validation against training over steps, the twin or the second run beside it."""

from __future__ import annotations

from functools import partial

from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards, step_axis
from probes.figures.overfitting import in_words, overfitting, scores_of

LEVELS = "Splits have levels of their own: a network overfits where the two part."
OF_BATCHES = "Training is what batches logged, averaged: with fewer draws it is the higher for that alone."


def show(context: RunContext, other: RunContext | None, label: str, view: step_axis.View, step: int) -> None:
    """The card; nothing of a run that lacks one of the two."""
    scalars = view.within(cache.scalars(context))
    scores = scores_of(scalars)
    if scores is None:
        return
    beside = scores_of(view.within(cache.scalars(other))) if other else None
    if beside is not None and beside.name != scores.name:
        beside = None
    axis = view.axis(context)
    figure = overfitting(
        scores, other=beside, label=label, step=view.cursor(step), axis=axis,
        other_axis=view.axis(other) if other else None,
    )  # fmt: skip
    said = [in_words(scores, "This run")] + (
        [in_words(beside, url.plain(label.capitalize() if label == "twin" else label))] if beside else []
    )
    batches = any(one.batches for one in (scores, beside) if one is not None)
    note = f"{'. '.join(said)}. {LEVELS} {OF_BATCHES if batches else ''}".strip()
    rows = scalars[scalars["split"].isin(("train", "validation"))]
    cards.card(
        "**Validation against training** · the best validation is marked", figure, "overfitting", rows,
        of=context.entry.name, note=note, draw=partial(step_axis.chart, view=view, axes=[axis]),
    )  # fmt: skip
