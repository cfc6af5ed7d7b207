"""Each shown neuron in a sentence: its regime, the rule with its values, when it contracted, what to do."""

from __future__ import annotations

from html import escape

import streamlit as st

from pages.shell.data import neuron_series
from pages.shell.data.shown_neurons import Shown
from pages.shell.session import pins, url
from probes.schema import LIVING_REGIMES, REGIMES

GRID = "display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr));gap:8px 20px"
ITEM = "font-size:0.82rem;line-height:1.35;border-left:4px {line} {color};padding-left:9px"


def show(shown: Shown, step: int) -> None:
    """One short paragraph a neuron, marked as its line is drawn; those of the second run on demand."""
    names = pins.labels(shown.all)
    looks = zip(shown.all, names, shown.colors, shown.dashed, strict=True)
    items = [
        f'<div style="{ITEM.format(line="dashed" if dashed else "solid", color=color)}">'
        f"<b>{escape(name)}</b> {escape(sentence(neuron, step))}</div>"
        for neuron, name, color, dashed in looks
    ]
    own = len(shown.neurons)
    st.html(f'<div style="{GRID}">{"".join(items[:own])}</div>')
    if shown.second:
        with st.expander(f"The dashed neurons of {url.plain(shown.second[0].pin.run)} in words"):
            st.html(f'<div style="{GRID}">{"".join(items[own:])}</div>')


def sentence(neuron: pins.Pinned, step: int) -> str:
    """The neuron in words at the recorded step up to the cursor."""
    found = neuron_series.explanation(neuron, step)
    if found.regime is None:
        return f"Its layer was not recorded at step {found.step:,}."
    said = f"{REGIMES[found.regime].name}{found.rule}.{' ' if found.history else ''}{found.history}"
    if found.regime not in LIVING_REGIMES:
        said += f" {found.reading[0].upper()}{found.reading[1:]}. What to do: {found.advice}."
    return said
