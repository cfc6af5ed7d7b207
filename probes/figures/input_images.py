"""Images of a neuron's inputs, one row a group."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from probes.analysis.telling_inputs import GROUPS
from probes.figures import style

CELL, GAP, LABEL = 68, 8, 22  # pixels: an image's side, between images, and the line of text under each
LARGEST = 512  # pixels a side: what a log holds beyond is not drawn
HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def is_png(content: str) -> bool:
    """Whether a text is a PNG in base64, of at most `LARGEST` pixels a side.

    Parameters
    ----------
    content : str
        Of a row of `inputs/`, which may be anybody's.
    """
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return False
    sides = [int.from_bytes(data[place : place + 4], "big") for place in (16, 20)]
    return data.startswith(HEAD) and all(0 < side <= LARGEST for side in sides)


def input_images(telling: pd.DataFrame, images: Mapping[int, str], alt: str = "") -> go.Figure:
    """Images of the inputs that a neuron answers to most.

    Parameters
    ----------
    telling : pandas.DataFrame
        As `probes.analysis.telling_inputs` gives it.
    images : mapping
        Input -> PNG in base64; what is none is left blank.
    alt : str
        What the figure shows, for those who do not see it.

    Returns
    -------
    plotly.graph_objects.Figure
        One row a group, the numbers of each image under it and in its hover.
    """
    groups = list(dict.fromkeys(telling["group"]))
    columns = int(telling["rank"].max()) + 1 if len(telling) else 1
    height = CELL + LABEL
    figure = go.Figure()
    for row in telling.to_dict("records"):
        x, y = row["rank"] * (CELL + GAP), groups.index(row["group"]) * height
        content = images.get(row["input"], "")
        if is_png(content):
            figure.add_layout_image(
                source=f"data:image/png;base64,{content}", xref="x", yref="y", x=x, y=y,
                sizex=CELL, sizey=CELL, sizing="contain", layer="below",
            )  # fmt: skip
    figure.add_scatter(
        x=[int(rank) * (CELL + GAP) + CELL / 2 for rank in telling["rank"]],
        y=[groups.index(group) * height + CELL + LABEL / 2 for group in telling["group"]],
        text=[f"{value:.2f}" for value in _told(telling)], mode="text", textfont={"size": 11},
        customdata=telling[["input", "mu", "sigma", "information"]],
        hovertemplate="input %{customdata[0]}<br>μ %{customdata[1]:.3g}, σ %{customdata[2]:.3g}"
        "<br>information %{customdata[3]:.3g} nats<extra></extra>",
    )  # fmt: skip
    figure.update_layout(style.layout(max(len(groups), 1) * height + 12, alt))
    figure.update_layout(margin={"l": 150, "r": 8, "t": 4, "b": 4}, hovermode="closest", showlegend=False)
    figure.update_xaxes(visible=False, range=[-GAP, columns * (CELL + GAP)], constrain="domain")
    figure.update_xaxes(constraintoward="left")
    figure.update_yaxes(
        range=[max(len(groups), 1) * height, -4], showgrid=False, zeroline=False, showline=False,
        scaleanchor="x", tickmode="array", tickvals=[i * height + CELL / 2 for i in range(len(groups))],
        ticktext=groups, tickfont={"size": 12}, constrain="domain",
    )  # fmt: skip
    return figure


def _told(telling: pd.DataFrame) -> list[float]:
    """The number that each row stands in its group for."""
    return [float(row[GROUPS[row["group"]][0]]) for row in telling.to_dict("records")]
