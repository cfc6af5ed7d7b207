"""Cached reading of runs. A run's files never change once written, so a cache keyed by the manifest's stamp
is exact.

Arrays and frames are shared between sessions, so they are only ever read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import ArrayLike

import probes
from pages.shell.session import options
from probes import RunError
from probes.analysis import posteriors
from probes.analysis.layer_quantiles import summary_with_derived
from probes.analysis.network_curves import network_curves
from probes.figures import frames
from probes.figures.downsampling import downsample
from probes.log import catalog
from probes.run_reader import RunReader
from probes.schema import LIKELIHOODS
from probes.spacing import log_spaced_steps

__all__ = ["Entry", "RunError", "Stamp", "entries", "open_run"]

Stamp = tuple[str, int, int]
"""Path, size and mtime (ns) of a run's manifest: what caches key on."""

RUNS_KEPT = 8  # open readers; each keeps its files and footers open
SLICES_KEPT = 64  # cached arrays and frames, of at most about a megabyte each
# and of some megabytes: of all steps or all neurons. A live run makes new ones with every part it writes
WHOLES_KEPT = 16
CELLS_AT_ONCE = 20_000_000  # regimes read in one go; a tenth of a second
PROBES_KEPT = 4  # stored steps of a probe batch, some megabytes each
SINGLE_STEPS = 24  # frames of the regime map that are read one by one


@dataclass(frozen=True)
class Entry:
    """One run of the catalog: `name` is its unique name in the dashboard, `row` what the catalog says of
    it.
    """

    name: str
    path: Path
    row: dict[str, Any]

    @property
    def created(self) -> str:
        """When the run began, UTC; empty for a run that cannot be read."""
        return self.row["created"] if isinstance(self.row["created"], str) else ""


def entries() -> dict[str, Entry]:
    """All runs in the folders of runs, latest first and unreadable ones last, by name.

    A run is called by its folder; where two are called the same, those of later folders of runs carry that
    folder's name.
    """
    found: dict[str, Entry] = {}
    for folder in options.run_folders():
        if folder.is_dir():
            for row in catalog.rows(folder):
                path = Path(str(row["path"]))
                name = path.name if path.name not in found else f"{folder.name}/{path.name}"
                found[name] = Entry(name, path, row)
    return dict(sorted(found.items(), key=lambda item: item[1].created, reverse=True))


def open_run(entry: Entry) -> tuple[RunReader, Stamp]:
    """A reader of the run as it stands now. Raises RunError if it cannot be read, or the catalog would not
    look into it.
    """
    if entry.row["error"]:
        raise RunError(entry.row["error"])
    try:
        stat = (entry.path / "run.json").stat()
    except OSError as error:
        raise RunError(f"{entry.path.name}: {error.strerror}") from error
    stamp = (str(entry.path), stat.st_size, stat.st_mtime_ns)
    return _open(stamp), stamp


@st.cache_resource(max_entries=RUNS_KEPT, show_spinner=False)
def _open(stamp: Stamp) -> RunReader:
    return probes.Run(stamp[0])


@st.cache_resource(max_entries=WHOLES_KEPT, show_spinner=False)
def summary(stamp: Stamp, _run: RunReader) -> pd.DataFrame:
    """Quantiles, those of derived statistics too, and regime counts per layer and step."""
    return summary_with_derived(_run)


@st.cache_resource(max_entries=SLICES_KEPT, show_spinner=False)
def drawn_summary(stamp: Stamp, _run: RunReader, span: tuple[int, int]) -> tuple[pd.DataFrame, int]:
    """The summary within `span`, with as many rows as figures can show, and how many recorded steps one
    stands for at most.
    """
    rows = summary(stamp, _run)
    return downsample(rows[rows["step"].between(*span)])


@st.cache_resource(max_entries=SLICES_KEPT, show_spinner=False)
def curves(stamp: Stamp, _run: RunReader) -> pd.DataFrame:
    """Living share, rate, information and contraction of the whole network over steps."""
    return network_curves(summary(stamp, _run), [layer["neurons"] for layer in _run.layers])


@st.cache_resource(max_entries=SLICES_KEPT, show_spinner=False)
def alerts(stamp: Stamp, _run: RunReader) -> pd.DataFrame:
    """What went wrong, in order of step: step, layer, kind, count, neurons, text, advice."""
    return _run.alerts()


@st.cache_resource(max_entries=WHOLES_KEPT, show_spinner=False)
def at(stamp: Stamp, _run: RunReader, step: int, statistics: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Every neuron of every layer at one step, with these statistics (default: all)."""
    return _run.at(step, statistics=statistics)


@st.cache_resource(max_entries=SLICES_KEPT, show_spinner=False)
def replay_frames(
    stamp: Stamp, _run: RunReader, layer: int, neurons: tuple[int, ...], count: int
) -> frames.Frames:
    """Frames of one layer's neurons."""
    return frames.replay_frames(_run, layer, neurons, count)


@st.cache_resource(max_entries=SLICES_KEPT, show_spinner=False)
def events(stamp: Stamp, _run: RunReader) -> pd.DataFrame:
    """What the control did, in order of arrival."""
    return _run.events()


@st.cache_resource(max_entries=WHOLES_KEPT, show_spinner=False)
def forces(stamp: Stamp, _run: RunReader) -> pd.DataFrame:
    """How the terms of the loss pull at every neuron, at all stored steps; empty if the run has none."""
    return _run.forces()


@st.cache_resource(max_entries=SLICES_KEPT, show_spinner=False)
def probe_steps(stamp: Stamp, _run: RunReader) -> np.ndarray:
    """The steps at which the posteriors of the probe batch were stored; empty if the run has none."""
    return _run.probe_steps()


@st.cache_resource(max_entries=PROBES_KEPT, show_spinner=False)
def _probe(stamp: Stamp, _run: RunReader, step: int) -> posteriors.Inputs:
    """The probe batch at a stored step, all layers: read once, since a step's rows lie together."""
    return posteriors.split_inputs(_run.probe(step), _run.config)


@st.cache_resource(max_entries=WHOLES_KEPT, show_spinner=False)
def probe_layer(stamp: Stamp, _run: RunReader, step: int, layer: int) -> tuple[np.ndarray, np.ndarray] | None:
    """mu and sigma, (inputs, neurons), of the probe batch's spread inputs at a stored step; None if the layer
    has none.
    """
    rows = _probe(stamp, _run, step).spread
    return posteriors.table(rows, layer) if len(rows) and (rows["layer"] == layer).any() else None


@st.cache_resource(max_entries=SLICES_KEPT, show_spinner=False)
def probe_inputs(stamp: Stamp, _run: RunReader) -> dict[int, int]:
    """How many spread inputs of the probe batch are stored of each layer, at the last step that has any."""
    steps = probe_steps(stamp, _run)
    rows = (
        posteriors.split_inputs(_run.probe(int(steps[-1])), _run.config).spread
        if len(steps)
        else pd.DataFrame()
    )
    if not len(rows):
        return {}
    counts = rows.groupby("layer")["input"].nunique()
    return dict(zip(counts.index.tolist(), counts.tolist(), strict=True))


@st.cache_resource(max_entries=WHOLES_KEPT, show_spinner=False)
def probe_sequence(stamp: Stamp, _run: RunReader, step: int, layer: int) -> np.ndarray | None:
    """mu (T, neurons) at consecutive positions of the data, at a stored step; None if the layer has none."""
    rows = _probe(stamp, _run, step).sequence
    return posteriors.table(rows, layer)[0] if len(rows) and (rows["layer"] == layer).any() else None


@st.cache_resource(max_entries=WHOLES_KEPT, show_spinner="Reading the probe batch …")
def probe_input(
    stamp: Stamp, _run: RunReader, number: int
) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One probe input through the run: layer -> the steps at which it was stored, mu and sigma (steps,
    neurons).
    """
    parts = [rows[rows["input"] == number] for rows in (_run.probe(int(step)) for step in _run.probe_steps())]
    rows = pd.concat(parts).sort_values(["layer", "step", "neuron"])
    found = {}
    for layer, part in rows.groupby("layer"):
        steps = part["step"].unique()
        mu, sigma = (part[name].to_numpy(np.float32).reshape(len(steps), -1) for name in ("mu", "sigma"))
        found[int(cast(int, layer))] = (steps, mu, sigma)
    return found


@st.cache_resource(max_entries=WHOLES_KEPT, show_spinner=False)
def predictions(stamp: Stamp, _run: RunReader) -> pd.DataFrame:
    """The last predictions of the probe batch: their targets tell whether two runs were probed with the same
    inputs.
    """
    return _run.predictions()


@st.cache_resource(max_entries=WHOLES_KEPT, show_spinner="Reading every neuron of the layer …")
def matrix(
    stamp: Stamp,
    _run: RunReader,
    layer: int,
    statistic: str,
    columns: int,
    span: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(neurons, columns) values of a statistic, within `span` if it is given, and the steps at the columns'
    edges.
    """
    return _run.matrix(layer, statistic, max_columns=columns, steps=span)


@st.cache_resource(max_entries=WHOLES_KEPT, show_spinner="Reading every neuron's regime …")
def regime_frames(stamp: Stamp, _run: RunReader, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Regimes of every neuron at log-spaced steps: (frames, neurons) uint8 of each layer, and the frames'
    steps.

    At most `count` frames; fewer where a frame is so wide that reading many would take seconds.
    """
    steps = np.asarray(_run.steps)
    total = sum(layer["neurons"] for layer in _run.layers)
    if total * min(len(steps), frames.RAW_STEPS) > CELLS_AT_ONCE:
        chosen = steps[log_spaced_steps(steps, min(count, SINGLE_STEPS))]
        tables = [_run.regimes(int(step)) for step in chosen]
        return [
            np.stack([t.loc[t["layer"] == i, "regime"].to_numpy(np.uint8) for t in tables])
            for i in range(len(_run.layers))
        ], chosen
    codes, chosen = [], steps
    for layer in range(len(_run.layers)):
        values, edges = _run.matrix(layer, "regime", max_columns=frames.RAW_STEPS)
        ends = np.array([recorded_step(steps, int(edge) - 1) for edge in edges[1:]])
        keep = log_spaced_steps(ends, count)
        chosen = ends[keep]
        codes.append(np.ascontiguousarray(values[:, keep].T.astype(np.uint8)))
    return codes, chosen


NAMES_OF_NLL = (*(f"{split}/{name}" for split in ("validation", "test") for name in LIKELIHOODS), "train/nll")
"""Where a run's negative log likelihood is looked for, in this order."""


def _points(row: dict[str, Any], names: Sequence[str]) -> list[float]:
    """A sparkline's values, from the first of the series that the manifest has."""
    series = row.get("sparklines") or {}
    found: Sequence[Sequence[float | None]] = next((series[name] for name in names if name in series), [])
    return [float(point[1]) for point in found if point[1] is not None]


def _network(row: dict[str, Any]) -> str:
    if pd.isna(row["layers"]):
        return ""
    layers, neurons = int(row["layers"]), int(row["neurons"])
    return f"{layers} × {neurons // layers}" if neurons % layers == 0 else f"{neurons:,}"


def catalog_line(entry: Entry) -> dict[str, Any]:
    """A run as the page Runs shows it."""
    row = entry.row
    shares = [share for share in row.get("living_share") or [] if share is not None]
    scores = row.get("scores") or {}
    score = next((scores[name]["value"] for name in NAMES_OF_NLL if name in scores), None)
    return {
        "run": entry.name,
        "status": str(row.get("status")),
        "created": pd.to_datetime(entry.created, utc=True) if entry.created else None,
        "network": _network(row),
        "steps": row.get("steps"),
        "NLL": None if score is None else float(score),
        "NLL over steps": _points(row, NAMES_OF_NLL),
        "living": 100 * float(np.mean(shares)) if shares else None,
        "living over steps": _points(row, ("living_share",)),
    }


def recorded_step(steps: ArrayLike, step: int) -> int:
    """The recorded step at or before `step`, or the first."""
    recorded = np.asarray(steps)
    return int(recorded[max(int(np.searchsorted(recorded, step, side="right")) - 1, 0)])
