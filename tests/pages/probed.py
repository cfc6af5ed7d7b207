"""A small run with a probe batch, bands, KL weights and interventions, for the pages that look at single
neurons.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from probes import Recorder
from probes.diagnostics import information, mismatch
from probes.schema import FORCES

INPUTS, NEURONS, STEPS = 12, 5, 40
PROBED = (1, 10, 40)


def write_probed(
    folder: Path, *, seed: int = 0, steps: int = STEPS, inputs_seed: int = 0, name: str | None = None
) -> Path:
    """Two layers of five neurons that contract. Neuron 0 of both layers follows the same feature of the
    inputs.

    `inputs_seed` decides the probe inputs: runs that share it were probed with the same ones.
    """
    random = np.random.default_rng(seed)
    features = np.random.default_rng(1000 + inputs_seed).standard_normal((2, INPUTS, NEURONS))
    common = features[0, :, 0]
    layers = [{"name": name or "first", "neurons": NEURONS}, {"name": "second", "neurons": NEURONS}]
    with Recorder(folder, layers, config={"seed": seed}) as recorder:
        time = np.arange(1, steps + 1)
        for layer in range(2):
            sigma = np.exp(-np.outer(time / steps, random.uniform(0.5, 1.5, NEURONS)))
            gain = np.outer(time / steps, random.uniform(0.3, 0.9, NEURONS))
            mix = np.column_stack([common * (-1) ** layer, features[layer, :, 1:]])
            recorder.record_block(time, layer, _statistics(sigma, gain, mix))
            for step in (step for step in PROBED if step <= steps):
                recorder.probe(step, layer, gain[step - 1] * mix, np.broadcast_to(sigma[step - 1], mix.shape))
        for layer, step in ((layer, step) for layer in range(2) for step in PROBED if step <= steps):
            for place, term in enumerate(("nll", "kl", "band", "total")):
                strength = np.zeros(NEURONS) if term == "band" else np.arange(NEURONS) + place + step
                recorder.forces(step, layer, term, **dict.fromkeys(FORCES, strength))
        recorder.event(5, "homeostat", layer=0, neuron=2, value=1.1, text="louder")
        recorder.event(6, "projection", layer=1, neuron=None, value=0.9, text="whole layer")
        frame = pd.DataFrame({"input": np.arange(INPUTS), "horizon": 0, "y": common, "mean": 0.0})
        recorder.predictions(steps, frame)
        recorder.scalar(steps, "nll", 1.0, split="validation")
    return folder


def _statistics(sigma: np.ndarray, gain: np.ndarray, mix: np.ndarray) -> dict[str, np.ndarray]:
    mean, spread, variance = gain * mix.mean(0), gain**2 * mix.var(0), sigma**2
    told = information(variance, spread, np.log(variance))
    missed = mismatch(mean, variance, spread)
    past = np.full_like(mean, 0.02)
    return {
        "mean": mean, "variance": variance, "spread": spread, "information": told, "mismatch": missed,
        "past": past,
        "kl": told + missed + past, "mu2": gain**2 * (mix**2).mean(0), "band_low": np.full_like(mean, 0.1),
        "band_high": np.full_like(mean, 0.5), "beta": 0.01 + 0.01 * gain, "persistence": 0.5 * gain,
        "persistence_low": 0.5 * gain - 0.1, "persistence_high": 0.5 * gain + 0.1,
        "phi": np.full_like(mean, 0.3),
        "input_persistence": np.full_like(mean, 0.7),
    }  # fmt: skip
