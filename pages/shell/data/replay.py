"""From runs to what the replay draws: ridges of one run or of two beside each other, under one cursor. No
widgets here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pages.shell.data import payloads
from pages.shell.data.neuron_search import families
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.analysis.neuron_query import parse
from probes.canvas import pack, replay_arrays, replay_neurons, replay_shapes
from probes.families import family_of
from probes.families.gaussian import Gaussian
from probes.figures import frames
from probes.spacing import evenly_spaced, log_spaced_steps

COLUMNS = 6  # layers side by side unless more are asked for: beyond, ridges become too narrow to compare
RUNS_KEPT = 8  # of whose layers series are kept
LAYERS_KEPT = 48  # of any runs, whose neurons have been ranked

ORDERS = {"sd": None, "spread": "spread", "KL": "kl", "index": "neuron"}
"""How ridges can be ordered -> the statistic at the run's last step; by sd they come as they are chosen."""
RISING = ("neuron",)  # of these the smallest comes first
SPEEDS = ("0.25", "0.5", "1", "2", "4", "8", "skip")
"""How fast it plays; "skip" hurries over what does not move."""


@dataclass(frozen=True)
class Choice:
    """Which neurons of each layer are drawn, in which order, and how it plays.

    `show`: of `replay_neurons.SHOWS`; `query`: the search of "found"; `trail`: whether earlier steps stand
    behind the present one; `probe_input`: that input's exact posteriors instead of the batch's moments, at
    the steps at which they were stored.
    """

    show: str = "contracted"
    count: int = replay_neurons.RIDGES
    order: str = "sd"
    query: str = ""
    trail: bool = True
    speed: str = "1"
    probe_input: int | None = None


@dataclass(frozen=True)
class Side:
    """One run of the replay: which layers of it are shown, which neurons (layer, neuron) are pinned, which
    one is looked at.
    """

    context: RunContext
    layers: Sequence[int]
    pins: Sequence[tuple[int, int]]
    selected: tuple[int, int] | None = None
    exact: int | None = None
    """A step that is among the frames as recorded, where others may be means of several steps."""


def layers_at_first(context: RunContext, runs: int) -> list[int]:
    """Layers that are shown of a run that has more than fit side by side, beside as many runs."""
    return evenly_spaced(len(context.names), COLUMNS // runs).tolist()


def has_ridges(context: RunContext, layer: int) -> bool:
    """Whether its neurons have a ridge each: a code book is one picture."""
    return replay_shapes.has_ridges(context.layers[layer])


def last_step(contexts: Sequence[RunContext]) -> int:
    """The last recorded step of any of the runs."""
    return max(int(context.run.steps[-1]) for context in contexts)


def exact_step(context: RunContext, cursor: int | None, opens_at: int | None) -> int | None:
    """The recorded step that is sent as it is: long runs are drawn from means of steps while they play, and
    exactly where the cursor rests.
    """
    at = cursor if cursor is not None and len(context.run.steps) > frames.RAW_STEPS else opens_at
    return None if at is None else cache.recorded_step(context.run.steps, at)


def payload(sides: Sequence[Side], choice: Choice, cursor: int | None, autoplay: bool = True) -> bytes:
    """What the replay draws: the chosen neurons of each shown layer over log-spaced frames.

    `cursor` is where it opens (None: at the start, playing, or without `autoplay` at its end).
    """
    chosen = [(side, layer, neurons(side, layer, choice)) for side in sides for layer in side.layers]
    if not chosen:
        raise ValueError("a replay needs at least one layer")
    tracks = [_track(side, layer, drawn, choice.probe_input) for side, layer, drawn in chosen]
    steps = frames.timeline(
        [found.steps for found in tracks],
        payloads.FRAMES,
        [s.exact for s in sides if s.exact is not None],
    )
    arrays: dict[str, np.ndarray] = {}
    layers = []
    for place, ((side, layer, drawn), found) in enumerate(zip(chosen, tracks, strict=True)):
        arrays |= {f"{name}.{place}": values for name, values in found.arrays(steps).items()}
        arrays |= {f"{name}.{place}": values for name, values in _typical(side.context, layer, steps).items()}
        arrays |= {
            f"{name}.{place}": values
            for name, values in _series(side.context, layer, steps, choice.probe_input).items()
        }
        layers.append(
            {
                "name": side.context.names[layer], "index": layer, "depth": len(side.context.names),
                "neurons": drawn,
                "run": side.context.entry.name,
                "side": sides.index(side), "pinned": [neuron for one, neuron in side.pins if one == layer],
                "selected": side.selected[1] if side.selected and side.selected[0] == layer else None,
                "informative": most_informative(side, layer),
                "count": side.context.layers[layer]["neurons"], "last": int(side.context.run.steps[-1]),
                **({} if (shape := found.shape()) is None else {"shape": shape}),
            }
        )  # fmt: skip
    score = replay_arrays.shown_score(cache.scalars(sides[0].context))
    if score is not None:
        for place, side in enumerate(sides):
            arrays[f"score.{place}"] = replay_arrays.score_at(cache.scalars(side.context), score, steps)
    header = {
        "view": "\n".join(side.context.entry.name for side in sides),
        "layers": layers,
        "steps": steps.tolist(),
        "width": _widths(tracks, steps).tolist(),
        "cursor": None if cursor is None else cache.recorded_step(steps, cursor),
        "autoplay": autoplay,
        "input": choice.probe_input,
        "chosen": replay_neurons.chosen_words(layers, choice.show, choice.count, choice.query),
        "trail": choice.trail,
        "speed": choice.speed,
        "score": None if score is None else replay_arrays.score_label(score),
        "events": event_ticks(sides[0].context),
    }
    return pack(header, arrays)


def table(sides: Sequence[Side], choice: Choice) -> pd.DataFrame:
    """What the ridges are drawn from, one row a frame and neuron; `width`: recorded steps that a frame is the
    mean of.
    """
    parts = []
    for side in sides:
        for layer in side.layers:
            drawn = neurons(side, layer, choice)
            found = _track(side, layer, drawn, choice.probe_input)
            columns = replay_shapes.columns(found)
            count = len(drawn) or next(iter(columns.values())).shape[1]
            parts.append(
                pd.DataFrame(
                    {
                        "run": side.context.entry.name, "layer": side.context.names[layer],
                        "neuron": np.tile(drawn or np.arange(count), len(found.steps)),
                        "step": np.repeat(found.steps, count), "width": np.repeat(found.width, count),
                        **{name: values.ravel() for name, values in columns.items()},
                    }
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def probe_inputs(sides: Sequence[Side]) -> int:
    """How many probe inputs all sides have stored posteriors of; 0 if one has none."""
    counts = [cache.probe_inputs(side.context) | cache.parameter_inputs(side.context) for side in sides]
    return min(
        (
            found.get(layer, 0)
            for side, found in zip(sides, counts, strict=True)
            for layer in side.layers
            if side.context.layers[layer].get("family") != "codes"
        ),
        default=0,
    )


def neurons(side: Side, layer: int, choice: Choice) -> list[int]:
    """The neurons of a layer that are drawn, from the top; none of a code book, which is one picture."""
    if not has_ridges(side.context, layer):
        return []
    candidates = _candidates(side.context, layer)
    asked = found_in(side.context, choice.query) if choice.show == "found" else []
    always = [*side.pins, side.selected] if side.selected else side.pins
    places = replay_neurons.choose(
        candidates,
        choice.show,
        choice.count,
        pinned=[neuron for one, neuron in always if one == layer],
        found=[neuron for one, neuron in asked if one == layer],
        change=_ways(side.context, layer) if choice.show == "changed" else None,
    )
    key = ORDERS[choice.order]
    if key is not None and key in ("neuron", *side.context.run.statistics):
        read = () if key == "neuron" else (key,)
        values = _last(side.context, layer, read)[key].to_numpy(float)[places]
        places = places[np.argsort(values if key in RISING else -values, kind="stable")]
    return [int(neuron) for neuron in candidates.ids[places]]


def most_informative(side: Side, layer: int) -> int | None:
    """The neuron of a layer that holds most of its input at the last step."""
    if not has_ridges(side.context, layer):
        return None
    candidates = _candidates(side.context, layer)
    place = candidates.most_informative()
    return None if place is None else int(candidates.ids[place])


def found_in(context: RunContext, query: str) -> list[tuple[int, int]]:
    """(layer, neuron) that a search finds at the last step, in its order.

    Raises QueryError where it cannot be understood.
    """
    asked = parse(query, context.names, context.run.available, families=families(context))
    rows = asked.select(cache.at(context, int(context.run.steps[-1]), ("settled", *context.run.available)))
    return list(zip(rows["layer"].tolist(), rows["neuron"].tolist(), strict=True))


def _last(context: RunContext, layer: int, statistics: tuple[str, ...]) -> pd.DataFrame:
    rows = cache.at(context, int(context.run.steps[-1]), statistics)
    return rows[rows["layer"] == layer]


@cache.of_run("neurons", keep=LAYERS_KEPT)
def _candidates(context: RunContext, layer: int) -> replay_neurons.Candidates:
    names = [name for name in replay_neurons.READ if name in context.run.statistics]
    return replay_neurons.Candidates.of(_last(context, layer, tuple(names)), context.layers[layer])


@cache.of_run("neurons", keep=LAYERS_KEPT)
def _ways(context: RunContext, layer: int) -> np.ndarray:
    steps = np.asarray(context.run.steps)
    names = tuple(name for name in replay_neurons.READ if name in context.run.statistics)
    tables = [
        cache.at(context, int(step), names)
        for step in steps[log_spaced_steps(steps, replay_neurons.CHANGE_STEPS)]
    ]
    ids = _candidates(context, layer).ids
    return replay_neurons.ways([rows[rows["layer"] == layer] for rows in tables], ids, context.layers[layer])


def _track(side: Side, layer: int, neurons: list[int], probe_input: int | None) -> replay_shapes.Track:
    """The ridges of a layer by its family."""
    about = side.context.layers[layer]
    if isinstance(family_of(about), Gaussian):
        return replay_shapes.Gaussians(_frames(side, layer, neurons, probe_input))
    if not replay_shapes.has_ridges(about):
        return cache.code_book(side.context, layer, payloads.FRAMES)
    rows = cache.replay_rows(side.context, layer, tuple(neurons), payloads.FRAMES)
    if side.exact is not None and side.exact not in rows.steps[rows.width == 1]:
        names = tuple(name for name in replay_shapes.READ if name in side.context.run.statistics)
        table = cache.at(side.context, side.exact, names)
        rows = rows.with_step(side.exact, table[table["layer"] == layer], neurons)
    kept = cache.replay_stored(side.context, layer, tuple(neurons))
    return replay_shapes.Shapes(about, rows, kept, probe_input)


def _widths(tracks: Sequence[replay_shapes.Track], steps: np.ndarray) -> np.ndarray:
    """(F,) recorded steps that a frame of the first layer is the mean of."""
    first = tracks[0]
    return first.width[np.maximum(np.searchsorted(first.steps, steps, side="right") - 1, 0)]


def _typical(context: RunContext, layer: int, steps: np.ndarray) -> dict[str, np.ndarray]:
    return replay_shapes.typical_series(cache.summary(context), context.layers[layer], layer, steps)


def _frames(side: Side, layer: int, neurons: list[int], probe_input: int | None) -> frames.Frames:
    context = side.context
    if probe_input is None:
        found = cache.replay_frames(context, layer, tuple(neurons), payloads.FRAMES)
        if side.exact is None or side.exact in found.steps[found.width == 1]:
            return found
        names = tuple(name for name in frames.READ if name in context.run.statistics)
        rows = cache.at(context, side.exact, names)
        return frames.with_step(found, side.exact, rows[rows["layer"] == layer], neurons)
    steps, mu, sigma = cache.probe_input(context, probe_input)[layer]
    prior = frames.prior_of(context.run, layer, neurons, steps)
    return frames.probe_frames(steps, mu[:, neurons], sigma[:, neurons], prior)


def _series(
    context: RunContext, layer: int, steps: np.ndarray, probe_input: int | None
) -> dict[str, np.ndarray]:
    """What is written over a layer's ridges and in the strip, at the recorded step at or before each
    frame.
    """
    found = replay_arrays.series_at(_layer_series(context), layer, np.asarray(context.run.steps), steps)
    if probe_input is not None and isinstance(family_of(context.layers[layer]), Gaussian):
        when, mu, sigma = cache.probe_input(context, probe_input)[layer]
        neurons = list(range(sigma.shape[1]))
        prior = frames.prior_of(context.run, layer, neurons, when)
        variance = frames.probe_frames(when, mu, sigma, prior).variance.astype(np.float64)
        stored = np.maximum(np.searchsorted(when, steps, side="right") - 1, 0)
        found |= {
            "median": np.median(variance, axis=1)[stored],
            "contraction": 1 - variance.mean(axis=1)[stored],
        }
    return found


@cache.of_run("neurons", keep=RUNS_KEPT)
def _layer_series(context: RunContext) -> dict[str, np.ndarray]:
    summary, steps = cache.summary(context), np.asarray(context.run.steps)
    return replay_arrays.layer_series(summary, steps, context.layers)


def event_ticks(context: RunContext) -> list[dict[str, Any]]:
    """Steps of alerts and of interventions, one tick a step and kind, thinned evenly if they are many."""
    return replay_arrays.event_ticks(cache.events(context), cache.alerts(context))
