"""Each chosen neuron in words: its regime, the rule with its values, when it contracted."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.shell.data import neuron_series, shown_neurons
from pages.shell.session import url
from pages.shell.session.pins import Pinned
from probes.figures.neuron_panels import panel_columns
from probes.schema import LIVING_REGIMES, REGIMES


def show(shown: Sequence[Pinned], step: int) -> None:
    """One box a neuron, in rows like the panels of the figures."""
    in_row = panel_columns(len(shown))
    for row in range(0, len(shown), in_row):
        columns = st.columns(in_row, gap="small")
        for place, column in enumerate(columns[: len(shown) - row], start=row):
            with column, st.container(border=True, gap="xsmall", height="stretch"):
                _box(shown[place], place, shown_neurons.colors(len(shown))[place], step)


def _box(neuron: Pinned, place: int, color: str, step: int) -> None:
    found = neuron_series.explanation(neuron, step)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False):
        swatch = "display:inline-block;width:12px;height:12px;border-radius:3px"
        st.html(f'<span style="{swatch};background:{color}"></span>', width="content")
        st.markdown(f"**{url.plain(neuron.full_name)}**", width="stretch")
        label = "Unpin" if neuron.pin in url.pins() else "Pin"
        st.button(
            label, key=f"toggle_{place}", type="tertiary", help=f"{label} {url.plain(neuron.name)}",
            on_click=url.toggle_pin,
            args=(*neuron.pin[1:], neuron.pin.run),
        )  # fmt: skip
    st.caption(f"{url.plain(neuron.run_name)} · step {found.step:,}")
    if found.regime is None:
        st.caption(f"Its layer was not recorded at step {found.step:,}.")
        return
    regime = REGIMES[found.regime]
    st.markdown(f":small[**{regime.name.capitalize()}**{url.plain(found.rule)}. {url.plain(found.history)}]")
    if regime.code:
        todo = "" if regime.code in LIVING_REGIMES else f" What to do: {regime.advice}."
        st.caption(f"{regime.reading[0].upper()}{regime.reading[1:]}.{todo}")
