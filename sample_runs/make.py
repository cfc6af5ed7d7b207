"""Makes the sample runs, small real trainings that the dashboard opens on a fresh machine: watched examples
and our own networks.

python sample_runs/make.py [NAME ...]   replaces sample_runs/NAME, all of them without names, the same numbers
each time

The examples need other people's libraries: `make sample` runs this where they are.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import torch

# so that it runs from a checkout without an installation
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from vdn import __main__ as vdn
from vdn import sweep
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
    # Dense at first, when most happens, then every 60th step; mantissas of 10 bits halve the files.
    "record_start": 72,
    "record_every": 60,
    "precision": "10bit",
    "checkpoint": "model",
    "probe_inputs": 64,
    "probe_sequence": 96,  # four days
    "probe_times": 4,
    "validate_every": 100,
    "test_draws": 64,
    "threads": 1,
    "patience": 0,  # all steps: what is looked at is a training to its end
}
# One layer, ten groups of neurons, a set-point each; all else is equal.
TUNED = {
    "layers": 1,
    "neurons": 200,
    "beta": 0.005,
    "steps": 3000,
    "record_start": 60,
    "record_every": 66,
    "prior": "autoregressive",
    "thermostat": True,
}
# Modules of examples/ by the names, or how the names begin, of the runs that their `main` writes.
EXAMPLES = {
    "pyro": "pyro_guides",
    "lightning-bottleneck": "lightning_bottleneck",
    "digits-vae": "digits_experiments",
    "text-": "text_vae",
    "digits-vqvae": "digits_vqvae",
    "signal-rssm": "signal_rssm",
    "uncertainty": "uncertainty",
}
# Sequences: small networks, looked at on a probe sequence at eight steps, with continuations.
SEQUENCES = {
    "text": {"data": "text", "neurons": 40, "steps": 1500, "probe_sequence": 160},
    "signal": {"data": "signal", "neurons": 16, "steps": 600, "probe_sequence": 128},
}
SEQUENCE = {
    "seed": 0,
    "sigma_init": 1.0,  # at the prior, so that contraction is seen from its beginning
    "record_start": 40,
    "record_every": 40,
    "precision": "10bit",
    "checkpoint": "model",
    "probe_times": 8,
    "validate_every": 100,
    "test_draws": 8,
    "threads": 1,
    "patience": 0,
}
# In this order, after the examples: the dashboard opens on the newest.
RUNS = {
    "classes": {  # handwritten digits: probabilities of ten classes, and whether they can be trusted
        "data": "digits",
        "beta": 0.005,
        "steps": 600,
        "record_start": 40,
        "record_every": 25,
        "probe_sequence": 0,
        "probe_times": 0,
    },
    "informed": {  # each group is asked to tell more than the one before, all to remember as much
        **TUNED,
        "record_start": 30,
        "record_every": 150,
        "phi": "0.5",
        "c_min": "0.05,0.10,0.15,0.20,0.25,0.30,0.35,0.40,0.45,0.50",
        "c_max": "0.05,0.10,0.15,0.20,0.25,0.30,0.35,0.40,0.45,0.50",
    },
    "persistent": {  # each group is asked to remember more than the one before, all to tell as much
        **TUNED,
        "record_every": 90,
        "phi": "0.0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
        "c_min": "0.2",
        "c_max": "0.2",
    },
    # too high for the deep layers: they die while the first lives
    "collapsed": {"beta": 0.08, "steps": 1200, "record_every": 24, "probe_times": 3},
    "healthy": {"beta": 0.005, "steps": 3000},
}

# beta x lr x seed, to be looked at together: which layers collapse where. Small, few records, no checkpoint.
SWEEP = {
    **SMALL,
    "neurons": 16,
    "window": 48,
    "batch": 128,
    "steps": 600,
    "record_start": 16,
    "record_every": 60,
    "probe_inputs": 0,
    "probe_sequence": 0,
    "probe_times": 0,
    "test_draws": 8,
}
GRID = ["beta=0.03,0.1,0.3,1.0", "lr=0.001,0.003,0.01"]
SEEDS = "0,1"

# What is stored with a run, so that the page Experiments has something to show before anybody waits for it.
EXPERIMENTS = {"healthy": ("ablation", "traversal", "shift", "risk-coverage", "rollout")}


def make(name: str) -> None:
    """Trains one sample run anew, or those of one example."""
    made = f"{name}*" if name in EXAMPLES else name
    for folder in HERE.glob(made):
        shutil.rmtree(folder)
    if name == "sweep":
        make_sweep(HERE / name)
    elif name in EXAMPLES:
        torch.set_num_threads(1)
        importlib.import_module(f"examples.{EXAMPLES[name]}").main(str(HERE / name.rstrip("-")))
    elif name in SEQUENCES:
        summary = train(resolve(from_dict({**SEQUENCE, **SEQUENCES[name]})), HERE / name)
        keep_best(HERE / name)
        print(f"{name}: test nll {summary['model']['nll_joint']:.4f} nats a position")
    else:
        summary = train(resolve(from_dict({**SMALL, **RUNS[name]}, Config())), HERE / name)
        keep_best(HERE / name)
        shares = " ".join(f"{share:.0%}" for share in summary["model"]["living_share"])
        score = next(name for name in ("mse", "accuracy") if name in summary["model"])
        print(f"{name}: test {score} {summary['model'][score]:.4f}, living {shares}")
        for experiment in EXPERIMENTS.get(name, ()):
            vdn.main(["probe", str(HERE / name), experiment])
    for folder in sorted(HERE.glob(made)):
        print(
            f"{folder.name}:"
            f" {sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) / 1e6:.2f} MB"
        )


def keep_best(folder: Path) -> None:
    """Of the weights those that experiments and `load_run` use, none of `informed`, which shows what needs
    none: nobody goes on with these trainings, and all runs together are small.
    """
    if folder.name == "informed":
        shutil.rmtree(folder / "checkpoints")
    elif (folder / "checkpoints" / "best.pt").exists():
        (folder / "checkpoints" / "last.pt").unlink()


def make_sweep(folder: Path) -> None:
    """Trains the runs of the sweep, each into a folder of its own."""
    for job in sweep.plan(GRID, SEEDS, folder):
        point = {name: float(value) for name, value in job.point}
        summary = train(resolve(from_dict({**SWEEP, **point, "seed": job.seed}, Config())), job.folder)
        for part in ("checkpoints", "origin_scores"):  # a third of their bytes
            shutil.rmtree(job.folder / part)
        shares = " ".join(f"{share:.0%}" for share in summary["model"]["living_share"])
        print(f"{job.folder.name}: test nll {summary['model']['nll_joint']:.4f}, living {shares}")


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    names = [*EXAMPLES, "sweep", *SEQUENCES, *RUNS]
    for chosen in sys.argv[1:] or names:
        if chosen not in names:
            sys.exit(f"no sample run {chosen!r}; there are {', '.join(names)}")
        make(chosen)
