"""How does uncertainty evolve, and can it be trusted?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell import frame
from pages.shell.data import forecasts
from pages.shell.session import cache, runs, state, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, cards, single_forecasts, step_axis
from probes.figures.downsampling import downsampling_note
from probes.figures.pit import pit_histogram
from probes.figures.pit_over_steps import pit_over_steps
from probes.figures.predictive_scores import predictive_scores, score_panels
from probes.figures.uncertainty_fans import uncertainty_fans
from probes.figures.variance_parts import variance_parts
from probes.schema import COVERAGE_LEVELS, SCORES
from probes.spacing import evenly_spaced

FANS = 6  # layers side by side; deeper networks show evenly spaced ones
TESTED = {
    "nll_joint": SCORES["nll_joint"].title, "crps": SCORES["crps"].label, "mse": "MSE",
    "accuracy": "accuracy", "ece": "ECE", "ece_null": "ECE if calibrated",
    "ece_null_95": "if calibrated, 95 % below",
    **{f"coverage_{level}": f"in {level} %" for level in COVERAGE_LEVELS},
}  # fmt: skip
"""Scores of the table, by the names they have in the log."""

frame.guard()
context = frame.pick_run()
frame.header(
    "Uncertainty",
    context,
    "How does uncertainty evolve while the network learns, and can it be trusted?",
    state.cursor(context),
)
step = frame.needs_steps(context)
twin_entry = forecasts.find_twin(context)
with st.sidebar:
    if twin_entry is not None and not st.toggle(
        "Twin beside it", True, key="beside", help=f"{url.plain(twin_entry.name)}"
    ):
        twin_entry = None
table = forecasts.predictions(context)
taken = forecasts.steps_of(table)
at = cache.recorded_step(taken, step) if taken else step
twin: RunContext | None = None
twin_table, twin_scalars = None, None
if twin_entry is not None:
    try:
        twin = runs.open_run(twin_entry)
        twin_table = forecasts.predictions(twin, tuple(taken))
        twin_scalars = cache.scalars(twin)
    except runs.RunError as error:
        twin = None
        st.warning(f"The twin cannot be read: {url.plain(error)}.")
with st.sidebar:
    view = step_axis.choose([context, twin] if twin else [context])
    frame.link_to_reference()
axis, cursor = view.axis(context), view.cursor(step)
over_steps = partial(step_axis.chart, view=view, axes=[axis])
card = partial(cards.card, of=context.entry.name)
twin_axis = view.axis(twin) if twin else None
scalars = cache.scalars(context)
validation = scalars[scalars["split"] == "validation"]


if taken:
    found = forecasts.calibration_over_steps(context)
    twin_parts = None
    if twin and twin_table is not None and len(twin_table):
        twin_parts = view.within(forecasts.calibration_over_steps(twin, tuple(taken)).parts)
    canvases.number_cards(forecasts.number_cards(found.parts, at, validation, step), key="uncertainty_cards")
    single_forecasts.show(context, table, twin_table, at)
    wide, narrow, last = st.columns([1.5, 1, 1.35], gap="small")
    with wide:
        figure = variance_parts(
            view.within(found.parts), twin=twin_parts, step=view.cursor(at), axis=axis, twin_axis=twin_axis
        )
        card(
            "**Parts of the variance** · and the squared error", figure, "parts", found.parts, draw=over_steps
        )
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
else:
    st.info(
        "No forecasts of a probe batch are in this run: `python -m vdn train` stores them for series and"
        " numbers to predict (`--probe-inputs` above 0), your own loop with `Recorder.predictions`."
    )
if score_panels(validation):
    beside = (
        None if twin_scalars is None else view.within(twin_scalars[twin_scalars["split"] == "validation"])
    )
    figure = predictive_scores(
        view.within(validation), twin=beside, step=cursor, axis=axis, twin_axis=twin_axis
    )
    note = "NLL and CRPS: lower is better; coverage should lie on its dotted level"
    card(f"**Scores of the validation split** · {note}", figure, "scores", validation, draw=over_steps)
if state.has_distributions(context):
    shown = evenly_spaced(len(context.names), FANS).tolist()
    left_out = f"; {len(shown)} of {len(context.names)} layers" if len(shown) < len(context.names) else ""
    by_layer, steps_per_row = cache.thinned_summary(context, view.span)
    figure = uncertainty_fans(by_layer, context.names, step=cursor, axis=axis, shown=shown)
    note = f"root of E[σ²] and its Gaussian's entropy{left_out}{downsampling_note(steps_per_row)}"
    summary = partial(cache.summary, context)
    card(f"**Posterior sd and entropy** · {note}", figure, "fans", summary, draw=over_steps)
else:
    frame.say_no_distributions(context)
named = {"this run": scalars} | ({} if twin_scalars is None else {"twin": twin_scalars})
tested = forecasts.final_scores(named)
columns = [name for name in TESTED if name in tested]
if len(tested) and columns:
    with st.container(border=True):
        st.markdown(
            "**Scores of the test split** · at the end, beside naive forecasts; “in 80 %” is the share in"
            " that central band"
            + ("; an ECE below the last column is no sign of miscalibration" if "ece" in columns else "")
        )
        shown_scores = tested[columns].rename(columns=TESTED).rename_axis("forecast").round(4)
        st.dataframe(
            shown_scores,
            width="stretch",
            alt="Scores of the test split, one row a forecast: ours and naive ones",
        )
