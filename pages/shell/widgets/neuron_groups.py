"""Two groups of neurons against each other: stored sets, pinned neurons, or what queries find."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from pages.shell.data import neuron_groups as data
from pages.shell.session import runs, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import downloads, step_axis
from probes import palette
from probes.analysis.neuron_query import QueryError
from probes.figures.group_bands import Group, group_bands
from probes.schema import STATISTICS

COLORS = (palette.BLUE, palette.VERMILLION)
HELP = "A stored set, or a query as in “Find neurons”"


def section(
    context: RunContext, second: RunContext | None, step: int, view: step_axis.View, statistic: str
) -> None:
    """Set A against set B: mean and bands of a statistic over steps."""
    text = url.get("find")
    sets = {
        f"{data.SET}{name}": (items, entry.name)
        for entry in runs.entries().values()
        for name, items in entry.row["sets"].items()
    }
    first = data.PINNED if url.pins() else text or "regime:living"
    against = data.SECOND if second is not None else data.REST
    left, right = st.columns(2)
    with left:
        a = url.text("Set A", "a", placeholder=first, help=f"{HELP}; stored: {_listed(sets)}") or first
    with right:
        b = url.text("Set B", "b", placeholder=against, help=f"{HELP}; stored: {_listed(sets)}") or against

    def members(said: str, other: data.Members | None) -> data.Members:
        if said == data.PINNED:
            return data.of_pins(said, url.pins(), context)
        if said == data.REST and other is not None:
            return data.rest(other, context)
        if said == data.SECOND and second is not None:
            asked = a if a not in (data.PINNED, *sets) else text or "regime:living"
            return data.of_query(f"{asked} in {second.entry.name}", asked, second, step)
        if said in sets:
            return data.of_set(said, *sets[said], context)
        return data.of_query(said, said, context, step)

    try:
        chosen = [members(a, None)]
        chosen.append(members(b, chosen[0]))
    except QueryError as error:
        st.error(f"{url.plain(error)}.", icon=":material/search_off:")
        return
    empty = [group.name for group in chosen if not group.count]
    if empty:
        st.info(f"No neuron is in {url.plain(' and '.join(empty))}.")
        return
    groups = [
        data.over_steps(group, statistic, color, view.span)
        for group, color in zip(chosen, COLORS, strict=True)
    ]
    axis = view.axis(context)
    figure = group_bands(groups, statistic, step=view.cursor(step), axis=axis)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{STATISTICS[statistic].label} of two groups** · mean, middle half and middle 90 %",
            width="stretch",
        )
        downloads.menu(figure, partial(_rows, groups), "groups of neurons")
    step_axis.chart(figure, "groups", view, [axis])


def _listed(sets: dict[str, tuple[tuple[str, ...], str]]) -> str:
    return ", ".join(map(url.plain, sets)) or "none yet"


def _rows(groups: list[Group]) -> pd.DataFrame:
    """One row a group, neuron and step."""
    parts = [
        pd.DataFrame(group.values.T, index=pd.Index(group.steps, name="step"))
        .melt(var_name="place", ignore_index=False)
        .reset_index()
        .assign(group=group.name)
        for group in groups
    ]
    return pd.concat(parts, ignore_index=True)
