"""The whole network in four curves: living share, rate, information and contraction over steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from probes.diagnostics import living_share_of_counts
from probes.schema import LIVING_REGIMES, REGIMES, UNKNOWN, evaluate

ROUNDING = 1e-6  # of a contraction: float32 leaves so much of a neuron at its prior
COLUMNS = ("living_share", "unknown", "rate", "information", "contraction")


def network_curves(summary: pd.DataFrame, widths: Sequence[int]) -> pd.DataFrame:
    """One row a step: living share, rate, information and contraction of the whole network.

    Parameters
    ----------
    summary
        `Run.layer_summary()`.
    widths
        The layers' neurons.

    Returns
    -------
    DataFrame
        Indexed by step. living_share: of the recorded neurons whose regime is known, living or mixed; a layer
        of which half are unknown is left out. unknown: neurons that it leaves out. rate and information:
        nats, summed over neurons. contraction: mean over neurons; where a layer's neurons have priors of
        different widths only if the summary holds it (`layer_quantiles.summary_with_derived`). NaN where a
        statistic was not recorded; a layer that a step does not have counts as absent, not as 0.
    """
    steps = pd.Index(np.unique(summary["step"]), name="step")
    out = pd.DataFrame(np.nan, index=steps, columns=list(COLUMNS))
    if not len(summary):
        return out
    width = np.asarray(widths, float)[summary["layer"].to_numpy()]
    names = [f"settled_{regime.code}" for regime in REGIMES]
    counts = summary[summary.columns.intersection(names)].fillna(0)
    living = summary[[f"settled_{code}" for code in LIVING_REGIMES]].sum(axis=1)
    unknown = counts.get(f"settled_{UNKNOWN}", pd.Series(0, counts.index))
    by_step = summary["step"].to_numpy()
    neurons = counts.sum(axis=1)
    told = living_share_of_counts(living, unknown, neurons) >= 0  # layers that are told of
    known = (neurons - unknown).where(told, 0).groupby(by_step).sum()
    share = living.where(told, 0).groupby(by_step).sum() / known.where(known > 0)
    out["living_share"] = share.reindex(steps)
    out["unknown"] = (neurons.groupby(by_step).sum() - known).reindex(steps)
    for name, statistic, over in (
        ("rate", "kl", None),
        ("information", "information", None),
        ("contraction", "contraction", width),
    ):
        try:
            values = pd.Series(evaluate(statistic, summary, "mean") * width)
        except KeyError:
            continue
        added = values.groupby(by_step).sum(min_count=1).reindex(steps)
        if over is not None:  # a mean over the neurons of the layers that were taken
            taken = pd.Series(np.where(values.notna(), over, np.nan))
            added /= taken.groupby(by_step).sum(min_count=1).reindex(steps)
        out[name] = added
    out["contraction"] = without_noise(out["contraction"])
    return out


def without_noise(contraction: ArrayLike) -> NDArray[np.float64]:
    """Contraction with 0 for what float32 leaves of a neuron that is at its prior.

    Parameters
    ----------
    contraction
        Of any neurons or layers.
    """
    values = np.asarray(contraction, np.float64)
    return np.where(np.abs(values) <= ROUNDING, 0.0, values)
