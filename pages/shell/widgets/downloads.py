"""Take away what a page shows: a figure's data as CSV and Parquet, the figure itself as one HTML file.

Nothing is converted before a button is clicked: each file is made when it is asked for. A menu that is shut
has no buttons either: those of all figures would be a third of a page's messages.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.shell.session import url

Data = pd.DataFrame | Callable[[], pd.DataFrame]


def menu(
    figure: go.Figure | None, frame: Data, name: str, html: tuple[str, Callable[[], bytes]] | None = None
) -> None:
    """A small menu with the data of a figure and the figure. `name` names the files and must be unique on the
    page.

    `frame` may be a function that reads the rows when they are asked for; `figure` is None for what a canvas
    draws, of which `html` may be a label and a function that makes one page.
    """
    with st.container(width="content"):  # a fragment is as wide as there is room
        _menu(figure, frame, name, html)


@st.fragment
def _menu(
    figure: go.Figure | None, frame: Data, name: str, html: tuple[str, Callable[[], bytes]] | None
) -> None:
    stem = file_stem(name)
    opened = st.popover(
        "Download", icon=":material/download:", type="tertiary", width="content",
        help=f"Download {url.plain(name)}",
        key=f"get_{stem}", on_change="rerun",
    )  # fmt: skip
    if not opened.open:
        return
    files: list[tuple[str, str, str, Callable[[], bytes]]] = [
        ("Data, CSV", "csv", "text/csv", lambda: as_csv(_rows(frame))),
        ("Data, Parquet", "parquet", "application/vnd.apache.parquet", lambda: as_parquet(_rows(frame))),
    ]
    if figure is not None:
        files.append(("Figure, HTML", "html", "text/html", lambda: as_html(figure)))
    if html is not None:
        files.append((html[0], "html", "text/html", html[1]))
    with opened:
        for label, suffix, mime, make in files:
            st.download_button(
                label, make, f"{stem}.{suffix}", mime, key=f"get_{stem}_{suffix}", on_click="ignore",
                type="tertiary",
                icon=":material/download:",
            )  # fmt: skip


def file_stem(name: str) -> str:
    """A file name without anything that a file system or a header might read otherwise."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "data"


def as_csv(frame: pd.DataFrame) -> bytes:
    """Rows as CSV, UTF-8, without the index."""
    return frame.to_csv(index=False).encode()


def as_parquet(frame: pd.DataFrame) -> bytes:
    """Rows as Parquet, without the index."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def as_html(figure: go.Figure) -> bytes:
    """The figure as one file that works without a network: plotly's script is inside."""
    return figure.to_html(include_plotlyjs=True, full_html=True).encode()


def _rows(frame: Data) -> pd.DataFrame:
    return frame() if callable(frame) else frame
