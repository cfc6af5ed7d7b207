"""Arrays for the pictures that are drawn in the browser: replay frames, regime maps, heatmap images.

No plotly here: a canvas draws them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.families.gaussian import GAUSSIAN
from probes.run_reader import RunReader
from probes.schema import STATISTICS
from probes.spacing import log_spaced_steps

Floats = NDArray[np.float32]

RAW_STEPS = 2048
"""Up to so many recorded steps the frames are read exactly; beyond, from the pyramid, octave by octave."""


@dataclass(frozen=True)
class Frames:
    """Distributions of chosen neurons of one layer: `steps` (F,), `mean`, `variance`, `spread` (F, R),
    `width` (F,).

    Told against the stationary prior: in units of its standard deviation, from its mean. `width` is how many
    recorded steps a frame is the mean of: 1 is exact.
    """

    steps: NDArray[np.int64]
    mean: Floats
    variance: Floats
    spread: Floats
    width: NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Statistics of chosen neurons of one layer as recorded: `steps` (F,), `values` name -> (F, R), NaN where
    one was not recorded, and `width` (F,) as of `Frames`.
    """

    steps: NDArray[np.int64]
    values: Mapping[str, Floats]
    width: NDArray[np.int64]

    def at(self, steps: NDArray[np.int64]) -> Rows:
        """The rows that hold at each of `steps`: the last at or before it, NaN before the first."""
        place = np.searchsorted(self.steps, steps, side="right") - 1
        early = place < 0
        place = np.maximum(place, 0)
        values = {
            name: np.where(early[:, None], np.float32("nan"), held[place])
            for name, held in self.values.items()
        }
        return Rows(steps, values, self.width[place])

    def with_step(self, step: int, rows: pd.DataFrame, neurons: Sequence[int]) -> Rows:
        """These, and among them `step` as it was recorded: `rows` are the layer's at that step, with `neuron`
        and statistics.
        """
        shown = rows.set_index("neuron").reindex(list(neurons))
        place, stay = int(np.searchsorted(self.steps, step)), self.steps != step
        values = {
            name: np.insert(held[stay], place, _column(shown, name), axis=0)
            for name, held in self.values.items()
        }
        return Rows(np.insert(self.steps[stay], place, step), values, np.insert(self.width[stay], place, 1))


SHOWN = ("mean", "variance", "spread")
PRIOR = ("whitened_mean", "prior_variance", "phi")
READ = (*SHOWN, *PRIOR)
"""Statistics that frames are made of; those of the prior are absent where it is Normal(0, 1)."""


def replay_frames(run: RunReader, layer: int, neurons: Sequence[int], frames: int) -> Frames:
    """Log-spaced frames of one layer's neurons, in the order given. Statistics that the run lacks are NaN.

    The first step and the last are among the frames as they were recorded, where others may be means of
    several steps. Runs of up to RAW_STEPS recorded steps are exact throughout; a run without any has no
    frames.
    """
    return told(replay_rows(run, layer, neurons, frames, READ))


def replay_rows(
    run: RunReader, layer: int, neurons: Sequence[int], frames: int, names: Sequence[str]
) -> Rows:
    """As `replay_frames`, statistics of any family as they were recorded."""
    recorded = np.asarray(run.steps)
    if not len(recorded):
        nothing = np.zeros((0, len(neurons)), np.float32)
        return Rows(np.zeros(0, np.int64), dict.fromkeys(names, nothing), np.zeros(0, np.int64))
    wanted = log_spaced_steps(recorded, frames)
    single = sorted({0, len(recorded) - 1})
    if len(recorded) <= RAW_STEPS:
        exact = recorded[np.union1d(wanted, single).astype(np.int64)]
        return _read(run, layer, neurons, names, exact, None, recorded)
    parts = [_read(run, layer, neurons, names, recorded[[i]], None, recorded[i : i + 1]) for i in single]
    low = 0
    while low < len(recorded):
        high = min(max(2 * low, RAW_STEPS // 8), len(recorded))
        inside = wanted[(wanted >= low) & (wanted < high)]
        if inside.size:
            parts.append(
                _read(run, layer, neurons, names, recorded[inside], int(inside.size), recorded[low:high])
            )
        low = high
    steps, first = np.unique(np.concatenate([part.steps for part in parts]), return_index=True)
    values = {name: np.concatenate([part.values[name] for part in parts])[first] for name in names}
    return Rows(steps, values, np.concatenate([part.width for part in parts])[first])


def told(rows: Rows) -> Frames:
    """What was recorded of a Gaussian layer, told against its prior; `rows` hold READ."""
    return Frames(rows.steps, width=rows.width, **against_prior(rows.values))


def with_step(found: Frames, step: int, rows: pd.DataFrame, neurons: Sequence[int]) -> Frames:
    """The frames, and among them `step` as it was recorded: `rows` are the layer's at that step, with
    `neuron` and statistics.
    """
    shown = rows.set_index("neuron").reindex(list(neurons))
    own = against_prior({name: _column(shown, name) for name in READ})
    place = int(np.searchsorted(found.steps, step))
    stay = found.steps != step
    out = {}
    for name in SHOWN:
        out[name] = np.insert(getattr(found, name)[stay], place, own[name], axis=0)
    return Frames(
        steps=np.insert(found.steps[stay], place, step), width=np.insert(found.width[stay], place, 1), **out
    )


def _read(
    run: RunReader,
    layer: int,
    neurons: Sequence[int],
    names: Sequence[str],
    wanted: NDArray[Any],
    max_points: int | None,
    recorded: NDArray[Any],
) -> Rows:
    """Read the recorded range once and keep the rows nearest below each wanted step."""
    known = [name for name in names if name in run.statistics]
    span = (int(recorded[0]), int(recorded[-1]))
    frame = run.history(layer, sorted(neurons), statistics=known, steps=span, max_points=max_points)
    steps = np.unique(frame["step"].to_numpy())
    keep = np.unique(np.clip(np.searchsorted(steps, wanted, side="right") - 1, 0, len(steps) - 1))
    place = {neuron: i for i, neuron in enumerate(sorted(neurons))}
    rows, columns = np.searchsorted(steps, frame["step"].to_numpy()), frame["neuron"].map(place).to_numpy()
    order = [place[neuron] for neuron in neurons]
    tables = {}
    for name in names:
        table = np.full((len(steps), len(place)), np.nan, np.float32)
        if name in known:
            table[rows, columns] = frame[name].to_numpy(dtype=np.float32, na_value=np.nan)
        tables[name] = table[keep][:, order]
    inside = np.searchsorted(recorded, np.r_[steps[1:], recorded[-1] + 1]) - np.searchsorted(recorded, steps)
    return Rows(steps[keep].astype(np.int64), tables, inside[keep].astype(np.int64))


def _column(frame: pd.DataFrame, name: str) -> Floats:
    if name not in frame:
        return np.full(len(frame), np.nan, np.float32)
    return frame[name].to_numpy(np.float32, na_value=np.nan)


def against_prior(recorded: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    """Mean, variance and spread in units of the stationary prior, from the statistics READ (NaN: not
    recorded).
    """
    centre, sd = GAUSSIAN.prior(recorded["mean"], *(recorded[name] for name in PRIOR))
    own = {
        "mean": (recorded["mean"] - centre) / sd,
        "variance": recorded["variance"] / sd**2,
        "spread": recorded["spread"] / sd**2,
    }
    return {name: values.astype(np.float32) for name, values in own.items()}


Prior = tuple[NDArray[Any], NDArray[Any]]
"""Mean and standard deviation of the stationary prior, each (F, R)."""


def prior_of(run: RunReader, layer: int, neurons: Sequence[int], steps: NDArray[Any]) -> Prior | None:
    """The neurons' stationary priors at recorded steps; None where all are Normal(0, 1)."""
    names = [name for name in PRIOR if name in run.statistics]
    if "prior_variance" not in names:
        return None
    recorded = {name: np.full((len(steps), len(neurons)), np.nan, np.float32) for name in READ}
    for place, step in enumerate(steps):
        rows = run.history(layer, sorted(neurons), ["mean", *names], (int(step), int(step)))
        rows = rows.set_index("neuron").reindex(list(neurons))
        for name in recorded:
            recorded[name][place] = _column(rows, name)
    return GAUSSIAN.prior(recorded["mean"], *(recorded[name] for name in PRIOR))


def probe_frames(
    steps: NDArray[np.int64], mu: NDArray[Any], sigma: NDArray[Any], prior: Prior | None = None
) -> Frames:
    """Frames of one probe input: its exact posteriors, mu and sigma (F, R), at the steps (F,) at which they
    were stored, against the prior (Normal(0, 1) by default).

    A single input has no spread: it is NaN.
    """
    centre, sd = (np.float32(0), np.float32(1)) if prior is None else prior
    mean, variance = ((mu - centre) / sd).astype(np.float32), ((sigma / sd) ** 2).astype(np.float32)
    return Frames(steps, mean, variance, np.full_like(mean, np.nan), np.ones(len(steps), np.int64))


def timeline(tracks: Sequence[NDArray[np.int64]], frames: int, kept: Sequence[int] = ()) -> NDArray[np.int64]:
    """One line of steps for tracks (F_i,) that were recorded at different steps: all of them if they are few,
    else log-spaced.

    The first and last step of every track stay, and those of `kept` that are among the steps.
    """
    steps = np.unique(np.concatenate(tracks))
    if len(steps) > max(len(track) for track in tracks):
        ends = [step for track in tracks for step in (track[0], track[-1])]
        steps = np.union1d(
            steps[log_spaced_steps(steps, frames)], [*ends, *np.intersect1d(steps, np.array(kept, np.int64))]
        )
    return steps


def aligned(found: Frames, steps: NDArray[np.int64]) -> Frames:
    """The frame that holds at each of `steps`: the last at or before it, NaN before the first."""
    place = np.searchsorted(found.steps, steps, side="right") - 1
    early = place < 0
    place = np.maximum(place, 0)
    shown = {name: np.where(early[:, None], np.float32("nan"), getattr(found, name)[place]) for name in SHOWN}
    return Frames(steps=steps, width=found.width[place], **shown)


@dataclass(frozen=True)
class Image:
    """A heatmap as bytes: 0 is "not recorded", 1 to 255 run from `low` to `high` on a linear or log scale."""

    cells: NDArray[np.uint8]
    low: float
    high: float
    log: bool


def quantise(values: NDArray[Any], statistic: str, log: bool | None = None) -> Image:
    """(N, T) numbers -> bytes, between the 1st and 99th percentile; signed statistics are centred at 0.

    `log` defaults to the registry's; it is dropped if a value is not positive.
    """
    entry = STATISTICS[statistic]
    return quantise_as(values, entry.colors, entry.log if log is None else log)


def quantise_as(values: NDArray[Any], colors: str, log: bool) -> Image:
    """As `quantise`, for values that are no statistic: on a scale of colours, centred at 0 on the diverging
    one.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(v) for v in np.percentile(finite, [1, 99])) if finite.size else (0.0, 1.0)
    use_log = log and low > 0
    if colors == "diverging":
        high = max(abs(low), abs(high))
        low = -high
        use_log = False
    if not high > low:
        low, high = (low / 1.1, low * 1.1) if use_log else (low - 0.5, low + 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.log(values / low) / np.log(high / low) if use_log else (values - low) / (high - low)
    cells = np.where(np.isfinite(values), 1 + np.round(254 * np.clip(np.nan_to_num(share), 0, 1)), 0)
    return Image(cells.astype(np.uint8), low, high, use_log)
