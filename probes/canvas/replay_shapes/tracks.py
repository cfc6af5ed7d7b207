"""One layer's ridges over recorded steps: what every kind of them gives, of Gaussians, of a code book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from probes.canvas import replay_arrays
from probes.families import family_of
from probes.figures import frames
from probes.spacing import evenly_spaced

CODES = 1024  # of a code book that are sent, evenly by rank
Arrays = dict[str, NDArray[Any]]


class Track(Protocol):
    """One layer's ridges over recorded steps."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """(F,) steps that it has frames at."""

    @property
    def width(self) -> NDArray[np.int64]:
        """(F,) recorded steps that a frame is the mean of."""

    def arrays(self, steps: NDArray[np.int64]) -> Arrays:
        """What is sent of it at the replay's frames."""

    def shape(self) -> dict[str, Any] | None:
        """The header's entry, None of Gaussians."""


@dataclass(frozen=True)
class Gaussians:
    """Ridges on the axis of prior sds."""

    found: frames.Frames

    @property
    def steps(self) -> NDArray[np.int64]:
        """As of `Track`."""
        return self.found.steps

    @property
    def width(self) -> NDArray[np.int64]:
        """As of `Track`."""
        return self.found.width

    def arrays(self, steps: NDArray[np.int64]) -> Arrays:
        """As of `Track`."""
        return replay_arrays.ridge_arrays(frames.aligned(self.found, steps))

    def shape(self) -> None:
        """As of `Track`."""
        return


@dataclass(frozen=True)
class CodeBook:
    """A code book in one picture: `usage` (K, T) of its codes at `steps` (T,)."""

    layer: Mapping[str, Any]
    steps: NDArray[np.int64]
    usage: NDArray[Any]

    @property
    def width(self) -> NDArray[np.int64]:
        """As of `Track`."""
        return np.ones(len(self.steps), np.int64)

    def arrays(self, steps: NDArray[np.int64]) -> Arrays:
        """As of `Track`."""
        order = np.argsort(-np.nan_to_num(self.usage[:, -1]), kind="stable")
        kept = order[evenly_spaced(len(order), CODES)]
        with np.errstate(invalid="ignore"):
            used = np.where(np.isfinite(self.usage).any(axis=0), (self.usage > 0).sum(axis=0), np.nan)
        return {
            "usage": held_at(self.steps, self.usage[kept].T, steps).astype(np.float32),
            "used": held_at(self.steps, used, steps).astype(np.float32),
        }

    def shape(self) -> dict[str, Any]:
        """As of `Track`."""
        window = int(self.layer.get("window", 0) or 0)
        said = f"in the last {window:,} steps" if window > 1 else ""
        return {
            "family": "codes", "label": family_of(self.layer).label, "support": "none", "kind": "book",
            "low": 0.0, "high": float(max(len(self.usage), 1)), "axis": "codes, most used first at the end",
            "title": "codes",
            "classes": [], "more": 0, "points": 0, "parameters": [], "prior": None, "priorBars": None,
            "tallest": 1.0, "typical": "perplexity", "window": said,
            "legend": "bars: share of picks of each code",
        }  # fmt: skip


def held_at(recorded: NDArray[np.int64], values: NDArray[Any], steps: NDArray[np.int64]) -> NDArray[Any]:
    """Values (S, ...) at recorded steps (S,) as they hold at `steps`: the last at or before each."""
    if not len(recorded):
        return np.full((len(steps), *values.shape[1:]), np.nan)
    place = np.searchsorted(recorded, steps, side="right") - 1
    found = np.asarray(values, np.float64)[np.maximum(place, 0)]
    found[place < 0] = np.nan
    return found


def halves(found: Mapping[str, NDArray[Any]]) -> Arrays:
    return {name: replay_arrays.halved(values) for name, values in found.items()}
