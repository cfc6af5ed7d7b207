"""From a run to what the components show: replay payload, regime map payload, cards. No widgets here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pages.shell import reading
from pages.shell.components import pack
from pages.shell.state import Opened
from probes.figures import frames
from probes.schema import LIVING_REGIMES, REGIMES

FRAMES = 200  # at 20 frames a second the whole run plays in ten seconds
EVENT_TICKS = 200  # ticks under the replay; more would be a solid bar
REGIME_BYTES = 400_000  # of the regime map: frames are thinned for wide networks
SPARK_POINTS = 60

ORDERS = {"spread": "spread", "sd": "variance", "KL": "kl", "index": None}
"""How ridges can be ordered -> the statistic at the run's last step."""


def per_layer(opened: Opened, column: str) -> np.ndarray:
    """(L, T) of a column of the layer summary, NaN where it was not recorded."""
    table = reading.summary(opened.stamp, opened.run)
    steps, layers = np.asarray(opened.run.steps), len(opened.layers)
    out = np.full((layers, len(steps)), np.nan)
    if column in table:
        out[table["layer"].to_numpy(), np.searchsorted(steps, table["step"].to_numpy())] = table[column].to_numpy(
            dtype=float, na_value=np.nan
        )
    return out


def living_share(opened: Opened) -> np.ndarray:
    """(L, T) share of each layer's neurons that are living or mixed."""
    counts = {regime.code: per_layer(opened, f"regime_{regime.code}") for regime in REGIMES}
    total = np.nansum(list(counts.values()), axis=0)
    living = np.nansum([counts[code] for code in LIVING_REGIMES], axis=0)
    return np.divide(living, total, out=np.full(total.shape, np.nan), where=total > 0)


def replay_payload(
    opened: Opened,
    shown: Sequence[int],
    ridges: int,
    order: str,
    pins: Sequence[tuple[int, int]],
    cursor: int | None,
    exact: int | None = None,
) -> bytes:
    """What the replay draws: `ridges` neurons of each shown layer plus the pinned, over log-spaced frames.

    `cursor` is where it opens (None: at the start, playing), `exact` a step that is among the frames as recorded.
    """
    run, stamp = opened.run, opened.stamp
    steps = np.asarray(run.steps)
    last = reading.at(stamp, run, int(steps[-1]))
    width = {layer: {neuron for one, neuron in pins if one == layer} for layer in shown}
    arrays: dict[str, np.ndarray] = {}
    layers = []
    moving: frames.Frames | None = None
    for place, layer in enumerate(shown):
        now = last[last["layer"] == layer]
        pinned = sorted(neuron for neuron in width[layer] if neuron < opened.layers[layer]["neurons"])
        neurons = _ordered(now, ridges, pinned, order)
        moving = reading.replay_frames(stamp, run, layer, tuple(neurons), FRAMES, exact)
        for name in ("mean", "variance", "spread"):
            arrays[f"{name}.{place}"] = getattr(moving, name)
        layers.append(
            {
                "name": opened.names[layer],
                "index": layer,
                "neurons": neurons,
                "pinned": pinned,
                "count": opened.layers[layer]["neurons"],
            }
        )
    if moving is None:
        raise ValueError("a replay needs at least one layer")
    at = np.searchsorted(steps, moving.steps)
    series = {
        "information": per_layer(opened, "information_mean"),
        "median": per_layer(opened, "variance_p50"),
        "contraction": 1 - per_layer(opened, "variance_mean"),
        "living": living_share(opened),
    }
    for place, layer in enumerate(shown):
        arrays |= {f"{name}.{place}": values[layer][at] for name, values in series.items()}
    header = {
        "view": opened.entry.name,
        "layers": layers,
        "steps": moving.steps.tolist(),
        "width": moving.width.tolist(),
        "cursor": cursor,
        "autoplay": True,
        "events": event_ticks(opened),
    }
    return pack(header, arrays)


def _ordered(now: pd.DataFrame, ridges: int, pinned: list[int], order: str) -> list[int]:
    ids = now["neuron"].to_numpy()

    def column(name: str) -> np.ndarray:
        return now[name].to_numpy(dtype=float, na_value=np.nan) if name in now else np.zeros(len(now))

    chosen = frames.choose_neurons(column("spread"), ridges, pinned)
    key = ORDERS[order]
    if key is None:
        chosen = np.sort(chosen)
    elif key != "spread":
        descending = -1 if key == "kl" else 1
        chosen = chosen[np.argsort(descending * column(key)[chosen], kind="stable")]
    return [int(ids[place]) for place in chosen]


def event_ticks(opened: Opened) -> list[dict[str, Any]]:
    """Steps of alerts and of interventions, one tick a step and kind, thinned evenly if they are many."""
    alerts = np.unique(reading.alerts(opened.stamp, opened.run)["step"].to_numpy(np.int64))
    events = np.unique(opened.run.events()["step"].to_numpy(np.int64))
    return [
        {"step": int(step), "alert": alert}
        for alert, steps in ((False, events), (True, alerts))
        for step in steps[frames.spaced(len(steps), EVENT_TICKS, log=False)]
    ]


def regimes_payload(opened: Opened, chosen: tuple[int, int] | None, cursor: int | None) -> bytes:
    """What the regime map draws: every neuron's regime, one byte a frame."""
    run = opened.run
    total = sum(layer["neurons"] for layer in opened.layers)
    count = int(np.clip(REGIME_BYTES // max(total, 1), 1, FRAMES))
    codes, steps = reading.regime_frames(opened.stamp, run, count)
    header = {
        "view": opened.entry.name,
        "layers": [
            {"name": name, "index": index, "count": layer["neurons"]}
            for index, (name, layer) in enumerate(zip(opened.names, opened.layers, strict=True))
        ],
        "steps": steps.tolist(),
        "cursor": cursor,
        "chosen": None if chosen is None else {"layer": chosen[0], "neuron": chosen[1]},
        "regimes": [
            {"name": r.name, "rule": r.rule, "reading": r.reading, "color": r.color, "living": r.code in LIVING_REGIMES}
            for r in REGIMES
        ],
    }
    return pack(header, {f"regime.{layer}": table for layer, table in enumerate(codes)})


def spark(values: np.ndarray) -> list[float | None]:
    """At most SPARK_POINTS of a series, None for what is not a number."""
    kept = values[frames.spaced(len(values), SPARK_POINTS, log=False)]
    return [float(v) if np.isfinite(v) else None for v in kept]


def number(value: float, digits: int = 3) -> str:
    """A number as a card shows it: three significant digits, thousands apart."""
    if not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
