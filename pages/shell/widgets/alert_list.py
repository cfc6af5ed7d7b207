"""What went wrong in a run, one line a kind, each occurrence with its step and what to do."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.shell.data.alert_groups import AlertGroup, grouped
from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext
from probes import alerts

LISTED = 40  # occurrences of a kind
NAMED = 3  # layers by name; of more their number


def go_to(context: RunContext, at: int) -> None:
    """Move the cursor of all pages to the recorded step at or before `at`."""
    url.put("step", cache.recorded_step(context.run.steps, at))


def anything(context: RunContext) -> bool:
    """Whether there is something to list."""
    return context.run.status == "crashed" or len(cache.alerts(context)) > 0


def nothing(context: RunContext) -> str:
    """What is said where nothing is listed: that no rule fired, or that most have too little to judge by."""
    recorded, window = context.run.steps, alerts.Limits().window
    judged = int((recorded >= (alerts.warmup_of(context.run.config) or 0)).sum())
    if judged >= window:
        return "No alerts."
    return f"No alerts; most rules judge {window} recorded steps after the warm-up, and there are {judged}."


def show(context: RunContext) -> None:
    """The list; each alert's place is a button that moves the cursor there."""
    alerts_of_run = cache.alerts(context)
    st.markdown(f"**Alerts** · {len(alerts_of_run)}" if len(alerts_of_run) else "**Alerts**")
    if context.run.status == "crashed":
        st.markdown(
            ":red-badge[crashed] The run ended by an error, or was killed, after step"
            f" {int(context.run.steps[-1]):,}."
        )
    first = 0  # number of the group's first alert, which names its button
    for group in grouped(alerts_of_run):
        if len(group.alerts) == 1:
            _alert(context, group.alerts[0], first)
            st.caption(f"What to do: {url.plain(group.alerts[0]['advice'])}.")
        else:
            _group(context, group, first)
        first += len(group.alerts)


def _group(context: RunContext, group: AlertGroup, number: int) -> None:
    """A kind that came more than once: how often, where and when; what is behind it opens."""
    first, last = group.steps
    when = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
    places = _places(context, group.layers)
    title = f"{url.plain(group.kind)} **×{len(group.alerts)}** · {places}{when}"
    with st.expander(title, key=f"alerts_{group.kind}"):
        for place, alert in enumerate(group.alerts[:LISTED]):
            _alert(context, alert, number + place)
        if len(group.alerts) > LISTED:
            st.caption(f"{len(group.alerts) - LISTED} later ones are ticks on Replay.")
    said = dict.fromkeys(str(alert["advice"]) for alert in group.alerts)
    st.caption(f"What to do: {url.plain('; '.join(said))}.")


def _places(context: RunContext, layers: tuple[int, ...]) -> str:
    if not layers:
        return ""
    if len(layers) > NAMED:
        return f"{len(layers)} layers · "
    return ", ".join(url.plain(context.names[layer]) for layer in layers) + " · "


def _alert(context: RunContext, alert: dict[str, Any], number: int) -> None:
    where = alerts.where(alert, context.names)
    names = ", ".join(context.names[layer] for layer in alert["layers"])
    with st.container(gap=None):
        st.button(
            f"{url.plain(where)} · step {alert['step']:,}", key=f"alert_{number}", on_click=go_to,
            args=(context, alert["step"]), type="tertiary",
            help=f"Go to this step · {url.plain(names)}" if len(alert["layers"]) > 1 else "Go to this step",
            icon=":material/arrow_forward:", icon_position="right",
        )  # fmt: skip
        st.markdown(f":small[{url.plain(alert['text'])}]")
