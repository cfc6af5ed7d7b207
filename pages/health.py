"""Is this run healthy?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell import frame
from pages.shell.data import code_books, summary_cards
from pages.shell.session import cache, live, state, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import (
    alert_list,
    canvases,
    cards,
    downloads,
    interventions,
    layer_families,
    rate_distortion,
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
    "Health",
    context,
    "Is this run healthy? What every neuron does at the cursor, and how the network came there.",
    state.cursor(context),
)
step = frame.needs_steps(context)
other = frame.compared(context)
with st.sidebar:
    view = step_axis.choose([context, other] if other else [context])
    frame.link_to_reference()
axis, cursor = view.axis(context), view.cursor(step)
over_steps = partial(step_axis.chart, view=view, axes=[axis])


def draw_cards(now: RunContext) -> None:
    """Scores and state of the network at the cursor, or at the newest step of a run that is being written."""
    at = state.cursor(now) or step
    if cards_now := summary_cards.run_cards(now, at, other):
        canvases.number_cards(cards_now, key="health_cards")


def distributions() -> None:
    """What needs recorded neurons: the map with its explanation, the counts."""
    chosen = state.chosen_neuron(context)
    if alert_list.anything(context):
        wide, narrow = st.columns([3, 1], gap="small")
        many = len(cache.alerts(context)) > 2
        with narrow, st.container(border=True, height=ALERTS_HEIGHT if many else "content"):
            alert_list.show(context)
    else:
        wide = st.container()
        st.caption(alert_list.nothing(context))
    with wide, st.container(border=True):
        regime_map.show(context, step, chosen)
    for layer in code_books.books(context):
        layer_families.code_book_card(context, layer, view, step)
    regimes_over_steps(context, "regime counts")
    if other and state.has_distributions(other):
        regimes_over_steps(other, "regime counts of the second run", f"{url.plain(other.entry.name)}: ")
    transitions.panel(context, step, view)
    interventions.show(context, view, step)


def regimes_over_steps(run: RunContext, key: str, whose: str = "") -> None:
    """Shares of the regimes of a run."""
    rows, steps_per_row = cache.thinned_summary(run, view.span)
    note = downsampling_note(steps_per_row, bands=False)
    figure = regime_counts(rows, run.names, step=cursor, axis=view.axis(run))
    title = f"**{whose}Regimes over steps** · share of each layer's neurons{note}"
    counts = partial(summary_cards.regime_rows, run)
    cards.card(
        title,
        figure,
        key,
        counts,
        of=run.entry.name,
        draw=over_steps,
        several=cards.for_titles(run.names),
    )


live.growing(context, draw_cards)
if state.has_distributions(context):
    distributions()
else:
    frame.say_no_distributions(context)
curves = summary_cards.objective(context)
beside = summary_cards.objective(other) if other else None
if curves["name"].isin(OBJECTIVE).any():
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.markdown(
                f"**Objective** · {summary_cards.objective_in_words(curves)}",
                width="stretch",
            )
            half_life = step_axis.smoothing()
            unit = "as the training loop logs it" if "watch" in context.run.config else "nats per prediction"
            figure = scalar_curves(
                view.within(curves), OBJECTIVE, title=unit, step=cursor, axis=axis, half_life=half_life,
                other=None if beside is None else view.within(beside),
                label=other.entry.name if other else "", other_axis=view.axis(other) if other else None,
            )  # fmt: skip
            downloads.menu(figure, curves, "objective")
        over_steps(figure, "objective")
rate_distortion.show(context, view, step, other)
