"""Where in depth is information held?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell import frame
from pages.shell.data.layer_aggregate import units_in_words
from pages.shell.data.layer_map import SORTS, summary_at
from pages.shell.session import cache, state, url
from pages.shell.widgets import (
    cards,
    compared,
    layer_aggregate,
    layer_families,
    layer_map,
    probe_batch,
    step_axis,
)
from probes.analysis.layer_families import is_code_book, is_gaussian, with_statistic
from probes.figures import depth_profile, layer_bands
from probes.figures.downsampling import downsampling_note
from probes.figures.layer_bands import quantiles
from probes.schema import STATISTICS
from probes.spacing import evenly_spaced

DEPTH = ("kl", "information", "contraction")
WIDTHS = ("variance", "spread")  # for want of these: draws have no prior
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
with st.sidebar:
    layer_name = frame.choose_layer(context, "Layer of the map")
    layer = context.names.index(layer_name)
    found = cache.recorded(context)
    offered = found[layer] or context.run.available
    first = next((name for name in ("usage", "information") if name in offered), offered[0])
    if url.get("statistic") in context.run.available and url.get("statistic") not in offered:
        url.put("statistic", None)  # of the layer before
    label = lambda name: STATISTICS[name].label  # noqa: E731 - a label, a line below
    statistic = url.choice(st.selectbox, "Statistic", offered, "statistic", first, format_func=label)
    sort = url.choice(
        st.selectbox, "Sort the map by", list(SORTS), "sort", "statistic", format_func=SORTS.__getitem__
    )
    view = step_axis.choose([context, other] if other else [context])
    scale = url.choice(
        st.segmented_control, "Value axis", ("linear", "log"), "scale", "linear", required=True
    )
    frame.link_to_reference()
gaussian = all(map(is_gaussian, context.layers))
entry = STATISTICS[statistic]
derived = cache.summarised_with(context, statistic)
summary = cache.summary(context, derived)
axis = view.axis(context)

then = cache.recorded_step(other.run.steps, step) if other else None
depth, widths = ([name for name in names if with_statistic(found, name)] for names in (DEPTH, WIDTHS))
figure = depth_profile(
    summary, depth or widths or [statistic], context.names, step, living=bool(depth), gaussian=gaussian,
    other=summary_at(other, then) if other and then is not None else None, label=beside,
)  # fmt: skip
whose = f"; {url.plain(beside)}: step {then:,}" if then is not None else ""
title = f"**Depth at step {step:,}** · median, middle half and middle 90 % of each layer's neurons{whose}"
cards.card(
    title, figure, "depth", summary[summary["step"] == step], of=context.entry.name, several=len(DEPTH) + 1,
    note=units_in_words(context, step),
)  # fmt: skip

probe_batch.of_layers(context, step)
layer_aggregate.panel(context, step, other)

having = with_statistic(found, statistic) or [layer]
shown = [having[place] for place in evenly_spaced(len(having), PANELS)]
left_out = f" {len(shown)} of {len(context.names)} layers" if len(shown) < len(context.names) else ""
left_out += (" have it." if len(shown) == len(having) else " are shown.") if left_out else ""
rows, steps_per_row = cache.thinned_summary(context, view.span, derived)
note = downsampling_note(steps_per_row)
figure = layer_bands(
    rows, statistic, context.names, step=view.cursor(step), axis=axis, scale=scale, shown=shown,
    other=cache.thinned_summary(other, view.span, derived)[0] if other else None, label=beside,
    other_axis=view.axis(other) if other else None, gaussian=gaussian,
)  # fmt: skip
bent = scale == "log" and figure.layout.yaxis.type != "log"
linear = " Not all values are positive, so that the axis stays linear." if bent else ""
cards.card(
    f"**{entry.label} over steps** · median and bands over each layer's neurons{note}",
    figure, "bands", partial(quantiles, summary, statistic), of=f"{context.entry.name} {statistic}",
    note=f"{entry.meaning} {entry.of_family(gaussian).caveat}{left_out}{linear}",
    draw=partial(step_axis.chart, view=view, axes=[axis]),
    several=cards.for_titles([context.names[layer] for layer in shown]),
)  # fmt: skip
if is_code_book(context.layers[layer]):
    layer_families.code_book_card(context, layer, view, step)
layer_families.joint_kl_card(context, layer, view, step)
if not (is_code_book(context.layers[layer]) and statistic == "usage"):
    layer_map.show(context, layer_name, statistic, sort, scale, view, step)
if other:
    st.caption(
        f"The map is of {url.plain(context.entry.name)} alone: a number names another neuron in each run."
    )
