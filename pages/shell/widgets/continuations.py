"""Continuations that a network of sequences has made of a prompt, side by side, with their uncertainty."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.data import experiments
from pages.shell.data import sequence as data
from pages.shell.session import url
from pages.shell.session.runs import RunContext, RunError
from pages.shell.widgets import canvases, cards, downloads
from probes.analysis import sequence_features
from probes.experiments import store
from probes.figures.piano_roll import piano_rolls
from probes.figures.signal_path import signal_path

NAME = "generation"


def show(context: RunContext) -> None:
    """The stored continuations; nothing where the run has none."""
    path = Path(context.entry.path)
    if NAME not in store.stored(path):
        st.caption("Continuations of a prompt are stored at the end of a training; this run has none.")
        return
    try:
        found = experiments.load(path, NAME)
        found.tables["prompt"], found.tables["continuations"]
    except (RunError, KeyError) as error:
        st.warning(f"The continuations cannot be read: {url.plain(error)}.")
        return
    draw(context, found)


def draw(context: RunContext, found: store.Result) -> None:
    """Continuations with how unsure the network was at each of their positions."""
    prompt, ways = found.tables["prompt"], found.tables["continuations"]
    count = ways["trajectory"].nunique()
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Continuations** · {count} draws of one prompt, side by side", width="stretch")
            downloads.menu(None, ways, f"{context.entry.name} continuations")
        st.caption(experiments.settings_in_words(found.settings))
        _draw(context, prompt, ways, found.tables.get("notes"))


def _draw(context: RunContext, prompt: pd.DataFrame, ways: pd.DataFrame, notes: pd.DataFrame | None) -> None:
    given = prompt.sort_values("t")["text"].astype(str).tolist()
    parts = {
        int(str(number)): part.sort_values("t") for number, part in ways.groupby("trajectory", sort=True)
    }
    chords = data.positions(context).kind == "chords"
    whole = {
        f"draw {number + 1}": given + part["text"].astype(str).tolist() for number, part in parts.items()
    }
    first = sequence_features.read_positions(next(iter(whole.values())), chords)
    if first.kind == "chords":
        rolls = {label: sequence_features.read_positions(texts, True).notes for label, texts in whole.items()}
        likely = None if notes is None else {
            label: notes[notes["trajectory"] == number]
            for number, label in zip(parts, rolls, strict=True)
        }  # fmt: skip
        cards.show(piano_rolls(rolls, given=len(given), likely=likely), "continuations")
    elif first.kind == "signal":
        numbers = {label: sequence_features.read_positions(texts).values for label, texts in whole.items()}
        paths = {label: values[:, 0] for label, values in numbers.items() if values is not None}
        start = next(iter(paths.values()))[: len(given)]
        later = {label: values[len(given) :] for label, values in paths.items()}
        cards.show(signal_path(start, continued=later), "continuations")
    else:
        _texts(given, parts)


def _texts(given: list[str], parts: dict[int, pd.DataFrame]) -> None:
    entropy = np.concatenate([part["entropy"].to_numpy(float) for part in parts.values()])
    colors = data.token_colors(entropy)
    panels = []
    for number, part in parts.items():
        values = part["entropy"].to_numpy(float)
        log_prob = part["log_prob"].to_numpy(float)
        tips = [f"entropy {v:.3g}, p {np.exp(p):.3g}" for v, p in zip(values, log_prob, strict=True)]
        panels.append(
            {
                "head": f"draw {number + 1} · {-log_prob.mean():.3f} nats a position by its own predictions",
                "tokens": given + part["text"].astype(str).tolist(),
                "shares": [None] * len(given) + data.shares(values, colors),
                "tips": ["given"] * len(given) + tips, "given": len(given),
            }
        )  # fmt: skip
    texts = {
        "panels": panels, "chosen": None, "pickable": False,
        "title": "grey: the prompt; colour: entropy of the next symbol (nats)",
        **colors, "least": 290, "label": f"{len(panels)} continuations",
    }  # fmt: skip
    canvases.tokens(texts, "continuations")
