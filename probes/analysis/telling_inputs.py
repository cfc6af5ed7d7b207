"""Which inputs of the probe batch a neuron answers to most."""

from __future__ import annotations

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
        Columns group (`GROUPS`, in order), rank (from 0), input, mu, sigma, information (nats). Inputs
        whose posterior is not finite are left out; a group of equal values has its first inputs.

    Notes
    -----
    An input's information is KL(q_b || q~), with q~ the Gaussian that has the mean and the variance of the
    aggregate over the batch: its mean over inputs is the neuron's information.
    """
    table = pd.DataFrame({"mu": np.asarray(mu, float), "sigma": np.asarray(sigma, float)})
    table.insert(0, "input", np.arange(len(table)))
    table = table[np.isfinite(table["mu"]) & np.isfinite(table["sigma"]) & (table["sigma"] > 0)]
    centre = table["mu"].mean()
    variance = (table["sigma"] ** 2 + (table["mu"] - centre) ** 2).mean()
    ratio = table["sigma"] ** 2 / variance
    table["information"] = 0.5 * (ratio + (table["mu"] - centre) ** 2 / variance - 1 - np.log(ratio))
    parts = []
    for group, (column, sign) in GROUPS.items():
        part = table.iloc[np.argsort(sign * table[column].to_numpy(), kind="stable")[:most]]
        parts.append(part.assign(group=group, rank=np.arange(len(part))))
    return pd.concat(parts, ignore_index=True)[["group", "rank", "input", "mu", "sigma", "information"]]
