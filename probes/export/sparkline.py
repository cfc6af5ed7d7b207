"""A number and a course as texts, for pages and notebooks that load no drawing library."""

from __future__ import annotations

import numpy as np

from probes.spacing import evenly_spaced

SPARK_POINTS = 60


def number(value: float) -> str:
    """Three significant digits, thousands apart; a dash for what is not finite."""
    if not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def points(series: np.ndarray) -> str:
    """The finite values of a series as points of a line in a box of 100 x 24; empty for fewer than two."""
    kept = np.asarray(series, float)[evenly_spaced(len(series), SPARK_POINTS)]
    finite = np.isfinite(kept)
    if finite.sum() < 2:
        return ""
    low, high = kept[finite].min(), kept[finite].max()
    y = 22 - 20 * (kept - low) / (high - low if high > low else 1)
    x = 100 * np.arange(len(kept)) / (len(kept) - 1)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[finite], y[finite], strict=True))
