"""The map of regimes: one tile a neuron, over steps; a click explains its neuron."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell.data import neuron_regime, payloads
from pages.shell.session import cache, canvas_sync, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, selected_neuron
from probes.analysis.layer_families import is_gaussian
from probes.neuron_names import full_name, neuron_name

_KEY = "regime_map"
ORDERS = ("by number", "by regime")
"""Of a layer's tiles; values of `tiles` in the URL."""


def show(context: RunContext, step: int, chosen: tuple[int, int] | None) -> None:
    """The map, and the regime of the chosen neuron, (layer, neuron), in words."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            "**Regime of every neuron** · one tile a neuron; drag the cursor through the run, click to"
            " explain",
            width="stretch",
        )
        order = url.choice(
            st.segmented_control, "Order of the tiles", ORDERS, "tiles", ORDERS[0], required=True,
            label_visibility="collapsed",
        )  # fmt: skip
    at = step if url.get("step") else None
    revision, (cursor, highlighted) = canvas_sync.to_send(_KEY, _shown(), (at, chosen))
    canvases.regimes(
        payloads.regimes_payload(context, highlighted, cursor, revision, order == ORDERS[1]),
        _KEY,
        partial(_cursor_moved, context),
        partial(_pick, context),
    )
    codes, steps = cache.regime_frames(context, payloads.frames_held(context))
    notes = []
    if any((table >> 4).any() for table in codes):
        notes.append(
            "A coloured corner of a tile: its neuron was non-finite, exploded or saturated at a step between"
            " this frame and the one before."
        )
    held, recorded = len(steps), len(context.run.steps)
    if held < recorded:
        notes.append(
            f"The map holds {held:,} of {recorded:,} recorded steps, closer to each other at the start, and"
            " shows the last one up to the cursor."
        )
    if notes:
        st.caption(" ".join(notes))
    _explain(context, chosen, step)
    selected_neuron.actions(context, "tile")


def _shown() -> tuple[str | None, ...]:
    """What the map shows besides the regimes: the cursor and the chosen neuron, of the run."""
    return url.get("run"), url.get("step"), url.get("neurons")


def _cursor_moved(context: RunContext) -> None:
    """The map's cursor rests."""
    url.put_all(_step(context, int(st.session_state[_KEY]["cursor"])))
    canvas_sync.record(_KEY, _shown())


def _pick(context: RunContext) -> None:
    """A tile was clicked: that neuron is explained, here and on the other pages."""
    pick = st.session_state[_KEY]["pick"]
    at = {} if pick.get("step") is None else _step(context, int(pick["step"]))
    url.put_all({**at, "neurons": neuron_name(int(pick["layer"]), int(pick["neuron"]))})
    canvas_sync.record(_KEY, _shown())


def _step(context: RunContext, at: int) -> dict[str, int | None]:
    """The cursor's step for the URL; the last one is the default and stays out of it."""
    return {"step": None if at == int(context.run.steps[-1]) else at}


def _explain(context: RunContext, neuron: tuple[int, int] | None, step: int) -> None:
    """The chosen neuron's regime: rule, values, reading, advice."""
    if neuron is None:
        return
    name = f"**{url.plain(full_name(*neuron, context.names[neuron[0]]))}** at step {step:,}"
    row = neuron_regime.row_at(context, *neuron, step)
    if row is None:
        st.markdown(f"{name}: this layer was not recorded at this step.")
        return
    reading, advice = neuron_regime.reading(context, neuron[0], row)
    with st.container(gap="xsmall"):
        st.markdown(f"{name} is {url.plain(neuron_regime.rule(context, neuron[0], row))}.")
        st.caption(f"{reading[0].upper()}{reading[1:]}. What to do: {advice}.")
        st.caption(neuron_regime.values(row, is_gaussian(context.layers[neuron[0]])))
