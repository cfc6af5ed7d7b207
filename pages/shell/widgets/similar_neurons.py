"""Which neurons move like a chosen one on the probe batch: in its own run, and its partner in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.data import neuron_series
from pages.shell.session import cache, pins, state, url
from pages.shell.widgets import downloads
from probes.analysis import neuron_summary, posteriors

NEIGHBOURS_KEPT = 64  # tables of a few rows
MATCHED = 600  # neurons a layer up to which the matching takes about a second


def section(shown: Sequence[pins.Pinned], step: int) -> None:
    """Nearest neurons by correlation of mu; rows are pinned by a click."""
    with st.container(border=True):
        st.markdown(
            "**Who moves alike** · correlation of posterior means over the probe inputs, same inputs for both"
        )
        probed = [one for one in shown if neuron_series.probe_at(one.context, step) is not None]
        if not probed:
            st.caption(
                "No probe batch is stored in these runs, so that neurons cannot be compared input by input."
            )
            return
        left, right = st.columns(2)
        by_pin = {one.pin: one for one in probed}
        labels = dict(zip(by_pin, neuron_series.labels(probed), strict=True))
        neuron = by_pin[left.selectbox("Neuron", list(by_pin), format_func=labels.__getitem__, key="kin_of")]
        runs = list(dict.fromkeys([neuron.pin.run, *(one.pin.run for one in shown), *cache.entries()]))
        where = right.selectbox(
            "Look in", runs, key="kin_in", help="Another run must have been probed with the same inputs."
        )
        other = neuron.context if where == neuron.pin.run else state.another_run(where)
        problem = _cannot(neuron, other)
        if problem or other is None:
            st.info(problem)
            return
        _nearest(neuron, other, step)


def _cannot(neuron: pins.Pinned, other: state.RunContext | None) -> str | None:
    """Why the two runs cannot be compared input by input; None if they can."""
    if other is None:
        return "That run cannot be read."
    if not len(cache.probe_steps(other.stamp, other.run)):
        return "That run stores no probe batch."
    own = neuron.context
    if other.entry.name != own.entry.name and not posteriors.same_inputs(
        cache.predictions(own.stamp, own.run), cache.predictions(other.stamp, other.run)
    ):
        return (
            "That run was probed with other inputs: correlation would compare answers to different questions."
        )
    return None


def _nearest(neuron: pins.Pinned, other: state.RunContext, step: int) -> None:
    own, layer, number = neuron.context, neuron.pin.layer, neuron.pin.neuron
    at, there = (neuron_series.probe_at(run, step) for run in (own, other))
    mine = None if at is None else cache.probe_layer(own.stamp, own.run, at, layer)
    if mine is None or at is None or there is None:
        st.info("This layer has no stored probe batch.")
        return
    tables = {i: cache.probe_layer(other.stamp, other.run, there, i) for i in range(len(other.layers))}
    means = {i: probe[0] for i, probe in tables.items() if probe is not None}
    same = own.entry.name == other.entry.name
    found = _neighbours((own.stamp, at), (other.stamp, there), layer, number, mine[0], means, same)
    if not same and layer in means and max(mine[0].shape[1], means[layer].shape[1]) <= MATCHED:
        partner = (
            neuron_summary.partners(mine[0], means[layer], [number])
            .assign(layer=layer)
            .rename(columns={"neuron": "of"})
        )
        if len(partner):
            name = f"{other.entry.name}:{other.names[layer]}:{int(partner['partner'].iloc[0])}"
            value = float(partner["correlation"].iloc[0])
            st.markdown(
                "Its partner, when every neuron of the layer gets one (Hungarian matching):"
                f" **{url.plain(name)}**, correlation **{value:.2f}**".replace("-", "−")
            )
    if found.empty:
        st.caption("This neuron's mean does not move with the input, so that none moves like it.")
        return
    _table(found, other)
    with st.container(horizontal=True, vertical_alignment="center"):
        steps = f"{at:,}" if same else f"{at:,} and {there:,}"
        st.caption(
            f"At step {steps}, over {len(mine[0])} inputs: with so few, chance alone gives about "
            f"±{2 / len(mine[0]) ** 0.5:.2f}. The sign of a latent variable is arbitrary.",
            width="stretch",
        )
        downloads.beside(None, found, f"alike {neuron.name}")


@st.cache_resource(max_entries=NEIGHBOURS_KEPT, show_spinner=False)
def _neighbours(
    own: tuple[cache.Stamp, int], other: tuple[cache.Stamp, int], layer: int, number: int,
    _mu: np.ndarray, _others: Mapping[int, np.ndarray], same: bool,
) -> pd.DataFrame:  # fmt: skip
    return neuron_summary.neighbours(_mu, number, _others, layer if same else None)


def _table(found: pd.DataFrame, other: state.RunContext) -> None:
    shown = pd.DataFrame(
        {
            "layer": [other.names[int(layer)] for layer in found["layer"]],
            "neuron": found["neuron"].to_numpy(int),
            "correlation": found["correlation"].to_numpy(float),
        }
    )
    key = "kin_table"
    st.session_state[key] = {
        "selection": {"rows": pins.pinned_rows(found, other.entry.name), "columns": [], "cells": []}
    }

    def picked() -> None:
        pins.pick_rows(found, other.entry.name, st.session_state[key]["selection"]["rows"])

    st.dataframe(
        shown, hide_index=True, width="stretch", height="content", key=key, on_select=picked,
        selection_mode="multi-row",
        column_config={"correlation": st.column_config.NumberColumn("correlation of μ", format="%.3f")},
        alt="Neurons whose posterior means move most like the chosen one's; ticked rows are pinned",
    )  # fmt: skip
