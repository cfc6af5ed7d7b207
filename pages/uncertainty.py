"""How does uncertainty evolve, and can it be trusted?"""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from pages.shell import frame
from pages.shell.data import forecasts
from pages.shell.session import cache, state, url
from pages.shell.widgets import canvases, cards, downloads, step_axis
from probes.figures.downsampling import downsampling_note
from probes.figures.forecast_bands import forecast_bands
from probes.figures.pit import pit_histogram
from probes.figures.pit_over_steps import pit_over_steps
from probes.figures.predictive_scores import predictive_scores, score_panels
from probes.figures.uncertainty_fans import uncertainty_fans
from probes.figures.variance_parts import variance_parts
from probes.schema import COVERAGE_LEVELS, SCORES
from probes.spacing import evenly_spaced

INPUTS, STEPS = 3, 4  # forecasts below each other and side by side: as many as can be read at once
FANS = 6  # layers side by side; deeper networks show evenly spaced ones
TESTED = {
    "nll_joint": SCORES["nll_joint"].title, "crps": SCORES["crps"].label, "mse": "MSE",
    "accuracy": "accuracy", **{f"coverage_{level}": f"in {level} %" for level in COVERAGE_LEVELS},
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
table = forecasts.predictions(context.stamp, context.run)
taken = np.unique(table["step"].to_numpy(np.int64))
at = cache.recorded_step(taken, step) if len(taken) else step
twin, twin_table, twin_scalars, twin_axis = None, None, None, None
beside_it: list[state.RunContext] = []
if twin_entry is not None:
    try:
        twin, stamp = cache.open_run(twin_entry)
        twin_table, twin_scalars = forecasts.predictions(stamp, twin, tuple(taken.tolist())), twin.scalars()
        beside_it = [state.RunContext(twin_entry, twin, stamp)]
    except cache.RunError as error:
        st.warning(f"The twin cannot be read: {url.plain(error)}.")
with st.sidebar:
    view = step_axis.choose([context, *beside_it])
    frame.link_to_reference()
axis, mark = view.axis(context), view.mark(step)
over_steps = partial(step_axis.chart, view=view, axes=[axis])
card = partial(cards.card, of=context.entry.name)
twin_axis = view.axis(beside_it[0]) if beside_it else None
scalars = context.run.scalars()
validation = scalars[scalars["split"] == "validation"]


def single_forecasts() -> None:
    """Three windows at up to four steps."""
    known = np.unique(table["input"].to_numpy(np.int64)).tolist()
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(
                "**Single forecasts** · bands are those of a Gaussian with the mixture's mean and variance",
                width="stretch",
            )
            menu = st.container(width="content")
        left, right = st.columns(2)
        words = "At first the calmest, the middle and the most uncertain one of the last step"
        inputs = forecasts.several(
            left, "Probe inputs", known, "inputs", forecasts.typical_inputs(table, INPUTS), INPUTS, help=words
        )
        steps = forecasts.several(
            right, "Steps", taken.tolist(), "steps", [], STEPS,
            placeholder="from the first step to the cursor"
        )  # fmt: skip
        steps = sorted(steps) or forecasts.spread_steps(taken, at, STEPS)
        figure = forecast_bands(table, inputs, steps, twin=twin_table, unit="scaled")
        with menu:
            shown = table[table["input"].isin(inputs) & table["step"].isin(steps)]
            downloads.beside(figure, shown, f"{context.entry.name} forecasts")
        cards.show(figure, "forecasts")


if len(taken):
    found = forecasts.calibrated(context.stamp, table)
    twin_parts = (
        view.cut(forecasts.calibrated(stamp, twin_table).parts)
        if twin_table is not None and len(twin_table)
        else None
    )
    canvases.cards(forecasts.cards(found.parts, at, validation, step), key="uncertainty_cards")
    single_forecasts()
    wide, narrow, last = st.columns([1.5, 1, 1.35], gap="small")
    with wide:
        figure = variance_parts(
            view.cut(found.parts), twin=twin_parts, step=view.mark(at), axis=axis, twin_axis=twin_axis
        )
        card(
            "**Parts of the variance** · and the squared error", figure, "parts", found.parts, draw=over_steps
        )
    with narrow:
        card(f"**PIT** · step {at:,}", pit_histogram(found.pit, at), "pit", found.pit)
    with last:
        figure = pit_over_steps(view.cut(found.pit), at)
        card("**PIT over steps** · white is calibrated", figure, "pit_steps", found.pit)
else:
    st.info(
        "No forecasts of a probe batch are in this run: `python -m vdn train` stores them for series and"
        " numbers to predict (`--probe-inputs` above 0), your own loop with `Recorder.predictions`."
    )
if score_panels(validation):
    beside = None if twin_scalars is None else view.cut(twin_scalars[twin_scalars["split"] == "validation"])
    figure = predictive_scores(view.cut(validation), twin=beside, step=mark, axis=axis, twin_axis=twin_axis)
    words = "NLL and CRPS: lower is better; coverage should lie on its dotted level"
    card(f"**Scores of the validation split** · {words}", figure, "scores", validation, draw=over_steps)
if state.has_distributions(context):
    shown = evenly_spaced(len(context.names), FANS).tolist()
    left_out = f"; {len(shown)} of {len(context.names)} layers" if len(shown) < len(context.names) else ""
    drawn, together = cache.drawn_summary(context.stamp, context.run, view.span)
    figure = uncertainty_fans(drawn, context.names, step=mark, axis=axis, shown=shown)
    words = f"root of E[σ²] and its Gaussian's entropy{left_out}{downsampling_note(together)}"
    summary = partial(cache.summary, context.stamp, context.run)
    card(f"**Posterior sd and entropy** · {words}", figure, "fans", summary, draw=over_steps)
else:
    frame.say_no_distributions()
named = {"this run": scalars} | ({} if twin_scalars is None else {"twin": twin_scalars})
tested = forecasts.final_scores(named)
columns = [name for name in TESTED if name in tested]
if len(tested) and columns:
    with st.container(border=True):
        st.markdown(
            "**Scores of the test split** · at the end, beside naive forecasts; “in 80 %” is the share in"
            " that central band"
        )
        shown_scores = tested[columns].rename(columns=TESTED).rename_axis("forecast").round(4)
        st.dataframe(
            shown_scores,
            width="stretch",
            alt="Scores of the test split, one row a forecast: ours and naive ones",
        )
