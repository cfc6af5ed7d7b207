"""What family each layer of a run is of, in words, and what follows for what can be shown of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from probes.families import FAMILIES, family_of
from probes.families.gaussian import Gaussian
from probes.run_reader import RunReader
from probes.schema import STATISTICS, derivable, layer_column

Layer = Mapping[str, Any]
CODES = "codes"
"""The family whose neurons are the codes of one code book."""
OF_ANY_FAMILY = ("contraction",)
"""Derived statistics that mean something for layers that are no Gaussians."""
NAMED = 6  # layers of one family that a line gives the names of


def has_distributions(run: RunReader) -> bool:
    """Whether a run has something to show of its neurons' distributions.

    Parameters
    ----------
    run
        The run: with means and variances, or with a layer of another family, whatever that records.
    """
    if not len(run.steps):
        return False
    return {"mean", "variance"} <= set(run.statistics) or any(not is_gaussian(one) for one in run.layers)


def is_gaussian(layer: Layer) -> bool:
    """Whether a layer's neurons are Gaussians, maybe through a fixed bijection.

    Parameters
    ----------
    layer
        Of the manifest; a family that this version does not know is none.
    """
    name = str(layer.get("family", "gaussian"))
    return name in FAMILIES and isinstance(family_of(layer), Gaussian)


def is_code_book(layer: Layer) -> bool:
    """Whether a layer's neurons are the codes of a code book.

    Parameters
    ----------
    layer
        Of the manifest.
    """
    return layer.get("family") == CODES


def label(layer: Layer) -> str:
    """A layer's family as pages write it, such as "Categorical, 10 classes".

    Parameters
    ----------
    layer
        Of the manifest.

    Returns
    -------
    str
        With its classes, codes, window and bijection, as far as it has them.
    """
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


def line(layers: Sequence[Layer]) -> str | None:
    """Which layer is of which family, in one line.

    Parameters
    ----------
    layers
        Of the manifest.

    Returns
    -------
    str or None
        None where all are plain Gaussians.
    """
    by_family: dict[str, list[str]] = {}
    for layer in layers:
        by_family.setdefault(label(layer), []).append(str(layer["name"]))
    if set(by_family) <= {"Gaussian"}:
        return None
    if len(by_family) == 1:
        return next(iter(by_family))
    return " · ".join(
        f"{', '.join(names[:NAMED])}{' and others' if len(names) > NAMED else ''}: {said}"
        for said, names in by_family.items()
    )


def recorded(summary: pd.DataFrame, layers: Sequence[Layer]) -> list[list[str]]:
    """For each layer the statistics that some of its neurons have, those that derive from them too, in the
    registry's order.

    Parameters
    ----------
    summary
        `Run.layer_summary()`.
    layers
        Of the manifest.
    """
    stored = [name for name in STATISTICS if f"{name}_mean" in summary]
    given = summary[[f"{name}_mean" for name in stored]].notna().to_numpy()
    of = summary["layer"].to_numpy()
    found = []
    for place, layer in enumerate(layers):
        some = given[of == place].any(axis=0)
        names = with_derived({name for name, has in zip(stored, some, strict=True) if has}, layer)
        found.append([name for name in STATISTICS if name in names])
    return found


def with_derived(stored: set[str], layer: Layer) -> set[str]:
    """Statistics that a layer's neurons have, with those that derive from them.

    Parameters
    ----------
    stored
        Names that are recorded of it.
    layer
        Of the manifest: of another family only what means something for it is derived.
    """
    derived = set(derivable(stored))
    if not is_gaussian(layer):
        derived &= set(OF_ANY_FAMILY)
        if not stored & {"prior_variance", "prior_entropy"}:
            derived -= {"contraction"}
    return stored | derived


def with_statistic(found: Sequence[Sequence[str]], statistic: str) -> list[int]:
    """Layers that have numbers of a statistic, by index.

    Parameters
    ----------
    found
        What `recorded` finds.
    statistic
        A key of `schema.STATISTICS`.
    """
    return [place for place, names in enumerate(found) if statistic in names]


def number_at(summary: pd.DataFrame, layer: int, name: str, step: int) -> float:
    """A number of the layer itself at the last step up to one that has it.

    Parameters
    ----------
    summary
        `Run.layer_summary()`.
    layer
        Which, from 0.
    name
        Of `schema.LAYER_STATISTICS`.
    step
        Up to which.

    Returns
    -------
    float
        NaN where there is none.
    """
    column = layer_column(name)
    if column not in summary:
        return float("nan")
    rows = summary[(summary["layer"] == layer) & (summary["step"] <= step)][column].dropna()
    return float(rows.iloc[-1]) if len(rows) else float("nan")
