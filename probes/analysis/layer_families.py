"""What family each layer of a run is of, in words, and what follows for what can be shown of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from probes.families import FAMILIES, family_of
from probes.families.gaussian import Gaussian
from probes.run_reader import RunReader
from probes.schema import STATISTICS, derivable

Layer = Mapping[str, Any]
CODES = "codes"
"""The family whose neurons are the codes of one code book."""
OF_ANY_FAMILY = ("contraction",)
"""Derived statistics that mean something for layers that are no Gaussians."""


def has_distributions(run: RunReader) -> bool:
    """Whether a run has something to show of neurons' distributions: means and variances, or what another
    family records.
    """
    if not len(run.steps):
        return False
    return {"mean", "variance"} <= set(run.statistics) or any(not is_gaussian(one) for one in run.layers)


def is_gaussian(layer: Layer) -> bool:
    """Whether a layer's neurons are Gaussians, maybe through a fixed bijection; so is a family that this
    version does not know not.
    """
    name = str(layer.get("family", "gaussian"))
    return name in FAMILIES and isinstance(family_of(layer), Gaussian)


def is_code_book(layer: Layer) -> bool:
    """Whether a layer's neurons are the codes of a code book."""
    return layer.get("family") == CODES


def label(layer: Layer) -> str:
    """A layer's family as pages write it, such as "Categorical, 10 classes"."""
    name = str(layer.get("family", "gaussian"))
    said = FAMILIES[name].label if name in FAMILIES else name
    if layer.get("map"):
        said += f" through {layer['map']}"
    if name == CODES:
        window = int(layer.get("window", 0) or 0)
        said += f", {layer['neurons']:,} codes" + (f", usage of {window:,} steps" if window > 1 else "")
    elif layer.get("classes") and name != "bernoulli":
        said += f", {layer['classes']:,} {'components' if name == 'dirichlet' else 'classes'}"
    if layer.get("information_by") == "moments":
        said += ", information by moments"
    return said


def line(layers: Sequence[Layer], named: int = 6) -> str | None:
    """Which layer is of which family, in one line; None where all are plain Gaussians."""
    if all(label(layer) == "Gaussian" for layer in layers):
        return None
    by_family: dict[str, list[str]] = {}
    for layer in layers:
        by_family.setdefault(label(layer), []).append(str(layer["name"]))
    if len(by_family) == 1:
        return next(iter(by_family))
    parts = [
        f"{', '.join(names[:named])}{' and others' if len(names) > named else ''}: {said}"
        for said, names in by_family.items()
    ]
    return " · ".join(parts)


def recorded(summary: pd.DataFrame, layers: Sequence[Layer], layer: int) -> list[str]:
    """Statistics that some neuron of a layer has, those that derive from them too, in the registry's order.

    Parameters
    ----------
    summary
        `Run.layer_summary()`.
    layers
        Of the manifest.
    layer
        Which, from 0.
    """
    rows = summary[summary["layer"] == layer]
    stored = {name for name in STATISTICS if f"{name}_mean" in rows and rows[f"{name}_mean"].notna().any()}
    found = with_derived(stored, layers[layer])
    return [name for name in STATISTICS if name in found]


def with_derived(stored: set[str], layer: Layer) -> set[str]:
    """Statistics that a layer's neurons have, with those that derive from them: of another family only what
    means something for it.
    """
    derived = set(derivable(stored))
    if not is_gaussian(layer):
        derived &= set(OF_ANY_FAMILY)
        if not stored & {"prior_variance", "prior_entropy"}:
            derived -= {"contraction"}
    return stored | derived


def with_statistic(
    summary: pd.DataFrame, layers: Sequence[Layer], statistic: str, among: Sequence[int] | None = None
) -> list[int]:
    """Layers that have numbers of a statistic, by index."""
    places = range(len(layers)) if among is None else among
    return [place for place in places if statistic in recorded(summary, layers, place)]


def number_at(summary: pd.DataFrame, layer: int, name: str, step: int) -> float:
    """A number of the layer itself (`schema.LAYER_STATISTICS`) at the last step up to `step` that has it; NaN
    where there is none.
    """
    column = f"layer_{name}"
    if column not in summary:
        return float("nan")
    rows = summary[(summary["layer"] == layer) & (summary["step"] <= step)][column].dropna()
    return float(rows.iloc[-1]) if len(rows) else float("nan")
