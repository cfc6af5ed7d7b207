"""Chords along a sequence: a piano roll, or several below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

Notes = Sequence[Sequence[int]]
NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
SCALE = [[0, palette.SLATE], [1, palette.ORANGE]]
SIGNED = [[0, palette.BLUE], [0.5, palette.PALE_SLATE], [1, palette.VERMILLION]]
LIKELY = 0.05  # least probability of a note that is drawn
ROLL, FEW = 300, 110  # pixels: height of one roll, and of each of several


def piano_rolls(
    rolls: Mapping[str, Notes],
    *,
    values: ArrayLike | None = None,
    values_are: str = "",
    signed: bool = False,
    given: int = 0,
    likely: Mapping[str, pd.DataFrame] | None = None,
    t: int | None = None,
) -> go.Figure:
    """Notes of chords at each position, one panel a sequence.

    Parameters
    ----------
    rolls : mapping of str to sequence
        Label -> T chords, each of MIDI numbers.
    values : (T,) array, optional
        Colours of the positions of the first roll.
    values_are : str
        What they are.
    signed : bool
        They have a sign: the scale is centred at 0.
    given : int
        Positions at the beginning that were given, not made: drawn fainter.
    likely : mapping of str to DataFrame, optional
        Label -> columns t, note, p: how likely notes were before they came, drawn behind.
    t : int, optional
        The position that is looked at.

    Returns
    -------
    go.Figure
        Notes carry t as their `customdata`.
    """
    several = len(rolls) > 1
    figure = FigureBuilder(
        max(len(rolls), 1), 1, shared_xaxes="all", vertical_spacing=0.36 / max(len(rolls), 1),
        titles=[style.text(label) for label in rolls] if several else (),
    )  # fmt: skip
    length = max((len(chords) for chords in rolls.values()), default=0)
    for place, (label, chords) in enumerate(rolls.items()):
        size = 5 if several or length > 120 else 7
        if likely is not None and len(likely[label]):
            rows = likely[label][likely[label]["p"] >= LIKELY]
            behind = palette.SLATE if several else palette.PREDICTED
            shades = [palette.translucent(behind, round(float(p), 2)) for p in rows["p"]]
            figure.scatter(
                rows["t"], rows["note"], mode="markers", row=place + 1, name="probability before it came",
                marker={"symbol": "square", "size": size if several else size + 4, "color": shades},
                showlegend=False,
                customdata=[[int(t), float(p)] for t, p in zip(rows["t"], rows["p"], strict=True)],
                text=[note_name(int(note)) for note in rows["note"]],
                hovertemplate="t %{x}: %{text} was %{customdata[1]:.0%} likely<extra></extra>",
            )  # fmt: skip
        at = np.array([t for t, chord in enumerate(chords) for _ in chord], int)
        pitch = np.array([note for chord in chords for note in chord], float)
        marker: dict[str, Any] = {"symbol": "square", "size": size}
        if values is not None and place == 0:
            marker |= {
                "color": np.asarray(values, float)[at], "showscale": True,
                "colorscale": SIGNED if signed else SCALE, **({"cmid": 0} if signed else {}),
                "colorbar": {"title": {"text": values_are, "side": "right"}, "thickness": 10},
            }  # fmt: skip
        else:
            faint = palette.translucent(palette.BLUE, 0.35)
            marker |= {"color": [faint if one < given else palette.BLUE for one in at.tolist()]}
        figure.scatter(
            at, pitch, mode="markers", marker=marker, row=place + 1, customdata=at.tolist(),
            text=[note_name(int(note)) for note in pitch], hovertemplate="t %{x}: %{text}<extra></extra>",
            name="notes", showlegend=False,
        )  # fmt: skip
    figure.update_yaxes(title="" if several else "MIDI note", nticks=4 if several else 8)
    figure.update_xaxes(range=[-0.5, max(length - 0.5, 0.5)])
    figure.update_xaxes(title="t", row=max(len(rolls), 1))
    if t is not None:
        figure.add_vline(t, style.CURSOR_LINE)
    height = FEW * len(rolls) + 60 if several else ROLL
    return figure.finish(
        height,
        f"Piano roll of {length} positions, {len(rolls)} sequences",
        hovermode="closest",
        margin={"t": 24},
    )


def note_name(note: int) -> str:
    """A MIDI number's name.

    Parameters
    ----------
    note : int
        60 is the middle C.

    Returns
    -------
    str
        Such as "C4".
    """
    return f"{NAMES[note % 12]}{note // 12 - 1}"
