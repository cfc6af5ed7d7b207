"""What the page Sequence shows: the step of training, the layer and quantity of the map, the position."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.data import sequence as data
from pages.shell.session import cache, runs, url
from pages.shell.session.runs import RunContext
from probes.neuron_names import neuron_name

SURPRISE, UNSURE, BELIEF = "surprise", "entropy", "belief"
OFFERED = 5  # other runs at most


def none_here() -> None:
    """Say that the run has no probe sequence, how it comes to one, and which runs beside it have one."""
    st.info(
        "This run holds no probe sequence. `python -m vdn train --data text` stores one; in your own loop"
        " `recording.sequence(tokens=..., inputs=...)` hands one over."
    )
    names = list(islice(runs.holding("sequence"), OFFERED))
    if names:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("Runs that have one:", width="content")
            for name in names:
                st.button(url.plain(name), key=f"sequence_of_{name}", on_click=url.show_run, args=(name,))


def training_step(context: RunContext, at: int) -> None:
    """The stored steps of the probe sequence, of which one becomes the cursor of all pages."""
    steps = [int(step) for step in cache.sequence_steps(context)]
    if len(steps) < 2:
        return
    st.session_state["sequence_step"] = at

    def changed() -> None:
        step = st.session_state["sequence_step"]
        url.put("step", None if step == steps[-1] else step)

    st.select_slider(
        "Training step",
        steps,
        key="sequence_step",
        on_change=changed,
        format_func="{:,}".format,
        help="Steps at which the probe sequence was stored; the cursor of all pages.",
    )


def quantity(path: data.LayerPath) -> str:
    """What the map of a layer shows: KL where a prior is known, a belief or its classes."""
    names = [name for name in data.QUANTITIES if path.has(name)] or ["m"]
    label = lambda name: data.QUANTITIES[name].label  # noqa: E731 - a label, in the next line
    return url.choice(st.selectbox, "Map shows", names, "quantity", names[0], format_func=label)


def sort(memory: pd.DataFrame) -> str:
    """How the map's rows are sorted."""
    names = [name for name in data.SORTS if name != "memory" or "half_life" in memory]
    return url.choice(
        st.selectbox, "Sort the map by", names, "sort_sequence", names[0], format_func=data.SORTS.__getitem__
    )


def position(length: int, table: pd.DataFrame, found: dict[int, data.LayerPath]) -> int:
    """The position that is looked at, `t` in the URL; the most telling one by default."""
    asked = url.get("t")
    if asked is not None and asked.isdecimal() and int(asked) < length:
        return int(asked)
    first = data.most_telling(table, found, length)
    if asked is not None:
        url.unknown("position", asked, f"position {first}")
        url.put("t", None)
    return first


def feature(names: Sequence[str], first: str) -> str:
    """The feature whose neurons are looked for; `first` is the default."""
    return url.choice(st.selectbox, "Which neurons follow", names, "follows", first)


def coloured(
    table: pd.DataFrame, path: data.LayerPath, layer: int, neuron: int
) -> tuple[np.ndarray, str, bool]:
    """What the positions are coloured by: (T,) values, what they are, whether they have a sign."""
    length, name = len(path.m), neuron_name(layer, neuron)
    of_classes = path.shares is not None and path.has("entropy")
    labels = {SURPRISE: "surprise", UNSURE: "entropy", BELIEF: f"belief of {name}"}
    if of_classes:
        labels[BELIEF] = f"entropy of {name}"
    if path.of_codes:
        labels[BELIEF] = f"picks of {name}"
    names = [BELIEF]
    if "entropy" in table:
        names.insert(0, UNSURE)
    if "nll" in table:
        names.insert(0, SURPRISE)
    kind = url.choice(
        st.segmented_control, "Colour", names, "along", names[0], format_func=labels.__getitem__,
        required=True, label_visibility="collapsed", what="the colour",
    )  # fmt: skip
    if kind == BELIEF and path.shares is not None:
        shown = "entropy" if of_classes else "change"
        return path.quantity(shown)[:, neuron], f"{data.QUANTITIES[shown].label.lower()} of {name}", False
    if kind == BELIEF and path.of_codes:
        return path.m[:, neuron], f"picks of code {name}", False
    if kind == BELIEF:
        return path.m[:, neuron], f"m of {name}", True
    column, what = ("nll", "surprise at what came next (nats)")
    if kind == UNSURE:
        column, what = "entropy", "entropy of the prediction, how unsure it was (nats)"
    return table[column].reindex(range(length)).to_numpy(float), what, False
