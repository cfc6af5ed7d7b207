"""A whole run as the replay draws it where no server answers: in a report, a page of its own, a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from probes import canvas
from probes.analysis.layer_quantiles import summary_with_derived
from probes.canvas import replay_arrays, replay_neurons, replay_shapes
from probes.errors import RunError
from probes.figures import frames
from probes.run_reader import RunReader
from probes.spacing import evenly_spaced

LAYERS, FRAMES = 6, 110


def payload(
    run: RunReader,
    layers: Sequence[int] | None = None,
    count: int = replay_neurons.RIDGES,
    pinned: Sequence[tuple[int, int]] = (),
    step: int | None = None,
    *,
    summary: pd.DataFrame | None = None,
    alerts: pd.DataFrame | None = None,
) -> bytes:
    """What the replay draws (`probes.canvas.pack`).

    Parameters
    ----------
    run
        With recorded distributions.
    layers
        Indices from 0; by default LAYERS of them, evenly spaced in depth.
    count
        Neurons of a layer: the most contracted and some that stayed at their prior.
    pinned
        Indices (layer, neuron), both from 0, drawn beside those.
    step
        Where the cursor stands; by default at the last step.
    summary, alerts
        `summary_with_derived(run)` and `run.alerts()`, where they are there already.

    Raises
    ------
    RunError
        Where no neuron of these layers was recorded.
    """
    summary = summary_with_derived(run) if summary is None else summary
    alerts = run.alerts() if alerts is None else alerts
    scalars, recorded = run.scalars(), np.asarray(run.steps)
    if layers is None:
        layers = evenly_spaced(len(run.layers), LAYERS).tolist()
    if not len(recorded):
        raise RunError(f"{run.name} has no recorded step yet: there is nothing to replay")
    last = run.at(int(recorded[-1]))
    shown: list[tuple[dict[str, Any], replay_shapes.Track]] = []
    for layer in layers:
        about = run.layers[layer]
        candidates = replay_neurons.Candidates.of(last[last["layer"] == layer], about)
        informative = candidates.most_informative()
        if informative is None:
            continue
        kept = [neuron for of, neuron in pinned if of == layer]
        single = replay_shapes.has_ridges(about)
        chosen = replay_neurons.choose(candidates, count=count, pinned=kept)
        ridges = [int(n) for n in candidates.ids[chosen]] if single else []
        entry = {
            "name": str(about["name"]), "index": layer, "depth": len(run.layers),
            "neurons": ridges, "pinned": kept if single else [], "selected": None,
            "informative": int(candidates.ids[informative]) if single else None, "count": about["neurons"],
            "run": run.name, "side": 0, "last": int(recorded[-1]),
        }  # fmt: skip
        track = replay_shapes.track(run, layer, ridges, FRAMES)
        if (shape := track.shape()) is not None:
            entry["shape"] = shape
        shown.append((entry, track))
    if not shown:
        raise RunError(f"{run.name} holds no distributions of neurons: there is nothing to replay")
    steps = frames.timeline([found.steps for _, found in shown], FRAMES)
    series = replay_arrays.layer_series(summary, recorded, run.layers)
    arrays: dict[str, np.ndarray] = {}
    for place, (entry, found) in enumerate(shown):
        layer = entry["index"]
        drawn = found.arrays(steps) | replay_arrays.series_at(series, layer, recorded, steps)
        drawn |= replay_shapes.typical_series(summary, run.layers[layer], layer, steps)
        arrays |= {f"{name}.{place}": values for name, values in drawn.items()}
    score = replay_arrays.shown_score(scalars)
    if score is not None:
        arrays["score.0"] = replay_arrays.score_at(scalars, score, steps)
    header = {
        "view": run.name,
        "layers": [entry for entry, _ in shown],
        "steps": steps.tolist(),
        "cursor": step,
        "autoplay": False,
        "input": None,
        "chosen": replay_neurons.chosen_words([entry for entry, _ in shown], count=count),
        "trail": True,
        "speed": "1",
        "score": None if score is None else replay_arrays.score_label(score),
        "events": replay_arrays.event_ticks(run.events(), alerts),
    }
    return canvas.pack(header, arrays)
