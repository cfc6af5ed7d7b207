"""How unsure a network of sequences was: per position of the probe sequence, and on the test split."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.data import sequence as data
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, cards, sequence_axis
from probes.analysis.layer_families import is_gaussian
from probes.figures.token_uncertainty import token_uncertainty


def show(context: RunContext, found: dict[int, data.LayerPath], table: pd.DataFrame, t: int) -> None:
    """Mean variance of each layer's neurons and what a draw tells of the next symbol, along t; below them
    the scores of the test.
    """
    gaussian = [layer for layer in found if is_gaussian(context.layers[layer])]
    variances = {context.names[layer]: found[layer].V.mean(1) for layer in gaussian}
    length = len(next(iter(found.values())).V)
    told = data.draw_information(table, length)
    whole = pd.DataFrame({"t": np.arange(length), **variances})
    if told is not None:
        whole["draw_information"] = told
    standard = all(data.standard_gaussian(context, layer) for layer in gaussian)
    title = "**Conditional variance** · mean over a layer's neurons" + (
        "; the prior's is 1" if standard else ""
    )
    below = "; below, the mutual information between a draw and the next symbol"
    if variances or told is not None:
        cards.card(
            title + (below if told is not None else ""), token_uncertainty(variances, told, t=t),
            "token_uncertainty", whole, of=context.entry.name, draw=sequence_axis.clickable,
        )  # fmt: skip
    entropies = {
        context.names[layer]: path.quantity("entropy").mean(1)
        for layer, path in found.items()
        if path.has("entropy")
    }
    if entropies:
        cards.card(
            "**Entropy of the classes** · mean over a layer's neurons",
            token_uncertainty(entropies, t=t, what="entropy (nats)"), "token_entropy",
            pd.DataFrame({"t": np.arange(length), **entropies}), of=context.entry.name,
            draw=sequence_axis.clickable,
        )  # fmt: skip
    items = data.test_numbers(context)
    if items:
        with st.container(border=True):
            st.markdown("**On the test split**")
            canvases.number_cards(items, key="sequence_test")
