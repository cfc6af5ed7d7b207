"""How the replay draws layers that are no Gaussians: by their own density, as bars by class, as a code book.

A `Track` is one layer's ridges over the steps that were recorded; `arrays` gives what `replay_data.js` reads
of it at the replay's frames, `shape` what its header says. What is drawn is of the layer's own family:

- a density whose mean and variance are recorded: the member of the family that has them, at every step;
- draws, and densities that two moments do not tell: what is stored of the probe batch, at the steps at which
  it was stored;
- classes: their shares, as `classes/` or the probe batch hold them;
- a code book: the usage of every code.
"""

from __future__ import annotations

from probes.canvas.replay_shapes.kinds import (
    DRAWN_AS_CURVES,
    NO_AGGREGATE,
    WITHOUT_DENSITY,
    has_ridges,
    has_trail,
    prior_parameters,
    usual_kind,
)
from probes.canvas.replay_shapes.of_run import READ, code_book, columns, track
from probes.canvas.replay_shapes.probe_batch import STORED, Stored, stored
from probes.canvas.replay_shapes.shapes import BANDWIDTH, CLASSES, POINTS, REACH, Shapes, smoothed
from probes.canvas.replay_shapes.tracks import CODES, Arrays, CodeBook, Gaussians, Track
from probes.canvas.replay_shapes.words import (
    CODES_SEEN,
    GAUSSIAN_SEEN,
    OTHERS_SEEN,
    axis_title,
    caption,
    legend,
    typical_of,
    typical_series,
)

__all__ = [
    "Arrays",
    "BANDWIDTH",
    "CLASSES",
    "CODES",
    "CODES_SEEN",
    "CodeBook",
    "DRAWN_AS_CURVES",
    "GAUSSIAN_SEEN",
    "Gaussians",
    "NO_AGGREGATE",
    "OTHERS_SEEN",
    "POINTS",
    "REACH",
    "READ",
    "STORED",
    "Shapes",
    "Stored",
    "Track",
    "WITHOUT_DENSITY",
    "axis_title",
    "caption",
    "code_book",
    "columns",
    "has_ridges",
    "has_trail",
    "legend",
    "prior_parameters",
    "smoothed",
    "stored",
    "track",
    "typical_of",
    "typical_series",
    "usual_kind",
]
