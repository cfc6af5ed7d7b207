"""Runs with planted contraction, for the pages' tests: small, quick, in the log's own format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from probes import Recorder


def write_run(
    folder: Path,
    *,
    layers: int = 3,
    neurons: int = 24,
    steps: int = 120,
    dead_from: int | None = None,
    broken_at: int | None = None,
    seed: int = 0,
    status: str = "finished",
    drop: tuple[str, ...] = (),
    names: list[str] | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    """Neurons that start at the prior and contract, deeper layers later; layers from `dead_from` on stay
    dead.

    From step `broken_at` on, neuron 0 of the first layer is not a number. `drop` leaves statistics out.
    kl = information + mismatch holds in every row.
    """
    random = np.random.default_rng(seed)
    time = np.arange(1, steps + 1)
    names = names or [f"layer {i + 1}" for i in range(layers)]
    with Recorder(
        folder,
        [{"name": name, "neurons": neurons} for name in names],
        config={"beta": 0.02, "seed": seed, **(config or {})},
    ) as recorder:
        for layer in range(layers):
            statistics = _layer(
                random, time, neurons, layer, dead=dead_from is not None and layer >= dead_from
            )
            if layer == 0 and broken_at is not None:
                statistics["variance"][time >= broken_at, 0] = np.nan
            recorder.record_block(
                time, layer, {name: values for name, values in statistics.items() if name not in drop}
            )
        for step in time:
            recorder.scalar(int(step), "loss", float(1.2 / np.sqrt(step) + 0.5), split="train")
            if step % 20 == 0 or step == steps:
                recorder.scalar(int(step), "nll", float(1.1 / np.sqrt(step) + 0.6), split="validation")
        recorder.event(
            int(time[len(time) // 2]), "projection", layer=0, neuron=None, value=1.2, text="into the band"
        )
        recorder.close(status)
    return folder


def _layer(
    random: np.random.Generator, time: np.ndarray, neurons: int, layer: int, dead: bool
) -> dict[str, np.ndarray]:
    onset = 3.0 * 2 ** (layer + random.uniform(0, 2, neurons))
    amount = (
        np.zeros(neurons)
        if dead
        else random.beta(2, 1.2, neurons) * np.where(random.random(neurons) < 0.1, 0, 1)
    )
    rise = 1 / (1 + np.exp(-2.2 * (np.log(time[:, None]) - np.log(onset))))
    wander = 1 + 0.02 * random.standard_normal((len(time), neurons))
    variance = (1 - 0.97 * amount * rise) * wander
    mean = 0.6 * random.standard_normal(neurons) * amount * rise
    spread = np.maximum(0.9 * amount * rise * wander - 0.2 * mean**2, 1e-4)
    information = 0.5 * np.log((variance + spread) / variance)
    total = variance + spread
    mismatch = 0.5 * (mean**2 + total - np.log(total) - 1)
    return {
        "mean": mean, "variance": variance, "spread": spread, "kl": information + mismatch,
        "information": information,
        "mismatch": mismatch, "persistence": 0.9 * rise * amount,
        "active_share": np.clip(amount * rise * 1.5, 0, 1),
    }  # fmt: skip
