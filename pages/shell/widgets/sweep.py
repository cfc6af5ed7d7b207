"""The view Sweep of the page Runs: at which settings layers collapse, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages.shell.data import sweep
from pages.shell.session import runs, state, url
from pages.shell.widgets import cards, downloads
from probes.extras import MissingPackageError
from probes.figures import sweep as figures

KEPT = 4  # sweeps whose tables stay in memory, of some megabytes each
MOST_PANELS = 11  # layers of a map; of more those that collapse most are shown
MOST_AXES = 6  # settings side by side
MOST_NAMED = 8  # runs of a cell that are offered
OPENED_IN = ("overview", "health", "replay", "layers")
NONE = "nothing"
MAPS_IN_A_ROW, CELLS_IN_A_ROW = 4, 26  # at most; a cell has room for its number
_CELL = "_sweep_cell"  # session: x and y of the cell of a map that was clicked last


def show_sweep(entries: Mapping[str, runs.Entry]) -> None:
    """What a set of runs says together: a map of collapse and score over two settings, any quantity against
    any setting, rate against distortion, and all settings side by side.
    """
    folders = sweep.folders(entries)
    if sum(map(len, folders.values())) < 2:
        st.info(
            "A sweep needs at least two runs that can be read: `vdn sweep --grid beta=0.01,0.1` makes some."
        )
        return
    controls = st.container(horizontal=True, vertical_alignment="bottom")
    chosen = _choose_runs(controls, entries, folders)
    found = _read_or_say(chosen)
    if found is None:
        return
    _say_left_out(found)
    if not found.settings:
        _say_alike(found)
        return
    x, y, score = _choose_axes(controls, found)
    with st.container(gap="xsmall"):
        for sentence in sweep.findings(found, x, y, score):
            st.markdown(sentence)
    _map_card(found, chosen, x, y, score)
    left, right = st.columns(2, gap="small")
    with left:
        _against_card(found, chosen, x, y, score)
    with right:
        _rate_distortion_card(found, chosen, x, y, score)
    _parallel_card(found, score)


# ---- which runs


def _choose_runs(
    controls: Any, entries: Mapping[str, runs.Entry], folders: Mapping[str, list[str]]
) -> dict[str, runs.Entry]:
    """The runs of one folder, that with most of them first; of all where there is one folder alone."""
    names = {folder: kept for folder, kept in folders.items() if len(kept) > 1}
    everything = [name for kept in folders.values() for name in kept]
    options = list(names)
    if len(names) != 1 or len(everything) > len(next(iter(names.values()))):
        options.append("all")
    counts = {**{folder: len(kept) for folder, kept in names.items()}, "all": len(everything)}
    if len(options) == 1:
        return {name: entries[name] for name in everything}
    with controls:
        folder = url.choice(
            st.selectbox, "Runs in", options, "sweep_of", options[0], width=220,
            format_func=lambda name: f"{name} ({counts[name]:,})",
        )  # fmt: skip
    return {name: entries[name] for name in (everything if folder == "all" else names[folder])}


def _read_or_say(chosen: Mapping[str, runs.Entry]) -> sweep.Sweep | None:
    key = tuple((name, str(entry.path), entry.created, entry.row["extent"]) for name, entry in chosen.items())
    try:
        return _read(key, dict(chosen))
    except MissingPackageError as error:
        st.error(f"The view Sweep cannot be drawn: {url.plain(error)}")
    except runs.RunError as error:
        st.error(f"These runs cannot be compared: {url.plain(error)}")
    return None


@st.cache_resource(max_entries=KEPT, show_spinner="Reading the summaries of the runs …")
def _read(key: tuple[tuple[str, ...], ...], _chosen: dict[str, runs.Entry]) -> sweep.Sweep:
    return sweep.read(_chosen)


def _say_left_out(found: sweep.Sweep) -> None:
    if found.without_summary:
        st.caption(
            f"Of {len(found.without_summary):,} runs only scores are shown: they leave no summary of their"
            " neurons. `python -m probes compact RUN` writes it."
        )
    if found.left_out:
        with st.expander(f"{len(found.left_out):,} left out: they cannot be read", icon=":material/error:"):
            for name, why in found.left_out.items():
                st.markdown(f"**{url.plain(name)}**: {url.plain(why)}")


def _say_alike(found: sweep.Sweep) -> None:
    seeds = "nothing but their seed" if found.seed else "no setting"
    st.info(
        f"These {len(found.runs):,} runs differ in {seeds}. A sweep varies one, such as"
        " `vdn sweep --grid beta=0.01,0.1 lr=0.001,0.01`."
    )


# ---- axes


def _choose_axes(controls: Any, found: sweep.Sweep) -> tuple[str, str | None, str | None]:
    settings = found.settings
    with controls:
        x = url.choice(st.selectbox, "Across", settings, "sweep_x", settings[0], width=150)
        others = [name for name in settings if name != x]
        y: str | None = None
        if others:
            y = url.choice(st.selectbox, "Down", [*others, NONE], "sweep_y", others[0], width=150)
        score: str | None = None
        if found.scores:
            score = url.choice(
                st.selectbox, "Score", found.scores, "sweep_score", found.scores[0], width=260,
                format_func=sweep.title,
            )  # fmt: skip
    return x, None if y == NONE else y, score


# ---- figures


def _map_card(
    found: sweep.Sweep, chosen: Mapping[str, runs.Entry], x: str, y: str | None, score: str | None
) -> None:
    """A map of each layer, as many in a row as there is room for, and one of the score."""
    panels, scored = sweep.cells(found, x, y, score)
    layers = len(panels)
    panels = sweep.most_collapsed(panels, MOST_PANELS)
    averaged = [name for name in found.settings if name not in (x, y)] + (["seeds"] if found.seed else [])
    note = "Share of a layer's neurons that are dead or at their prior at the end."
    note += f" Means over {', '.join(averaged)}." if averaged else ""
    note += f" The {MOST_PANELS} of {layers} layers that collapse most." if layers > MOST_PANELS else ""
    maps = [(one, True) for one in panels] + [(one, False) for one in (scored,) if one is not None]
    if not maps:
        return
    with st.container(border=True):
        with st.container(gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center", wrap=False):
                st.markdown("**Collapsed neurons** and score", width="stretch")
                downloads.menu(None, found.layers, "sweep layers")
            st.caption(note)
        widest = max(len(one.x) for one, _ in maps)
        in_a_row = max(1, min(MAPS_IN_A_ROW, CELLS_IN_A_ROW // (widest + 1), len(maps)))
        for first in range(0, len(maps), in_a_row):
            columns = st.columns(in_a_row, gap="small")
            for place, column in enumerate(columns[: len(maps) - first], first):
                one, share = maps[place]
                figure = figures.phase_map(
                    one.values, one.runs, one.x, one.y, title=one.title, x_title=x, y_title=y or "",
                    share=share, lower_is_better=score is None or sweep.lower_is_better(score),
                )  # fmt: skip
                key = f"sweep_map_{place}"
                with column:
                    cards.show(
                        figure, key, {"displayModeBar": False}, on_select=partial(_note_cell, key),
                        selection_mode="points",
                    )  # fmt: skip
        cell = st.session_state.get(_CELL)
        if cell:
            _open(sweep.runs_at(found, x, str(cell[0]), y, str(cell[1])), chosen)


def _note_cell(key: str) -> None:
    """Keep the cell that was clicked last, on whichever map; none after a click beside them."""
    st.session_state[_CELL] = _picked(st.session_state[key])


def _against_card(
    found: sweep.Sweep, chosen: Mapping[str, runs.Entry], x: str, y: str | None, score: str | None
) -> None:
    values = [*found.scores, *sweep.QUANTITIES]
    with st.container(border=True, height="stretch"):
        head = st.container(horizontal=True, vertical_alignment="center", wrap=False)
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            value = url.choice(
                st.selectbox, "Quantity", values, "sweep_value", score or "collapsed", width=190,
                format_func=sweep.title,
            )  # fmt: skip
            against = url.choice(st.selectbox, "Against", found.settings, "sweep_by", x, width=108)
            offered = [name for name in (*found.settings, sweep.LAYER) if name != against]
            offered = [name for name in offered if name != sweep.LAYER or value in sweep.QUANTITIES]
            colored = [*offered, NONE]
            first = y if y in colored else colored[0]
            color = url.choice(st.selectbox, "Colour", colored, "sweep_color", first, width=108)
        points = sweep.points(found, value, color)
        figure = figures.against(
            points, against, value_title=sweep.title(value), color_title="" if color == NONE else color,
            share=value in sweep.SHARES,
        )  # fmt: skip
        with head:
            st.markdown("**Over a setting** · runs, mean and range", width="stretch")
            downloads.menu(figure, points, "sweep over a setting")
        event = cards.show(figure, "sweep_against", on_select="rerun", selection_mode="points")
        _open_dot(event, chosen)


def _rate_distortion_card(
    found: sweep.Sweep, chosen: Mapping[str, runs.Entry], x: str, y: str | None, score: str | None
) -> None:
    if score is None:
        return
    with st.container(border=True, height="stretch"):
        points = sweep.points(found, score, x)
        sign = 1 if sweep.lower_is_better(score) else -1
        front = sweep.frontier(points["rate"].to_numpy(float), sign * points["value"].to_numpy(float))
        figure = figures.rate_distortion(points, front, loss_title=sweep.title(score), color_title=x)
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            st.markdown("**Rate and distortion**", width="stretch")
            downloads.menu(figure, points, "sweep rate and distortion")
        event = cards.show(figure, "sweep_plane", on_select="rerun", selection_mode="points")
        _open_dot(event, chosen)


def _parallel_card(found: sweep.Sweep, score: str | None) -> None:
    ends = [*(name for name in ("rate", "contraction", "collapsed") if found.runs[name].notna().any())]
    ends += [score] if score else []
    complete = found.runs[[*ends]].notna().all(axis=1)
    if complete.sum() < 2:
        return
    rows = found.runs[complete]
    figure = figures.parallel_coordinates(
        {name: rows[name] for name in found.settings[:MOST_AXES]},
        {sweep.title(name): rows[name] for name in ends},
        sweep.title(ends[-1]),
    )
    _card(
        "**All settings**",
        figure,
        "sweep_parallel",
        found,
        "Drag along an axis to keep a range of it.",
        selected=False,
        several=len(found.settings[:MOST_AXES]) + len(ends),
    )


def _card(
    title: str,
    figure: go.Figure,
    key: str,
    found: sweep.Sweep,
    note: str,
    *,
    selected: bool = True,
    several: int = 0,
) -> Any:
    """A figure in a card; what is selected of it."""
    events: list[Any] = []

    def draw(drawn: go.Figure, name: str) -> None:
        more: dict[str, Any] = {"on_select": "rerun", "selection_mode": "points"} if selected else {}
        events.append(cards.show(drawn, name, **more))

    cards.card(title, figure, key, found.runs, of="sweep", note=note, draw=draw, several=several)
    return events[0]


# ---- opening a run


def _picked(event: Any) -> Any:
    """`customdata` of the point that was clicked."""
    points = event["selection"]["points"] if event else []
    return points[0].get("customdata") if points else None


def _open_dot(event: Any, chosen: Mapping[str, runs.Entry]) -> None:
    picked = _picked(event)
    if picked:
        _open([str(picked[0] if isinstance(picked, list) else picked)], chosen)


def _open(names: Sequence[str], chosen: Mapping[str, runs.Entry]) -> None:
    """Links to pages of some runs."""
    for name in [name for name in names if name in chosen][:MOST_NAMED]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{url.plain(name)}**", width="content")
            for page, title, icon in state.PAGES:
                if page in OPENED_IN:
                    st.page_link(
                        f"pages/{page}.py", label=title, query_params={"run": name}, icon=f":material/{icon}:"
                    )
