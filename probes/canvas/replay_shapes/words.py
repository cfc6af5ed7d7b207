"""Titles, legends and captions of ridges, and the number that stands over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.analysis.layer_families import is_code_book, is_gaussian
from probes.canvas.replay_shapes.kinds import WITHOUT_DENSITY
from probes.canvas.replay_shapes.tracks import Arrays, held_at
from probes.families import Family, family_of
from probes.families.gaussian import Gaussian

GAUSSIAN_SEEN = (
    "Each ridge is one neuron. It starts as wide as its prior (dashed) and contracts as training goes on: "
    "narrow and bright is certain."
)
OTHERS_SEEN = "Each row is one neuron, drawn as its own family; a known prior is dashed. Bright is certain."
CODES_SEEN = "Each bar is one code: how often it is picked. Marks under the line are dead codes."


def caption(layers: Sequence[Mapping[str, Any]]) -> str:
    """What a replay of layers shows, in a line."""
    if layers and all(is_code_book(layer) for layer in layers):
        return CODES_SEEN
    return GAUSSIAN_SEEN if any(is_gaussian(layer) for layer in layers) else OTHERS_SEEN


def axis_title(family: Family, kind: str, more: int) -> str:
    """Of the horizontal axis."""
    if kind == "bars":
        of = "component" if family.name == "dirichlet" else "class"
        return f"{of}, most used first" if more else of
    return {"unit": "z in [0, 1]", "positive": "z > 0", "circle": "angle z", "counts": "count z"}.get(
        family.support, "z"
    )


def legend(family: Family, kind: str, kept: bool) -> str:
    """How its ridges are read, in a few words."""
    if kind == "bars":
        return (
            "bars: mean share of each component"
            if family.name == "dirichlet"
            else "bars: share of each class"
        )
    if kind == "curve" and not kept:
        return f"{family.label}: mean ± sd, no draws stored"
    if kind == "curve":
        of = "stored draws, smoothed" if family.name in WITHOUT_DENSITY else "mean of stored inputs"
        return f"{family.label}: {of}"
    return f"{family.label} of the recorded mean" + (
        "" if family.name in ("exponential", "poisson") else " and variance"
    )


def typical_series(
    summary: pd.DataFrame, layer: Mapping[str, Any], index: int, steps: NDArray[Any]
) -> Arrays:
    """What stands over the ridges of a layer of another family: its median entropy, that of its variance
    where it has none, or a perplexity.
    """
    family = family_of(layer)
    if isinstance(family, Gaussian):
        return {}
    rows = summary[summary["layer"] == index]
    medians = {name: rows[f"{name}_p50"].to_numpy(float, na_value=np.nan)
               for name in ("entropy", "variance") if f"{name}_p50" in rows}  # fmt: skip
    column = "layer_perplexity" if family.name == "codes" else f"{typical_of(medians)}_p50"
    if column not in rows:
        return {}
    values = rows[column].to_numpy(float, na_value=np.nan)
    return {"typical": held_at(rows["step"].to_numpy(np.int64), values, steps).astype(np.float32)}


def typical_of(values: Mapping[str, NDArray[Any]]) -> str:
    """The statistic that a layer of another family is told by, of what it has by name."""
    known = np.isfinite(values.get("entropy", np.zeros(0))).any()
    return "entropy" if known or not np.isfinite(values.get("variance", np.zeros(0))).any() else "variance"
