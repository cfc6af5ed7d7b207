"""What the probe batch says of neurons and layers: information, movement, memory on the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages.shell.data import probe_batch as data
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards, downloads
from probes.analysis import probe_statistics
from probes.analysis.layer_families import is_gaussian
from probes.figures import depth_profile
from probes.schema import STATISTICS


def of_neurons(shown: Sequence[Pinned], step: int) -> None:
    """A table of the shown neurons; nothing where no probe batch is stored."""
    table = data.of_neurons(shown, step)
    names = data.shown_statistics(table)
    if not names:
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            steps = ", ".join(f"{at:,}" for at in sorted(table["step"].unique()))
            st.markdown(
                f"**On the probe batch** · the same inputs at every step; step {steps}", width="stretch"
            )
            downloads.menu(None, table, "neurons on the probe batch")
        drawn = table[["name"]].assign(**{name: data.shown(table, name) for name in names})
        st.dataframe(
            drawn, hide_index=True, width="stretch", height="content", placeholder="–",
            column_config={"name": "neuron"} | {name: column(name) for name in names},
            alt="The shown neurons' statistics of the probe batch",
        )  # fmt: skip
        st.caption(
            "Mutual information with its standard error, or ≥ and ≤ where the inputs are too few. Update and"
            " drift are since the stored step before. A half-life of – is longer than the sequence can say."
        )


def column(name: str, gaussian: bool = True) -> Any:
    """How a table of neurons, all Gaussian or not, shows a statistic: `data.shown` under its title."""
    entry = STATISTICS[name].of_family(gaussian)
    if name == "mutual_information":
        return st.column_config.TextColumn(entry.title, help=entry.meaning)
    return st.column_config.NumberColumn(entry.title, help=entry.meaning, format="%.4g")


def of_layers(context: RunContext, step: int) -> None:
    """Each layer's neurons, layer beside layer; nothing where no probe batch is stored."""
    found = data.sampled(context, step)
    names = data.shown_statistics(found[1]) if found else []
    if found is None or not names:
        return
    stored, table = found
    summary = probe_statistics.summary(table, names, stored)
    figure = depth_profile(summary, names, context.names, stored, living=False)
    note = "The same inputs at every step. Update and drift are since the stored step before."
    if "mutual_information" in names:
        least = int(table["mutual_information_at_least"].eq(True).sum())
        if least:
            note += f" Mutual information is a lower bound for {least:,} of {len(table):,} neurons."
    if "share_from_input" in names:
        note += " The first layer's share from the input is 1."
    plain = all(is_gaussian(layer) for layer in context.layers)
    of = "of every neuron" if plain else "of every Gaussian neuron"
    if any(layer["neurons"] > data.SAMPLED for layer in context.layers):
        of = f"of at most {data.SAMPLED:,} neurons a layer"
    cards.card(
        f"**On the probe batch** · {of}, at step {stored:,}", figure, "depth_probed", table,
        of=context.entry.name, note=note, several=len(names),
    )  # fmt: skip
