"""From a run to what the components show: regime map, cards. No widgets here; the replay is in `replay`."""

from __future__ import annotations

import numpy as np

from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.canvas import pack
from probes.schema import LIVING_REGIMES, REGIMES
from probes.spacing import evenly_spaced

FRAMES = 200  # at 20 frames a second the whole run plays in ten seconds
REGIME_BYTES = 400_000  # of the regime map: frames are thinned for wide networks
SPARK_POINTS = 60


def frames_held(context: RunContext) -> int:
    """How many recorded steps the regime map holds: fewer the wider the network."""
    total = sum(layer["neurons"] for layer in context.layers)
    return int(np.clip(REGIME_BYTES // max(total, 1), 1, FRAMES))


def regimes_payload(
    context: RunContext,
    chosen: tuple[int, int] | None,
    cursor: int | None,
    revision: int,
    by_regime: bool = False,
) -> bytes:
    """What the regime map draws: every neuron's regime, one byte a frame. `revision` counts the changes of
    cursor and choice that the map did not make itself; `by_regime`: tiles stand in order of their regimes.
    """
    codes, steps = cache.regime_frames(context, frames_held(context))
    header = {
        "layers": [
            {"name": name, "index": index, "count": layer["neurons"]}
            for index, (name, layer) in enumerate(zip(context.names, context.layers, strict=True))
        ],
        "steps": steps.tolist(),
        "cursor": cursor,
        "revision": revision,
        "sorted": by_regime,
        "chosen": None if chosen is None else {"layer": chosen[0], "neuron": chosen[1]},
        "regimes": [
            {
                "name": r.name,
                "rule": r.rule,
                "reading": r.reading,
                "color": r.color,
                "living": r.code in LIVING_REGIMES,
            }
            for r in REGIMES
        ],
    }
    return pack(header, {f"regime.{layer}": table for layer, table in enumerate(codes)})


def spark(values: np.ndarray) -> list[float | None]:
    """At most SPARK_POINTS of a series, None for what is not a number."""
    points = values[evenly_spaced(len(values), SPARK_POINTS)]
    return [float(v) if np.isfinite(v) else None for v in points]


def number(value: float, digits: int = 3) -> str:
    """A number as a card shows it: three significant digits, thousands apart."""
    if not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
