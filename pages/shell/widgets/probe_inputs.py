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
    if shown and all(map(neuron_shapes.is_code, shown)):
        st.caption("A code has no posterior of its own by which inputs could be ranked.")
    elif any("data_file" in neuron.context.run.config for neuron in shown):  # of `vdn train`
        st.caption(
            "`vdn train` does not keep what its probe inputs look like; Uncertainty shows what was predicted"
            " of them."
        )
    else:
        st.caption("The run does not say what its probe inputs are: give `inputs=` to `watch` or `snapshot`.")


def _show(name: str, telling: data.Telling) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"At step {telling.step:,}{_under(telling)}{_information(telling)}.",
            width="stretch",
        )
        downloads.menu(None, telling.table, f"{name} inputs")
    if telling.images:
        cards.show(
            input_images(telling.table, telling.images, f"Inputs that neuron {name} answers to most"),
            "answers_to_images",
        )
        return
    columns = [name for name in COLUMNS if name in telling.table]
    st.dataframe(
        telling.table[["group", "input", "content", *columns]], hide_index=True,
        width="stretch", height=320,
        column_config={
            "content": st.column_config.TextColumn("what it is", width="large"),
            **{column: st.column_config.NumberColumn(COLUMNS[column], format="%.3g") for column in columns},
        },
        alt=f"Inputs that neuron {name} answers to most",
    )  # fmt: skip


COLUMNS = {
    "mu": "μ", "sigma": "σ", "mean": "mean", "sd": "sd", "class": "class", "component": "component",
    "probability": "probability", "share": "share", "entropy": "entropy (nats)",
    "information": "information (nats)",
}  # fmt: skip
"""Column of a table of inputs -> its title."""


def _under(telling: data.Telling) -> str:
    return "; under each image the number that its row is in the order of" if telling.images else ""


def _information(telling: data.Telling) -> str:
    known = "information" in telling.table
    return "; information in nats: KL from the aggregate over the batch" if known else ""


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
