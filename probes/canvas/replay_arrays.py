"""What the replay draws, as the arrays and header entries that it reads (`replay_data.js`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.figures import frames
from probes.schema import LIVING_REGIMES, REGIMES
from probes.spacing import evenly_spaced

EVENT_TICKS = 200  # ticks under the replay; more would be a solid bar

Series = dict[str, NDArray[np.float64]]


def ridge_arrays(shown: frames.Frames) -> dict[str, NDArray[Any]]:
    """(F, R) mean, sd of the mean posterior, sd of the aggregate, in prior sds; NaN where not recorded."""
    with np.errstate(invalid="ignore"):
        sd, total = np.sqrt(shown.variance), np.sqrt(shown.variance + shown.spread)
    return {name: _halved(values) for name, values in {"mean": shown.mean, "sd": sd, "total": total}.items()}


def _halved(values: NDArray[Any]) -> NDArray[Any]:
    """Right to one in 2,000: half the bytes, and finer than a pixel; float32 where that cannot hold them."""
    finite = values[np.isfinite(values)]
    fits = not finite.size or np.abs(finite).max() <= np.finfo(np.float16).max
    return values.astype(np.float16) if fits else values


def layer_series(summary: pd.DataFrame, steps: NDArray[np.int64], layers: int) -> Series:
    """(L, T) over a run's recorded steps (T,), from `analysis.layer_quantiles.summary_with_derived`.

    information: nats, mean over neurons. median: of the variances, in units of the stationary prior's.
    contraction: mean over neurons.
    living: share of neurons that are living or mixed. NaN where a layer was not recorded.
    """
    place = summary["layer"].to_numpy(), np.searchsorted(steps, summary["step"].to_numpy())

    def column(name: str) -> NDArray[np.float64]:
        out = np.full((layers, len(steps)), np.nan)
        if name in summary:
            out[place] = summary[name].to_numpy(dtype=float, na_value=np.nan)
        return out

    counts = {regime.code: column(f"settled_{regime.code}") for regime in REGIMES}
    total = np.nansum(list(counts.values()), axis=0)
    living = np.nansum([counts[code] for code in LIVING_REGIMES], axis=0)
    return {
        "information": column("information_mean"),
        "median": 1 - column("contraction_p50"),
        "contraction": column("contraction_mean"),
        "living": np.divide(living, total, out=np.full(total.shape, np.nan), where=total > 0),
    }


def series_at(series: Series, layer: int, recorded: NDArray[np.int64], steps: NDArray[np.int64]) -> Series:
    """One layer's series (F,) at the recorded step at or before each of `steps`.

    Outside the run there is no information, so that no line is drawn there.
    """
    at = np.searchsorted(recorded, steps, side="right") - 1
    outside = (at < 0) | (steps > recorded[-1])
    found = {name: values[layer][np.maximum(at, 0)] for name, values in series.items()}
    return found | {"information": np.where(outside, np.nan, found["information"])}


def event_ticks(events: pd.DataFrame, alerts: pd.DataFrame) -> list[dict[str, Any]]:
    """Steps of interventions and of alerts, one tick a step and kind, thinned evenly if they are many."""
    ticks = []
    for table, alert in ((events, False), (alerts, True)):
        steps = np.unique(table["step"].to_numpy(np.int64))
        kept = steps[evenly_spaced(len(steps), EVENT_TICKS)]
        ticks += [{"step": int(step), "alert": alert} for step in kept]
    return ticks
