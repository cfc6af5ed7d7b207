"""What does this number mean? Generated from the registry that the code computes, labels and colours with."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.shell import frame
from pages.shell.session import url
from probes.schema import COSTS, REGIMES, SCORES, STATISTICS, Score, Statistic

frame.guard()
frame.sidebar()
with st.container(gap="xsmall"):
    st.markdown("## Reference")
    st.caption("What every number means: generated from the registry that computes, labels and colours it.")
search = st.text_input(
    "Find a statistic, a score or a regime",
    placeholder="spread, nats, Burda, dead …",
    key="reference_search",
    width=420,
)
search = search.strip().lower()


def matches(*texts: str) -> bool:
    """Whether the search occurs in any of the texts."""
    return not search or any(search in text.lower() for text in texts)


found = [
    s
    for s in STATISTICS.values()
    if matches(s.name, s.label, s.symbol, s.unit, s.meaning, s.formula, s.source, s.caveat)
]
regimes = [r for r in REGIMES if matches(r.name, r.rule, r.reading, r.advice)]
scores = [s for s in SCORES.values() if matches(s.name, s.label, s.unit, s.meaning, s.formula, s.source)]
if not found and not regimes and not scores:
    st.info("Nothing is called that. Clear the search to see all statistics, scores and regimes.")


def regime_table() -> None:
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


if regimes:
    with st.container(gap="xsmall"):
        st.markdown("#### Regimes of a neuron")
        st.caption(
            "The first rule that fires decides. The thresholds are parameters of `probes.regimes.classify`."
        )
    regime_table()
for letter, cost in COSTS.items():
    group = [statistic for statistic in found if statistic.cost == letter]
    if group:
        head, _, rest = cost.partition(": ")
        with st.container(gap="xsmall"):
            st.markdown(f"#### {head.capitalize() if rest else 'Derived'} statistics")
            st.caption(f"{(rest or cost)[0].upper()}{(rest or cost)[1:]}.")
        with st.container(border=True):
            for statistic in group:
                entry(statistic)
if scores:
    with st.container(gap="xsmall"):
        st.markdown("#### Scores of predictions")
        st.caption("Averages over a split's examples, scalars of the log.")
    with st.container(border=True):
        for score in scores:
            entry(score)
