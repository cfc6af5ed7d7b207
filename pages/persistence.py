"""What do neurons remember, along the data?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell import frame
from pages.shell.data import persistence
from pages.shell.session import cache, state, url
from pages.shell.widgets import canvases, cards, persistence_views, step_axis
from probes.analysis.layer_families import with_statistic
from probes.figures import layer_bands, style
from probes.figures.downsampling import downsampling_note
from probes.figures.floor_gap import floor_gap
from probes.figures.half_lives import half_life_histogram
from probes.spacing import evenly_spaced

STEPS = 300  # columns of a layer's history of every neuron

frame.guard()
context = frame.pick_run()
caption = (
    "What do neurons remember? How much of a neuron's mean is carried from one position t of the data to the"
    " next."
)
frame.header("Persistence", context, caption, state.cursor(context))
step = frame.needs_distributions(context)
if "persistence" not in context.run.statistics:
    st.info(
        "Persistence was not recorded in this run. It needs an order in the data: batches that hold each"
        " example with its predecessor of the same series. Rows of a table have none. In your own loop give"
        " `watch` or `Moments.update` the predecessors' means and series ids."
    )
    st.stop()
other = persistence_views.second(frame.compared(context))
with st.sidebar:
    having = with_statistic(cache.recorded(context), "persistence") or list(range(len(context.names)))
    layer_name = frame.choose_layer(context, "Layer", among=having)
    sources = persistence.sources(context)
    source = str(
        st.selectbox(
            "Measured on", sources, key="measured_on", help="A whole split has far more pairs than a batch"
        )
    )
    view = step_axis.choose([context, other] if other else [context])
    frame.link_to_reference()
axis, cursor = view.axis(context), view.cursor(step)
over_steps = partial(step_axis.chart, view=view, axes=[axis])
layer = context.names.index(layer_name)
rows = persistence.measured_rows(context, source, step)
mine = rows[rows["layer"] == layer]
autoregressive = persistence.is_autoregressive(rows)
input_slope = persistence.input_slope(rows)


if rows["persistence"].notna().sum() == 0:
    st.info(
        f"No slope is defined on the {source}: the means do not move yet, or there are fewer pairs than"
        " series + 2. Choose a later step."
    )
else:
    canvases.number_cards(persistence.number_cards(context, rows, step), key="memory_cards")
if other:
    persistence_views.second_cards(other, step)
persistence_views.every_neuron(context, mine, layer_name, source, autoregressive, input_slope)

by_layer, steps_per_row = cache.thinned_summary(context, view.span)
note = downsampling_note(steps_per_row)
shown = [having[place] for place in evenly_spaced(len(having), persistence_views.PANELS)]
bands = layer_bands(by_layer, "persistence", context.names, step=cursor, axis=axis, shown=shown)
has_floor = autoregressive and "phi" in context.run.statistics
left, right = st.columns(2 if has_floor else [1, 1.6], gap="small")
with left:
    lives = persistence.half_lives(context, mine, layer, step, input_slope)
    figure = half_life_histogram(
        lives.values, color=style.layer_color(layer, len(context.names)), marks=lives.marks
    )
    lived = mine[["layer", "neuron", "persistence"]].assign(half_life=lives.values)
    title = f"**{lives.title}** · of {url.plain(layer_name)}{'; ' if lives.note else ''}{lives.note}"
    cards.card(title, figure, "half_lives", lived, of=context.entry.name)
if has_floor:
    with right:
        kl, edges = cache.matrix(context, layer, "kl", STEPS, view.span)
        phi, _ = cache.matrix(context, layer, "phi", STEPS, view.span)
        dims = context.layers[layer]["latent_dim"]
        figure = floor_gap(
            edges,
            kl,
            phi,
            latent_dim=dims,
            color=style.layer_color(layer, len(context.names)),
            step=cursor,
            axis=axis,
        )
        title = f"**KL above its floor** · {url.plain(layer_name)}; 0 is what the prior costs anyway"
        history = partial(context.run.history, layer, statistics=["kl", "phi"])
        cards.card(title, figure, "floor_gap", history, of=context.entry.name, draw=over_steps)
with st.container() if has_floor else right:
    title = f"**Persistence over steps** · median and bands over each layer's neurons{note}"
    summary = partial(cache.summary, context)
    cards.card(
        title, bands, "memory_bands", summary, of=context.entry.name, draw=over_steps,
        several=cards.for_titles(context.names),
    )  # fmt: skip
if other:
    persistence_views.second_bands(other, step, view)

persistence_views.faults(context, rows, source, autoregressive)
curves = persistence.autocorrelation_figure(context, mine, layer, step)
if curves is None:
    st.caption(
        "Autocorrelation is drawn where the probe batch holds a sequence of consecutive positions; here none"
        " is stored yet."
    )
else:
    figure, correlations, at = curves
    title = f"**Autocorrelation** · of posterior means over consecutive positions, at step {at:,}"
    note = (
        "Corrected for the bias of a short sequence. Shaded: what none would show by chance. ESS: how many"
        " independent positions these are worth."
    )
    cards.card(title, figure, "autocorrelation", correlations, of=context.entry.name, note=note)
