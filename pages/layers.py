"""Where in depth is information held?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.shell import components, reading, state, url, views
from probes.figures import depth_profile, frames, layer_bands
from probes.schema import STATISTICS

HEAT_COLUMNS = 800  # of the image: about one a pixel
DEPTH = ("kl", "information", "contraction")
MANY = 12  # panels of the bands; deeper networks show evenly spaced layers

state.guard()
opened = state.pick_run()
state.needs_distributions(opened)
step = state.cursor(opened)
if step is None:
    st.info("Nothing is recorded in this run yet.")
    st.stop()
offered = [name for name in STATISTICS if name in opened.run.statistics] + ["contraction"]
with st.sidebar:
    statistic = url.choice(st.selectbox, "Statistic", offered, "statistic", "information" if "information" in offered else offered[0],
                           format_func=lambda name: STATISTICS[name].label)  # fmt: skip
    pick = st.selectbox if len(opened.names) > 5 else st.segmented_control
    layer_name = url.choice(pick, "Layer of the map", opened.names, "layer", opened.names[0], what="layer", required=True)
    sort = st.selectbox(
        "Sort neurons by", ("this statistic at the end", "KL at the end", "regime", "index"), key="sort", persist_state="session"
    )
    axis = url.choice(st.segmented_control, "Step axis", ("linear", "log"), "axis", "linear", required=True)
    scale = url.choice(st.segmented_control, "Value axis", ("linear", "log"), "scale", "linear", required=True)
entry = STATISTICS[statistic]
layer = opened.names.index(layer_name)
summary = reading.summary(opened.stamp, opened.run)

state.header(
    "Layers", opened, "Where in depth is information held? Each layer beside the next, from the input to the head.", step
)

present = [name for name in DEPTH if name == "contraction" or name in opened.run.statistics]
for column, name in zip(st.columns(len(present), gap="small"), present, strict=True):
    with column, st.container(border=True):
        st.markdown(f"**{STATISTICS[name].label}** · at the cursor")
        figure = depth_profile(summary, name, opened.names, step)
        st.plotly_chart(
            figure, key=f"depth_{name}", width="stretch", alt=figure.layout.meta["alt"], config={"displayModeBar": False}
        )

with st.container(border=True):
    shown = list(range(len(opened.names)))
    if len(shown) > MANY:
        shown = np.unique(np.linspace(0, len(shown) - 1, MANY).round().astype(int)).tolist()
    st.markdown(f"**{entry.label} over steps** · median and bands over the layer's neurons")
    st.caption(
        f"{entry.meaning} {entry.caveat}"
        + (f" {len(shown)} of {len(opened.names)} layers are shown." if len(shown) < len(opened.names) else "")
    )
    figure = layer_bands(summary, statistic, opened.names, step=step, axis=axis, scale=scale, shown=shown)
    st.plotly_chart(figure, key="bands", width="stretch", alt=figure.layout.meta["alt"], config={"displaylogo": False})


def order_of(values: np.ndarray) -> np.ndarray:
    """Neurons in the order that was asked for, most first; what was not recorded last."""
    if sort == "index":
        return np.arange(len(values))
    if sort.startswith("this"):
        key = values[:, -1]
    else:
        now = reading.at(opened.stamp, opened.run, int(opened.run.steps[-1]))
        now = now[now["layer"] == layer]
        name = "kl" if sort.startswith("KL") else "regime"
        key = (1 if name == "kl" else -1) * now[name].to_numpy(dtype=float, na_value=np.nan)
    return np.argsort(-np.nan_to_num(key, nan=-np.inf), kind="stable")


def selected() -> None:
    """A row of the map was clicked."""
    chosen = st.session_state["heat"]["pick"]
    url.put("neurons", f"{layer}.{int(chosen['neuron'])}")
    url.put("step", reading.recorded_step(opened.run.steps, int(chosen["step"])))


with st.container(border=True):
    st.markdown(f"**{entry.label} of every neuron** · {url.plain(layer_name)}, one row a neuron")
    values, edges = reading.matrix(opened.stamp, opened.run, layer, statistic, HEAT_COLUMNS)
    order = order_of(values)
    image = frames.quantise(values[order], statistic, True if scale == "log" else None)
    reduced = (
        ""
        if len(opened.run.steps) <= HEAT_COLUMNS
        else f" A column is the mean of about {len(opened.run.steps) / values.shape[1]:.0f} recorded steps."
    )
    st.caption(f"Sorted by {sort}. Colours run from the 1st to the 99th percentile.{reduced} Click a row to select the neuron.")
    neurons = [int(item.partition(".")[2]) for item in (url.get("neurons") or "").split(",")
               if item.partition(".")[0] == str(layer) and item.partition(".")[2].isdecimal()]  # fmt: skip
    header = {
        "rows": values.shape[0], "columns": values.shape[1], "order": order.tolist(), "edges": edges.tolist(),
        "colors": entry.colors, "low": image.low, "high": image.high, "log": image.log, "title": entry.label, "unit": entry.unit,
        "rowTitle": "rank of the neuron" if sort != "index" else "neuron", "layer": layer_name, "chosen": neurons, "cursor": step,
        "label": f"{entry.title} of {values.shape[0]} neurons of {layer_name} over steps",
    }  # fmt: skip
    components.heatmap(components.pack(header, {"cells": image.cells}), "heat", selected)
    if neurons:
        now = reading.at(opened.stamp, opened.run, step)
        row = now[(now["layer"] == layer) & (now["neuron"] == neurons[0])]
        if len(row) and statistic in row:
            st.markdown(
                f"Neuron **{neurons[0]}** at step **{step:,}**: {entry.label} = **{views.number(float(row[statistic].iloc[0]), 5)}** {entry.unit}"
            )
