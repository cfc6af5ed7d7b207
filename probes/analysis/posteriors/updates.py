"""How far posteriors move from one recorded step to the next, on the same inputs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from probes.analysis.posteriors.probe_rows import Floats, checked, table


def update_speed(
    mu: ArrayLike, sigma: ArrayLike, previous_mu: ArrayLike, previous_sigma: ArrayLike
) -> tuple[Floats, Floats]:
    """How far posteriors have moved on the same inputs.

    Parameters
    ----------
    mu, sigma
        (B, N) now.
    previous_mu, previous_sigma
        (B, N) before.

    Returns
    -------
    tuple of ndarray
        KL(q || q_previous), nats, and squared Wasserstein-2, prior sd^2: (N,) each, means over inputs.

    Raises
    ------
    ValueError
        For shapes that differ.

    Notes
    -----
    W2^2 = (mu - mu')^2 + (sigma - sigma')^2 for Gaussians.
    """
    m, s = checked(mu, sigma)
    m0, s0 = checked(previous_mu, previous_sigma)
    if m.shape != m0.shape:
        raise ValueError(
            f"posteriors of {m.shape} and {m0.shape} inputs and neurons: they must be on the same ones"
        )
    kl = 0.5 * (((m - m0) ** 2 + s**2) / s0**2 - 1) - np.log(s / s0)
    return kl.mean(0), ((m - m0) ** 2 + (s - s0) ** 2).mean(0)


def drift(probes: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """`update_speed` between consecutive recorded probe steps.

    Parameters
    ----------
    probes
        Step -> `Run.probe(step)`.

    Returns
    -------
    DataFrame
        step, previous, layer, neuron, update_kl (nats), wasserstein2 (prior sd^2). Both are per interval,
        whatever its length: divide by step - previous for a speed.
    """
    rows = []
    steps = sorted(probes)
    for before, after in zip(steps, steps[1:], strict=False):
        for layer in sorted(probes[after]["layer"].unique()):
            kl, moved = update_speed(*table(probes[after], layer), *table(probes[before], layer))
            part = pd.DataFrame({"neuron": np.arange(len(kl)), "update_kl": kl, "wasserstein2": moved})
            rows.append(part.assign(step=after, previous=before, layer=layer))
    names = ["step", "previous", "layer", "neuron", "update_kl", "wasserstein2"]
    return pd.concat(rows, ignore_index=True)[names] if rows else pd.DataFrame(columns=names)
