"""Rows that are a pure function of the step, so that a reader can tell a wrong one."""

from __future__ import annotations

import numpy as np

from probes import Recorder

LAYERS = [{"name": "wide", "neurons": 80}, {"name": "narrow", "neurons": 5}]
BLOCKS = 40


def record(recorder: Recorder, first: int, last: int, at_once: int = 256, seed: int = 0) -> None:
    """Steps first .. last - 1 of both layers, a pure function of the step; the identity of the KL holds."""
    for start in range(first, last, at_once):
        steps = np.arange(start, min(start + at_once, last))
        for index, layer in enumerate(LAYERS):
            rows = steps[:, None] + seed
            neurons = np.arange(layer["neurons"])[None, :]
            information = np.abs(np.sin(0.1 * rows + neurons)).astype(np.float32)
            mismatch = np.abs(np.cos(0.03 * rows * (1 + neurons))).astype(np.float32)
            columns = {
                "mean": np.sin(rows * 0.7 + neurons), "variance": 0.2 + mismatch, "information": information,
                "mismatch": mismatch, "kl": information + mismatch,
            }  # fmt: skip
            recorder.record_block(steps, index, columns)
        recorder.scalar(start, "nll", float(start), split="validation")
