"""Is this run healthy?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell import frame
from pages.shell.data import summary_cards
from pages.shell.session import cache, live, state
from pages.shell.session.runs import RunContext
from pages.shell.widgets import (
    alert_list,
    canvases,
    cards,
    downloads,
    interventions,
    regime_map,
    step_axis,
    transitions,
)
from probes.figures import regime_counts, scalar_curves
from probes.figures.downsampling import downsampling_note
from probes.schema import OBJECTIVE

ALERTS_HEIGHT = 420  # pixels: about as high as the map beside them


frame.guard()
context = frame.pick_run()
frame.header(
    "Overview",
    context,
    "Is this run healthy? What every neuron does at the cursor, and how the network came there.",
    state.cursor(context),
)
step = frame.needs_steps(context)
with st.sidebar:
    view = step_axis.choose([context])
    frame.link_to_reference()
axis, cursor = view.axis(context), view.cursor(step)
over_steps = partial(step_axis.chart, view=view, axes=[axis])


def draw_cards(now: RunContext) -> None:
    """Scores and state of the network at the cursor, or at the newest step of a run that is being written."""
    canvases.number_cards(summary_cards.run_cards(now, state.cursor(now) or step), key="overview_cards")


def distributions() -> None:
    """What needs recorded neurons: the map with its explanation, the counts."""
    chosen = state.chosen_neuron(context)
    wide, narrow = st.columns([3, 1], gap="small")
    with wide, st.container(border=True):
        regime_map.show(context, step, chosen)
    many = len(cache.alerts(context)) > 2
    with narrow, st.container(border=True, height=ALERTS_HEIGHT if many else "content"):
        alert_list.show(context)
    rows, steps_per_row = cache.thinned_summary(context, view.span)
    note = downsampling_note(steps_per_row, bands=False)
    figure = regime_counts(rows, context.names, step=cursor, axis=axis)
    title = f"**Regimes over steps** · share of each layer's neurons{note}"
    counts = partial(summary_cards.regime_rows, context)
    cards.card(title, figure, "regime counts", counts, draw=over_steps)
    with st.container(border=True):
        transitions.panel(context, step, view)
    interventions.show(context, view, step)


live.growing(context, draw_cards)
if state.has_distributions(context):
    distributions()
else:
    frame.say_no_distributions(context)
curves = cache.scalars(context)
curves = curves[curves["split"].isin(("train", "validation"))]
if curves["name"].isin(OBJECTIVE).any():
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.markdown(
                "**Objective** · loss in training, negative log likelihood in training and validation",
                width="stretch",
            )
            half_life = step_axis.smoothing()
            unit = "as the training loop logs it" if "watch" in context.run.config else "nats per prediction"
            figure = scalar_curves(
                view.within(curves), OBJECTIVE, title=unit, step=cursor, axis=axis, half_life=half_life
            )
            downloads.menu(figure, curves, "objective")
        over_steps(figure, "objective")
