"""What the control laws did, beside what went wrong."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards, step_axis
from probes.figures.event_timeline import event_timeline


def show(context: RunContext, view: step_axis.View, step: int) -> None:
    """The interventions within the range that is shown; nothing of a run without."""
    if cache.events(context).empty:
        return
    events, alerts = view.within(cache.events(context)), view.within(cache.alerts(context))
    if events.empty:
        st.caption(f"No interventions between steps {view.first:,} and {view.last:,}.")
        return
    axis = view.axis(context)
    figure = event_timeline(
        events, context.names, view.span, alerts=alerts, step=view.cursor(step), axis=axis
    )
    title = f"**Interventions** · {len(events):,} recorded, coloured by layer"
    chart = partial(step_axis.chart, view=view, axes=[axis])
    cards.card(title, figure, "interventions", events, draw=chart)
