"""Which runs are there, how did they go?"""

from __future__ import annotations

import streamlit as st

from pages.shell import frame, no_runs
from pages.shell.data import runs_catalog
from pages.shell.session import live, runs, url
from pages.shell.widgets import cards, run_details, runs_table, sweep
from probes.analysis import run_groups
from probes.figures.seed_bands import seed_bands

VIEWS = ("each run", "seeds together", "sweep")
GROUPS = 8  # drawn at once: as many as there are line colours

frame.guard()
frame.sidebar()
entries = runs.entries()
with st.container(gap="xsmall"):
    st.markdown("## Runs")
    st.caption(
        "Every run in the folders of runs, latest first. Tick one to open it, two or more to compare them."
    )
if not entries:
    no_runs.show()
    st.stop()

with st.container(horizontal=True, vertical_alignment="bottom"):
    text = st.text_input(
        "Find runs",
        key="find",
        bind="query-params",
        width=440,
        placeholder="layers=3 beta<0.05 status:finished",
        help=(
            "Words that the name, status, tags or notes contain, and conditions on settings: `layers=3"
            " beta<0.05`. Also `tag:`, `status:`, `nll<`, `living>` (per cent), `recorded>` (steps),"
            " `created>2026-11`. All have to hold."
        ),
    )
    view = st.segmented_control(
        "Show", VIEWS, default=VIEWS[0], required=True, key="view", bind="query-params"
    )
shown = runs_table.filtered(entries, text or "")
live.follow_all(
    {name: entry.row["steps"] for name, entry in shown.items() if entry.row["status"] == "running"}
)


def each_run() -> None:
    """The table of runs, and under it what is ticked."""
    ticked = runs_table.show_runs(runs_catalog.runs_frame(shown, entries))
    broken = [entry for entry in shown.values() if entry.row["error"]]
    if len(ticked) == 1:
        tags = sorted({str(tag) for entry in entries.values() for tag in entry.row.get("tags") or []})
        run_details.show_one(entries[ticked[0]], tags)
    elif ticked:
        run_details.show_several({name: entries[name] for name in ticked})
    elif broken:
        with st.expander(f"{len(broken)} of them cannot be read: why", icon=":material/error:"):
            for entry in broken:
                st.markdown(f"**{url.plain(entry.name)}**")
                st.code(str(entry.row["error"]), language=None, wrap_lines=True)


def seeds_together() -> None:
    """Runs that differ by their seed alone, as one row and one band."""
    groups = run_groups.seed_groups(runs_catalog.named_rows(shown).values())
    if not groups:
        st.info(
            "None of these runs has settings, so that none is known to be another's seed. `Recorder(...,"
            " config=...)` keeps them."
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


if not shown:
    st.info("No run matches. Clear the field above to see them all.")
elif view == VIEWS[0]:
    each_run()
elif view == VIEWS[2]:
    sweep.show_sweep(shown)
else:
    seeds_together()
