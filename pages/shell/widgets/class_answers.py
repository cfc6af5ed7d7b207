"""What a classifier's answers are worth: cards, reliability, ECE, entropy of right and of wrong ones."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell.data import class_answers as data
from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, cards, step_axis
from probes.figures.answer_entropy import entropy_histogram, entropy_over_steps
from probes.figures.reliability import ece_over_steps, reliability_diagram


def show(context: RunContext, other: RunContext | None, label: str, view: step_axis.View, step: int) -> None:
    """Everything of one split, at the last step at or before the cursor at which it was answered."""
    offered = data.splits(context)
    split = offered[0]
    if len(offered) > 1:
        split = url.choice(st.segmented_control, "Split", offered, "split", split, required=True)
    found = data.over_steps(context, split)
    at = cache.recorded_step(data.steps_of(context, split), step)
    beside = other if other is not None and split in data.splits(other) else None
    if other is not None and beside is None:
        st.caption(f"{url.plain(label)} has no class probabilities of this split: it is not shown here.")
    if at != step:
        st.caption(
            f"The {url.plain(split)} split was answered at step {at:,}, the last time until the cursor."
        )
    number = data.number_cards(context, split, at, cache.scalars(context), step)
    canvases.number_cards(number, key="uncertainty_cards")
    axis = view.axis(context)
    over_steps = partial(step_axis.chart, view=view, axes=[axis])
    other_axis = view.axis(beside) if beside else None
    named = {"label": label}
    left, right = st.columns([1.15, 1], gap="small")
    with left:
        bins = data.diagram(context, split, at)
        others, whose = None, ""
        if beside:
            then = cache.recorded_step(data.steps_of(beside, split), step)
            others, whose = data.diagram(beside, split, then), f"; {url.plain(label)}: step {then:,}"
        figure = reliability_diagram(bins, other=others, **named)
        title = f"**Reliability** · {url.plain(split)}, step {at:,}{whose}"
        cards.card(title, figure, "reliability", bins, of=context.entry.name)
    with right:
        figure = ece_over_steps(
            view.within(found), other=view.within(data.over_steps(beside, split)) if beside else None,
            step=view.cursor(at), axis=axis, other_axis=other_axis, **named,
        )  # fmt: skip
        title = "**ECE over steps** · above the band is miscalibrated"
        cards.card(title, figure, "ece", found, of=context.entry.name, draw=over_steps)
    st.caption(
        "Bins hold equally many answers; whiskers are 95 % Jeffreys intervals; the band is where 95 % of"
        " calibrated classifiers lie that are as confident."
    )
    wide, narrow = st.columns([1.7, 1], gap="small")
    with wide:
        entropies = data.entropies(context, split)
        figure = entropy_over_steps(
            view.within(entropies), other=view.within(data.entropies(beside, split)) if beside else None,
            step=view.cursor(at), axis=axis, other_axis=other_axis, **named,
        )  # fmt: skip
        kept = len(data.answers(context, split, at))
        of_all = int(found.loc[found["step"] == at, "count"].iloc[0])
        some = f" · {kept:,} of {of_all:,} answers" if kept < of_all else ""
        title = f"**Entropy of right and wrong answers** · median and middle half{some}"
        cards.card(title, figure, "entropy", entropies, of=context.entry.name, draw=over_steps, several=2)
    with narrow:
        histogram = data.entropy_histogram(context, split, at)
        figure = entropy_histogram(histogram, at)
        cards.card(f"**Entropy** · step {at:,}", figure, "entropy_now", histogram, of=context.entry.name)
