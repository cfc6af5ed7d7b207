"""How neurons of any family answer to the inputs of the probe batch: by what they are compared and ranked.

A Gaussian answers by its mean; so do densities and draws, an angle by the vector of its mean direction;
classes answer by their probabilities. A code of a code book has no posterior of its own, and no answer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import entr, rel_entr

from probes.analysis.telling_inputs import ranked
from probes.families.by_moments import moments_of, standard_deviation
from probes.families.others import OF_CLASSES

Floats = NDArray[np.float64]
Parameters = Mapping[str, Floats]
"""Name -> (B, N, C): of inputs and neurons, C numbers each."""
DRAWN = "sample"
"""Name under which draws are stored."""
DENSITY_GROUPS = {"highest mean": ("mean", -1), "lowest mean": ("mean", 1), "widest": ("sd", -1)}
CLASS_GROUPS = {"most certain": ("entropy", 1), "least certain": ("entropy", -1)}
"""Name of a group -> what its inputs are first in, and the sign of the order."""
CLASSES_RANKED = 3  # those that are used most


def table(rows: pd.DataFrame, neurons: int) -> dict[str, Floats]:
    """Stored posteriors as arrays.

    Parameters
    ----------
    rows
        Of `Run.parameters`, of one layer and step.
    neurons
        N of the layer.

    Returns
    -------
    dict
        Name -> (B, N, C); NaN where nothing was stored.
    """
    found = {}
    for name, part in rows.groupby("name"):
        shape = int(part["input"].max()) + 1, neurons, int(part["index"].max()) + 1
        values = np.full(shape, np.nan)
        values[part["input"], part["neuron"], part["index"]] = part["value"]
        found[str(name)] = values
    return found


def class_shares(rows: pd.DataFrame, neurons: int) -> Floats:
    """Probabilities of classes from stored posteriors; of a Dirichlet its mean composition.

    Parameters
    ----------
    rows
        As of `table`, of a layer of classes.
    neurons
        N of the layer.

    Returns
    -------
    ndarray
        (B, N, C), of a Bernoulli those of 0 and 1.
    """
    held = _shares(table(rows, neurons))
    return np.concatenate([1 - held, held], axis=-1) if held.shape[-1] == 1 else held


def answers(family: str, parameters: Parameters) -> Floats | None:
    """By which neurons are compared with others.

    Parameters
    ----------
    family
        A name of `probes.families.FAMILIES`.
    parameters
        As of `table`.

    Returns
    -------
    ndarray or None
        (B, N, D): D = 1, of classes their number, of an angle 2. None where nothing is stored.
    """
    if not parameters:
        return None
    if family in OF_CLASSES:
        return _shares(parameters)
    if family == "von_mises":
        direction, variance = (values[..., 0] for values in moments_of(family, parameters))
        return (1 - variance)[..., None] * np.stack([np.cos(direction), np.sin(direction)], axis=-1)
    mean, _ = _moments(family, parameters)
    return mean[..., None]


def _shares(parameters: Parameters) -> Floats:
    """(B, N, C) probabilities of classes, of two that of the second alone; of a composition its mean."""
    held = next(iter(parameters.values()))
    return held / held.sum(axis=-1, keepdims=True) if "concentration" in parameters else held


def _moments(family: str, parameters: Parameters) -> tuple[Floats, Floats]:
    """(B, N) means and standard deviations."""
    if DRAWN in parameters:
        draws = parameters[DRAWN]
        several = draws.shape[-1] > 1
        return draws.mean(axis=-1), draws.std(axis=-1, ddof=1) if several else np.full(
            draws.shape[:2], np.nan
        )
    mean, variance = (values[..., 0] for values in moments_of(family, parameters))
    return mean, standard_deviation(family, variance)


def telling_inputs(family: str, parameters: Parameters, neuron: int, most: int = 8) -> pd.DataFrame:
    """Inputs at the ends of a neuron's answers.

    Parameters
    ----------
    family
        A name of `probes.families.FAMILIES`, no Gaussian.
    parameters
        As of `table`.
    neuron
        Its number.
    most
        Inputs of each group.

    Returns
    -------
    DataFrame
        Columns group, rank (from 0), input, value (that the group is in the order of) and, of densities and
        draws, mean and sd; of classes class (the most probable; in a group of one class, that), its
        probability, entropy and information (nats); of a composition component and its mean share.

    Notes
    -----
    An input's information is KL(q_b || q̄), with q̄ the mean over inputs: its own mean over inputs is the
    neuron's information.
    """
    if family not in OF_CLASSES:
        mean, sd = (values[:, neuron] for values in _moments(family, parameters))
        held = pd.DataFrame({"mean": mean, "sd": sd})
        groups = {name: of for name, of in DENSITY_GROUPS.items() if np.isfinite(held[of[0]]).any()}
        return ranked(held, groups, most)
    of_class = _shares(parameters)[:, neuron]
    if of_class.shape[1] == 1:
        of_class = np.concatenate([1 - of_class, of_class], axis=1)
    overall = of_class.mean(axis=0)
    composed = family == "dirichlet"
    kind, size = ("component", "share") if composed else ("class", "probability")
    told = pd.DataFrame({kind: of_class.argmax(axis=1), size: of_class.max(axis=1)})
    if not composed:
        told["entropy"] = entr(of_class).sum(axis=1)
        told["information"] = rel_entr(of_class, overall).sum(axis=1)
    parts = []
    for number in np.argsort(-overall, kind="stable")[:CLASSES_RANKED]:
        own = told.assign(**{kind: number, size: of_class[:, number]})
        parts.append(ranked(own, {f"{kind} {number}": (size, -1)}, most))
    if not composed:
        parts.append(ranked(told, CLASS_GROUPS, most))
    return pd.concat(parts, ignore_index=True)
