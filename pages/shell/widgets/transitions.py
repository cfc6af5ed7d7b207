"""Who went from one regime to another, and when: a figure, and a table whose ticked row names its neurons."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.shell.data import regime_transitions as data
from pages.shell.session import url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import alert_list, downloads, selected_neuron, step_axis, ticked_rows
from probes.figures.regime_transitions import regime_transitions
from probes.neuron_names import neuron_name
from probes.spacing import evenly_spaced

NEURONS = 40  # named; more are counted
PANELS = 8  # layers that are drawn
ROWS_HIGH, ROW_HEIGHT = 5, 32  # rows seen at once; pixels


def _table(table: pd.DataFrame, run: str, span: tuple[int, int]) -> int | None:
    """Kinds of transition of a run within a range of steps; returns the place of the ticked row."""
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
    """What can be opened to see the transitions; nothing is read before."""
    if len(context.run.steps) < 2:
        return
    title = "**Transitions** · between settled regimes: who came alive, who was lost, and when"
    opened = st.expander(title, key="transitions", on_change="rerun")
    if opened.open:
        with opened:
            _opened(context, step, view)


def _opened(context: RunContext, step: int, view: step_axis.View) -> None:
    """Figure and table of the transitions within the range that is shown; a ticked row names its neurons and
    offers its step.
    """
    found, apart = data.transitions(context)
    found = view.within(found)
    if found.empty:
        within = f" between steps {view.first:,} and {view.last:,}" if view.span != view.ends else ""
        st.caption(f"No neuron has changed its regime{within}.")
        return
    shown = list(range(len(context.names)))
    notes = [f"{len(found):,} moves: bars up came alive, bars down were lost; colours say where to."]
    if len(shown) > PANELS:
        shown = evenly_spaced(len(shown), PANELS).tolist()
        notes.append(f"{PANELS} of {len(context.names)} layers are drawn; the table has all.")
    if apart > 1:
        notes.append(
            f"Looked at every {apart} recorded steps or so: what goes and returns in between is not seen."
        )
    axis = view.axis(context)
    figure = regime_transitions(
        found, context.names, view.span, step=view.cursor(step), axis=axis, shown=shown
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(" ".join(notes), width="stretch")
        downloads.menu(figure, found, "transitions")
    step_axis.chart(figure, "moves", view, [axis])
    table = data.kinds_within(context, view.span)
    ticked = _table(table, context.entry.name, view.span)
    if ticked is None:
        st.caption("Tick a row to see which neurons, and to go to its step.")
    else:
        _neurons_of_kind(context, table.iloc[ticked], found)


def _neurons_of_kind(context: RunContext, kind: pd.Series, found: pd.DataFrame) -> None:
    """The neurons of one kind of transition."""
    neurons = data.of_kind(found, kind)["neuron"].drop_duplicates().tolist()
    names = [neuron_name(int(kind["layer"]), neuron) for neuron in neurons]
    more = f" and {len(names) - NEURONS} more" if len(names) > NEURONS else ""
    half = int(kind["half"])
    key = ticked_rows.key_of("moved_neurons", names)
    listed = names[:NEURONS]
    st.session_state[key] = url.get("neurons") if url.get("neurons") in listed else None
    st.pills(f"Neurons, in order{more}", listed, key=key, on_change=_select, args=(key,))
    selected_neuron.actions(context, "moved")
    st.button(
        f"Go to step {half:,}",
        key="go_to_move",
        on_click=alert_list.go_to,
        args=(context, half),
        icon=":material/arrow_forward:",
        help="Half were done by then",
    )


def _select(key: str) -> None:
    """A neuron was clicked: it is looked at on all pages."""
    url.put("neurons", st.session_state[key])
