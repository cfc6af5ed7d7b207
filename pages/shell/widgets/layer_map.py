"""The map of a layer on a page: an image whose cells name their neuron and step when they are clicked."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import streamlit as st

from pages.shell.data import layer_map as data
from pages.shell.data import payloads
from pages.shell.session import cache, canvas_sync, state, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, downloads, selected_neuron, step_axis
from probes.analysis.layer_families import is_gaussian
from probes.neuron_names import neuron_name
from probes.schema import STATISTICS, absent_reason

_KEY = "heat"


def show(
    context: RunContext,
    layer_name: str,
    statistic: str,
    sort: str,
    scale: str,
    view: step_axis.View,
    step: int,
) -> None:
    """The map with the cursor and the chosen neuron, and the exact number behind that neuron's cell."""
    entry, layer = STATISTICS[statistic], context.names.index(layer_name)
    with st.container(border=True):
        neuron = state.chosen_neuron(context)
        chosen = [neuron[1]] if neuron and neuron[0] == layer else []
        revision, (highlighted, cursor) = canvas_sync.to_send(_KEY, _shown(layer_name), (chosen, step))
        found = data.layer_map(context, layer, statistic, sort, view.span, highlighted)
        with st.container(gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"**{entry.label} of every neuron** · {url.plain(layer_name)}, one row a neuron",
                    width="stretch",
                )
                name = f"{context.entry.name} {statistic} of {layer_name}"
                downloads.menu(None, partial(data.table, found), name)
            st.caption(
                f"Sorted by {data.SORTS[sort]}{_at_the_end(sort)}. Strip at the right: regime at step"
                f" {int(found.edges[-1]) - 1:,}. Colours run from the 1st to the 99th"
                f" percentile.{_reduction(found)}{_absent(found)} Click for the exact number."
            )
        if not np.isfinite(found.values).any():
            return
        sent = data.payload(
            found, layer, layer_name, scale == "log", highlighted, cursor, revision, _gaussian(context, layer)
        )
        canvases.heatmap(sent, _KEY, partial(_pick, context, layer_name))
        if chosen:
            _exact(context, layer, chosen[0], statistic, step)


def _at_the_end(sort: str) -> str:
    return "" if sort == "index" else ", at the end of the steps shown"


def _absent(found: data.LayerMap) -> str:
    """Why some cells are empty, in words."""
    count = int((~np.isfinite(found.values)).sum())
    if not count:
        return ""
    why = data.absent(found, False)
    whole = not np.isfinite(found.values).any(axis=0).all()
    share = count / found.values.size
    return f" {100 * share:.0f} % of the cells are empty: {why['column' if whole else 'cell']}."


def _reduction(found: data.LayerMap) -> str:
    """What the image leaves out, in words."""
    caption = ""
    if found.steps_per_column > 1:
        caption = f" A column is the mean of about {found.steps_per_column:.0f} recorded steps."
    if STATISTICS[found.statistic].cost == "P":
        caption += " Colours last from a step of the probe batch to the next."
    if len(found.order) < len(found.values):
        caption += (
            f" {len(found.order):,} of {len(found.values):,} neurons are drawn, at evenly spaced ranks; the"
            " download has all."
        )
    if found.alarms:
        caption += " Marks above: a step at which neurons were non-finite, exploded or saturated."
    return caption


def _shown(layer_name: str) -> tuple[str | None, ...]:
    """What the map shows besides the image: the cursor and the chosen neuron, of a layer of the run."""
    return url.get("run"), layer_name, url.get("step"), url.get("neurons")


def _pick(context: RunContext, layer_name: str) -> None:
    """A cell was clicked: its neuron and step become the cursor of all pages."""
    pick = st.session_state[_KEY]["pick"]
    neuron = neuron_name(context.names.index(layer_name), int(pick["neuron"]))
    url.put_all({"neurons": neuron, "step": cache.recorded_step(context.run.steps, int(pick["step"]))})
    canvas_sync.record(_KEY, _shown(layer_name))


def _gaussian(context: RunContext, layer: int) -> bool:
    return is_gaussian(context.layers[layer])


def _exact(context: RunContext, layer: int, neuron: int, statistic: str, step: int) -> None:
    """The number behind the chosen cell."""
    entry = STATISTICS[statistic].of_family(_gaussian(context, layer))
    value = data.value_at(context, layer, neuron, statistic, step)
    if value is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        said = f"**{payloads.number(value, 5)}** {entry.unit}"
        if not math.isfinite(value):
            said = f"no value: {absent_reason(statistic)}"
        name = neuron_name(layer, neuron)
        st.markdown(f"Neuron **{name}** at step **{step:,}**: {entry.label} {said}", width="content")
        selected_neuron.buttons(context, layer, neuron, "cell")
