"""Differences of scores between runs, with their intervals and what these are of."""

from __future__ import annotations

import streamlit as st

from pages.shell.data.run_comparison import Paired
from pages.shell.session import url


def show(paired: Paired, reference: str) -> None:
    """A table, one row a score and run, and why a run has none."""
    if len(paired.table):
        st.markdown(f"**On the same examples** · minus {url.plain(reference)}, paired")
        column = st.column_config
        st.dataframe(
            paired.table, hide_index=True, height="content",
            key="paired_scores", alt="Differences on the same examples, with 95 % intervals",
            column_config={
                "value": column.NumberColumn("value", format="%.4g"),
                "difference": column.NumberColumn("difference", format="%+.4g"),
                "from": column.NumberColumn("95 % from", format="%+.4g"),
                "to": column.NumberColumn("to", format="%+.4g"),
                "verdict": column.TextColumn(f"against {reference}"),
            },
        )  # fmt: skip
        st.caption(" ".join(paired.notes))
    for run, reason in paired.reasons.items():
        st.caption(f"{url.plain(run)} has no interval against {url.plain(reference)}: {url.plain(reason)}.")
