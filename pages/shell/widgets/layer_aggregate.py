"""What each layer's neurons do together: the layer's rate in parts, and its aggregate against the prior."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.shell.data import layer_aggregate as data
from pages.shell.session import url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards, downloads
from probes.figures.rate_split import DISTANCES, PARTS, aggregate_distances, rate_split
from probes.schema import STATISTICS

RATE = "Mean KL of the probe inputs' posteriors from the prior, summed over the layer's neurons."
SHORT = ("Index-code", "Total correlation", "Dimension-wise", "SW₂ (prior sd)", "MMD²")
"""Heads of the table's columns for PARTS and DISTANCES."""
TITLE = "**Layers as a whole** · the rate in parts, the aggregate posterior against the prior"


def panel(context: RunContext, step: int, other: RunContext | None = None) -> None:
    """What can be opened to see it; nothing is read or computed before, and it is not there without a probe
    batch.
    """
    if not data.stored(context):
        return
    opened = st.expander(TITLE, key="layer_aggregate", on_change="rerun")
    if opened.open:
        with opened:
            _opened(context, step, other)


def _opened(context: RunContext, step: int, other: RunContext | None) -> None:
    parts = []
    for run in (context, other) if other else (context,):
        found = data.at(run, step)
        if found is not None:
            whose = f"{run.entry.name}: " if other else ""
            parts.append(found.assign(name=[f"{whose}{run.names[layer]}" for layer in found["layer"]]))
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["why", "name"])
    for _, row in rows[rows["why"] != ""].iterrows():
        st.caption(f"{url.plain(row['name'])} is left out: {row['why']}.")
    told = rows[rows["why"] == ""].reset_index(drop=True)
    if told.empty:
        st.caption("No layer has posteriors of the probe batch that can be taken together.")
        return
    _say(told)
    known = told[told["sliced_wasserstein"].notna()]
    left, right = st.columns(2, gap="small") if len(known) else (st.container(), None)
    with left:
        cards.show(rate_split(told), "rate_split")
    if right is not None:
        with right:
            cards.show(aggregate_distances(known), "aggregate_distances")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "± one standard error, over inputs and draws; in brackets the limit below which 95 % of sets of"
            " as many samples of the prior lie.",
            width="stretch",
        )
        downloads.menu(None, told, f"{context.entry.name} layers as a whole")
    st.dataframe(
        data.table(told), hide_index=True, width="stretch", height="content",
        column_config={
            "layer": "layer", "rate": st.column_config.TextColumn("Rate (nats)", help=RATE),
            **{
                name: st.column_config.TextColumn(
                    f"{short} (nats)" if name in PARTS else short,
                    help=f"{STATISTICS[name].label}. {STATISTICS[name].meaning}",
                )
                for name, short in zip((*PARTS, *DISTANCES), SHORT, strict=True)
            },
        },
        alt="Each layer's rate in parts and its aggregate posterior's distances from the prior",
    )  # fmt: skip


def _say(told: pd.DataFrame) -> None:
    """What the numbers are of, and what they cannot tell."""
    inputs = ", ".join(f"{count:,}" for count in sorted(told["inputs"].unique()))
    said = [
        f"Of the {inputs} inputs of the probe batch at step"
        f" {', '.join(f'{step:,}' for step in sorted(told['step'].unique()))}."
    ]
    if told["at_ceiling"].any():
        ceiling = told.loc[told["at_ceiling"], "ceiling"].max()
        said.append(
            f"Hatched: so few inputs show at most {ceiling:.2f} nats of index-code information (the logarithm"
            " of their number), so that it is a lower bound there and the total correlation an upper one;"
            " their sum is told."
        )
    said += sorted(set(told["note"]) - {""})
    st.caption(" ".join(said))
