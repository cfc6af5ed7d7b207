"""Stored experiments: reading them, and what their figures are chosen by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd
import streamlit as st

from pages.shell.session import url
from probes.experiments import store
from probes.storage import open_folder

RESULTS_KEPT = 8
COUNTED = {
    "windows": "windows",
    "inputs": "inputs",
    "draws": "draws",
    "trajectories": "trajectories",
    "length": "positions",
}
"""Settings of a stored result that are numbers of something -> of what."""

SEQUENCES = ("text", "chords", "signal")
"""Data of runs of sequences."""


def load(run: Path, name: str) -> store.Result:
    """A stored result, cached until the experiment runs again. Raises RunError when it cannot be read."""
    path = (store.folder_of("", name) / store.SETTINGS).as_posix()
    stamp = open_folder(run).stamp(path)
    if stamp is None:
        raise FileNotFoundError(f"{path} is not there any more")
    return _load(str(run), name, stamp)


@st.cache_resource(max_entries=RESULTS_KEPT, show_spinner="Reading the experiment …")
def _load(run: str, name: str, stamp: str) -> store.Result:
    return store.load(run, name)


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """What a stored result was made with, as markdown."""
    parts = [
        f"{settings[key]:,} {word}" for key, word in COUNTED.items() if isinstance(settings.get(key), int)
    ]
    when = pd.to_datetime(settings.get("finished", ""), utc=True, errors="coerce")
    parts += [f"{url.plain(settings['split'])} split"] if "split" in settings else []
    parts += [f"seed {settings['seed']}"] if isinstance(settings.get("seed"), int) else []
    kept = {"best": "best weights by validation", "last": "last weights"}
    of = kept.get(str(settings.get("weights")), "checkpoint")
    parts += [f"{of} after {settings['step']:,} steps"] if isinstance(settings.get("step"), int) else []
    parts += [f"{settings['seconds']:g} s"] if isinstance(settings.get("seconds"), int | float) else []
    return " · ".join([*parts, *([] if pd.isna(when) else [f"{when:%Y-%m-%d %H:%M} UTC"])])


def of_sequences(config: Mapping[str, Any]) -> bool:
    """Whether a run's configuration is one of sequences, as `python -m vdn train` keeps it."""
    kind = str(config.get("data", "")).partition(":")[0]
    return bool(config.get("sequence")) or (kind in SEQUENCES and "watch" not in config)


def traversal_strength(curves: pd.DataFrame) -> dict[tuple[int, int], float]:
    """How far each walked neuron moves the prediction: mean over inputs and outputs of largest less smallest
    mean.
    """
    by = curves.groupby(["layer", "neuron", "input", "output"])["mean"]
    strength = (by.max() - by.min()).groupby(["layer", "neuron"]).mean()
    layers, neurons = (strength.index.get_level_values(name).tolist() for name in ("layer", "neuron"))
    return dict(zip(zip(layers, neurons, strict=True), strength.tolist(), strict=True))


def most_moved_output(curves: pd.DataFrame, layer: int, neuron: int) -> int:
    """The output that a walked neuron moves most, over all inputs."""
    part = curves[(curves["layer"] == layer) & (curves["neuron"] == neuron)].groupby("output")["mean"]
    return int(cast(int, (part.max() - part.min()).idxmax()))
