"""What does this number mean? Generated from the registry that the code computes, labels and colours with."""

from __future__ import annotations

import streamlit as st

from pages.shell import frame
from pages.shell.data import reference
from pages.shell.widgets import reference_entries
from probes.schema import COSTS

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
found, regimes, scores = reference.find(search)
words = reference.words(search)
if not found and not regimes and not scores and not words and not reference.families(search):
    st.info("Nothing is called that. Clear the search to see all statistics, scores and regimes.")
if words:
    st.markdown("#### Words")
    reference_entries.words(words)

if regimes:
    with st.container(gap="xsmall"):
        st.markdown("#### Regimes of a neuron")
        st.caption(
            "Rules are asked from 1 on, and the first that fires decides. The thresholds are parameters of"
            " `probes.regimes.classify`; K: latent dimensions of a neuron."
        )
    reference_entries.regime_table(regimes)
if families := reference.families(search):
    with st.container(gap="xsmall"):
        st.markdown("#### Families of distributions")
        st.caption(
            "What a layer's neurons may be; a layer's own family stands under the title of every page."
        )
    reference_entries.family_table(families)
for letter, cost in COSTS.items():
    group = [statistic for statistic in found if statistic.cost == letter]
    if group:
        head, _, rest = cost.partition(": ")
        with st.container(gap="xsmall"):
            st.markdown(f"#### {head.capitalize() if rest else 'Derived'} statistics")
            st.caption(f"{(rest or cost)[0].upper()}{(rest or cost)[1:]}.")
        with st.container(border=True):
            for statistic in group:
                reference_entries.entry(statistic)
if scores:
    with st.container(gap="xsmall"):
        st.markdown("#### Scores of predictions")
        st.caption("Averages over a split's examples, scalars of the log.")
    with st.container(border=True):
        for score in scores:
            reference_entries.entry(score)
