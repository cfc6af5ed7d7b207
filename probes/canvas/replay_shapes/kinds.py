"""How ridges of a family are drawn, and what is told of its prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probes.analysis.layer_families import is_gaussian
from probes.families import Family, family_of
from probes.figures import frames

DRAWN_AS_CURVES = ("student_t", "generic", "samples")
"""Families that two recorded moments do not tell: what is stored of the probe batch is drawn."""
WITHOUT_DENSITY = ("generic", "samples")
NO_AGGREGATE = ("exponential", "poisson")
"""Families of which the aggregate over inputs is no member that the recorded moments tell."""


def prior_parameters(layer: Mapping[str, Any], rows: frames.Rows) -> dict[str, float] | None:
    """The prior of a layer's neurons by its parameters, where all have one and the log tells it.

    Parameters
    ----------
    layer
        Of the manifest; `prior_parameters` names them, numbers.
    rows
        Of its neurons: of a family of one parameter the prior's variance tells it.
    """
    family = family_of(layer).name
    said = layer.get("prior_parameters")
    if isinstance(said, Mapping):
        try:
            return {str(name): float(value) for name, value in said.items()}
        except (TypeError, ValueError):
            return None
    held = rows.values["prior_variance"]
    known = held[np.isfinite(held)]
    if not len(known) or not np.allclose(known, known.ravel()[0], rtol=1e-4):
        return None
    variance = float(known.ravel()[0])
    if family == "exponential":
        return {"rate": variance**-0.5} if variance > 0 else None
    if family == "poisson":
        return {"rate": variance} if variance > 0 else None
    if family == "von_mises" and variance > 1 - 1e-4:
        return {"loc": 0.0, "concentration": 1e-6}
    return None


def has_bars(family: Family) -> bool:
    """Whether its ridges are bars, one a class or component."""
    return family.support == "classes" or family.name == "dirichlet"


def usual_kind(family: Family) -> str:
    """How ridges of a family are drawn where its moments are recorded."""
    if has_bars(family):
        return "bars"
    return "curve" if family.name in DRAWN_AS_CURVES else "density"


def has_ridges(layer: Mapping[str, Any]) -> bool:
    """Whether its neurons have a ridge each: a code book is one picture."""
    return family_of(layer).name != "codes"


def has_trail(layer: Mapping[str, Any]) -> bool:
    """Whether earlier steps stand behind its ridges: curves by their moments, neither bars nor draws."""
    return is_gaussian(layer) or (has_ridges(layer) and usual_kind(family_of(layer)) == "density")
