"""Which runs are there, how did they go?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.shell import reading, state, url

OPEN = (("replay", "Replay"), ("overview", "Overview"), ("layers", "Layers"))

state.guard()
state.sidebar()
entries = reading.entries()
with st.container(gap="xsmall"):
    st.markdown("## Runs")
    st.caption("Every run in the folders of runs, latest first. Choose a row to open it.")
if not entries:
    state.no_runs()
    st.stop()
search = st.text_input("Find a run", placeholder="name or status", key="run_search", width=420).strip().lower()
table = pd.DataFrame([reading.catalog_line(entry) for entry in entries.values()])
if not table["note"].any():
    table = table.drop(columns="note")
if search:
    table = table[table["run"].str.lower().str.contains(search, regex=False) | table["status"].str.contains(search, regex=False)]
if table.empty:
    st.info("No run matches. Clear the search to see them all.")
    st.stop()

event = st.dataframe(
    table, hide_index=True, width="stretch", height="content", key="run_table", on_select="rerun", selection_mode="single-row",
    alt="Runs with status, scores and sparklines", row_height=40, placeholder="–",
    column_config={
        "run": st.column_config.TextColumn("run", width=170),
        "status": st.column_config.TextColumn("status", width=84),
        "created": st.column_config.DatetimeColumn("created (UTC)", format="D MMM, HH:mm", width=112),
        "network": st.column_config.TextColumn("network", width=84, help="layers × neurons; all neurons if layers differ"),
        "steps": st.column_config.NumberColumn("steps", format="localized", width=70, help="recorded steps"),
        "NLL": st.column_config.NumberColumn("NLL (nats)", format="%.3f", width=84),
        "NLL over steps": st.column_config.LineChartColumn("NLL", width=90, help="NLL over steps"),
        "living": st.column_config.ProgressColumn("living (%)", format="%.0f %%", min_value=0, max_value=100, width=124),
        "living over steps": st.column_config.LineChartColumn("living", width=90, y_min=0, y_max=1, help="share over steps"),
    },
)  # fmt: skip
rows = event["selection"]["rows"]
if rows:
    name = str(table.iloc[rows[0]]["run"])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Open **{url.plain(name)}** in", width="content")
        for page, label in OPEN:
            st.page_link(f"pages/{page}.py", label=label, query_params={"run": name}, icon=":material/arrow_forward:")
