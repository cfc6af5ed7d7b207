"""Who went from one regime to another, and when: read once a run, for the figure and the table of
Overview.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.session import cache, url
from pages.shell.session.state import RunContext
from pages.shell.widgets import alert_list, downloads, step_axis, ticked_rows
from probes import diagnostics
from probes.figures.frames import RAW_STEPS
from probes.figures.regime_transitions import regime_transitions
from probes.run_reader import RunReader
from probes.schema import REGIMES
from probes.spacing import evenly_spaced

NAMES = {regime.code: regime.name for regime in REGIMES}
TABLE_ROWS = 400  # kinds of move that are listed; a run has a few dozen
NEURONS = 40  # named; more are counted
PANELS = 8  # layers that are drawn
ROWS_HIGH, ROW_HEIGHT = 5, 32  # rows seen at once; pixels


@st.cache_resource(max_entries=cache.RUNS_KEPT, show_spinner="Reading every neuron's regime …")
def transitions(stamp: cache.Stamp, _run: RunReader) -> tuple[pd.DataFrame, int]:
    """`diagnostics.transitions` of the whole run, and how many recorded steps lie between two looks (1: every
    move is seen).

    Long runs and wide networks are looked at less often; a move is then dated by the first look that sees it.
    """
    recorded, total = _run.steps, sum(layer["neurons"] for layer in _run.layers)
    columns = int(np.clip(cache.CELLS_AT_ONCE // max(total, 1), 2, RAW_STEPS))
    parts, apart = [], 1
    for layer in range(len(_run.layers)):
        values, edges = _run.matrix(layer, "regime", max_columns=columns)
        if values.shape[1] < 2:
            continue
        steps = np.array([cache.recorded_step(recorded, int(edge) - 1) for edge in edges[1:]])
        apart = max(apart, round(len(recorded) / values.shape[1]))
        changed = values[:, 1:] != values[:, :-1]
        # a change is two cells: the last before it and the first after it
        beside = np.zeros(values.shape, bool)
        beside[:, 1:] |= changed
        beside[:, :-1] |= changed
        neurons, places = np.nonzero(beside)
        regimes = values[neurons, places].astype(np.int8)
        parts.append(
            pd.DataFrame({"step": steps[places], "layer": layer, "neuron": neurons, "regime": regimes})
        )
    if not parts:
        return pd.DataFrame(columns=["step", "layer", "neuron", "before", "after"]).astype("int64"), apart
    return diagnostics.transitions(pd.concat(parts, ignore_index=True)), apart


@st.cache_resource(max_entries=cache.RUNS_KEPT, show_spinner=False)
def _kinds(
    stamp: cache.Stamp, _moves: pd.DataFrame, names: tuple[str, ...], span: tuple[int, int]
) -> pd.DataFrame:
    return kinds_of_transition(_moves, names)


def kinds_of_transition(moves: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """One row a layer, regime left and regime entered: how many moves by how many neurons, first, middle and
    last step.
    """
    grouped = moves.groupby(["layer", "before", "after"])
    table = grouped.agg(
        moves=("step", "size"),
        neurons=("neuron", "nunique"),
        first=("step", "min"),
        half=("step", "median"),
        last=("step", "max"),
    ).reset_index()
    table = table.sort_values("moves", ascending=False, kind="stable").head(TABLE_ROWS).reset_index(drop=True)
    return table.assign(
        half=table["half"].astype("int64"),
        where=[names[layer] for layer in table["layer"]],
        left=table["before"].map(NAMES),
        entered=table["after"].map(NAMES),
    )


def show(table: pd.DataFrame, run: str, span: tuple[int, int]) -> int | None:
    """The table of kinds of move of a run within a range of steps; returns the place of the ticked row."""
    column = st.column_config
    event = st.dataframe(
        table[["where", "left", "entered", "moves", "neurons", "first", "half", "last"]],
        hide_index=True,
        width="stretch",
        row_height=ROW_HEIGHT,
        on_select="rerun",
        key=ticked_rows.key_of("moves_table", [run, *map(str, span)]),
        height="content" if len(table) <= ROWS_HIGH else (ROWS_HIGH + 1) * ROW_HEIGHT,
        selection_mode="single-row",
        alt="Moves between regimes with their neurons and steps",
        column_config={
            "where": column.TextColumn("layer", width=130),
            "left": column.TextColumn("from", width=110),
            "entered": column.TextColumn("to", width=110),
            "moves": column.NumberColumn("moves", width=62),
            "neurons": column.NumberColumn("neurons", width=70, help="Different neurons that made this move"),
            "first": column.NumberColumn(
                "first step", width=76, format="localized", help="Step of the first such move"
            ),
            "half": column.NumberColumn(
                "half by step", width=84, format="localized", help="Half of them were done by then"
            ),
            "last": column.NumberColumn(
                "last step", width=76, format="localized", help="Step of the last such move"
            ),
        },
    )
    rows = [row for row in ticked_rows.ticked(event) if row < len(table)]
    return rows[0] if rows else None


def panel(context: RunContext, step: int, view: step_axis.View) -> None:
    """Figure and table of the transitions within the range that is shown; a ticked row names its neurons and
    offers its step.
    """
    found, apart = transitions(context.stamp, context.run)
    found = view.cut(found)
    title = "**Transitions** · neurons that came alive (up) and that were lost (down), by where they went"
    if found.empty:
        several = len(context.run.steps) > 1
        within = f" between steps {view.first:,} and {view.last:,}" if view.span != view.ends else ""
        st.markdown(title)
        st.caption(
            f"No neuron has changed its regime{within}."
            if several
            else "One step is recorded: nothing can change yet."
        )
        return
    shown = list(range(len(context.names)))
    notes = [f"{len(found):,} moves."]
    if len(shown) > PANELS:
        shown = evenly_spaced(len(shown), PANELS).tolist()
        notes.append(f"{PANELS} of {len(context.names)} layers are drawn; the table has all.")
    if apart > 1:
        notes.append(
            f"Looked at every {apart} recorded steps or so: what goes and returns in between is not seen."
        )
    axis = view.axis(context)
    figure = regime_transitions(found, context.names, view.span, step=view.mark(step), axis=axis, shown=shown)
    with st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(title, width="stretch")
            downloads.beside(figure, found, "transitions")
        st.caption(" ".join(notes))
    step_axis.chart(figure, "moves", view, [axis])
    table = _kinds(context.stamp, found, tuple(context.names), view.span)
    ticked = show(table, context.entry.name, view.span)
    if ticked is None:
        st.caption("Tick a row to see which neurons, and to go to its step.")
    else:
        _told(context, table.iloc[ticked], found)


def _told(context: RunContext, kind: pd.Series, found: pd.DataFrame) -> None:
    """The neurons of one kind of move."""
    mine = found[
        (found["layer"] == kind["layer"])
        & (found["before"] == kind["before"])
        & (found["after"] == kind["after"])
    ]
    neurons = mine["neuron"].drop_duplicates().tolist()
    more = f" and {len(neurons) - NEURONS} more" if len(neurons) > NEURONS else ""
    half = int(kind["half"])
    st.markdown(
        f":small[{url.plain(kind['where'])}, in order: neurons"
        f" {', '.join(map(str, neurons[:NEURONS]))}{more}]"
    )
    st.button(
        f"Go to step {half:,}",
        key="go_to_move",
        on_click=alert_list.go_to,
        args=(context, half),
        icon=":material/arrow_forward:",
        help="Half were done by then",
    )
