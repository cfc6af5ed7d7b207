"""What do neurons remember, along the data?"""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from pages.shell import frame
from pages.shell.data import persistence
from pages.shell.session import cache, state, url
from pages.shell.widgets import canvases, cards, downloads, step_axis
from probes.diagnostics import half_life
from probes.figures import layer_bands, style
from probes.figures.caterpillar import MOST, caterpillar
from probes.figures.downsampling import downsampling_note
from probes.figures.floor_gap import floor_gap
from probes.figures.half_lives import half_life_histogram
from probes.spacing import evenly_spaced

PANELS = 8  # layers of the bands; deeper networks show evenly spaced ones
STEPS = 300  # columns of a layer's history of every neuron
ORDERS = {"φ̂": "persistence", "prior's φ": "prior", "index": "index"}
FAULT_COLUMNS = {
    "layer": "layer", "neuron": "neuron", "fault": "fault", "phi": "prior's φ", "persistence": "φ̂",
    "persistence_low": "95 % from", "persistence_high": "to",
}  # fmt: skip
"""Columns of the table of faults -> their heads."""

frame.guard()
context = frame.pick_run()
words = (
    "What do neurons remember? How much of a neuron's mean is carried from one position t of the data to the"
    " next."
)
frame.header("Persistence", context, words, state.cursor(context))
step = frame.needs_distributions(context)
if "persistence" not in context.run.statistics:
    st.info(
        "Persistence was not recorded in this run. It needs an order in the data: batches that hold each"
        " example with its predecessor of the same series. Rows of a table have none. In your own loop give"
        " `watch` or `Moments.update` the predecessors' means and series ids."
    )
    st.stop()
with st.sidebar:
    layer_name = frame.choose_layer(context, "Layer")
    sources = persistence.sources(context)
    source = str(
        st.selectbox(
            "Measured on", sources, key="measured_on", help="A whole split has far more pairs than a batch"
        )
    )
    view = step_axis.choose([context])
    frame.link_to_reference()
axis, mark = view.axis(context), view.mark(step)
over_steps = partial(step_axis.chart, view=view, axes=[axis])
layer = context.names.index(layer_name)
rows = persistence.measured(context, source, step)
mine = rows[rows["layer"] == layer]
stride, known = persistence.stride_of(context)
autoregressive = persistence.is_autoregressive(rows)
input_slope = persistence.input_slope(rows)


def go_to_neuron() -> None:
    """A row of the table was chosen: that neuron is looked at on the other pages too."""
    picked = st.session_state["faults"]["selection"]["rows"]
    if picked:
        row = faulty.iloc[picked[0]]
        url.put("neurons", f"{int(row['layer'])}.{int(row['neuron'])}")


if rows["persistence"].notna().sum() == 0:
    st.info(
        f"No slope is defined on the {source}: the means do not move yet, or there are fewer pairs than"
        " series + 2. Choose a later step."
    )
else:
    canvases.cards(persistence.cards(context, rows, stride), key="memory_cards")
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
    figure = caterpillar(mine, order=ORDERS[str(order)], reference=input_slope)
    with menu:
        downloads.beside(figure, mine, f"{context.entry.name} caterpillar")
    notes = ["Interval: Student's t of the slope, means taken out of each series."]
    if len(mine) > MOST:
        notes.append(f"{MOST} of {len(mine):,} neurons, at evenly spaced ranks.")
    if np.isnan(input_slope):
        notes.append("The input's own slope is not in this log: overlapping windows alone give a high one.")
    if not set(rows) >= persistence.INTERVAL:
        notes.append("Its intervals were not recorded.")
    st.caption(" ".join(notes))
    cards.show(figure, "caterpillar")

drawn, together = cache.drawn_summary(context.stamp, context.run, view.span)
shown = evenly_spaced(len(context.names), PANELS).tolist()
bands = layer_bands(drawn, "persistence", context.names, step=mark, axis=axis, shown=shown)
has_floor = autoregressive and "phi" in context.run.statistics
left, right = st.columns(2 if has_floor else [1, 1.6], gap="small")
with left:
    values = persistence.half_lives(mine, stride)
    outside = int(np.isinf(values).sum()), int((values == 0).sum() + np.isnan(values).sum())
    caption = f"of {url.plain(layer_name)}{'' if known else '; no stride in the config: 1'}"
    caption += f"; {outside[0]} endless, {outside[1]} undefined or 0" if any(outside) else ""
    marks = {} if np.isnan(input_slope) else {"the input's": float(half_life(input_slope, stride))}
    figure = half_life_histogram(values, color=style.layer_color(layer), marks=marks)
    rows_drawn = mine[["layer", "neuron", "persistence"]].assign(half_life=values)
    cards.card(f"**Half-life** · {caption}", figure, "half_lives", rows_drawn, of=context.entry.name)
if has_floor:
    with right:
        kl, edges = cache.matrix(context.stamp, context.run, layer, "kl", STEPS, view.span)
        phi, _ = cache.matrix(context.stamp, context.run, layer, "phi", STEPS, view.span)
        dims = context.layers[layer]["latent_dim"]
        figure = floor_gap(
            edges, kl, phi, latent_dim=dims, color=style.layer_color(layer), step=mark, axis=axis
        )
        title = f"**KL above its floor** · {url.plain(layer_name)}; 0 is what the prior costs anyway"
        history = partial(context.run.history, layer, statistics=["kl", "phi"])
        cards.card(title, figure, "floor_gap", history, of=context.entry.name, draw=over_steps)
with st.container() if has_floor else right:
    note = downsampling_note(together)
    title = f"**Persistence over steps** · median and bands over each layer's neurons{note}"
    summary = partial(cache.summary, context.stamp, context.run)
    cards.card(title, bands, "memory_bands", summary, of=context.entry.name, draw=over_steps)

with st.container(border=True):
    if autoregressive and set(rows) >= persistence.INTERVAL:
        faulty = rows.loc[rows["fault"] != "", list(FAULT_COLUMNS)].reset_index(drop=True)
        st.markdown(f"**Stuck and jittery** · {len(faulty)} of {len(rows):,} neurons")
        st.caption(
            "The 95 % interval lies wholly off the prior's φ, by more than 0.2 in atanh. Stuck: carries over"
            " more; jittery: less."
        )
        if len(faulty):
            named = (
                faulty.assign(layer=[context.names[i] for i in faulty["layer"]])
                .round(3)
                .rename(columns=FAULT_COLUMNS)
            )
            st.dataframe(
                named,
                hide_index=True,
                key="faults",
                on_select=go_to_neuron,
                selection_mode="single-row",
                height=280,
                alt=(
                    "Stuck and jittery neurons with the prior's persistence and the measured one; a ticked"
                    " row is looked at"
                ),
            )
    else:
        st.markdown("**Stuck and jittery**")
        st.caption(
            "These are judged against a prior that expects persistence, with the slope's interval; this run"
            " has no such prior."
        )
curves = persistence.remembered(context, mine, layer, step)
if curves is None:
    st.caption(
        "Autocorrelation is drawn where the probe batch holds a sequence of consecutive positions; here none"
        " is stored yet."
    )
else:
    figure, correlations, at = curves
    title = (
        f"**Autocorrelation** · of posterior means over consecutive positions, at step {at:,}; shaded: no"
        " memory"
    )
    cards.card(title, figure, "autocorrelation", correlations, of=context.entry.name)
