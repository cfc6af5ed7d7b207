"""What forecasts of numbers are worth: cards, single forecasts or intervals, parts of the variance, PIT."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from pages.shell.data import forecasts
from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, cards, single_forecasts, step_axis
from probes.analysis import posteriors
from probes.figures.pit import pit_histogram
from probes.figures.pit_over_steps import pit_over_steps
from probes.figures.prediction_intervals import prediction_intervals
from probes.figures.variance_parts import variance_parts


def show(context: RunContext, other: RunContext | None, label: str, view: step_axis.View, step: int) -> None:
    """Everything of the probe batch's forecasts, at the last step at or before the cursor that has any."""
    table = forecasts.predictions(context)
    taken = forecasts.steps_of(table)
    at = cache.recorded_step(taken, step)
    beside, parts_beside = None, None
    if other is not None:
        beside = forecasts.predictions(other, tuple(taken))
        if len(beside):
            found = forecasts.calibration_over_steps(other, tuple(taken))
            parts_beside = view.within(found.parts)
        if not posteriors.same_inputs(cache.predictions(context), cache.predictions(other)):
            beside = None
            st.caption(
                f"{url.plain(label)} has no forecasts of the same inputs: single ones are of this run alone."
            )
    if at != step:
        st.caption(f"The probe batch was predicted at step {at:,}, the last time at or before the cursor.")
    found = forecasts.calibration_over_steps(context)
    validation = cache.scalars(context)
    validation = validation[validation["split"] == "validation"]
    canvases.number_cards(forecasts.number_cards(found.parts, at, validation, step), key="uncertainty_cards")
    if forecasts.is_scalar(table):
        _intervals(context, table, beside, label, at)
    else:
        single_forecasts.show(context, table, beside, at, label)
    card = partial(cards.card, of=context.entry.name)
    wide, narrow, last = st.columns([1.5, 1, 1.35], gap="small")
    axis = view.axis(context)
    with wide:
        figure = variance_parts(
            view.within(found.parts), twin=parts_beside, step=view.cursor(at), axis=axis,
            twin_axis=view.axis(other) if other else None, label=label,
        )  # fmt: skip
        over_steps = partial(step_axis.chart, view=view, axes=[axis])
        title = "**Parts of the variance** · and the squared error"
        card(title, figure, "parts", found.parts, draw=over_steps)
    with narrow:
        histogram = forecasts.pit_histogram(context, at)
        card(f"**PIT** · step {at:,}", pit_histogram(histogram, at), "pit", histogram)
    with last:
        figure = pit_over_steps(view.within(found.pit), at)
        card("**PIT over steps** · white is calibrated", figure, "pit_steps", found.pit)
    st.caption(
        "Grey in the PIT: all bins of a calibrated forecast lie there at once in 95 % of batches whose"
        " numbers hang together as these do. Bars of the squared error: 95 % intervals."
    )


def _intervals(
    context: RunContext, table: pd.DataFrame, beside: pd.DataFrame | None, label: str, at: int
) -> None:
    """Intervals of single numbers, at a step."""
    now = table[table["step"] == at]
    then = None if beside is None else forecasts.at_or_before(beside, at)
    whose = ""
    if then is not None and len(then) and int(then["step"].iloc[0]) != at:
        whose = f"; {url.plain(label)}: step {int(then['step'].iloc[0]):,}"
    figure = prediction_intervals(now, other=then, label=label)
    title = f"**Intervals** · of {len(now):,} probe inputs, step {at:,}{whose}"
    law = forecasts.law_of_bands(now)
    note = f"Intervals are those of {law} with the mixture's mean and variance."
    cards.card(title, figure, "intervals", now, of=context.entry.name, note=note)
