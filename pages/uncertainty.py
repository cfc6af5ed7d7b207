"""How does uncertainty evolve, and can it be trusted?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell import frame
from pages.shell.data import class_answers as answers_data
from pages.shell.data import forecasts, run_comparison
from pages.shell.session import cache, state, url
from pages.shell.widgets import (
    cards,
    class_answers,
    compared,
    family_uncertainty,
    forecast_calibration,
    overfitting_card,
    score_differences,
    step_axis,
)
from probes.analysis.layer_families import is_gaussian
from probes.figures.downsampling import downsampling_note
from probes.figures.predictive_scores import predictive_scores, score_panels
from probes.figures.uncertainty_fans import uncertainty_fans
from probes.schema import COVERAGE_LEVELS, SCORES
from probes.spacing import evenly_spaced

FANS = 6  # layers side by side; deeper networks show evenly spaced ones
TESTED = {
    **{name: SCORES[name].title for name in ("nll_joint", "nll_marginal", "crps", "energy", "mse")},
    "accuracy": "accuracy", "brier": "Brier (0 to 2)", "ece": "ECE", "ece_null": "ECE if calibrated",
    "ece_null_95": "if calibrated, 95 % below",
    **{f"coverage_{level}": f"in {level} %" for level in COVERAGE_LEVELS},
}  # fmt: skip
"""Scores of the table, by the names they have in the log."""
SCORE_NOTES = {
    "CRPS (target's unit)": "NLL and CRPS: lower is better; coverage should lie on its dotted level",
    "accuracy": "NLL and Brier score: lower is better",
}
"""A panel -> how the scores beside it read."""

frame.guard()
context = frame.pick_run()
frame.header(
    "Uncertainty",
    context,
    "How does uncertainty evolve while the network learns, and can it be trusted?",
    state.cursor(context),
)
step = frame.needs_steps(context)
asked = frame.compared(context)
with st.sidebar:
    other, label = compared.or_twin(context, asked)
    view = step_axis.choose([context, other] if other else [context])
    frame.link_to_reference()
axis, cursor = view.axis(context), view.cursor(step)
over_steps = partial(step_axis.chart, view=view, axes=[axis])
card = partial(cards.card, of=context.entry.name)
other_axis = view.axis(other) if other else None
if other and not forecasts.same_data(context, other):
    st.caption(f"{url.plain(label)} is of other data: its scores do not compare with these.")

forecasting = len(forecasts.predictions(context)) > 0
answering = len(answers_data.reliability(context)) > 0
if forecasting:
    forecast_calibration.show(context, other, label, view, step)
elif answering:
    class_answers.show(context, other, label, view, step)
scalars = cache.scalars(context)
validation = scalars[scalars["split"] == "validation"]
panels = [title for title, _ in score_panels(validation)]
if panels:
    beside = cache.scalars(other) if other else None
    figure = predictive_scores(
        view.within(validation),
        twin=None if beside is None else view.within(beside[beside["split"] == "validation"]),
        step=cursor, axis=axis, twin_axis=other_axis, label=label, without=("ECE",) if answering else (),
    )  # fmt: skip
    note = next((f" · {note}" for panel, note in SCORE_NOTES.items() if panel in panels), "")
    card(
        f"**Scores of the validation split**{note}",
        figure,
        "scores",
        validation,
        draw=over_steps,
        several=True,
    )
overfitting_card.show(context, other, label, view, step)
gaussian = [place for place, layer in enumerate(context.layers) if is_gaussian(layer)]
if state.has_distributions(context) and gaussian:
    shown = [gaussian[place] for place in evenly_spaced(len(gaussian), FANS)]
    left_out = f"; {len(shown)} of {len(context.names)} layers" if len(shown) < len(context.names) else ""
    by_layer, steps_per_row = cache.thinned_summary(context, view.span)
    beside = None
    if other and state.has_distributions(other):
        beside = cache.thinned_summary(other, view.span)[0]
    figure = uncertainty_fans(
        by_layer, context.names, step=cursor, axis=axis, shown=shown,
        other=beside, label=label, other_axis=other_axis,
    )  # fmt: skip
    note = f"root of E[σ²] and its Gaussian's entropy{left_out}{downsampling_note(steps_per_row)}"
    summary = partial(cache.summary, context)
    card(
        f"**Posterior sd and entropy** · {note}",
        figure,
        "fans",
        summary,
        draw=over_steps,
        several=len(shown) if len(shown) > 2 else 0,
    )
elif not state.has_distributions(context):
    frame.say_no_distributions(context)
family_uncertainty.show(context, other, label, view, step)
if not (forecasting or answering):
    st.caption(
        "No predictions were recorded, so that calibration cannot be told: `Recorder.predictions` takes"
        " those of numbers, `Recorder.class_probabilities` those of classes."
    )
named = {"this run": scalars} | ({label: cache.scalars(other)} if other else {})
tested = forecasts.final_scores(named)
columns = [name for name in TESTED if name in tested]
if len(tested) and columns:
    with st.container(border=True):
        notes = "“in 80 %” is the share in that central band" if "coverage_80" in columns else ""
        if "ece" in columns:
            notes = "an ECE below the last column is no sign of miscalibration"
        whose = forecasts.weights_in_words(tested)
        st.markdown(f"**Scores of the test split** · {whose}, beside naive forecasts; {notes}".rstrip("; "))
        shown_scores = tested[columns].rename(columns=TESTED).rename_axis("forecast").round(4)
        st.dataframe(
            shown_scores,
            width="stretch",
            placeholder="–",
            alt="Scores of the test split, one row a forecast: ours and naive ones",
        )
        if other:
            pair = {"this run": context, label: other}
            score_differences.show(run_comparison.paired(pair, label), label)
