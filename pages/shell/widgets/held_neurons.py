"""A stored traversal of a sequence: one neuron, held at values at one position."""

from __future__ import annotations

import streamlit as st

from pages.shell.data import experiments
from pages.shell.data import sequence as data
from pages.shell.session import url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, selected_neuron
from pages.shell.widgets.cards import card
from probes.experiments import store
from probes.figures.held_neuron import held_change, held_prediction
from probes.neuron_names import full_name

PAST = 40  # positions before t that a continuation is shown with


def show(result: store.Result, context: RunContext) -> None:
    """What is predicted, how long a value is felt, and how the sequence goes on."""
    tables, layers = result.tables, context.names
    curves = tables["curves"]
    positions = tables["positions"].sort_values("t")["text"].astype(str).tolist()
    walked = list(dict.fromkeys(zip(curves["layer"].tolist(), curves["neuron"].tolist(), strict=True)))
    moved = experiments.traversal_strength(curves)
    walked.sort(key=lambda item: -moved[item])
    with st.container(horizontal=True):
        label = lambda item: f"{full_name(item[0], item[1], layers[item[0]])} (moves it by {moved[item]:.2g})"  # noqa: E731 - a label
        layer, neuron = st.selectbox("Neuron", walked, format_func=label, key="held_neuron")
        place = lambda t: f"{t} “{data.sign(positions[t])}”"  # noqa: E731 - a label
        t = st.selectbox("Position t", sorted(set(curves["input"])), format_func=place, key="held_position")
    with st.container(horizontal=True):
        selected_neuron.buttons(context, layer, neuron, "held")
    part = {
        name: rows[(rows["layer"] == layer) & (rows["neuron"] == neuron) & (rows["input"] == t)]
        for name in ("curves", "posteriors", "felt", "continuations")
        for rows in (tables[name],)
    }
    name = full_name(layer, neuron, layers[layer])
    signal = data.positions(context).kind == "signal"
    outputs = tables["names"]
    names = {} if signal else {
        int(output): data.sign(str(text))
        for output, text in zip(outputs["output"], outputs["name"], strict=True)
    }  # fmt: skip
    left, right = st.columns(2, gap="small")
    with left:
        figure = held_prediction(part["curves"], part["posteriors"].iloc[0], names, t, name)
        card("**What comes next, at each value of the neuron**", figure, "held_prediction", part["curves"])
    with right:
        labels = {at: data.sign(text) for at, text in enumerate(positions)}
        figure = held_change(part["felt"], labels, t, name)
        card("**How long it is felt** · the sequence goes on as it did", figure, "held_change", part["felt"])
    if signal or data.positions(context).kind == "chords":
        return
    before = positions[max(0, t + 1 - PAST) : t + 1]
    colors = data.token_colors(part["continuations"]["entropy"].to_numpy(float))
    panels = []
    for value, rows in part["continuations"].groupby("value"):
        made = rows.sort_values("t")
        entropy = made["entropy"].to_numpy(float)
        panels.append(
            {
                "head": f"held at {float(str(value)):+.1f} sd",
                "tokens": before + made["text"].astype(str).tolist(),
                "shares": [None] * len(before) + data.shares(entropy, colors),
                "tips": ["given"] * len(before) + [f"entropy {one:.3g}" for one in entropy],
                "given": len(before),
            }
        )
    if not panels:
        return
    with st.container(border=True):
        st.markdown(f"**How it goes on** · {url.plain(name)} held at t {t}, the draws the same in all")
        texts = {
            "panels": panels, "chosen": None, "pickable": False, "title": "entropy of the next symbol (nats)",
            **colors, "least": 290, "label": f"{len(panels)} continuations",
        }  # fmt: skip
        canvases.tokens(texts, "held_continuations")
