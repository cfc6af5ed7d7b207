"""Slopes of every neuron of a layer, and the neurons whose slope is not the one that their prior expects."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.data import persistence
from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, cards, downloads, selected_neuron, step_axis
from probes.figures import layer_bands
from probes.figures.caterpillar import MOST, caterpillar
from probes.figures.downsampling import downsampling_note
from probes.neuron_names import neuron_name, neuron_names
from probes.spacing import evenly_spaced

ORDERS = {"φ̂": "persistence", "prior's φ": "prior", "index": "index"}
FAULT_COLUMNS = {
    "layer": "layer", "neuron": "neuron", "fault": "fault", "phi": "prior's φ", "persistence": "φ̂",
    "persistence_low": "95 % from", "persistence_high": "to",
}  # fmt: skip
"""Columns of the table of faults -> their heads."""

PANELS = 8  # layers of the bands; deeper networks show evenly spaced ones


def second(other: RunContext | None) -> RunContext | None:
    """The run to compare with if persistence was recorded in it; says so where it was not."""
    if other is not None and "persistence" not in other.run.statistics:
        st.warning(f"{url.plain(other.entry.name)} cannot be shown beside it: it recorded no persistence.")
        return None
    return other


def second_cards(other: RunContext, step: int) -> None:
    """The second run in numbers, at its recorded step at or before the cursor."""
    at = cache.recorded_step(other.run.steps, step)
    source = persistence.sources(other)[0]
    st.caption(f"**{url.plain(other.entry.name)}** at step {at:,}, {source}")
    rows = persistence.measured_rows(other, source, at)
    canvases.number_cards(persistence.number_cards(other, rows, at), key="memory_cards_second")


def second_bands(other: RunContext, step: int, view: step_axis.View) -> None:
    """The second run's layers over steps, under those of the first."""
    by_layer, steps_per_row = cache.thinned_summary(other, view.span)
    axis = view.axis(other)
    shown = evenly_spaced(len(other.names), PANELS).tolist()
    cursor = view.cursor(step)
    figure = layer_bands(by_layer, "persistence", other.names, step=cursor, axis=axis, shown=shown)
    title = f"**Persistence over steps of {url.plain(other.entry.name)}**{downsampling_note(steps_per_row)}"
    draw = partial(step_axis.chart, view=view, axes=[axis])
    rows = partial(cache.summary, other)
    cards.card(title, figure, "memory_bands_second", rows, of=other.entry.name, draw=draw)


def every_neuron(
    context: RunContext,
    rows: pd.DataFrame,
    layer_name: str,
    source: str,
    autoregressive: bool,
    input_slope: float,
) -> None:
    """The slope of each neuron of a layer, `rows`, with its interval."""
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(
                f"**Every neuron of {url.plain(layer_name)}** · slope with its 95 % interval, {source}",
                width="stretch",
            )
            choices = [label for label in ORDERS if autoregressive or ORDERS[label] != "prior"]
            order = st.segmented_control(
                "Sort by", choices, default=choices[1] if autoregressive else choices[0], required=True,
                key="memory_order",
                label_visibility="collapsed",
            )  # fmt: skip
            menu = st.container(width="content")
        figure = caterpillar(rows, order=ORDERS[str(order)], reference=input_slope)
        with menu:
            downloads.menu(figure, rows, f"{context.entry.name} caterpillar")
        notes = [persistence.interval_note(rows, source)]
        if len(rows) > MOST:
            notes.append(f"{MOST} of {len(rows):,} neurons, at evenly spaced ranks.")
        if np.isnan(input_slope):
            notes.append(
                "The input's own slope is not in this log: overlapping windows alone give a high one."
            )
        st.caption(" ".join(notes))
        selected_neuron.chart(figure, "caterpillar")
        selected_neuron.actions(context, "slope")


def faults(context: RunContext, rows: pd.DataFrame, source: str, autoregressive: bool) -> None:
    """The table of stuck and jittery neurons; a ticked row is the chosen neuron of all pages."""
    with st.container(border=True):
        if not (autoregressive and set(rows) >= persistence.INTERVAL):
            st.markdown("**Stuck and jittery**")
            st.caption(
                "These are judged against a prior that expects persistence, with the slope's interval; "
                + (f"{source}: no interval." if autoregressive else "this run has no such prior.")
            )
            return
        faulty = rows.loc[rows["fault"] != "", list(FAULT_COLUMNS)].reset_index(drop=True)
        st.markdown(f"**Stuck and jittery** · {len(faulty)} of {len(rows):,} neurons")
        st.caption(
            "The 95 % interval lies wholly off the prior's φ, by more than 0.2 in atanh. Stuck: carries over"
            " more; jittery: less."
        )
        if len(faulty):
            named = (
                faulty.assign(neuron=neuron_names(faulty), layer=[context.names[i] for i in faulty["layer"]])
                .round(3)
                .rename(columns=FAULT_COLUMNS)
            )
            st.dataframe(
                named,
                hide_index=True,
                key="faults",
                on_select=partial(_choose_neuron, faulty),
                selection_mode="single-row",
                height=280,
                alt=(
                    "Stuck and jittery neurons with the prior's persistence and the measured one; a ticked"
                    " row is looked at"
                ),
            )


def _choose_neuron(faulty: pd.DataFrame) -> None:
    """A row of the table was chosen: that neuron is looked at on the other pages too."""
    picked = st.session_state["faults"]["selection"]["rows"]
    if picked:
        row = faulty.iloc[picked[0]]
        url.put("neurons", neuron_name(int(row["layer"]), int(row["neuron"])))
