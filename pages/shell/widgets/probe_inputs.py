"""What the inputs are that a neuron answers to most (images, texts, rows); what a decoder makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.shell.data import experiments, neuron_shapes
from pages.shell.data import probe_inputs as data
from pages.shell.session import pins
from pages.shell.session.pins import Pinned
from pages.shell.widgets import cards, downloads
from probes.experiments import store
from probes.figures.decoded_images import decoded_images
from probes.figures.input_images import input_images


def of_neurons(shown: Sequence[Pinned], step: int) -> None:
    """A card of what neurons answer to and one of what they are decoded to; nothing where no run says it."""
    _answered(shown, step)
    _decoded(shown)


def _answered(shown: Sequence[Pinned], step: int) -> None:
    found = [(name, telling) for name, telling in zip(pins.labels(shown), (
        data.of_neuron(neuron, step) for neuron in shown), strict=True) if telling is not None]  # fmt: skip
    if not found:
        _why_not(shown)
        return
    chosen = found[0][0]
    with st.container(border=True):
        st.markdown("**What it answers to** · the probe inputs at the ends of its posteriors")
        if len(found) > 1:
            chosen = st.segmented_control(
                "Neuron", [name for name, _ in found], default=chosen, label_visibility="collapsed",
                key="answers_to",
            ) or chosen  # fmt: skip
        telling = dict(found).get(chosen, found[0][1])
        _show(chosen, telling)


def _why_not(shown: Sequence[Pinned]) -> None:
    """In one line, where nothing else stands in the tab."""
    if not any(map(neuron_shapes.gaussian, shown)):
        st.caption("Inputs are ranked by the posteriors of Gaussian neurons; none of these is one.")
    else:
        st.caption("The run does not say what its probe inputs are: give `inputs=` to `watch` or `snapshot`.")


def _show(name: str, telling: data.Telling) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"At step {telling.step:,}. Under each its mean, width or information (nats: KL from the"
            " aggregate over the batch).",
            width="stretch",
        )
        downloads.menu(None, telling.table, f"{name} inputs")
    if telling.images:
        cards.show(
            input_images(telling.table, telling.images, f"Inputs that neuron {name} answers to most"),
            "answers_to_images",
        )
        return
    st.dataframe(
        telling.table[["group", "input", "content", "mu", "sigma", "information"]], hide_index=True,
        width="stretch", height=320,
        column_config={
            "content": st.column_config.TextColumn("what it is", width="large"),
            "mu": st.column_config.NumberColumn("μ", format="%.3g"),
            "sigma": st.column_config.NumberColumn("σ", format="%.3g"),
            "information": st.column_config.NumberColumn("information (nats)", format="%.3g"),
        },
        alt=f"Inputs that neuron {name} answers to most",
    )  # fmt: skip


def _decoded(shown: Sequence[Pinned]) -> None:
    for run in dict.fromkeys(neuron.pin.run for neuron in shown):
        own = [neuron for neuron in shown if neuron.pin.run == run]
        path = own[0].context.entry.path
        if store.DECODED not in store.stored(path):
            continue
        contents = experiments.load(path, store.DECODED).tables["contents"]
        contents = contents[contents["kind"] == "image"]
        there = set(zip(contents["layer"].tolist(), contents["neuron"].tolist(), strict=True))
        names = {
            (neuron.pin.layer, neuron.pin.neuron): name
            for neuron, name in zip(own, pins.labels(own), strict=True)
            if (neuron.pin.layer, neuron.pin.neuron) in there
        }
        if names:
            said = "Each neuron from -3 to 3 prior sds, decoded"
            cards.card(
                "**Decoded traversal** · each neuron walked over its prior, the others at one input's means",
                decoded_images(contents, names, said), f"decoded of {run}", contents, of=run,
            )  # fmt: skip
