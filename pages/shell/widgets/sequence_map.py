"""The map neurons x positions of a layer on a page; a click chooses both."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from pages.shell.data import sequence as data
from pages.shell.session import canvas_sync, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, downloads
from probes.neuron_names import neuron_name

_KEY = "sequence_map"


def show(
    context: RunContext,
    path: data.LayerPath,
    layer: int,
    quantity: str,
    sort: str,
    memory: pd.DataFrame,
    neuron: int | None,
    t: int,
) -> None:
    """The map, with the position that is looked at and the neuron that is chosen (None: of another layer)."""
    entry, name = data.QUANTITIES[quantity], context.names[layer]
    with st.container(border=True):
        chosen = [] if neuron is None else [neuron]
        revision, (highlighted, cursor) = canvas_sync.to_send(_KEY, _shown(name), (chosen, t))
        with st.container(gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center"):
                rows_are = "code that was picked" if path.of_codes else "neuron"
                of = "of every code" if path.of_codes else "of every neuron"
                title = f"**{entry.label} {of}** · {url.plain(name)}, one row a {rows_are}"
                st.markdown(title, width="stretch")
                rows = partial(_rows, path, quantity)
                downloads.menu(None, rows, f"{context.entry.name} {quantity} along {name}")
            usual = (
                f"Sorted by {data.SORTS[sort]}. Colours run from the 1st to the 99th percentile. Click for"
                " neuron and position."
            )
            of_codes = "Sorted by number of picks; yellow: picked. Click for code and position."
            st.caption(of_codes if path.of_codes else usual)
        labels = data.labels(context, len(path.m))
        sent = data.map_payload(
            context, path, layer, labels, quantity, sort, memory, highlighted, cursor, revision
        )
        canvases.heatmap(sent, _KEY, partial(_pick, context, layer))


def _rows(path: data.LayerPath, quantity: str) -> pd.DataFrame:
    """The map to take away: one row a neuron, one column a position."""
    values = path.quantity(quantity).T
    columns = [f"t {t}" for t in range(values.shape[1])]
    return pd.DataFrame(values, columns=columns).rename_axis("neuron").reset_index()


def _shown(name: str) -> tuple[str | None, ...]:
    """What the map shows besides the image."""
    return url.get("run"), name, url.get("t"), url.get("neurons")


def _pick(context: RunContext, layer: int) -> None:
    """A cell was clicked."""
    pick = st.session_state[_KEY]["pick"]
    url.put_all({"neurons": neuron_name(layer, int(pick["neuron"])), "t": int(pick["step"])})
    canvas_sync.record(_KEY, _shown(context.names[layer]))
