"""A layer in a few numbers, for trackers that show one curve each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from probes.schema import derivable, evaluate

SUMS = ("kl", "information")
"""Nats: of all neurons."""
MEANS = ("contraction", "active_share")
"""Without a unit: mean over neurons."""


def layer_numbers(columns: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
    """Summary of a layer at some steps.

    Parameters
    ----------
    columns
        Statistics, name -> (T, N).

    Returns
    -------
    dict
        Name -> (T,): kl and information (nats, all neurons), contraction and active_share (means), as far as
        they can be had.
    """
    there = {*columns, *derivable(columns)}
    found = {name: np.asarray(columns[name], float).sum(1) for name in SUMS if name in columns}
    return found | {name: evaluate(name, columns).mean(1) for name in MEANS if name in there}
