"""Small runs for fleets: the second layer collapses as far as it is asked to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from probes.recorder import Recorder


def write_run(path: Path, config: dict, dead: int = 0, steps: int = 40) -> Path:
    """Two layers of four neurons; `dead` of the second never leave their prior."""
    with Recorder(path, [{"name": "one", "neurons": 4}, {"name": "two", "neurons": 4}], config=config) as run:
        for step in range(steps):
            for layer in (0, 1):
                moved = np.arange(4) >= (dead if layer else 0)
                variance = np.where(moved & (step >= 5), 0.2, 1.0)
                information = np.where(variance < 1, 0.8, 0.0)
                run.record(
                    step, layer, mean=np.zeros(4), variance=variance, spread=1 - variance, kl=information,
                    information=information, mismatch=np.zeros(4),
                )  # fmt: skip
            run.scalar(step, "nll", 1.0 + config.get("beta", 0) / (step + 1), split="validation")
    return path
