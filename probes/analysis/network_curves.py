"""The whole network in four curves: living share, rate, information and contraction over steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from probes.schema import LIVING_REGIMES, REGIMES

COLUMNS = ("living_share", "rate", "information", "contraction")


def network_curves(summary: pd.DataFrame, widths: Sequence[int]) -> pd.DataFrame:
    """One row a step of `Run.layer_summary()`, indexed by step; `widths` are the layers' neurons.

    living_share: of all recorded neurons, living or mixed. rate and information: nats, summed over neurons.
    contraction: mean over neurons. NaN where a statistic was not recorded; a layer that a step does not have
    counts as absent, not as 0.
    """
    steps = pd.Index(np.unique(summary["step"]), name="step")
    out = pd.DataFrame(np.nan, index=steps, columns=list(COLUMNS))
    if not len(summary):
        return out
    width = np.asarray(widths, float)[summary["layer"].to_numpy()]
    counts = summary[[f"regime_{regime.code}" for regime in REGIMES]]
    living = summary[[f"regime_{code}" for code in LIVING_REGIMES]].sum(axis=1)
    by_step = summary["step"].to_numpy()
    total = counts.sum(axis=1).groupby(by_step).sum()
    out["living_share"] = (living.groupby(by_step).sum() / total.where(total > 0)).reindex(steps)
    for name, column in (
        ("rate", "kl_mean"),
        ("information", "information_mean"),
        ("contraction", "variance_mean"),
    ):
        if column not in summary:
            continue
        values = pd.Series(summary[column].to_numpy(dtype=float, na_value=np.nan) * width)
        added = values.groupby(by_step).sum(min_count=1).reindex(steps)
        if name == "contraction":
            taken = (
                pd.Series(np.where(values.notna(), width, np.nan))
                .groupby(by_step)
                .sum(min_count=1)
                .reindex(steps)
            )
            added = 1 - added / taken
        out[name] = added
    return out
