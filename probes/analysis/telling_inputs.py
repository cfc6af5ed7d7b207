"""Which inputs of the probe batch a neuron answers to most."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

GROUPS = {
    "highest mean": ("mu", -1),
    "lowest mean": ("mu", 1),
    "widest posterior": ("sigma", -1),
    "most informative": ("information", -1),
}
"""Name of a group -> what its inputs are first in, and the sign of the order."""


def telling_inputs(mu: ArrayLike, sigma: ArrayLike, most: int = 8) -> pd.DataFrame:
    """Inputs at the ends of a neuron's answers.

    Parameters
    ----------
    mu, sigma : (B,) array
        The neuron's posterior of each input.
    most : int
        Inputs of each group.

    Returns
    -------
    pandas.DataFrame
        As `ranked` gives it by `GROUPS`, of mu, sigma, information (nats). Inputs whose posterior is not
        finite are left out.

    Notes
    -----
    An input's information is KL(q_b || q~), with q~ the Gaussian that has the mean and the variance of the
    aggregate over the batch: its mean over inputs is the neuron's information.
    """
    table = pd.DataFrame({"mu": np.asarray(mu, float), "sigma": np.asarray(sigma, float)})
    table = table[np.isfinite(table["mu"]) & np.isfinite(table["sigma"]) & (table["sigma"] > 0)]
    centre = table["mu"].mean()
    variance = (table["sigma"] ** 2 + (table["mu"] - centre) ** 2).mean()
    ratio = table["sigma"] ** 2 / variance
    table["information"] = 0.5 * (ratio + (table["mu"] - centre) ** 2 / variance - 1 - np.log(ratio))
    return ranked(table, GROUPS, most)


def ranked(table: pd.DataFrame, groups: Mapping[str, tuple[str, int]], most: int = 8) -> pd.DataFrame:
    """The first inputs of each of some orders.

    Parameters
    ----------
    table : pandas.DataFrame
        One row an input, whose number is its index.
    groups : mapping
        Name of a group -> the column that it is in the order of, and the sign of the order.
    most : int
        Inputs of each group.

    Returns
    -------
    pandas.DataFrame
        Columns group, rank (from 0), input, value (of the group's column), and those of the table. A group of
        equal values has its first inputs; what is not finite is left out of it.
    """
    parts = []
    for group, (column, sign) in groups.items():
        known = table[np.isfinite(table[column])]
        part = known.iloc[np.argsort(sign * known[column].to_numpy(), kind="stable")[:most]]
        first = {"group": group, "rank": np.arange(len(part)), "input": part.index, "value": part[column]}
        parts.append(pd.concat([pd.DataFrame(first, index=part.index), part], axis=1))
    return pd.concat(parts, ignore_index=True)
