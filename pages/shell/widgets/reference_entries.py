"""Statistics, scores and regimes as the page Reference explains them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from pages.shell.data import reference
from pages.shell.session import url
from probes.families import Family
from probes.schema import REGIMES, Regime, Score, Statistic


def words(meanings: Mapping[str, str]) -> None:
    """Words that all pages use, and what they mean."""
    with st.container(border=True, gap="small"):
        for word, meaning in meanings.items():
            name, body = st.columns([1, 2.8], gap="medium")
            name.markdown(f"**{word}**")
            body.markdown(meaning)


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


def family_table(families: Sequence[Family]) -> None:
    """One row a family: where its mass lies, what is stored of it, which rules mean something for it."""
    table = pd.DataFrame(
        {
            "family": [url.plain(family.label) for family in families],
            "in a manifest": [f"`{family.name}`" for family in families],
            "support": [reference.SUPPORTS[family.support] for family in families],
            "parameters": [", ".join(map(url.plain, family.parameters)) or "–" for family in families],
            "KL = information + mismatch": ["exact" if family.identity else "–" for family in families],
            "contraction by": [reference.contraction_by(family) for family in families],
            "regimes": [
                ", ".join(REGIMES[code].name for code in sorted(family.regimes)) or "none"
                for family in families
            ],
        }
    )
    st.table(table, hide_index=True, border="horizontal", alt="Families of distributions, one row a family")


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
