"""The probe sequence itself on a page: a text, a piano roll or a signal, on which a position is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.shell.data import sequence as data
from pages.shell.session import url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import canvases, cards
from probes.figures.piano_roll import piano_rolls
from probes.figures.signal_path import signal_path

_TEXT, _FIGURE = "sequence_text", "sequence_axis"


def symbols(
    context: RunContext,
    length: int,
    t: int,
    values: np.ndarray,
    what: str,
    signed: bool,
    table: pd.DataFrame,
) -> None:
    """A text or a piano roll of T positions, coloured by `values` (T,), which are `what`; behind a roll the
    notes that were predicted, `table`. A click makes one the position that is looked at.
    """
    found = data.positions(context)
    if found.kind == "chords":
        figure = piano_rolls(
            {"probe sequence": found.notes[:length]}, values=values, values_are=what, signed=signed, t=t,
            likely={"probe sequence": data.likely_notes(table, length)},
        )  # fmt: skip
        clickable(figure, _FIGURE)
    else:
        _text(data.labels(context, length), t, values, what, signed)


def signal(context: RunContext, length: int, t: int, table: pd.DataFrame) -> None:
    """A signal at T positions with what was predicted, `table`, by t."""
    came = data.positions(context).values
    assert came is not None
    predicted: dict[str, Any] = {}
    if {"mean", "latent_variance", "observation_variance"} <= set(table):
        rows = table.reindex(range(length))
        variance = rows["latent_variance"].fillna(0) + rows["observation_variance"]
        predicted = {"mean": rows["mean"].to_numpy(float), "variance": variance.to_numpy(float)}
    clickable(signal_path(came[:length, 0], **predicted, t=t), _FIGURE)


def _text(labels: list[str], t: int, values: np.ndarray, what: str, signed: bool) -> None:
    colors = data.token_colors(values, signed)
    tips = [
        f"t {place} “{data.sign(label)}”" + (f" · {what} {value:.3g}" if np.isfinite(value) else "")
        for place, (label, value) in enumerate(zip(labels, values.tolist(), strict=True))
    ]
    panel = {"head": "", "tokens": labels, "shares": data.shares(values, colors), "tips": tips, "given": 0}
    texts = {
        "panels": [panel], "chosen": t, "pickable": True, "title": what, **colors, "least": 300,
        "label": f"Probe sequence of {len(labels)} positions",
    }  # fmt: skip
    canvases.tokens(texts, _TEXT, _token)


def _token() -> None:
    """A token was clicked."""
    url.put("t", int(st.session_state[_TEXT]["pick"]["t"]))


def clickable(figure: go.Figure, key: str) -> None:
    """A figure along the sequence: a click on a point makes its position the one that is looked at."""
    cards.show(figure, key, on_select=lambda: _pick(key), selection_mode="points")


def _pick(key: str) -> None:
    for point in st.session_state[key]["selection"]["points"]:
        said = point.get("customdata")
        url.put("t", int(said[0] if isinstance(said, list | tuple) else said))
        return
