"""Runs made of arrays that stay in memory: the oracle that a log is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

import probes

ALWAYS = ("mean", "variance", "kl", "information", "spread")
SOMETIMES = ("persistence", "mu2")


@dataclass
class Truth:
    """values[layer][statistic][step] = (N,) float32, as it must come back; absent steps have no entry."""

    layers: list[dict]
    values: list[dict[str, dict[int, np.ndarray]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = [{} for _ in self.layers]

    def steps(self, layer: int) -> list[int]:
        return sorted({step for by_step in self.values[layer].values() for step in by_step})

    def forget_after(self, step: int) -> None:
        for layer in self.values:
            for by_step in layer.values():
                for late in [s for s in by_step if s > step]:
                    del by_step[late]

    def array(self, layer: int, statistic: str) -> np.ndarray:
        """(N, T) with NaN where the statistic was not recorded."""
        absent = np.full(self.layers[layer]["neurons"], np.nan, np.float32)
        return np.stack(
            [self.values[layer].get(statistic, {}).get(step, absent) for step in self.steps(layer)], axis=1
        )


def draw(
    truth: Truth, rng: np.random.Generator, step: int, layer: int, sometimes: bool
) -> dict[str, np.ndarray]:
    """Statistics of one step, noted in `truth` as the log must give them back, returned as the caller records
    them.
    """
    neurons, dims = truth.layers[layer]["neurons"], truth.layers[layer].get("latent_dim", 1)
    given = {}
    for name in (*ALWAYS, *(SOMETIMES if sometimes else ())):
        shape = (neurons, dims) if dims > 1 else (neurons,)
        values = np.abs(rng.normal(size=shape)).astype(np.float32)
        reduced = values
        if dims > 1:
            reduced = values.sum(axis=1) if name in ("kl", "information") else values.mean(axis=1)
        truth.values[layer].setdefault(name, {})[step] = reduced
        given[name] = values
    return given


def fill(
    recorder: probes.Recorder,
    truth: Truth,
    steps: list[int],
    rng: np.random.Generator,
    sometimes_every: int = 3,
) -> None:
    """Record every layer at each step; the optional statistics at every `sometimes_every`-th alone."""
    for step in steps:
        for layer in range(len(truth.layers)):
            recorder.record(step, layer, **draw(truth, rng, step, layer, step % sometimes_every == 0))


def assert_same(run: probes.Run, truth: Truth) -> None:
    """Every number of the log is the recorded one, bit for bit; nothing doubled, nothing missing."""
    for layer in range(len(truth.layers)):
        neurons = truth.layers[layer]["neurons"]
        frame = run.history(layer)
        steps = truth.steps(layer)
        assert frame["step"].tolist() == np.repeat(steps, neurons).tolist()
        assert frame["neuron"].tolist() == list(range(neurons)) * len(steps)
        for name in run.statistics:
            expected = truth.array(layer, name).T.ravel() if steps else np.empty(0, np.float32)
            np.testing.assert_array_equal(frame[name].to_numpy(), expected)


def simple_run(path: Path, steps: int = 40, neurons: int = 6, **options: object) -> tuple[probes.Run, Truth]:
    """Two layers, `steps` steps, closed."""
    truth = Truth([{"name": "first", "neurons": neurons}, {"name": "second", "neurons": neurons + 1}])
    with probes.Recorder(path, truth.layers, {"seed": 0, "beta": 0.1}, **options) as recorder:  # type: ignore[arg-type]
        fill(recorder, truth, list(range(steps)), np.random.default_rng(0))
        for step in range(0, steps, 10):
            recorder.scalar(step, "nll", 1 / (1 + step), split="validation")
    return probes.Run(path), truth


def raw_frame(path: Path) -> pd.DataFrame:
    """All rows of neurons/ by pandas alone."""
    files = sorted((path / "neurons").glob("*.parquet"))
    return pd.concat([pd.read_parquet(file) for file in files]).sort_values(
        ["step", "layer", "neuron"], ignore_index=True
    )
