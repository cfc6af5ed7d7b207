"""Alerts of the newest records are those of the whole run."""

import numpy as np

from probes import Recorder, Run
from probes.live_alerts import KEPT, LiveAlerts

NEURONS = 20
LIVING = {"mean": 0.0, "variance": 0.5, "kl": 0.3, "information": 0.2, "spread": 0.4}
DEAD = {"mean": 0.0, "variance": 1.0, "kl": 0.001, "information": 0.0, "spread": 0.0}
STEPS, CHUNK = 4 * KEPT, 64


def planted(seed):
    """Neurons (of two layers) that die and come back in groups, at random times."""
    rng = np.random.default_rng(seed)
    dead = np.zeros((STEPS, NEURONS), bool)
    for begin in rng.integers(100, STEPS, 24):
        dead[begin : begin + rng.integers(20, 900), rng.permutation(NEURONS)[: rng.integers(1, NEURONS)]] = (
            True
        )
    dead |= rng.random(dead.shape) < 0.02
    return {name: np.where(dead, DEAD[name], LIVING[name]).astype(np.float32) for name in LIVING}


def test_chunk_by_chunk_as_the_whole_run(tmp_path):
    layers = [{"name": name, "neurons": NEURONS, "latent_dim": 1, "prior": "standard"} for name in "ab"]
    columns = {name: planted(seed) for seed, name in enumerate("ab")}
    rng = np.random.default_rng(5)
    curve = np.concatenate([np.linspace(2, 1, 20), 1 + 0.01 * rng.standard_normal(44)])
    live, found = LiveAlerts(layers, {}), []
    with Recorder(tmp_path / "run", layers) as recorder:
        for first in range(0, STEPS, CHUNK):
            steps = np.arange(first, first + CHUNK)
            for name in "ab":
                rows = {key: values[steps] for key, values in columns[name].items()}
                recorder.record_block(steps, name, rows)
                live.add(name, steps.tolist(), rows)
            loss = np.nan if first >= 3 * KEPT else 1.0
            scalars = [
                (first + 1, "loss", curve[first // CHUNK], "validation", None),
                (first, "loss", loss, "train", None),
            ]
            for step, name, value, split, _ in scalars:
                recorder.scalar(step, name, value, split)
            live.add_scalars(scalars)
            found += live.new()
    whole = Run(tmp_path / "run").alerts()
    told = [(alert.step, alert.kind, alert.text.split(";")[0]) for alert in found]
    assert sorted(told) == sorted((row.step, row.kind, row.text.split(";")[0]) for row in whole.itertuples())
    assert {"left living", "jump in KL", "no progress", "non-finite loss"} <= {kind for _, kind, _ in told}
    assert len(told) > 10
    assert live._summaries[0].groupby("layer").size().max() == KEPT
