"""Slopes and their intervals from the sums over pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from probes.diagnostics import student_quantile

# of a mean's size: movement below it is arithmetic, not the neuron's
ROUNDING = 4 * torch.finfo(torch.float32).eps
# pairs or blocks of equal share in the movement that an interval needs; 2 themselves may round down
LEAST_EFFECTIVE = 2 - 1e-4


def slopes(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Slope of values on their predecessors, with its interval.

    Parameters
    ----------
    sums
        `sufficient_statistics()` of one step, or each stacked over steps: (T, N, K), (T, N) and (T,).

    Returns
    -------
    dict
        `persistence` φ̂, `persistence_low`, `persistence_high` (95 %), `innovation`, each (..., N), NaN where
        undefined: a mean that does not move (beyond the rounding of its own size), or fewer than one residual
        degree of freedom, pairs − series − 1. The interval alone is NaN where it is that of fewer than two
        pairs, or blocks, of equal share in the movement: 1 / Σ a² < 2. Of `BlockPairs` also
        `persistence_blocks`, their number.

    Notes
    -----
    φ̂ ± t sqrt(Σ (score / Σ x²)²), the score of a pair being Σ_k x_k e_k. Pairs: times n / (n − series − 1)
    (HC1, MacKinnon & White 1985), and t has 1 / Σ a² degrees of freedom, a = x² / Σ x² a pair's share of the
    movement: as many as carry the slope (after Satterthwaite 1946). Blocks: times G / (G − 1), and t has
    G − 1.

    For K > 1 the slope is pooled over dimensions (each weighs by its own movement), the innovation is the
    mean over dimensions, and score and share are of the pair: its dimensions need not be independent.
    """
    pairs, dimensions = sums["pairs"][..., None], sums["xx"].shape[-1]
    xx, xy, yy = (sums[name].sum(-1) for name in ("xx", "xy", "yy"))
    still = ((ROUNDING * sums["level"]) ** 2).sum(-1) * pairs
    xx = torch.where(xx > still, xx, math.nan)
    residual = pairs - sums["groups"][..., None] - 1
    residual = torch.where(residual >= 1, residual, math.nan)
    slope = xy / xx + 0 * residual
    effective = 1 / sums["shares"]  # pairs or blocks that carry the slope
    result = {
        "persistence": slope,
        "innovation": (yy - slope * xy).clamp_min(0) / (dimensions * residual),
    }
    if "blocks" in sums:
        blocks = result["persistence_blocks"] = sums["blocks"][..., None].expand_as(slope)
        freedom, correction = blocks - 1, blocks / (blocks - 1)
    else:
        freedom, correction = effective, pairs / residual
    freedom = torch.where(effective >= LEAST_EFFECTIVE, freedom, math.nan)
    half = student_quantile(freedom) * (correction * sums["scores"]).sqrt()
    return result | {"persistence_low": slope - half, "persistence_high": slope + half}
