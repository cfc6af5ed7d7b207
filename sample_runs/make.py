"""Makes the sample runs: small real trainings on the embedded data that the dashboard opens on a fresh machine.

python sample_runs/make.py [NAME ...]   replaces sample_runs/healthy, collapsed and persistent, the same numbers each time
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs from a checkout without an installation

from vdn.config import Config, from_dict, resolve
from vdn.train import train

HERE = Path(__file__).resolve().parent

SMALL = {
    "data": "nyc",
    "neurons": 64,
    "sigma": "input",
    "seed": 0,
    # A start at the prior (sigma 1, mu near 0), so that contraction is seen from its beginning.
    "sigma_init": 1.0,
    "mean_gain": 0.02,
    "local_decoder": "watch",
    # Dense at first, when most happens, then every 50th step; mantissas of 10 bits halve the files.
    "record_start": 90,
    "record_every": 50,
    "precision": "10bit",
    "checkpoint": "model",
    "probe_inputs": 16,
    "probe_times": 12,
    "validate_every": 100,
    "test_draws": 64,
    "threads": 1,
}
RUNS = {
    "healthy": {"beta": 0.005, "steps": 3000},
    "collapsed": {"beta": 0.1, "steps": 1200, "record_every": 20},  # too high for the deep layers: they die while the first lives
    # One layer, ten groups of neurons: each is asked to remember more than the one before, all to tell as much.
    "persistent": {
        "layers": 1,
        "neurons": 200,
        "beta": 0.005,
        "steps": 3000,
        "record_start": 60,
        "record_every": 60,
        "prior": "autoregressive",
        "phi": "0.0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
        "thermostat": True,
        "c_min": "0.2",
        "c_max": "0.2",
    },
}


def make(name: str) -> None:
    """Trains one sample run anew."""
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    summary = train(resolve(from_dict({**SMALL, **RUNS[name]}, Config())), folder)
    shares = " ".join(f"{share:.0%}" for share in summary["model"]["living_share"])
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{name}: test mse {summary['model']['mse']:.4f}, living {shares}, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    for chosen in sys.argv[1:] or RUNS:
        if chosen not in RUNS:
            sys.exit(f"no sample run {chosen!r}; there are {', '.join(RUNS)}")
        make(chosen)
