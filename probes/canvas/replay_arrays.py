"""What the replay draws, as the arrays and header entries that it reads (`replay_data.js`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.analysis.network_curves import without_noise
from probes.diagnostics import living_share_of_counts
from probes.figures import frames
from probes.schema import LIKELIHOODS, LIVING_REGIMES, REGIMES, SCORES, SHARED, UNKNOWN
from probes.spacing import evenly_spaced

EVENT_TICKS = 200  # ticks under the replay; more would be a solid bar

SHOWN_SCORES = tuple((split, name) for split in ("train", "validation") for name in ("loss", *LIKELIHOODS))
"""Scores (split, name) that may stand over the strip: the first that a run has does."""

Series = dict[str, NDArray[np.float64]]


def ridge_arrays(shown: frames.Frames) -> dict[str, NDArray[Any]]:
    """(F, R) mean, sd of the mean posterior, sd of the aggregate, in prior sds; NaN where not recorded."""
    with np.errstate(invalid="ignore"):
        sd, total = np.sqrt(shown.variance), np.sqrt(shown.variance + shown.spread)
    return {name: halved(values) for name, values in {"mean": shown.mean, "sd": sd, "total": total}.items()}


def halved(values: NDArray[Any]) -> NDArray[Any]:
    """Right to one in 2,000: half the bytes, and finer than a pixel; float32 where that cannot hold them."""
    finite = values[np.isfinite(values)]
    fits = not finite.size or np.abs(finite).max() <= np.finfo(np.float16).max
    return values.astype(np.float16) if fits else values


def layer_series(
    summary: pd.DataFrame, steps: NDArray[np.int64], layers: Sequence[Mapping[str, Any]]
) -> Series:
    """(L, T) over a run's recorded steps (T,), from `analysis.layer_quantiles.summary_with_derived`.

    median: of the variances, in units of the stationary prior's. contraction: mean over neurons.
    living: `diagnostics.living_share_of_counts`, NaN also where a layer was not recorded, and of posteriors
    that are the same for every input, of which none is expected to tell something about it.
    """
    place = summary["layer"].to_numpy(), np.searchsorted(steps, summary["step"].to_numpy())

    def column(name: str) -> NDArray[np.float64]:
        out = np.full((len(layers), len(steps)), np.nan)
        if name in summary:
            out[place] = summary[name].to_numpy(dtype=float, na_value=np.nan)
        return out

    counts = {regime.code: column(f"settled_{regime.code}") for regime in REGIMES}
    total = np.nansum(list(counts.values()), axis=0)
    living = np.nansum([counts[code] for code in LIVING_REGIMES], axis=0)
    shares = living_share_of_counts(living, np.nan_to_num(counts[UNKNOWN]), total)
    shares[[layer.get("of") in SHARED for layer in layers]] = np.nan
    return {
        "median": 1 - column("contraction_p50"),
        "contraction": without_noise(column("contraction_mean")),
        "living": shares,
    }


def series_at(series: Series, layer: int, recorded: NDArray[np.int64], steps: NDArray[np.int64]) -> Series:
    """One layer's series (F,) at the recorded step at or before each of `steps`, NaN before the first."""
    at = np.searchsorted(recorded, steps, side="right") - 1
    return {
        name: np.where(at < 0, np.nan, values[layer][np.maximum(at, 0)]) for name, values in series.items()
    }


def shown_score(scalars: pd.DataFrame) -> tuple[str, str] | None:
    """Which score (split, name) stands over the strip; None of a run that has logged none of them."""
    logged = set(zip(scalars["split"], scalars["name"], strict=True))
    return next((score for score in SHOWN_SCORES if score in logged), None)


def score_label(score: tuple[str, str]) -> str:
    """A score's name and unit, as the strip says it."""
    split, name = score
    unit = SCORES[name].short_unit
    return f"{SCORES[name].label}, {split}" + (f" ({unit})" if unit else "")


def score_at(scalars: pd.DataFrame, score: tuple[str, str], steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """A score at `steps` (F,), linear between where it was logged; NaN outside."""
    split, name = score
    rows = scalars[(scalars["split"] == split) & (scalars["name"] == name)]
    rows = rows[np.isfinite(rows["value"])].drop_duplicates("step", keep="last").sort_values("step")
    if rows.empty:
        return np.full(len(steps), np.nan)
    logged, values = rows["step"].to_numpy(), rows["value"].to_numpy(float)
    return np.interp(steps, logged, values, left=np.nan, right=np.nan)


def event_ticks(events: pd.DataFrame, alerts: pd.DataFrame) -> list[dict[str, Any]]:
    """Steps of interventions and of alerts, one tick a step and kind, thinned evenly if they are many."""
    ticks = []
    for table, alert in ((events, False), (alerts, True)):
        steps = np.unique(table["step"].to_numpy(np.int64))
        kept = steps[evenly_spaced(len(steps), EVENT_TICKS)]
        ticks += [{"step": int(step), "alert": alert} for step in kept]
    return ticks
