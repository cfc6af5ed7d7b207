"""The ridges of a run's layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probes.canvas.replay_shapes.probe_batch import stored
from probes.canvas.replay_shapes.shapes import Shapes
from probes.canvas.replay_shapes.tracks import Arrays, CodeBook, Gaussians, Track
from probes.families import family_of
from probes.families.gaussian import Gaussian
from probes.figures import frames
from probes.run_reader import RunReader

READ = ("mean", "variance", "spread", "entropy", "prior_entropy", "prior_variance")
"""Statistics that ridges of other families are made of, as far as a run has them."""


def track(
    run: RunReader, layer: int, neurons: Sequence[int], count: int, probe_input: int | None = None
) -> Track:
    """The ridges of a layer's neurons at about `count` log-spaced recorded steps."""
    about = run.layers[layer]
    family = family_of(about)
    if isinstance(family, Gaussian):
        return Gaussians(frames.replay_frames(run, layer, neurons, count))
    if family.name == "codes":
        return code_book(run, layer, count)
    rows = frames.replay_rows(run, layer, neurons, count, READ)
    return Shapes(about, rows, stored(run, layer, neurons), probe_input)


def code_book(run: RunReader, layer: int, count: int) -> CodeBook:
    """Usage of a code book's codes at no more than `count` recorded steps or means of some."""
    values, edges = run.matrix(layer, "usage", max_columns=count)
    return CodeBook(run.layers[layer], np.asarray(edges[:-1], np.int64), values)


def columns(track: Track) -> Arrays:
    """(F, R) statistics behind a layer's ridges, by name, for taking away."""
    if isinstance(track, Gaussians):
        return {name: getattr(track.found, name) for name in frames.SHOWN}
    if isinstance(track, CodeBook):
        return {"usage": track.usage.T}
    assert isinstance(track, Shapes)
    return {name: held for name, held in track.rows.values.items() if np.isfinite(held).any()}
