"""Estimates that experiments share, each with the error that it has: means, rank correlation, AUROC, risk
against coverage, reliability.

Windows of one series that overlap are not independent. `groups` (n,) names blocks that are, and errors are
taken over blocks; without it every value is a block of its own. Blocks may be few: intervals are Student's t.
"""

from __future__ import annotations

from probes.experiments.estimates.means import (
    NORMAL_95,
    Estimate,
    Floats,
    clustered_mean,
    degrees_of_freedom,
    half_width,
)
from probes.experiments.estimates.ranks import (
    FEWEST_BLOCKS,
    auroc,
    auroc_gain,
    rank_correlation,
    rank_share,
    spearman,
    split_half_reliability,
)
from probes.experiments.estimates.resamples import (
    bootstrap,
    content_between,
    interval,
    interval_of_few,
    quantiles_of_few,
)
from probes.experiments.estimates.risk import area_under_risk, risk_curve

__all__ = [
    "Estimate",
    "FEWEST_BLOCKS",
    "Floats",
    "NORMAL_95",
    "area_under_risk",
    "auroc",
    "auroc_gain",
    "bootstrap",
    "clustered_mean",
    "content_between",
    "degrees_of_freedom",
    "half_width",
    "interval",
    "interval_of_few",
    "quantiles_of_few",
    "rank_correlation",
    "rank_share",
    "risk_curve",
    "spearman",
    "split_half_reliability",
]
