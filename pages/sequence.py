"""What do the neurons make of each position of a sequence?"""

from __future__ import annotations

import streamlit as st

from pages.shell import frame
from pages.shell.data import sequence as data
from pages.shell.session import cache, state, url
from pages.shell.widgets import (
    continuations,
    sequence_axis,
    sequence_controls,
    sequence_map,
    sequence_neuron,
    sequence_position,
    sequence_surprise,
    sequence_uncertainty,
)

frame.guard()
context = frame.pick_run()
frame.header(
    "Sequence",
    context,
    "What do the neurons make of each position? Click a position, or a neuron and a position on the map.",
    state.cursor(context),
)
step = frame.needs_distributions(context)
if not len(cache.sequence_steps(context)):
    sequence_controls.none_here()
    st.stop()
if data.passes_by(context):
    st.caption(
        "A transformer: attention and the residual stream carry the past by the neurons too, and a belief is"
        " one token's posterior."
    )
other = frame.compared(context)
at = data.stored_step(context, step)
found = data.paths(context, at)
length = len(next(iter(found.values())).m)
with st.sidebar:
    sequence_controls.training_step(context, at)
    layer = context.names.index(frame.choose_layer(context, "Layer of the map"))
    layer = layer if layer in found else next(iter(found))
    quantity = sequence_controls.quantity(found[layer])
    memory = data.memories(context, at)
    sort = sequence_controls.sort(memory)
    frame.link_to_reference()
labels = data.labels(context, length)
table = data.predictions(context, at)
t = sequence_controls.position(length, table, found)
chosen = state.chosen_neuron(context)
shown_layer, neuron = chosen if chosen and chosen[0] in found else (layer, data.first_neuron(found, layer))
path = found[shown_layer]

with st.container(border=True):
    if data.positions(context).kind == "signal":
        sequence_axis.signal(context, length, t, table)
    else:
        values, what, signed = sequence_controls.coloured(table, path, shown_layer, neuron)
        sequence_axis.symbols(context, length, t, values, what, signed, table)
sequence_map.show(
    context, found[layer], layer, quantity, sort, memory, neuron if shown_layer == layer else None, t
)

features = data.features(context)
tested = data.followed(context, at, quantity)
left, right = st.columns(2, gap="small")
with left:
    with st.container(border=True):
        st.markdown(f"**Position {t}** · “{url.plain(data.sign(labels[t]))}”")
        if len(table):
            sequence_position.predicted(context, labels, t, table)
        st.markdown("**Neurons that moved most here**, of all layers")
        sequence_position.moved(context, found, t, quantity)
    feature = ""
    if tested:
        with st.container(border=True):
            first = data.telling_feature(tested, features, t)
            feature = sequence_controls.feature(data.most_followed(tested), first)
            sequence_neuron.followers(context, found, tested, feature, quantity)
with right:
    marks = data.marks(features, feature)
    sequence_neuron.belief(context, path, shown_layer, neuron, t, memory, feature, marks)
    if tested:
        with st.container(border=True):
            sequence_neuron.goes_with(tested, shown_layer, neuron, quantity)

sequence_surprise.show(context, other, found, table, at, t)
sequence_uncertainty.show(context, found, table, t)
continuations.show(context)
