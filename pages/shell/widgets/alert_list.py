"""What went wrong in a run, in order, each with its step and what to do."""

from __future__ import annotations

import streamlit as st

from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext
from probes import alerts

LISTED = 40  # a run that goes wrong everywhere repeats itself


def go_to(context: RunContext, at: int) -> None:
    """Move the cursor of all pages to the recorded step at or before `at`."""
    url.put("step", cache.recorded_step(context.run.steps, at))


def _help(context: RunContext, layers: list[int]) -> str:
    names = ", ".join(context.names[layer] for layer in layers)
    return f"Go to this step · {url.plain(names)}" if len(layers) > 1 else "Go to this step"


def show(context: RunContext) -> None:
    """The list; each alert's place is a button that moves the cursor there."""
    found = cache.alerts(context)
    st.markdown(f"**Alerts** · {len(found)}" if len(found) else "**Alerts**")
    if context.run.status == "crashed":
        st.markdown(
            ":red-badge[crashed] The run stopped without saying so, after step"
            f" {int(context.run.steps[-1]):,}."
        )
    elif found.empty:
        st.caption("Nothing to report.")
    for place, alert in enumerate(found.head(LISTED).to_dict("records")):
        where = alerts.where(alert, context.names)
        with st.container(gap=None):
            st.button(
                f"{url.plain(where)} · step {alert['step']:,}", key=f"alert_{place}", on_click=go_to,
                args=(context, alert["step"]),
                type="tertiary", help=_help(context, alert["layers"]), icon=":material/arrow_forward:",
                icon_position="right",
            )  # fmt: skip
            st.markdown(f":small[{url.plain(alert['text'])}]")
            st.caption(f"What to do: {url.plain(alert['advice'])}.")
    if len(found) > LISTED:
        st.caption(f"{len(found) - LISTED} later ones are ticks on Replay and marks among the interventions.")
