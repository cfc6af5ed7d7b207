"""The tables of the page Runs: one row a run, or one row a group of seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
import streamlit as st

from pages.shell.data import runs_catalog
from pages.shell.session import url
from pages.shell.session.runs import Entry
from pages.shell.widgets import ticked_rows
from probes.analysis import run_filter

ROW_HEIGHT = 36  # pixels
# rows seen at once, so that what is said of a ticked one is in sight; more scroll inside the table
ROWS_HIGH = 9


def filtered(entries: Mapping[str, Entry], text: str) -> dict[str, Entry]:
    """Runs that a filter leaves. One that cannot be applied is reported, and leaves all."""
    try:
        return runs_catalog.filtered(entries, text)
    except run_filter.FilterError as error:
        st.error(f"This filter cannot be applied, so all runs are shown. {url.plain(error)}.")
        return dict(entries)


def show_runs(table: pd.DataFrame) -> list[str]:
    """The table of runs; returns the names of those that are ticked, in its order."""
    column = st.column_config
    order = ["run", "status", "tags", "created", "network", "steps", "NLL", "NLL over steps", "to twin"]
    order += ["rate over steps", "living", "living over steps"]
    empty = {name for name in ("tags", "to twin") if not table[name].map(_has_value).any()}
    event = st.dataframe(
        table[[name for name in order if name not in empty]],
        hide_index=True,
        width="stretch",
        height=_height(len(table)),
        row_height=ROW_HEIGHT,
        placeholder="–",
        key=ticked_rows.key_of("run_table", table["run"]),
        on_select="rerun",
        selection_mode="multi-row",
        alt="Runs with status, tags, scores and sparklines of negative log likelihood, rate and living share",
        column_config={
            "run": column.TextColumn("run", width=134),
            "status": column.TextColumn("status", width=70),
            "tags": column.ListColumn("tags", width=78),
            "created": column.DatetimeColumn(
                "begun", format="D MMM", width=56, help="Day it began (UTC); sorts by the second"
            ),
            "network": column.TextColumn(
                "network", width=62, help="layers × neurons; all neurons if layers differ"
            ),
            "steps": column.NumberColumn("steps", format="localized", width=50, help="recorded steps"),
            "NLL": column.NumberColumn(
                "NLL (nats)", format="%.3f", width=74, help="Last score: validation, else test"
            ),
            "NLL over steps": column.LineChartColumn(
                "NLL", width=54, help="Negative log likelihood over steps"
            ),
            "to twin": column.NumberColumn(
                "to twin",
                format="%+.3f",
                width=58,
                help=(
                    "NLL minus that of the run with the same settings but `twin` (deterministic), nats: below"
                    " 0 is better"
                ),
            ),
            "rate over steps": column.LineChartColumn(
                "rate", width=54, help="KL of all neurons over steps (nats per example)"
            ),
            "living": column.NumberColumn(
                "living", format="%.0f %%", width=54, help="Share of neurons that are living or mixed"
            ),
            "living over steps": column.LineChartColumn(
                "living", width=54, y_min=0, y_max=1, help="Living share over steps"
            ),
        },
    )
    return [str(table.iloc[row]["run"]) for row in ticked_rows.ticked(event)]


def _has_value(value: Any) -> bool:
    return bool(value) if isinstance(value, list) else bool(pd.notna(value))


def _height(rows: int) -> int | Literal["content"]:
    return "content" if rows <= ROWS_HIGH else (ROWS_HIGH + 1) * ROW_HEIGHT


def show_groups(table: pd.DataFrame) -> list[int]:
    """The table of groups; returns the places of those that are ticked."""
    column = st.column_config
    event = st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        height=_height(len(table)),
        row_height=ROW_HEIGHT,
        placeholder="–",
        key=ticked_rows.key_of("group_table", table["group"]),
        on_select="rerun",
        selection_mode="multi-row",
        alt="Groups of runs that differ by their seed alone, with median and range of their last scores",
        column_config={
            "group": column.TextColumn("settings that differ", width=262),
            "runs": column.NumberColumn("runs", width=48),
            "seeds": column.TextColumn("seeds", width=80),
            "NLL": column.NumberColumn(
                "NLL (nats)", format="%.3f", width=84, help="Median of the last scores"
            ),
            "NLL range": column.TextColumn("lowest to highest", width=108),
            "living": column.ProgressColumn(
                "living (%)", format="%.0f %%", min_value=0, max_value=100, width=92
            ),
            "living range": column.TextColumn("lowest to highest", width=108),
        },
    )
    return ticked_rows.ticked(event)
