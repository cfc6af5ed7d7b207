"""Which neurons move like a chosen one on the probe batch: in its own run, and its partner in another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.data import neuron_shapes, probe_answers
from pages.shell.data import similar_neurons as data
from pages.shell.session import pins, runs, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import downloads
from probes.neuron_names import neuron_name, neuron_names


def section(shown: Sequence[pins.Pinned], step: int) -> None:
    """Nearest neurons by correlation of mu; rows are pinned by a click."""
    with st.container(border=True):
        st.markdown("**Most similar neurons** · by their answers to the same probe inputs")
        if shown and all(map(neuron_shapes.is_code, shown)):
            st.caption("A code has no posterior of its own to be compared.")
            return
        probed = [one for one in shown if probe_answers.stored_step(one, step) is not None]
        if not probed:
            st.caption(
                "No probe batch is stored in these runs, so that neurons cannot be compared input by input."
            )
            return
        left, right = st.columns(2)
        by_name = dict(zip(pins.labels(probed), probed, strict=True))
        if url.get("like") not in by_name:
            url.put("like", None)  # of another selection
        with left:
            neuron = by_name[url.choice(st.selectbox, "Neuron", list(by_name), "like", next(iter(by_name)))]
        names = list(dict.fromkeys([neuron.pin.run, *(one.pin.run for one in shown), *runs.entries()]))
        with right:
            where = url.choice(
                st.selectbox, "Look in", names, "among", neuron.pin.run,
                help="Another run must have been probed with the same inputs.",
            )  # fmt: skip
        other = neuron.context if where == neuron.pin.run else runs.another_run(where)
        problem = data.not_comparable(neuron, other)
        if problem or other is None:
            st.info(problem)
            return
        _nearest(neuron, other, step)


def _nearest(neuron: pins.Pinned, other: RunContext, step: int) -> None:
    near = data.similar(neuron, other, step)
    if near is None:
        st.info("This layer has no stored probe batch.")
        return
    if near.match is not None:
        _match(neuron, other, near.match)
    if near.found.empty:
        st.caption("This neuron's answer does not move with the input, so that none moves like it.")
        return
    _table(near.found, other)
    compared = (
        "Of several numbers it is the root of the RV coefficient."
        if near.several
        else "The sign of a latent variable is arbitrary."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        steps = " and ".join(f"{at:,}" for at in dict.fromkeys(near.steps))
        before = f"; before training half of the layer's neurons found {near.untrained:.2f}"
        st.caption(
            f"At step {steps}, over {near.inputs} inputs. The nearest of {near.among:,} is large by chance:"
            f" {near.chance.median:.2f}, in 5 % above {near.chance.upper:.2f}"
            f"{before if np.isfinite(near.untrained) else ''}. {compared}",
            width="stretch",
        )
        downloads.menu(None, near.found, f"alike {neuron.name}")


def _match(neuron: pins.Pinned, other: RunContext, match: data.Match) -> None:
    """The neuron's partner, and the two layers as wholes, each with what chance and no training give."""
    if match.partner is not None:
        name = f"{other.entry.name}/{neuron_name(neuron.pin.layer, match.partner[0])}"
        untrained = "" if match.untrained is None else f"; before training, median {match.untrained:.2f}"
        size = _number(match.partner[1])
        st.markdown(
            "Its partner, when every neuron of the layer gets one (Hungarian matching):"
            f" **{url.plain(name)}**, correlation **{size}**"
            f" (by chance {match.chance.median:.2f}, in 5 % above {match.chance.upper:.2f}{untrained})"
        )
    alike, before = match.alike, match.untrained_alike
    parts = []
    for label, value, chance, earlier in (
        ("linear CKA", alike.cka, alike.cka_chance, before and before.cka),
        ("SVCCA", alike.svcca, alike.svcca_chance, before and before.svcca),
    ):
        if np.isfinite(value):
            untrained = ""
            if earlier is not None and np.isfinite(earlier):
                untrained = f", before training {_number(earlier)}"
            parts.append(f"{label} **{_number(value)}** (by chance up to {_number(chance)}{untrained})")
    if parts:
        st.markdown(f"The layers as wholes, without the bias of few inputs: {'; '.join(parts)}.")


def _number(value: float) -> str:
    """Two decimals, with a minus sign where it is not rounded to 0."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _table(found: pd.DataFrame, other: RunContext) -> None:
    shown = pd.DataFrame(
        {
            "neuron": neuron_names(found),
            "layer": [other.names[int(layer)] for layer in found["layer"]],
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
        column_config={"correlation": st.column_config.NumberColumn("correlation", format="%.3f")},
        alt="Neurons that answer most like the chosen one; ticked rows are pinned",
    )  # fmt: skip
