"""Which runs are there, how did they go, and how do they differ?"""

from __future__ import annotations

import streamlit as st

from pages.shell import frame, no_runs
from pages.shell.data import runs_catalog
from pages.shell.session import live, runs, ticked_runs, url
from pages.shell.widgets import cards, compare_runs, filter_runs, run_actions, runs_table, sweep
from probes.analysis import run_groups
from probes.figures.seed_bands import seed_bands

VIEWS = {"table": "Table", "compare": "Compare", "sweep": "Sweep"}
ROWS = {"runs": "Each run", "seeds": "Seeds together"}
GROUPS = 8  # drawn at once: as many as there are line colours

frame.guard()
entries = frame.sidebar()
if not entries:
    st.markdown("## Runs")
    no_runs.show()
    st.stop()

with st.container(horizontal=True, key="runs_head"):
    st.markdown("## Runs", width="content")
    view = url.choice(
        st.segmented_control, "View", list(VIEWS), "view", "table", format_func=VIEWS.__getitem__,
        required=True, label_visibility="collapsed",
    )  # fmt: skip


def each_run(
    shown: dict[str, runs.Entry], configs: runs_catalog.Configs, controls: st.delta_generator.DeltaGenerator
) -> None:
    """The table of runs, and over it what can be done with those that are ticked."""
    ticked = ticked_runs.known(entries)
    table = runs_catalog.runs_frame(shown, entries)
    with controls:
        columns = runs_table.choose_columns(
            runs_catalog.offered_columns(shown, configs), runs_catalog.usual_columns(table, configs)
        )
        table = runs_catalog.with_columns(table, shown, configs, columns)
        table = runs_table.choose_order(table, columns)
    tags = {str(tag) for entry in entries.values() for tag in entry.row.get("tags") or []}
    hidden = sum(name not in shown for name in ticked)
    run_actions.show({name: entries[name] for name in ticked}, hidden, sorted(tags), _counted(shown))
    runs_table.show_runs(table, columns, ticked)
    broken = [entry for entry in shown.values() if entry.row["error"]]
    if broken:
        with st.expander(f"{len(broken)} of them cannot be read: why", icon=":material/error:"):
            for entry in broken:
                st.markdown(f"**{url.plain(entry.name)}**")
                st.code(str(entry.row["error"]), language=None, wrap_lines=True)


def seeds_together(shown: dict[str, runs.Entry]) -> None:
    """Runs that differ by their seed alone, as one row and one band."""
    groups = run_groups.seed_groups(runs_catalog.named_rows(shown).values())
    if not groups:
        st.info(
            "None of these runs has settings, so that none is known to be another's seed. `Recorder(...,"
            " config=...)` and `watch(..., config=...)` keep them."
        )
        return
    table = runs_catalog.groups_frame(groups)
    ticked = (runs_table.show_groups(table) or list(range(len(groups))))[:GROUPS]
    labels = {list(groups)[place]: str(table["group"][place]) for place in ticked}
    panels = runs_catalog.group_curves(groups, labels)
    figure = seed_bands(panels, shares=["living share"])
    with st.container(border=True):
        left_out = (
            f" {len(labels)} of {len(groups)} groups are drawn; tick rows to choose."
            if len(groups) > len(labels)
            else ""
        )
        st.markdown("**Over steps** · median (line) and all runs of a group (band)")
        st.caption(f"From the points that each run keeps for its sparklines: at most 32 a curve.{left_out}")
        cards.show(figure, "seeds")


def table_view() -> None:
    """The runs that the filter leaves."""
    configs = runs_catalog.flat_configs(entries)
    controls = st.container(horizontal=True, vertical_alignment="bottom")
    with controls:
        text = filter_runs.find()
        rows = url.choice(
            st.segmented_control, "Rows", list(ROWS), "rows", "runs", format_func=ROWS.__getitem__,
            required=True,
        )  # fmt: skip
        shown = filter_runs.filtered(entries, configs, text, filter_runs.ask_archived(entries))
    live.follow_all(
        {name: entry.row["steps"] for name, entry in shown.items() if entry.row["status"] == "running"}
    )
    if not shown:
        st.caption(_counted(shown))
        st.info("No run matches. Clear the field above to see them all.")
    elif rows == "runs":
        each_run(shown, configs, controls)
    else:
        st.caption(_counted(shown))
        seeds_together(shown)


def _counted(shown: dict[str, runs.Entry]) -> str:
    return f"**{len(shown):,}** of {len(entries):,} runs"


def sweep_view() -> None:
    """Scores and collapse over settings, of the runs that the filter leaves."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = filter_runs.find()
        shown = filter_runs.filtered(
            entries, runs_catalog.flat_configs(entries), text, filter_runs.ask_archived(entries)
        )
    st.caption(_counted(shown))
    if shown:
        sweep.show_sweep(shown)
    else:
        st.info("No run matches. Clear the field above to see them all.")


if view == "table":
    table_view()
elif view == "compare":
    compare_runs.show({name: entries[name] for name in ticked_runs.known(entries)})
else:
    sweep_view()
