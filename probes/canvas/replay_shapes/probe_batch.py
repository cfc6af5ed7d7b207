"""What is stored of the probe batch of the drawn neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.canvas.replay_shapes.kinds import has_bars
from probes.families import family_of
from probes.run_reader import RunReader
from probes.spacing import log_spaced_steps

STORED = 40  # steps at which the probe batch is read


@dataclass(frozen=True)
class Stored:
    """What is stored of the probe batch of chosen neurons: `steps` (S,), `values` name -> (S, R, inputs, C);
    `shares` (T, R, C) of classes at `share_steps` (T,).
    """

    steps: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]
    share_steps: NDArray[np.int64]
    shares: NDArray[np.float64] | None

    @property
    def inputs(self) -> int:
        """How many inputs are stored."""
        return next((held.shape[2] for held in self.values.values()), 0)


def stored(run: RunReader, layer: int, neurons: Sequence[int]) -> Stored:
    """Read it, at no more than STORED steps, the last among them."""
    family = family_of(run.layers[layer])
    steps, tables = [], []
    for step in _few(run.parameter_steps() if family.parameters else np.zeros(0, np.int64)):
        rows = run.parameters(int(step), layer)
        rows = rows[rows["neuron"].isin(neurons)]
        if len(rows):
            steps.append(int(step))
            tables.append({name: _cube(part, neurons) for name, part in rows.groupby("name")})
    values = {}
    for name in family.parameters if tables else ():
        shape = np.max([table[name].shape for table in tables], axis=0)
        values[name] = np.stack([_padded(table[name], shape) for table in tables])
    share_steps, shares = [], []
    for step in _few(run.class_steps() if has_bars(family) else ()):
        rows = run.classes(int(step), layer)
        rows = rows[rows["neuron"].isin(neurons)]
        if len(rows):
            share_steps.append(int(step))
            wide = rows.pivot(index="neuron", columns="class", values="usage").reindex(list(neurons))
            shares.append(wide.to_numpy(float))
    return Stored(
        np.array(steps, np.int64),
        values,
        np.array(share_steps, np.int64),
        np.stack(shares) if shares else None,
    )


def _few(steps: Any) -> NDArray[np.int64]:
    known = np.asarray(steps, np.int64)
    return known[log_spaced_steps(known, STORED)] if len(known) > STORED else known


def _cube(rows: pd.DataFrame, neurons: Sequence[int]) -> NDArray[np.float64]:
    """(R, inputs, C) of one parameter."""
    place = {neuron: at for at, neuron in enumerate(neurons)}
    found = np.full((len(neurons), int(rows["input"].max()) + 1, int(rows["index"].max()) + 1), np.nan)
    found[rows["neuron"].map(place), rows["input"], rows["index"]] = rows["value"]
    return found


def _padded(held: NDArray[np.float64], shape: NDArray[np.int64]) -> NDArray[np.float64]:
    out = np.full(tuple(shape), np.nan)
    out[tuple(slice(0, size) for size in held.shape)] = held
    return out
