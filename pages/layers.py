"""Where in depth is information held?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell import frame
from pages.shell.data.layer_map import SORTS, summary_at
from pages.shell.session import cache, state, url
from pages.shell.widgets import cards, compared, layer_map, probe_batch, step_axis
from probes.figures import depth_profile, layer_bands
from probes.figures.downsampling import downsampling_note
from probes.figures.layer_bands import quantiles
from probes.schema import STATISTICS
from probes.spacing import evenly_spaced

DEPTH = ("kl", "information", "contraction")
PANELS = 12  # of the bands; deeper networks show evenly spaced layers

frame.guard()
context = frame.pick_run()
frame.header(
    "Layers",
    context,
    "Where in depth is information held? Layer beside layer, from the input to the head.",
    state.cursor(context),
)
step = frame.needs_distributions(context)
other = compared.with_distributions(frame.compared(context))
beside = other.entry.name if other else ""
offered = context.run.available
first = "information" if "information" in offered else offered[0]
with st.sidebar:
    label = lambda name: STATISTICS[name].label  # noqa: E731 - a label, three lines below
    statistic = url.choice(st.selectbox, "Statistic", offered, "statistic", first, format_func=label)
    layer_name = frame.choose_layer(context, "Layer of the map")
    sort = url.choice(
        st.selectbox, "Sort the map by", list(SORTS), "sort", "statistic", format_func=SORTS.__getitem__
    )
    view = step_axis.choose([context, other] if other else [context])
    scale = url.choice(
        st.segmented_control, "Value axis", ("linear", "log"), "scale", "linear", required=True
    )
    frame.link_to_reference()
entry = STATISTICS[statistic]
derived = cache.summarised_with(context, statistic)
summary = cache.summary(context, derived)
axis = view.axis(context)

then = cache.recorded_step(other.run.steps, step) if other else None
figure = depth_profile(
    summary, [name for name in DEPTH if name in offered], context.names, step,
    other=summary_at(other, then) if other and then is not None else None, label=beside,
)  # fmt: skip
whose = f"; {url.plain(beside)}: step {then:,}" if then is not None else ""
title = f"**Depth at step {step:,}** · median, middle half and middle 90 % of each layer's neurons{whose}"
cards.card(
    title, figure, "depth", summary[summary["step"] == step], of=context.entry.name, several=len(DEPTH) + 1
)

probe_batch.of_layers(context, step)

shown = evenly_spaced(len(context.names), PANELS).tolist()
left_out = (
    f" {len(shown)} of {len(context.names)} layers are shown." if len(shown) < len(context.names) else ""
)
rows, steps_per_row = cache.thinned_summary(context, view.span, derived)
note = downsampling_note(steps_per_row)
figure = layer_bands(
    rows, statistic, context.names, step=view.cursor(step), axis=axis, scale=scale, shown=shown,
    other=cache.thinned_summary(other, view.span, derived)[0] if other else None, label=beside,
    other_axis=view.axis(other) if other else None,
)  # fmt: skip
bent = scale == "log" and figure.layout.yaxis.type != "log"
linear = " Not all values are positive, so that the axis stays linear." if bent else ""
cards.card(
    f"**{entry.label} over steps** · median and bands over each layer's neurons{note}",
    figure, "bands", partial(quantiles, summary, statistic), of=f"{context.entry.name} {statistic}",
    note=f"{entry.meaning} {entry.caveat}{left_out}{linear}",
    draw=partial(step_axis.chart, view=view, axes=[axis]),
)  # fmt: skip
layer_map.show(context, layer_name, statistic, sort, scale, view, step)
if other:
    st.caption(
        f"The map is of {url.plain(context.entry.name)} alone: a number names another neuron in each run."
    )
