"""One step of a replay as an SVG picture: what a saved notebook shows where no widget runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from probes.figures import frames
from probes.neuron_names import neuron_name
from probes.run_reader import RunReader

WIDTH, PITCH, TOP, GAP = 230, 22, 58, 40  # pixels: of a column, between ridges, above, between columns
REACH = 3.0  # prior sds on both sides
POINTS = 61
TALLEST = 2.4  # pitches that a ridge rises at most
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#5c6873}.t{font-weight:600}"
    ".r{fill:#2a8f8f;fill-opacity:.45;stroke:#2a8f8f;stroke-width:1.2}"
    ".p{fill:none;stroke:#7c8894;stroke-dasharray:3 3}"
)
"""Middle tones: one picture for a light and a dark page."""


def svg(run: RunReader, payload: bytes, step: int) -> str | None:
    """Mean posteriors at a step beside their prior, in prior sds.

    Parameters
    ----------
    run
        That the payload is of.
    payload
        Of the replay, whose layers and neurons are drawn.
    step
        Recorded or not: the last recorded one up to it is drawn.

    Returns
    -------
    str, optional
        None where no layer is Gaussian: others have no common axis.
    """
    size = int.from_bytes(payload[:4], "little")
    layers = [layer for layer in json.loads(payload[4 : 4 + size])["layers"] if "shape" not in layer]
    if not layers:
        return None
    recorded = run.steps
    at = int(recorded[max(int(np.searchsorted(recorded, step, side="right")) - 1, 0)])
    height = TOP + PITCH * max(len(layer["neurons"]) for layer in layers) + 34
    width = len(layers) * (WIDTH + GAP)
    columns = [
        f'<g transform="translate({place * (WIDTH + GAP) + GAP},0)">{_column(run, layer, at)}</g>'
        for place, layer in enumerate(layers)
    ]
    said = escape(f"{run.name}, step {at:,}: mean posteriors, height ∝ 1/√sd, and prior (dashed)")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + GAP} {height}" width="{width + GAP}"'
        f' height="{height}" role="img" aria-label="{said}"><style>{STYLE}</style>'
        f'<text x="4" y="14" class="t">{said}</text>{"".join(columns)}</svg>'
    )


def _column(run: RunReader, layer: Mapping[str, Any], step: int) -> str:
    names = [name for name in frames.READ if name in run.available]
    rows = run.at(step, layer["index"], names).set_index("neuron").reindex(layer["neurons"])
    mean, sd = _moments(rows)
    z = np.linspace(-REACH, REACH, POINTS)
    prior = np.exp(-(z**2) / 2)
    parts = [f'<text x="0" y="34" class="t">{escape(str(layer["name"]))}</text>']
    for place, neuron in enumerate(layer["neurons"]):
        base = TOP + PITCH * (place + 1)
        parts.append(
            f'<text x="-6" y="{base}" text-anchor="end">{neuron_name(layer["index"], neuron)}</text>'
        )
        parts.append(f'<polyline class="p" points="{_line(z, prior, base)}"/>')
        if np.isfinite(mean[place]) and sd[place] > 0:
            shape = np.exp(-(((z - mean[place]) / sd[place]) ** 2) / 2) / np.sqrt(sd[place])
            parts.append(f'<polygon class="r" points="{_line(z, shape, base, closed=True)}"/>')
    below = TOP + PITCH * len(layer["neurons"]) + 16
    for value in (-2, 0, 2):
        parts.append(f'<text x="{_x(value):.0f}" y="{below}" text-anchor="middle">{value}</text>')
    parts.append(f'<text x="{_x(0):.0f}" y="{below + 14}" text-anchor="middle">z (prior sd)</text>')
    return "".join(parts)


def _moments(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of the mean posterior, in prior sds."""
    recorded = {
        name: rows[name].to_numpy(np.float32, na_value=np.nan)
        if name in rows
        else np.full(len(rows), np.nan, np.float32)
        for name in frames.READ
    }
    own = frames.against_prior(recorded)
    return own["mean"], np.sqrt(np.maximum(own["variance"], 0))


def _x(z: float | np.ndarray) -> Any:
    return (z + REACH) / (2 * REACH) * WIDTH


def _line(z: np.ndarray, height: np.ndarray, base: float, closed: bool = False) -> str:
    """Points of a curve over a base line; 1 is the prior's peak, one pitch high."""
    y = base - PITCH * np.minimum(height, TALLEST)
    points = [f"{a:.1f},{b:.1f}" for a, b in zip(_x(z), y, strict=True)]
    if closed:
        points = [f"{_x(z[0]):.1f},{base}", *points, f"{_x(z[-1]):.1f},{base}"]
    return " ".join(points)
