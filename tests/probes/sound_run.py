"""A run in which everything is as the format says, the identity of the KL too."""

import numpy as np

from probes.recorder import Recorder

LAYERS = [{"name": "first", "neurons": 66}, {"name": "second", "neurons": 3}]


def record(recorder, steps, rng):
    """Statistics for which kl = information + mismatch + past holds."""
    for step in steps:
        for layer, item in enumerate(LAYERS):
            parts = np.abs(rng.normal(size=(3, item["neurons"]))).astype(np.float32)
            recorder.record(
                step, layer, mean=parts[0], variance=parts[1] / 3, spread=parts[2], persistence=parts[0] / 9,
                kl=parts.sum(axis=0), information=parts[0], mismatch=parts[1], past=parts[2],
            )  # fmt: skip
        recorder.scalar(step, "nll", 1.0, split="validation")


def write_sound(path):
    """600 steps in blocks of 256, 256 and 88, and a scalar a step."""
    with Recorder(path, LAYERS, {"seed": 3, "stride": 24}, flush_steps=100) as recorder:
        record(recorder, range(600), np.random.default_rng(0))
    return path
