"""Everything that is ever asked of a run, each answer as a short text: a digest of the data, or the one clear
error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import probes
from probes import diagnostics, notes
from probes.analysis import neuron_explanation, posteriors
from probes.analysis.network_curves import network_curves
from probes.analysis.overview import layer_rows
from probes.errors import RunError
from probes.experiments import store
from probes.figures import frames
from probes.log.check import check

REFUSED = "RunError: "
POINTS = 8

OF_RUN: dict[str, Callable[[probes.Run], Any]] = {
    "steps": lambda run: run.steps,
    "statistics": lambda run: run.statistics,
    "facts": lambda run: (run.name, run.status, run.layers, run.config),
    "history": lambda run: run.history(0, [0], steps=(3, 290)),
    "buckets": lambda run: run.history(len(run.layers) - 1, max_points=POINTS),
    "matrix": lambda run: run.matrix(0, "kl", 40),
    "regime matrix": lambda run: run.matrix(0, "regime", 40),
    "at": lambda run: run.at(int(run.steps[-1])) if len(run.steps) else None,
    "derived": lambda run: (
        diagnostics.derived(run.regimes().merge(run.at(int(run.steps[-1])))) if len(run.steps) else None
    ),
    "frames": lambda run: frames.replay_frames(run, len(run.layers) - 1, (0,), POINTS).steps,
    "regimes": lambda run: run.regimes(),
    "summary": lambda run: run.layer_summary(),
    "curves": lambda run: network_curves(run.layer_summary(), [layer["neurons"] for layer in run.layers]),
    "show": layer_rows,
    "contracted": lambda run: neuron_explanation.contracted(
        run.history(len(run.layers) - 1, [0], ["variance", "spread", "mean"])
    ),
    "scalars": lambda run: run.scalars(),
    "events": lambda run: run.events(),
    "alerts": lambda run: run.alerts(),
    "evaluation": lambda run: run.evaluation(),
    "predictions": lambda run: run.predictions(),
    "origin_scores": lambda run: run.origin_scores(),
    "forces": lambda run: run.forces(),
    "probe_steps": lambda run: run.probe_steps(),
    "probe": lambda run: run.probe(),
    "parameters": lambda run: (run.parameter_steps(), run.parameters()),
    "classes": lambda run: (run.class_steps(), run.classes()),
    "posteriors": lambda run: posteriors.table(posteriors.split_inputs(run.probe(), run.config).spread, 0),
    "refresh": lambda run: run.refresh(),
}
"""Questions to an open run."""

DOCUMENTED = {"posteriors": ValueError}
"""Errors that a function documents beside RunError."""

OF_FOLDER = {
    "neurons": ("steps", "history", "buckets", "matrix", "at", "regimes"),
    "16": ("buckets", "matrix"),
    "256": ("buckets", "matrix"),
    "layers": ("steps", "summary", "curves", "alerts"),
    "probe": ("probe", "probe_steps", "posteriors"),
}
"""Questions that a folder's files answer, where they have another name than the folder."""


def ask(path: Path, only: Collection[str] | None = None, thorough: bool = False) -> dict[str, str]:
    """Answers to all questions, or to `only` these. Raises whatever is neither RunError nor documented."""
    answers: dict[str, str] = {}

    def question(name: str, get: Callable[[], Any]) -> Any:
        try:
            value = get()
        except DOCUMENTED.get(name, RunError) as error:
            answers[name] = f"{REFUSED}{error}"
            return None
        answers[name] = digest(value)
        return value

    question("notes", lambda: notes.read(path))
    experiments = question("experiments", lambda: store.stored(path)) or []
    for name in {*experiments, "study"}:
        question(f"experiment {name}", lambda name=name: store.load(path, name))
        question(f"progress {name}", lambda name=name: store.progress_of(path, name))
    run = question("open", lambda: probes.Run(path))
    for name, get in OF_RUN.items() if run is not None else ():
        if only is None or name in only:
            question(name, lambda get=get: get(run))
    if thorough:
        question("check", lambda: [finding for finding in check(path) if finding.level == "error"])
    return answers


def digest(value: Any) -> str:
    """The same text for the same data, NaN included; other text for other data."""
    if isinstance(value, pd.DataFrame):
        parts = [f"{name} {value[name].dtype} {_hash(value[name])}" for name in value.columns]
        return f"{len(value)} rows: {', '.join(parts)}"
    if isinstance(value, np.ndarray):
        return (
            f"{value.dtype} {value.shape} {hashlib.sha1(np.ascontiguousarray(value).tobytes()).hexdigest()}"
        )
    if isinstance(value, dict):
        return json.dumps({str(key): digest(item) for key, item in value.items()})
    if isinstance(value, probes.Run):
        return f"{len(value.layers)} layers"
    if isinstance(value, store.Result):
        return digest([value.name, value.settings, value.tables])
    if isinstance(value, list | tuple):
        return json.dumps([digest(item) for item in value])
    return str(value)


def _hash(column: pd.Series) -> str:
    values = column.to_numpy()
    data = repr(values.tolist()).encode() if values.dtype == object else values.tobytes()
    return hashlib.sha1(data).hexdigest()[:12]
