"""What does this neuron do? Experiments on the run's network, stored with the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from pages.shell import frame
from pages.shell.server import jobs
from pages.shell.session import cache, state, url
from pages.shell.widgets import experiment_views
from probes.experiments import store
from probes.experiments.kinds import EXPERIMENTS, Experiment

SPLITS = ("test", "validation", "train")
EVERY = 1.0  # seconds between two looks at a running experiment
NAMED = {
    "windows": "windows",
    "inputs": "inputs",
    "draws": "draws",
    "trajectories": "trajectories",
    "length": "positions",
}

frame.guard()
context = frame.pick_run()
words = (
    "What does a neuron do? Experiments replace neurons, damage inputs or feed predictions back, and watch"
    " what changes."
)
frame.header("Probes", context, words)
frame.needs_distributions(context)
with st.sidebar:
    frame.link_to_reference()
path: Path = context.entry.path
children = jobs.children()
stored = store.stored(path)
others = [name for name in stored if name not in EXPERIMENTS]


def title(name: str) -> str:
    """An experiment as the choice shows it, marked if its result is there."""
    known = EXPERIMENTS.get(name)
    return f"{known.title if known else url.plain(name)}{' :material/check:' if name in stored else ''}"


first = next((name for name in EXPERIMENTS if name in stored), "ablation")
name = url.choice(
    st.segmented_control, "Experiment", [*EXPERIMENTS, *others], "experiment", first, required=True,
    format_func=title,
    label_visibility="collapsed",
)  # fmt: skip


def start(settings: dict[str, int], split: str, neurons: list[tuple[int, int]]) -> None:
    """Start the chosen experiment with what the form says."""
    if not children.start(path, name, jobs.command(path, name, settings, split, neurons)):
        st.session_state["refused"] = "Another experiment is running on this server; one runs at a time."


def form(experiment: Experiment) -> None:
    """Settings and the button that starts."""
    reason = jobs.can_start(path, context.run.config)
    if reason:
        st.caption(reason)
        return
    pins = state.pinned(context) if name == "traversal" else []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        settings = {
            item.flag: int(
                st.number_input(item.label, 1, item.largest, item.value, key=f"{name}_{item.flag}", width=150)
            )
            for item in experiment.settings
        }
        split = str(st.selectbox("Split", SPLITS, key=f"{name}_split", width=150))
        pinned = bool(pins) and st.toggle(f"The {len(pins)} pinned neurons", key="walk_pinned")
        again = name in stored
        st.button(
            "Run again" if again else "Run", type="secondary" if again else "primary",
            icon=":material/play_arrow:", key="start",
            on_click=start, args=(settings, split, pins if pinned else []),
            help="Replaces the stored result" if again else None,
        )  # fmt: skip
    if st.session_state.pop("refused", None):
        st.warning("Another experiment is running on this server; one runs at a time.")


def watch() -> None:
    """Progress of a running experiment with a way to stop it; the page is drawn anew once it has ended."""
    now = children.standing(path, name)
    if now.state != "running":
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(
            min(now.share, 1.0),
            text=f"Running, {now.share:.0%}" + (f" · {now.message}" if now.message else ""),
        )
        if now.ours:
            st.button(
                "Cancel", key="cancel", icon=":material/stop:", on_click=children.cancel, args=(path, name)
            )


def ran_with(settings: dict[str, Any]) -> str:
    """What a stored result was made with, in words."""
    parts = [f"{settings[key]:,} {word}" for key, word in NAMED.items() if isinstance(settings.get(key), int)]
    when = pd.to_datetime(settings.get("finished", ""), utc=True, errors="coerce")
    parts += [f"{url.plain(settings['split'])} split"] if "split" in settings else []
    parts += [f"seed {settings['seed']}"] if isinstance(settings.get("seed"), int) else []
    parts += [f"checkpoint after {settings['step']:,} steps"] if isinstance(settings.get("step"), int) else []
    parts += [f"{settings['seconds']:g} s"] if isinstance(settings.get("seconds"), int | float) else []
    return " · ".join([*parts, *([] if pd.isna(when) else [f"{when:%Y-%m-%d %H:%M} UTC"])])


standing = children.standing(path, name)
with st.container(border=True):
    experiment = EXPERIMENTS.get(name)
    if experiment is not None:
        st.markdown(f"**{experiment.title}** · {experiment.question}")
    if standing.state == "running":
        st.fragment(watch, run_every=EVERY)()
    elif experiment is not None:
        form(experiment)
    if standing.message and standing.state != "running":
        st.warning(url.plain(standing.message))
if name not in stored:
    if standing.state != "running":
        here = (
            f": start it here, or with `python -m vdn probe RUN {name.replace('`', '')}`. Results stay with"
            " the run."
        )
        st.info(
            "Nothing is stored of this experiment"
            f" yet{'.' if jobs.can_start(path, context.run.config) else here}"
        )
    st.stop()
try:
    result = experiment_views.load(path, name)
except (cache.RunError, FileNotFoundError) as error:
    st.error(url.plain(error))
    st.stop()
st.caption(ran_with(result.settings))
view = experiment_views.VIEWS.get(str(result.settings.get("experiment", name)))
if view is None:
    st.info(
        f"There are no figures for this kind of experiment; its tables are in `experiments/{name}` of the"
        " run's folder."
    )
    st.stop()
try:
    view(result, context.names)
except (KeyError, IndexError, ValueError) as error:
    st.error(
        f"This result cannot be drawn ({url.plain(error)}): it is of another network or another version. Run"
        " it again."
    )
