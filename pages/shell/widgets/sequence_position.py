"""One position of the probe sequence: what was predicted there, and which neurons moved."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.data import payloads
from pages.shell.data import sequence as data
from pages.shell.session import state, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards, selected_neuron
from probes.figures.next_symbol import next_notes, next_symbol
from probes.figures.piano_roll import note_name
from probes.neuron_names import neuron_name

HEAD, ROW, SEEN = 37, 35, 8  # pixels of a table's head and rows, and rows at once
FORMATS = {"remembers (t)": "%.3g", "p, adjusted": "%.4f"}
"""How numbers of some columns are written; others have three decimals."""


def predicted(context: RunContext, labels: list[str], t: int, table: pd.DataFrame) -> None:
    """The distribution of the next symbol, or of the next notes, against what came; of signals the surprise
    in numbers.
    """
    if t not in table.index:
        st.caption("Nothing was predicted here.")
        return
    row = table.loc[[t]].iloc[0]
    nll = float(row["nll"]) if "nll" in row else float("nan")
    likeliest = [(data.sign(symbol), p) for symbol, p in data.likeliest(row)]
    came = data.sign(str(row.get("y", "")))
    of_symbols = likeliest and data.positions(context).kind != "chords"
    what = f" came “{came}”" if of_symbols else ""
    said = f"After “{data.sign(labels[t])}” at t {t}{what}: surprise **{payloads.number(nll)}** nats"
    if "entropy" in row:
        said += f", entropy {payloads.number(float(row['entropy']))} nats"
        drawn = float(row["entropy"]) - float(row["conditional_entropy"])
        said += f", of which the draws disagree by {payloads.number(max(drawn, 0.0))} nats"
    st.markdown(said)
    if data.positions(context).kind == "chords":
        notes = [(note_name(int(note)), p) for note, p in data.likeliest(row) if note.isdecimal()]
        played = [note_name(int(note)) for note in str(row.get("y", "")).split() if note.isdecimal()]
        if notes:
            cards.show(next_notes(notes, played), "next_symbol")
        return
    if likeliest:
        figure = next_symbol(likeliest, came, float(np.exp(-nll)))
        cards.show(figure, "next_symbol")


def moved(context: RunContext, found: dict[int, data.LayerPath], t: int, quantity: str) -> None:
    """The neurons of all layers that moved most at position t; a ticked row is the neuron that is looked
    at.
    """
    rows = data.moved(context, found, t, quantity)
    if quantity == "picked":
        rows = rows[rows["moved"] != 0].reset_index(drop=True)
        if rows.empty:
            st.caption("The same code was picked as before.")
            return
    shown = rows.head(data.RANKED)
    entry = data.QUANTITIES[quantity]
    head = (
        entry.title
        if quantity in ("kl", "change")
        else f"change of {entry.title[0].lower()}{entry.title[1:]}"
    )
    classes = [path.shares is not None for path in found.values() if path.has(quantity)]
    held = "class" if all(classes) else "m or class" if any(classes) else "m"
    held = "picked" if quantity == "picked" else held
    columns = {"moved": head, "before": f"{held} at t − 1", "after": f"{held} at t"}
    table = data.named_rows(shown).rename(columns=columns)
    pick(context, shown, table, "moved_rows", f"Neurons that moved most at position {t}")


def pick(context: RunContext, rows: pd.DataFrame, table: pd.DataFrame, key: str, alt: str) -> None:
    """A table of neurons, one row each, of which one is ticked: the neuron that is looked at."""
    chosen = state.chosen_neuron(context)
    places = [
        place for place, pair in enumerate(zip(rows["layer"], rows["neuron"], strict=True)) if pair == chosen
    ]
    at = "_".join(
        [key, *(f"{layer}.{neuron}" for layer, neuron in zip(rows["layer"], rows["neuron"], strict=True))]
    )
    st.session_state[at] = {"selection": {"rows": places[:1], "columns": [], "cells": []}}
    numbers: dict[Any, Any] = {
        name: st.column_config.NumberColumn(format=FORMATS.get(str(name), "%.3f"))
        for name in table.select_dtypes("number")
    }
    st.dataframe(
        table, hide_index=True, width="stretch", key=at, selection_mode="single-row", placeholder="–",
        height=HEAD + ROW * min(len(table), SEEN),
        on_select=partial(_ticked, rows, at), column_config=numbers, alt=f"{alt}; a ticked row is looked at",
    )  # fmt: skip


def _ticked(rows: pd.DataFrame, key: str) -> None:
    picked = st.session_state[key]["selection"]["rows"]
    if picked:
        row = rows.iloc[picked[0]]
        url.put("neurons", neuron_name(int(row["layer"]), int(row["neuron"])))


def actions(context: RunContext) -> None:
    """Pin and open the chosen neuron."""
    selected_neuron.actions(context, "sequence")
