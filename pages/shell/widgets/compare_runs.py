"""Two to six runs beside each other, as the page Runs compares them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.shell.data import run_comparison, runs_catalog
from pages.shell.session import runs, url
from pages.shell.widgets import cards, score_differences
from probes.analysis import run_groups
from probes.figures.distribution import distribution
from probes.figures.run_curves import run_color, run_curves
from probes.figures.run_layers import run_layers
from probes.schema import STATISTICS

FEWEST, MOST = 2, 6
STATISTIC = "information"
LETTER, CELL, WIDEST = 6.6, 24, 270
"""Pixels: of a letter in a table, of what is around a cell's text, the most of the column of scores, which a
phone has to show beside a run's."""
LIVING = "living share"


def show(chosen: Mapping[str, runs.Entry]) -> None:
    """All of it, for the ticked runs."""
    if not FEWEST <= len(chosen) <= MOST:
        st.info(
            f"{len(chosen)} runs are ticked: tick {FEWEST} to {MOST} in the table to compare them.",
            icon=":material/compare_arrows:",
        )
        return
    contexts = _open(chosen)
    if len(contexts) < FEWEST:
        st.info(f"Comparing needs {FEWEST} runs that can be read.")
        return
    names = list(contexts)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        reference = url.choice(
            st.selectbox, "Differences to", names, "of", names[0], width=320, what="run to compare with"
        )
        _legend(names)
    _scores(contexts, reference)
    _settings(contexts)
    of = " and ".join(names)
    panels = run_comparison.curves(contexts)
    figure = partial(run_curves, runs=names, shares=[LIVING])
    cards.card(
        "**Over steps**", figure(panels), "compared_curves", partial(_curve_rows, panels), of=of,
        draw=lambda _, key: _panel_by_panel(panels, figure, key),
    )  # fmt: skip
    layers = run_comparison.layers(contexts)
    if layers:
        by_layer = partial(run_layers, runs=names, shares=[LIVING])
        cards.card(
            "**Layer by layer** · at each run's last step, mean over neurons", by_layer(layers),
            "compared_layers", partial(_layer_rows, layers), of=of,
            draw=lambda _, key: _panel_by_panel(layers, by_layer, key),
        )  # fmt: skip
        _distribution(contexts, names, of)


def _panel_by_panel(panels: Mapping[str, Any], draw: Callable[..., go.Figure], key: str) -> None:
    """A figure a panel, beside each other where there is room. The colours stand at the top of the view."""
    for column, (title, found) in zip(st.columns(len(panels)), panels.items(), strict=True):
        with column:
            figure = draw({title: found})
            figure.update_layout(showlegend=False, margin={"t": 12})
            cards.show(figure, f"{key}_{title}")


def _legend(names: list[str]) -> None:
    dots = (
        f'<span style="white-space: nowrap"><span style="color: {run_color(place)}">&#9632;</span>'
        f" {escape(name)}</span>"
        for place, name in enumerate(names)
    )
    st.html(f'<div style="display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem">{" ".join(dots)}</div>')


def _open(chosen: Mapping[str, runs.Entry]) -> dict[str, runs.RunContext]:
    """The runs that can be read, by the names that tell them apart; of the others, why not."""
    found = {}
    labels = runs_catalog.short_names(chosen)
    unique = len(set(labels)) == len(labels)
    for label, (name, entry) in zip(labels, chosen.items(), strict=True):
        try:
            found[label if unique else name] = runs.open_run(entry)
        except runs.RunError as error:
            st.caption(f"{url.plain(name)} is left out: {url.plain(error)}")
    return found


def _scores(contexts: Mapping[str, runs.RunContext], reference: str) -> None:
    frame = run_comparison.scores_frame(contexts, reference)
    paired = run_comparison.paired(contexts, reference)
    column = st.column_config
    with st.container(border=True):
        st.markdown("**Scores** · last values")
        if frame.empty:
            st.caption("No two of these runs have a score in common.")
        else:
            numbers = {
                head: column.NumberColumn(head, format="%+.4g" if " − " in head else "%.4g")
                for head in frame.columns[1:]
            }
            name = column.TextColumn("score", pinned=True, width=score_width(frame["score"]))
            st.dataframe(
                frame, hide_index=True, height="content" if len(frame) <= 12 else 420, placeholder="–",
                key="compared_scores", alt="Last scores of the runs, with differences to the first",
                column_config={"score": name, **numbers},
            )  # fmt: skip
            if len({_data_of(context) for context in contexts.values()}) > 1:
                st.warning("These runs were not scored on the same data: their differences rank nothing.")
            st.caption(
                "As they were logged, one number each; intervals stand below, where runs can be paired."
            )
        score_differences.show(paired, reference)


def score_width(titles: Iterable[str]) -> int:
    """Pixels of the column of scores: as their titles need, up to WIDEST."""
    return min(WIDEST, CELL + math.ceil(LETTER * max(map(len, titles))))


def _data_of(context: runs.RunContext) -> str:
    return repr([context.run.config.get(key) for key in run_groups.DATA_KEYS])


def _settings(contexts: Mapping[str, runs.RunContext]) -> None:
    configs = {name: context.entry.row.get("config") or {} for name, context in contexts.items()}
    table = run_groups.differences(configs)
    with st.container(border=True):
        if table.empty:
            known = any(configs.values())
            st.markdown("**Settings**")
            st.caption("All the same." if known else "These runs were recorded without settings.")
            return
        same = len({key for config in configs.values() for key in run_groups.flat_config(config)}) - len(
            table
        )
        st.markdown(f"**What differs** · {len(table)} of their settings; {same} are the same")
        st.dataframe(
            table, height="content" if len(table) < 12 else 420, key="differences", alt="Settings that differ"
        )


def _distribution(contexts: Mapping[str, runs.RunContext], names: list[str], of: str) -> None:
    with st.container():
        with st.container(horizontal=True, vertical_alignment="bottom"):
            layers = [str(layer + 1) for layer in range(run_comparison.deepest(contexts))]
            layer = url.choice(st.selectbox, "Layer", layers, "compared_layer", layers[0], width=110)
            known = run_comparison.statistics(contexts)
            usual = STATISTIC if STATISTIC in known else known[0]
            statistic = url.choice(
                st.selectbox, "Statistic", known, "compared_statistic", usual, width=260,
                format_func=lambda name: STATISTICS[name].title,
            )  # fmt: skip
        values = run_comparison.of_layer(contexts, int(layer) - 1, statistic)
        missing = [name for name in names if name not in values]
        cards.card(
            f"**{STATISTICS[statistic].label} of layer {layer}** · share of neurons with at most so much",
            distribution(values, statistic, names), "compared_distribution", partial(_value_rows, values),
            of=of,
            note=f"Not in {url.plain(', '.join(missing))}." if missing else "",
        )  # fmt: skip


def _curve_rows(panels: Mapping[str, Mapping[str, tuple[object, object]]]) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame({"quantity": title, "run": run, "step": steps, "value": values})
            for title, found in panels.items()
            for run, (steps, values) in found.items()
        ]
        or [pd.DataFrame()],
        ignore_index=True,
    )


def _layer_rows(panels: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"quantity": title, "run": run, "value": values}).reset_index(names="layer")
        for title, found in panels.items()
        for run, values in found.items()
    ]
    return pd.concat(parts, ignore_index=True).assign(layer=lambda rows: rows["layer"] + 1)


def _value_rows(values: Mapping[str, object]) -> pd.DataFrame:
    parts = [pd.DataFrame({"run": run, "value": own}) for run, own in values.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["run", "value"])
