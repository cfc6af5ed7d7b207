"""Statistics, scores and regimes as the page Reference explains them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pages.shell.session import url
from probes.schema import Regime, Score, Statistic


def regime_table(regimes: Sequence[Regime]) -> None:
    """The regimes with their colours."""
    table = pd.DataFrame(
        {
            "code": [r.code for r in regimes], "": ["■"] * len(regimes),
            "regime": [url.plain(r.name) for r in regimes],
            "rule": [url.plain(r.rule) for r in regimes], "reading": [url.plain(r.reading) for r in regimes],
            "what to do": [url.plain(r.advice) for r in regimes],
        }
    )  # fmt: skip
    # black is seen in the dark theme, yellow in the light one
    edge = "-webkit-text-stroke: 0.5px rgba(128, 140, 152, 0.9)"
    colored = table.style.apply(lambda _: [f"color: {r.color}; {edge}" for r in regimes], subset=[""])
    st.table(
        colored, hide_index=True, border="horizontal", alt="Regimes of a neuron: rule, reading, what to do"
    )


def entry(of: Statistic | Score) -> None:
    """One statistic or score: label, symbol, name and unit; meaning, formula, caveat, source."""
    name, body = st.columns([1, 2.8], gap="medium")
    symbol = f" · {url.plain(of.symbol)}" if isinstance(of, Statistic) and of.symbol else ""
    with name.container(gap="xsmall"):
        st.markdown(f"**{url.plain(of.label)}**{symbol}")
        st.caption(f"`{of.name}` · {url.plain(of.unit or 'no unit')}")
    with body.container(gap="xsmall"):
        st.markdown(f"{url.plain(of.meaning)}  \n`{of.formula}`")
        caveat = f"{of.caveat} " if isinstance(of, Statistic) and of.caveat else ""
        st.caption(url.plain(f"{caveat}Source: {of.source}."))
