"""What does this number mean? Generated from the registry that the code computes, labels and colours with."""

from __future__ import annotations

import streamlit as st

from pages.shell import state, url
from probes.schema import COSTS, REGIMES, STATISTICS

state.guard()
st.markdown("## Reference")
st.caption("What every number means: generated from the registry that computes, labels and colours it.")
search = (
    st.text_input("Find a statistic or a regime", placeholder="spread, nats, Burda, dead …", key="reference_search")
    .strip()
    .lower()
)


def matches(*texts: str) -> bool:
    """Whether the search occurs in any of the texts."""
    return not search or any(search in text.lower() for text in texts)


found = [s for s in STATISTICS.values() if matches(s.name, s.label, s.symbol, s.unit, s.meaning, s.formula, s.source, s.caveat)]
regimes = [r for r in REGIMES if matches(r.name, r.rule, r.reading, r.advice)]
if not found and not regimes:
    st.info("Nothing is called that. Clear the search to see all statistics and regimes.")

if regimes:
    st.markdown("#### Regimes")
    st.caption("The first rule that fires decides; the thresholds are parameters of `probes.regimes.classify`.")
    st.dataframe(
        {
            "code": [r.code for r in regimes], "regime": [r.name for r in regimes], "rule": [r.rule for r in regimes],
            "reading": [r.reading for r in regimes], "what to do": [r.advice for r in regimes],
        },
        hide_index=True, width="stretch", height="content", key="regime_table", alt="Regimes of a neuron: rule, reading, what to do",
        column_config={"code": st.column_config.NumberColumn(width=50), "regime": st.column_config.TextColumn(width=110),
                       "rule": st.column_config.TextColumn(width="large")},
    )  # fmt: skip

if found:
    st.markdown("#### Statistics")
    for letter, cost in COSTS.items():
        group = [s for s in found if s.cost == letter]
        if not group:
            continue
        st.caption(f"{cost[0].upper()}{cost[1:]}")
        for statistic in group:
            with st.container(border=True):
                name, body = st.columns([1, 2.6], gap="medium")
                unit = statistic.unit or "no unit"
                name.markdown(
                    f"**{url.plain(statistic.label)}**" + (f" · {url.plain(statistic.symbol)}" if statistic.symbol else "")
                )
                name.caption(f"`{statistic.name}` · {url.plain(unit)}")
                body.markdown(f"{url.plain(statistic.meaning)}  \n`{statistic.formula}`")
                notes = [f"Caveat: {statistic.caveat}"] if statistic.caveat else []
                body.caption(url.plain(" ".join([*notes, f"Source: {statistic.source}."])))
