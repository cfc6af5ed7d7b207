"""A neuron in words: why it is in its regime, and since when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from probes import diagnostics, regimes, schema
from probes.families import Family
from probes.families.gaussian import GAUSSIAN


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
