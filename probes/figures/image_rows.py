"""Small images in rows: one row a group, a line of text under each image."""

from __future__ import annotations

import base64
import binascii

import pandas as pd
import plotly.graph_objects as go

from probes.figures import style

CELL, GAP, LABEL = 68, 8, 22  # pixels: an image's side, between images, and the line of text under each
LARGEST = 512  # pixels a side: what a log holds beyond is not drawn
HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def is_png(content: str) -> bool:
    """Whether a text is a PNG in base64, of at most `LARGEST` pixels a side.

    Parameters
    ----------
    content : str
        Of a run, which may be anybody's.
    """
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return False
    sides = [int.from_bytes(data[place : place + 4], "big") for place in (16, 20)]
    return data.startswith(HEAD) and all(0 < side <= LARGEST for side in sides)


def image_rows(rows: pd.DataFrame, alt: str = "") -> go.Figure:
    """Images in rows.

    Parameters
    ----------
    rows : pandas.DataFrame
        group, rank (place in its row, from 0), content (PNG in base64; what is none is left blank), text
        (under the image), hover.
    alt : str
        What the figure shows, for those who do not see it.

    Returns
    -------
    plotly.graph_objects.Figure
        One row a group, in the order in which they come.
    """
    groups = list(dict.fromkeys(rows["group"]))
    columns = int(rows["rank"].max()) + 1 if len(rows) else 1
    height = CELL + LABEL
    figure = go.Figure()
    for row in rows.to_dict("records"):
        x, y = row["rank"] * (CELL + GAP), groups.index(row["group"]) * height
        if is_png(row["content"]):
            figure.add_layout_image(
                source=f"data:image/png;base64,{row['content']}", xref="x", yref="y", x=x, y=y,
                sizex=CELL, sizey=CELL, sizing="contain", layer="below",
            )  # fmt: skip
    figure.add_scatter(
        x=[int(rank) * (CELL + GAP) + CELL / 2 for rank in rows["rank"]],
        y=[groups.index(group) * height + CELL + LABEL / 2 for group in rows["group"]],
        text=rows["text"], mode="text", textfont={"size": 11}, hovertext=rows["hover"], hoverinfo="text",
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
