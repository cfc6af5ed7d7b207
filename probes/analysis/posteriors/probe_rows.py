"""Rows of the probe batch as matrices: the same inputs at every step, so that inputs cancel out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from probes.errors import REMEDY, RunError

Floats = NDArray[np.float64]


def table(probe: pd.DataFrame, layer: int, neurons: int | None = None) -> tuple[Floats, Floats]:
    """mu and sigma of one layer from the rows of one step of `Run.probe`.

    Parameters
    ----------
    probe
        Rows of `Run.probe`.
    layer
        Index of the layer.
    neurons
        How many there must be; as many as the rows name by default.

    Returns
    -------
    tuple of ndarray
        (B, N) each.

    Raises
    ------
    ValueError
        For rows of several steps.
    RunError
        For a layer whose rows are not one for every input and neuron.
    """
    if (probe["step"].to_numpy() != probe["step"].iloc[:1].to_numpy()).any():
        raise ValueError("rows of several steps: ask for one, run.probe(step)")
    own = (probe["layer"] == layer).to_numpy()
    part = probe if own.all() else probe[own]
    row, inputs = _ranks(part["input"])
    column, width = _ranks(part["neuron"])
    place = row * width + column
    counts = np.bincount(place, minlength=inputs * width)
    if not len(part) or (counts != 1).any() or neurons not in (None, width):
        raise RunError(
            f"layer {layer} has {len(part)} probe rows for {inputs} inputs and {neurons or width} neurons:"
            f" some are missing; {REMEDY}"
        )
    mu, sigma = np.empty((2, inputs * width))
    mu[place], sigma[place] = part["mu"].to_numpy(), part["sigma"].to_numpy()
    return mu.reshape(inputs, width), sigma.reshape(inputs, width)


def _ranks(numbers: pd.Series) -> tuple[NDArray[np.int64], int]:
    """Numbers from 0 on, and how many there can be."""
    values = numbers.to_numpy(np.int64)
    if not len(values):
        return values, 0
    return values - values.min(), int(np.ptp(values)) + 1


class Inputs(NamedTuple):
    """Rows of a probe batch by what they are for; `input` counts from 0 in each.

    Attributes
    ----------
    spread
        Inputs spread over the data.
    sequence
        A sequence of consecutive t.
    """

    spread: pd.DataFrame
    sequence: pd.DataFrame


def split_inputs(probe: pd.DataFrame, config: Mapping[str, Any]) -> Inputs:
    """The probe batch's rows as inputs spread over the data and a sequence of consecutive t.

    Parameters
    ----------
    probe
        Rows of `Run.probe`.
    config
        `Run.config`, where `probe_sequence` says how many of the inputs, the last, are the sequence; a run
        without it has none.

    Returns
    -------
    Inputs
        What is about the inputs as a whole (mutual information, neighbours) takes `spread`: neighbours in t
        say nearly the same; what is about t (autocorrelation, effective sample size) takes `sequence`, in
        whose mu and sigma (`table`) rows follow each other in t.

    Raises
    ------
    RunError
        When `probe_sequence` is no number of the batch's inputs.
    """
    length = config.get("probe_sequence") or 0
    inputs = int(probe["input"].max()) + 1 if len(probe) else 0
    if len(probe) and not (isinstance(length, int) and 0 <= length <= inputs):
        raise RunError(
            f"probe batch of {inputs} inputs, of which probe_sequence = {length!r} cannot be the last"
        )
    first = inputs - length
    if not length:
        return Inputs(probe, probe.iloc[:0])  # without a copy of millions of rows
    later = probe["input"] >= first
    return Inputs(probe[~later], probe[later].assign(input=probe.loc[later, "input"] - first))


def same_inputs(predictions: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether the probe batches of two runs are the same inputs, by their targets.

    Parameters
    ----------
    predictions, other
        Rows of one step of `Run.predictions()`.

    Returns
    -------
    bool
        False also where there are none.
    """
    if len(predictions) != len(other) or not len(predictions):
        return False
    keys = ["input", "horizon"]
    first, second = (
        frame.sort_values(keys)[[*keys, "y"]].to_numpy(np.float32) for frame in (predictions, other)
    )
    return bool(np.array_equal(first, second))


def checked(mu: ArrayLike, sigma: ArrayLike) -> tuple[Floats, Floats]:
    """mu and sigma as arrays that belong together.

    Parameters
    ----------
    mu, sigma
        (B, N).

    Returns
    -------
    tuple of ndarray
        Both in float64.

    Raises
    ------
    ValueError
        For shapes that differ or are of other than two axes.
    """
    centre, width = np.asarray(mu, np.float64), np.asarray(sigma, np.float64)
    if centre.ndim != 2 or centre.shape != width.shape:
        raise ValueError(
            f"mu and sigma must be (inputs, neurons) alike, these are {centre.shape} and {width.shape}"
        )
    return centre, width
