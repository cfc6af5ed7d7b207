"""Chosen neurons in words and numbers: why a neuron is in its regime, since when, and which others move like
it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from probes import diagnostics, regimes, schema
from probes.analysis import posteriors
from probes.families import Family
from probes.families.gaussian import GAUSSIAN

NEAREST = 8  # neighbours of a neuron that are listed


def rule(row: Mapping[str, Any] | pd.Series, latent_dim: int = 1, family: Family = GAUSSIAN) -> str:
    """Why a neuron is in its regime at one step, after the settled one's name: ": information 0.001 < 0.005,
    ...", or "; at this step dead: ..." where its own numbers say another.

    Parameters
    ----------
    row
        Statistics of one neuron at one step, and `settled`.
    latent_dim
        K, latent dimensions of a neuron.
    family
        Of the layer's posteriors.

    Returns
    -------
    str
        From the name on.
    """
    text = regimes.explain(row, latent_dim=latent_dim, family=family)
    return text[re.search("[:;]", text).start() :]  # type: ignore[union-attr]


def contracted(rows: pd.DataFrame, threshold: float = regimes.Thresholds().contraction) -> str:
    """When a neuron left its prior, and whether it has come back: onset and half-time of its contraction.

    Parameters
    ----------
    rows
        One neuron over steps: step and contraction, or what it derives from.
    threshold
        Onset is where the smoothed contraction first reaches it.

    Returns
    -------
    str
        A sentence.
    """
    if len(rows) < 2:
        return "One step is recorded: too few to say when it contracted."
    steps, values = rows["step"].to_numpy(), schema.evaluate("contraction", rows)
    if not np.isfinite(values).any():
        return "It has no contraction: its prior, or a variance, is not recorded."
    start, half = (
        float(diagnostics.onset(steps, values, threshold)),
        float(diagnostics.half_time(steps, values)),
    )
    ends = f"ends at {values[-1]:.2g}"
    if np.isnan(start):
        return f"Its contraction has not reached {threshold:g} and {ends}: it has not left its prior."
    if diagnostics.reverted(steps, values, threshold):
        ends = f"has fallen back below since: it {ends}"
    if start == steps[0]:
        return f"Its contraction was at {threshold:g} or above from the first recorded step on and {ends}."
    halfway = f", was half-way by step {half:,.0f}" if np.isfinite(half) else ""
    return f"It left its prior at step {start:,.0f} (contraction ≥ {threshold:g}){halfway} and {ends}."


def onset(rows: pd.DataFrame, threshold: float = regimes.Thresholds().contraction) -> float:
    """When a neuron left its prior, as `contracted` says it.

    Parameters
    ----------
    rows
        One neuron over steps: step and contraction, or what it derives from; at least one.
    threshold
        Of the smoothed contraction.

    Returns
    -------
    float
        A recorded step; NaN where it has not.
    """
    values = schema.evaluate("contraction", rows)
    return float(diagnostics.onset(rows["step"].to_numpy(), values, threshold))


def neighbours(
    mu: np.ndarray, neuron: int, others: Mapping[int, np.ndarray], own_layer: int | None, count: int = NEAREST
) -> pd.DataFrame:
    """Neurons of several layers whose means move most like one neuron's over the same probe inputs.

    Parameters
    ----------
    mu
        (B, N) of the neuron's layer.
    neuron
        Its number.
    others
        Layer -> (B, M).
    own_layer
        The neuron's layer if `others` are of its own run, so that it is not its own neighbour.
    count
        How many.

    Returns
    -------
    DataFrame
        layer, neuron, correlation, in order of the correlation's size.
    """
    parts = []
    for layer, values in others.items():
        found = posteriors.nearest(mu, neuron, None if layer == own_layer else values, count)
        parts.append(found.assign(layer=layer))
    joined = (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=["layer", "neuron", "correlation"])
    )
    order = np.argsort(-joined["correlation"].abs().to_numpy(float), kind="stable")[:count]
    return joined.iloc[order][["layer", "neuron", "correlation"]].reset_index(drop=True)


def partners(mu: np.ndarray, other: np.ndarray, neurons: Sequence[int]) -> pd.DataFrame:
    """The partners of some neurons when every neuron of a layer gets one of another run's.

    Parameters
    ----------
    mu, other
        (B, N) and (B, M), on the same inputs.
    neurons
        The numbers of those that are asked for.

    Returns
    -------
    DataFrame
        neuron, partner, correlation.

    Notes
    -----
    The matching (`posteriors.match`) is over all neurons of both layers, so that no two share a partner.
    """
    matched = posteriors.match(mu, other)
    return matched[matched["neuron"].isin(list(neurons))].reset_index(drop=True)
