"""What happened to neurons and when: the steps that `neuron_query` asks for."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from probes import diagnostics
from probes.schema import AT_PRIOR, DEAD, Thresholds

COLUMNS = ["layer", "neuron", "event", "step"]


def regime_events(moves: pd.DataFrame, now: pd.DataFrame, first: int) -> pd.DataFrame:
    """Steps at which neurons left their prior, and died.

    Parameters
    ----------
    moves
        `diagnostics.transitions` of settled regimes over the whole run.
    now
        Columns layer, neuron, settled: every neuron at some recorded step.
    first
        The run's first recorded step.

    Returns
    -------
    DataFrame
        COLUMNS; "left" once for each neuron that has ("at prior" left, or `first` where it began elsewhere),
        "died" for each change to dead.
    """
    keys = ["layer", "neuron"]
    died = moves.loc[moves["after"] == DEAD, [*keys, "step"]].assign(event="died")
    away = moves[moves["before"] == AT_PRIOR].groupby(keys, as_index=False)["step"].min()
    began = _began(moves, now)
    elsewhere = began.loc[began["settled"] != AT_PRIOR, keys].assign(step=first)
    left = pd.concat([elsewhere, away]).drop_duplicates(keys).assign(event="left")
    return pd.concat([left, died], ignore_index=True)[COLUMNS]


def settled_until(moves: pd.DataFrame, now: pd.DataFrame, step: int) -> pd.DataFrame:
    """Every regime that neurons have settled in up to a step.

    Parameters
    ----------
    moves, now
        As for `regime_events`.
    step
        The last that counts.

    Returns
    -------
    DataFrame
        Columns layer, neuron, settled; once each.
    """
    keys = ["layer", "neuron"]
    early = moves[moves["step"] <= step]
    entered = early[[*keys, "after"]].rename(columns={"after": "settled"})
    return pd.concat([_began(moves, now), entered], ignore_index=True).drop_duplicates()


def onsets(layer: int, steps: ArrayLike, contraction: ArrayLike) -> pd.DataFrame:
    """Steps at which neurons contract.

    Parameters
    ----------
    layer
        Their layer.
    steps
        (T,), increasing.
    contraction
        (N, T) of all neurons of the layer, in order.

    Returns
    -------
    DataFrame
        COLUMNS, for the neurons whose smoothed contraction reaches the regimes' threshold
        (`diagnostics.onset`).
    """
    found = diagnostics.onset(steps, contraction, Thresholds().contraction)
    some = np.flatnonzero(np.isfinite(found))
    return pd.DataFrame({"layer": layer, "neuron": some, "event": "onset", "step": found[some].astype(int)})


def _began(moves: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The regime that every neuron had first: the one that its first change left, else the one it has."""
    keys = ["layer", "neuron"]
    changed = moves.sort_values("step", kind="stable").drop_duplicates(keys)[[*keys, "before"]]
    began = now[[*keys, "settled"]].merge(changed, on=keys, how="left")
    return began.assign(settled=began["before"].fillna(began["settled"]).astype(int))[[*keys, "settled"]]
