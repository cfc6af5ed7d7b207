"""A figure on a page: with its text alternative, and in a frame with a title and its data to take away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages.shell.widgets import downloads
from probes.figures import plotly_figure, style

CONFIG: Mapping[str, Any] = MappingProxyType(
    {"displaylogo": False, "toImageButtonOptions": {"format": "svg"}}  # for a paper
)
"""Settings of plotly that all figures have."""
PHONE_CHARACTERS = 48
"""Of titles beside each other, as many as 390 pixels have room for."""


def show(
    figure: go.Figure, key: str, config: Mapping[str, Any] = MappingProxyType({}), **settings: Any
) -> Any:
    """A figure as wide as there is room; what is selected of it. Figures over steps are shown by
    `step_axis.chart`. config: more of plotly's.
    """
    return st.plotly_chart(
        figure,
        key=key,
        width="stretch",
        alt=plotly_figure.alt(figure),
        config={**CONFIG, **config},
        **settings,
    )


def card(
    title: str,
    figure: go.Figure,
    key: str,
    rows: downloads.Data,
    *,
    of: str = "",
    note: str = "",
    draw: Callable[[go.Figure, str], None] = show,
    several: int = 0,
) -> None:
    """A figure in its frame, under its title (markdown), a menu to take its data away, and a note.

    `key` must be unique on the page; `of` and it name the files. `several`: of panels side by
    side, each with its axis, or of axes, which scroll where there is too little room for them.
    """
    with st.container(border=True, height="stretch"):
        with st.container(gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center", wrap=False):
                st.markdown(title, width="stretch")
                downloads.menu(figure, rows, f"{of} {key}")
            if note:
                st.caption(note)
        if several:
            figure.update_layout(legend={"x": 0, "xanchor": "left"})  # in sight where it scrolls
        with st.container(key=f"panels_{several}_{key}") if several else nullcontext():
            draw(figure, key)


def for_titles(names: Sequence[str]) -> int:
    """`several` of a card with a panel a name, in rows of `style.COLUMNS`: 0 where the titles fit on a
    phone.
    """
    across = min(len(names), style.COLUMNS)
    return across if across and max(map(len, names)) > PHONE_CHARACTERS // across else 0
