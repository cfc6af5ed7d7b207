"""One neuron along the probe sequence: its belief with its band, its memory, and what it goes with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.data import sequence as data
from pages.shell.session import url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, cards, selected_neuron, sequence_position
from probes.analysis import sequence_features
from probes.figures import style
from probes.figures.sequence_belief import sequence_belief
from probes.figures.sequence_classes import sequence_classes
from probes.figures.sequence_codes import sequence_codes
from probes.neuron_names import full_name, neuron_name


def belief(
    context: RunContext,
    path: data.LayerPath,
    layer: int,
    neuron: int,
    t: int,
    memory: pd.DataFrame,
    feature: str,
    marks: np.ndarray,
) -> None:
    """The belief along t, and in numbers how long the neuron remembers. `marks`: positions (T,) at which
    the feature is there.
    """
    length = len(path.m)
    name = full_name(layer, neuron, context.names[layer])
    labels = [data.sign(label) for label in data.labels(context, length)]
    rows = pd.DataFrame({"t": np.arange(length), "kl": path.kl[:, neuron]})
    what = "belief along t"
    if path.shares is not None:
        held = path.shares[:, neuron]
        rows = rows.assign(**{f"p_{place}": held[:, place] for place in range(held.shape[1])})
        what = (
            "mean composition along t" if path.family == "dirichlet" else "probability of each class along t"
        )
        figure = sequence_classes(
            held, name=name, labels=labels, marks=marks[:length], marks_are=feature, t=t
        )
    elif path.of_codes:
        rows = rows.assign(picked=path.m[:, neuron]).drop(columns="kl")
        what = "where it was picked along t"
        figure = sequence_codes(
            path.m, neuron, name=name, labels=labels, marks=marks[:length], marks_are=feature, t=t
        )
    else:
        rows = rows.assign(m=path.m[:, neuron], V=path.V[:, neuron])
        figure = sequence_belief(
            path.m[:, neuron],
            path.V[:, neuron],
            name=name,
            labels=labels,
            marks=marks[:length],
            marks_are=feature,
            t=t,
            color=style.layer_color(layer, len(context.names)),
            family=path.family,
            standard=data.standard_gaussian(context, layer),
        )
    cards.card(f"**Neuron {url.plain(name)}** · {what}", figure, "belief", rows, of=context.entry.name)
    canvases.number_cards(data.card_numbers(context, memory, path, layer, neuron), key="sequence_memory")
    with st.container(horizontal=True):
        selected_neuron.buttons(context, layer, neuron, "belief")


def goes_with(tested: data.Followed, layer: int, neuron: int, quantity: str) -> None:
    """The features that one neuron goes with."""
    rows = data.feature_rows(tested, layer, neuron)
    name = neuron_name(layer, neuron)
    st.markdown(f"**What {name} goes with** · {data.QUANTITIES[quantity].label}")
    numbers = {
        "correlation": st.column_config.NumberColumn(format="%.2f"),
        "p": st.column_config.NumberColumn("p, adjusted", format="%.4f"),
    }
    st.dataframe(
        rows, hide_index=True, width="stretch", height="content", key="goes_with", column_config=numbers,
        placeholder="–", alt="Features that the neuron's course goes with",
    )  # fmt: skip
    st.caption(
        f"p: {sequence_features.PERMUTATIONS:,} permutations of blocks longer than the feature's memory"
        " (of a slow feature shifts), adjusted over the features by Holm."
    )


def followers(
    context: RunContext, found: dict[int, data.LayerPath], tested: data.Followed, feature: str, quantity: str
) -> None:
    """The neurons of all layers that go with one feature, and how long each remembers."""
    rows = data.followers(tested, feature)
    telling = int((rows["p"] <= data.SIGNIFICANT).sum())
    st.caption(
        f"{telling} of {len(rows):,} neurons go with it (p ≤ {data.SIGNIFICANT}, adjusted over all neurons)"
        f" in {data.QUANTITIES[quantity].label}. Remembers: measured half-life, –: longer than this sequence"
        " says."
    )
    shown = rows.head(data.RANKED)
    remembers = data.remembered(found, shown)
    table = data.named_rows(shown.rename(columns={"p": "p, adjusted"})).assign(
        **({"remembers (t)": remembers} if remembers is not None else {})
    )
    sequence_position.pick(context, shown, table, "followers", f"Neurons that go with {feature}")
