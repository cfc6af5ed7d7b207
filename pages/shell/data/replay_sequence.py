"""From a run to the replay along its probe sequence: beliefs at one step of training, position by position.
No widgets here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pages.shell.data import replay, sequence
from pages.shell.session import cache
from probes.analysis.layer_families import is_gaussian
from probes.canvas import pack, replay_arrays, replay_neurons
from probes.figures import frames


def payload(side: replay.Side, choice: replay.Choice, step: int, t: int | None) -> bytes:
    """What the replay draws: the chosen neurons' Normal(m, V) of each shown layer at each position.

    `step`: at which the sequence was stored. `t`: the position that it opens on (None: it plays from the
    start).
    """
    context = side.context
    found = sequence.paths(context, step)
    shown = _drawn(side, found)
    length = len(found[shown[0]].m)
    names = ["␣" if label == " " else sequence.sign(label) for label in sequence.labels(context, length)]
    arrays: dict[str, np.ndarray] = {}
    layers: list[dict[str, Any]] = []
    for place, layer in enumerate(shown):
        drawn, path = replay.neurons(side, layer, choice), found[layer]
        arrays |= {f"{name}.{place}": values for name, values in _ridges(path, drawn).items()}
        arrays |= {
            f"median.{place}": np.median(path.V, axis=1),
            f"contraction.{place}": 1 - path.V.mean(1),
            f"living.{place}": np.full(length, np.nan),
        }
        layers.append(
            {
                "name": context.names[layer], "index": layer, "depth": len(context.names), "neurons": drawn,
                "run": context.entry.name, "side": 0,
                "pinned": [neuron for one, neuron in side.pins if one == layer],
                "informative": replay.most_informative(side, layer),
                "count": context.layers[layer]["neurons"], "last": length - 1,
            }
        )  # fmt: skip
    table = sequence.predictions(context, step)
    if "nll" in table:
        arrays["score.0"] = table["nll"].reindex(range(length)).to_numpy(float)
    header = {
        "view": f"{context.entry.name}\nalong the sequence",
        "layers": layers,
        "steps": list(range(length)),
        "cursor": None if t is None else min(t, length - 1),
        "autoplay": True,
        "input": None,
        "chosen": replay_neurons.chosen_words(layers, choice.show, choice.count, choice.query),
        "trail": choice.trail,
        "speed": choice.speed,
        "score": "Surprise at what came next (nats)" if "nll" in table else None,
        "events": [],
        "along": names,
    }
    return pack(header, arrays)


def _drawn(side: replay.Side, found: dict[int, sequence.LayerPath]) -> list[int]:
    """The shown layers whose beliefs are Gaussians; all that are where none of these is."""
    gaussian = [layer for layer in found if is_gaussian(side.context.layers[layer])]
    return [layer for layer in side.layers if layer in gaussian] or gaussian


def _ridges(path: sequence.LayerPath, drawn: list[int]) -> dict[str, np.ndarray]:
    steps = np.arange(len(path.m))
    shown = frames.probe_frames(steps, path.m[:, drawn], np.sqrt(path.V[:, drawn]))
    return dict(replay_arrays.ridge_arrays(shown))


def table(side: replay.Side, choice: replay.Choice, step: int) -> pd.DataFrame:
    """What the ridges are drawn from, one row a position and neuron."""
    found = sequence.paths(side.context, step)
    parts = []
    for layer in _drawn(side, found):
        drawn, path = replay.neurons(side, layer, choice), found[layer]
        length, count = len(path.m), len(drawn)
        parts.append(
            pd.DataFrame(
                {
                    "layer": side.context.names[layer],
                    "neuron": np.tile(drawn, length),
                    "t": np.repeat(np.arange(length), count),
                    "m": path.m[:, drawn].ravel(),
                    "V": path.V[:, drawn].ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def stored_step(side: replay.Side, cursor: int | None) -> int:
    """The stored step at or before the cursor of all pages (None: the last)."""
    steps = cache.sequence_steps(side.context)
    return int(steps[-1]) if cursor is None else sequence.stored_step(side.context, cursor)
