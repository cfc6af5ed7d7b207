"""Where in depth is information held?"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell import frame
from pages.shell.data import payloads
from pages.shell.session import cache, canvas_sync, state, url
from pages.shell.widgets import canvases, cards, downloads, step_axis
from probes.canvas import pack
from probes.figures import depth_profile, frames, layer_bands
from probes.figures.downsampling import downsampling_note
from probes.figures.layer_bands import quantiles
from probes.schema import STATISTICS
from probes.spacing import evenly_spaced

HEAT_COLUMNS = 1000  # of the image: about one a pixel
HEAT_ROWS = 1024  # of the image: more than it has pixels; wider layers show neurons at evenly spaced ranks
DEPTH = ("kl", "information", "contraction")
PANELS = 12  # of the bands; deeper networks show evenly spaced layers
SORTS = ("this statistic, at the end", "KL, at the end", "regime, at the end", "index")

frame.guard()
context = frame.pick_run()
frame.header(
    "Layers",
    context,
    "Where in depth is information held? Layer beside layer, from the input to the head.",
    state.cursor(context),
)
step = frame.needs_distributions(context)
offered = context.run.available
first = "information" if "information" in offered else offered[0]
with st.sidebar:
    label = lambda name: STATISTICS[name].label  # noqa: E731 - a label, three lines below
    statistic = url.choice(st.selectbox, "Statistic", offered, "statistic", first, format_func=label)
    layer_name = frame.choose_layer(context, "Layer of the map")
    sort = st.selectbox("Sort the map by", SORTS, key="sort", persist_state="session")
    view = step_axis.choose([context])
    scale = url.choice(
        st.segmented_control, "Value axis", ("linear", "log"), "scale", "linear", required=True
    )
    frame.link_to_reference()
entry = STATISTICS[statistic]
layer = context.names.index(layer_name)
summary = cache.summary(context.stamp, context.run)
axis = view.axis(context)

figure = depth_profile(summary, [name for name in DEPTH if name in offered], context.names, step)
title = "**Depth at the cursor** · median, middle half and middle 90 % of each layer's neurons"
cards.card(title, figure, "depth", summary[summary["step"] == step], of=context.entry.name)

shown = evenly_spaced(len(context.names), PANELS).tolist()
left_out = (
    f" {len(shown)} of {len(context.names)} layers are shown." if len(shown) < len(context.names) else ""
)
drawn, together = cache.drawn_summary(context.stamp, context.run, view.span)
figure = layer_bands(
    drawn, statistic, context.names, step=view.mark(step), axis=axis, scale=scale, shown=shown
)
bent = scale == "log" and figure.layout.yaxis.type != "log"
linear = " Not all values are positive, so that the axis stays linear." if bent else ""
cards.card(
    f"**{entry.label} over steps** · median and bands over each layer's neurons{downsampling_note(together)}",
    figure, "bands", partial(quantiles, summary, statistic), of=f"{context.entry.name} {statistic}",
    note=f"{entry.meaning} {entry.caveat}{left_out}{linear}",
    draw=partial(step_axis.chart, view=view, axes=[axis]),
)  # fmt: skip


def order_of(values: np.ndarray) -> np.ndarray:
    """Neurons in the order that was asked for, most first; what was not recorded comes last."""
    if sort == "index":
        return np.arange(len(values))
    if sort.startswith("this"):
        key = values[:, -1]
    else:
        now = cache.at(context.stamp, context.run, cache.recorded_step(context.run.steps, view.last))
        name, sign = ("kl", 1) if sort.startswith("KL") else ("regime", -1)
        key = sign * now.loc[now["layer"] == layer, name].to_numpy(dtype=float, na_value=np.nan)
    return np.argsort(-np.nan_to_num(key, nan=-np.inf), kind="stable")


def as_rows(values: np.ndarray, edges: np.ndarray) -> pd.DataFrame:
    """The map to take away: one row a neuron, one column a step (the first of those that a column stands
    for).
    """
    return (
        pd.DataFrame(values, columns=[f"step {edge}" for edge in edges[:-1]])
        .rename_axis("neuron")
        .reset_index()
    )


def looked_at() -> tuple[str | None, ...]:
    """What the map shows besides the image: the cursor and the chosen neuron, of a layer of the run."""
    return url.get("run"), layer_name, url.get("step"), url.get("neurons")


def selected() -> None:
    """A cell was clicked: its neuron and step become the cursor of all pages."""
    pick = st.session_state["heat"]["pick"]
    url.put("neurons", f"{layer}.{int(pick['neuron'])}")
    url.put("step", cache.recorded_step(context.run.steps, int(pick["step"])))
    canvas_sync.report("heat", looked_at())


def exact(neuron: int) -> None:
    """The number behind the chosen cell."""
    now = cache.at(context.stamp, context.run, step, (statistic,))
    row = now[(now["layer"] == layer) & (now["neuron"] == neuron)]
    if len(row):
        value = float(row[statistic].iloc[0])
        with st.container(horizontal=True, vertical_alignment="center"):
            said = (
                f"Neuron **{neuron}** at step **{step:,}**: {entry.label} **{payloads.number(value, 5)}**"
                f" {entry.unit}"
            )
            st.markdown(said, width="content")
            label = "Unpin it" if (layer, neuron) in state.pinned(context) else "Pin it"
            st.button(
                label, icon=":material/keep:", key="pin_chosen", on_click=url.toggle_pin, args=(layer, neuron)
            )
            st.page_link("pages/neurons.py", label="Look closer", icon=":material/scatter_plot:")


with st.container(border=True):
    values, edges = cache.matrix(context.stamp, context.run, layer, statistic, HEAT_COLUMNS, view.span)
    neuron = state.chosen_neuron(context)
    chosen = [neuron[1]] if neuron and neuron[0] == layer else []
    count, (marked, cursor) = canvas_sync.tell("heat", looked_at(), (chosen, step))
    order = order_of(values)
    ranks = evenly_spaced(len(order), HEAT_ROWS)
    ranks = np.union1d(ranks, np.flatnonzero(np.isin(order, marked)))
    order = order[ranks]
    image = frames.quantise(values[order], statistic, True if scale == "log" else None)
    recorded = np.searchsorted(context.run.steps, [view.first, view.last + 1])
    together = int(recorded[1] - recorded[0]) / max(values.shape[1], 1)
    reduced = f" A column is the mean of about {together:.0f} recorded steps." if together > 1 else ""
    if len(order) < len(values):
        reduced += (
            f" {len(order):,} of {len(values):,} neurons are drawn, at evenly spaced ranks; the download has"
            " all."
        )
    with st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{entry.label} of every neuron** · {url.plain(layer_name)}, one row a neuron",
                width="stretch",
            )
            downloads.beside(
                None, partial(as_rows, values, edges), f"{context.entry.name} {statistic} of {layer_name}"
            )
        st.caption(
            f"Sorted by {sort}. Colours run from the 1st to the 99th percentile.{reduced} Click for the exact"
            " number."
        )
    header = {
        "rows": len(order),
        "columns": values.shape[1],
        "order": order.tolist(),
        "edges": edges.tolist(),
        "ticks": (order if sort == "index" else ranks + 1).tolist(),
        "colors": entry.colors,
        "low": image.low,
        "high": image.high,
        "log": image.log,
        "title": entry.label,
        "unit": entry.unit,
        "rowTitle": "neuron" if sort == "index" else "rank of the neuron",
        "layer": layer_name,
        "chosen": marked,
        "cursor": cursor,
        "told": count,
        "label": (
            f"{entry.title} of {len(order)} neurons of {layer_name} over steps {edges[0]:,} to"
            f" {edges[-1] - 1:,}, sorted by {sort}; colours from {payloads.number(image.low)} to"
            f" {payloads.number(image.high)}"
        ),
    }
    canvases.heatmap(pack(header, {"cells": image.cells}), "heat", selected)
    if chosen:
        exact(chosen[0])
