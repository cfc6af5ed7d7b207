"""Which runs are there, how did they go?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.shell import reading, state, url

state.guard()
entries = reading.entries()
st.markdown("## Runs")
if not entries:
    state.no_runs()
    st.stop()
st.caption("Every run in the folders of runs, latest first. Choose a row to open it.")
search = st.text_input("Find a run", placeholder="name or status", key="run_search").strip().lower()
table = pd.DataFrame([reading.catalog_line(entry) for entry in entries.values()])
if search:
    table = table[table["run"].str.lower().str.contains(search, regex=False) | table["status"].str.contains(search, regex=False)]
if table.empty:
    st.info("No run matches. Clear the search to see them all.")
    st.stop()

event = st.dataframe(
    table, hide_index=True, width="stretch", height="content", key="run_table", on_select="rerun", selection_mode="single-row",
    alt="Runs with status, scores and sparklines", row_height=44,
    column_config={
        "run": st.column_config.TextColumn("run", width="medium"),
        "created": st.column_config.DatetimeColumn("created (UTC)", format="D MMM YYYY, HH:mm"),
        "steps": st.column_config.NumberColumn("steps", format="localized"),
        "NLL": st.column_config.NumberColumn("NLL (nats)", format="%.3f"),
        "NLL over steps": st.column_config.LineChartColumn("NLL over steps", width="small"),
        "living": st.column_config.ProgressColumn("living", format="percent", min_value=0.0, max_value=1.0),
        "living over steps": st.column_config.LineChartColumn("living over steps", width="small", y_min=0, y_max=1),
    },
)  # fmt: skip
rows = event["selection"]["rows"]
if rows:
    name = str(table.iloc[rows[0]]["run"])
    st.markdown(f"Chosen: **{url.plain(name)}**")
    with st.container(horizontal=True):
        for page, label in (("replay", "Replay"), ("overview", "Overview"), ("layers", "Layers")):
            st.page_link(f"pages/{page}.py", label=f"Open {label}", query_params={"run": name}, icon=":material/arrow_forward:")
