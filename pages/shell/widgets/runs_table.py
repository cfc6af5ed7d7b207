"""The tables of the page Runs: one row a run, or one row a group of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote, unquote

import pandas as pd
import streamlit as st

from pages.shell.data import run_comparison, runs_catalog
from pages.shell.session import ticked_runs, url
from pages.shell.widgets import ticked_rows

ROW_HEIGHT = 36  # pixels
ROWS_HIGH = 9  # rows of groups seen at once; more scroll inside the table
FEW = 8  # runs whose table needs no scrolling in any window
WIDEST = 270  # pixels of the column of names
LETTERS = 18  # of a text that a column is made wide enough for
HEAD = 37  # pixels of the heads and borders
RUN = "run"
LATEST = "-created"
LINES: dict[str, dict[str, Any]] = {
    "NLL over steps": {"help": "Negative log likelihood over steps"},
    "rate over steps": {"help": "KL of all neurons over steps (nats per example)"},
    "living over steps": {"y_min": 0, "y_max": 1, "help": "Living share over steps"},
}
NOT_SORTED = (*LINES, "tags")
NUMBERS: dict[str, tuple[str, str]] = {
    "steps": ("localized", "Recorded steps"),
    "rank": ("%d", "Place by NLL among the runs shown that were scored on the same data; 1 is the best"),
    "NLL": ("%.3f", "Last score: validation, else test"),
    "to twin": (
        "%+.3f",
        "NLL minus that of the run with the same settings but `twin` (deterministic): below 0 is better",
    ),
    "living": ("%.0f", "Share of neurons that are living or mixed, of those whose regime is known"),
}
HELP = {"network": "layers × neurons; all neurons if layers differ"}
_COLUMNS = "chosen_columns"  # widget


def choose_columns(offered: Sequence[str], usual: Sequence[str]) -> list[str]:
    """A menu of columns; `columns` in the URL where they are not the usual ones."""
    asked = [unquote(item) for item in (url.get("columns") or "").split(",") if item]
    chosen = [key for key in asked if key in offered] or [key for key in usual if key != RUN]
    st.session_state[_COLUMNS] = chosen

    def changed() -> None:
        now = list(st.session_state[_COLUMNS])
        same = not now or now == [key for key in usual if key != RUN]
        url.put("columns", None if same else ",".join(quote(key, safe="") for key in now))

    with st.popover("Columns", icon=":material/view_column:", help="Choose columns: settings and scores too"):
        st.multiselect(
            "Columns", offered, key=_COLUMNS, on_change=changed, format_func=_offered, width=420,
            help="Every setting that varies is among the usual ones.",
        )  # fmt: skip
        if url.get("columns"):
            st.button("Usual columns", key="usual_columns", on_click=url.put, args=("columns", None))
    return [RUN, *chosen]


def choose_order(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """A menu for the order of rows, `sort` in the URL (-NAME: largest first); returns the rows in it."""
    sortable = [key for key in dict.fromkeys(["created", *columns]) if key not in NOT_SORTED]
    keys = [f"{sign}{key}" for key in sortable for sign in ("", "-")]
    chosen = url.choice(
        st.selectbox, "Sort by", keys, "sort_runs", LATEST, format_func=_order, width=185,
        what="order of runs",
    )  # fmt: skip
    key = chosen.removeprefix("-")
    if chosen == LATEST:  # as the catalog gives them
        return frame
    return frame.sort_values(key, ascending=not chosen.startswith("-"), kind="stable", na_position="last")


def _offered(key: str) -> str:
    """A column in the menu, where no help stands beside it."""
    return key if key in LINES else title(key)


def _order(key: str) -> str:
    if key.removeprefix("-") == "created":
        return "begun, latest first" if key.startswith("-") else "begun, earliest first"
    return f"{title(key.removeprefix('-'))} {'↓' if key.startswith('-') else '↑'}"


def show_runs(frame: pd.DataFrame, columns: Sequence[str], ticked: Sequence[str]) -> None:
    """The table of runs, which fills the window; a tick is noted in the URL."""
    names = [str(name) for name in frame.index]
    key = ticked_rows.key_of("run_table", names)
    places = {name: place for place, name in enumerate(names)}
    rows = sorted(places[name] for name in ticked if name in places)
    st.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}

    def picked() -> None:
        ticked_runs.pick(names, st.session_state[key]["selection"]["rows"])

    few = len(frame) <= FEW
    with st.container(
        key=None if few else "runs_table",
        height="content" if few else HEAD + ROW_HEIGHT * len(frame),
        border=False,
    ):
        st.dataframe(
            frame[list(columns)],
            hide_index=True,
            width="stretch",
            height="content" if few else "stretch",
            row_height=ROW_HEIGHT,
            placeholder="–",
            key=key,
            on_select=picked,
            selection_mode="multi-row",
            alt="Runs with status, tags, settings, scores and sparklines of negative log likelihood, rate and"
            " living share",
            column_config={name: _column(name, frame[name]) for name in columns},
        )


_LABELS = {
    "name": "full name", "created": "begun", "NLL": "NLL (nats)", "living": "living (%)",
    "to twin": "to twin (nats)", "NLL over steps": "NLL", "rate over steps": "rate (nats)",
    "living over steps": "living",
}  # fmt: skip


def title(key: str) -> str:
    """A column's head, with its unit."""
    if key.startswith(runs_catalog.SETTING):
        return key.removeprefix(runs_catalog.SETTING)
    if key.startswith(runs_catalog.SCORE):
        return run_comparison.score_title(key.removeprefix(runs_catalog.SCORE))
    return _LABELS.get(key, key)


def _column(key: str, values: pd.Series) -> Any:
    """How a column is shown."""
    column = st.column_config
    if key == RUN:
        return column.TextColumn(
            "run", width=min(max(24 + 7 * int(values.str.len().max()), 90), WIDEST), pinned=True,
            help="What tells it from the others shown, or the name that it was given",
        )  # fmt: skip
    if key == "tags":
        return column.ListColumn("tags", width=90)
    if key == "created":
        return column.DatetimeColumn("begun", format="D MMM HH:mm", width=98, help="When it began (UTC)")
    if key in LINES:
        return column.LineChartColumn(title(key), width=78, **LINES[key])
    if key.startswith(runs_catalog.SETTING):
        label, told = title(key), f"The setting {title(key)}"
        if isinstance(values.dtype, pd.Float64Dtype):
            return column.NumberColumn(label, format="%g", width=_width(label), help=told)
        longest = max((len(str(value)) for value in values if value is not None), default=0)
        return column.Column(label, width=max(_width(label), 18 + 7 * min(longest, LETTERS)), help=told)
    if key in NUMBERS or key.startswith(runs_catalog.SCORE):
        form, told = NUMBERS.get(key, ("%.4g", "Last value"))
        return column.NumberColumn(title(key), format=form, width=_width(title(key)), help=told)
    return column.TextColumn(title(key), width=_width("finished"), help=HELP.get(key))


def _width(label: str) -> int:
    """Pixels that a head takes."""
    return max(30 + 6 * len(label), 60)


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
