"""Measures how well neurons keep their set-points of information and of persistence, and what that costs.

python -m benchmarks.set_points [--data nyc,made] [--laws information,...] [--seeds 0,1,2] [--results FILE]

Networks of 2 layers x 64 neurons with an autoregressive prior, trained on the embedded weather and on a made
series, one thread. What is held is measured at the end of training, pooled over the whole training split and
over the test split. Every finished training is kept in FILE (JSON lines), so that a second call goes on where
the first stopped.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

from benchmarks import sections
from benchmarks.core import Results
from vdn.config import from_dict, resolve
from vdn.data import Task, load
from vdn.evaluate import scores
from vdn.pools import pooled_statistics
from vdn.trainer import Trainer

SMALL: dict[str, Any] = {
    "layers": 2,
    "neurons": 64,
    "steps": 1200,
    "batch": 256,
    "lr": 3e-3,
    "prior": "autoregressive",
    "phi": "0.5",
    "threads": 1,
}
TEN = ",".join(f"{point / 20:.2f}" for point in range(1, 11))  # nats
FOUR = "0.1,0.2,0.3,0.4"
LAWS: dict[str, dict[str, Any]] = {
    "none": {},
    "information": {"thermostat": True, "c_min": TEN, "c_max": TEN},
    "damped": {"thermostat": True, "c_min": TEN, "c_max": TEN, "thermostat_gain": 2.0},
    "both": {"thermostat": True, "c_min": TEN, "c_max": TEN, "thermostat_gain": 2.0, "persistence": "0.5"},
    "crossed": {
        "thermostat": True,
        "c_min": FOUR,
        "c_max": FOUR,
        "thermostat_gain": 2.0,
        "persistence": ",".join(["0.3,0.45,0.6,0.75"] * 4),
    },
}
"""What is asked of the neurons, by name."""
TEST_DRAWS, TEST_EXAMPLES = 16, 4096
KEPT = ("information", "persistence", "kl", "beta", "phi", "persistence_weight")


def made_series(path: Path) -> Path:
    """A CSV of four made hourly series: a slow and a fast autoregression, a daily wave and noise."""
    rng = np.random.default_rng(0)
    hours, before = 6000, 1000

    def autoregression(phi: float) -> np.ndarray:
        values = np.zeros(hours + before)
        noise = rng.normal(size=len(values)) * np.sqrt(1 - phi * phi)
        for at in range(1, len(values)):
            values[at] = phi * values[at - 1] + noise[at]
        return values[before:]

    day = 2 * np.pi * np.arange(hours) / 24
    columns = {
        f"series {number}": autoregression(0.99)
        + autoregression(0.9)
        + np.sin(day + number)
        + 0.3 * rng.normal(size=hours)
        for number in range(4)
    }
    pd.DataFrame(columns).to_csv(path, index=False, float_format="%.5f")
    return path


def measured(settings: dict[str, Any]) -> dict[str, Any]:
    """One training: test NLL (nats a number), and each neuron's statistics by split and layer."""
    config = resolve(from_dict(settings))
    task: Task = load(config)
    torch.set_num_threads(1)
    began = time.process_time()
    trainer = Trainer(config, task)  # type: ignore[arg-type]  # of series
    while trainer.done < trainer.steps:
        step = trainer.step()
    found: dict[str, Any] = {"seconds": time.process_time() - began, "splits": {}}
    for split in ("train", "test"):
        pooled = pooled_statistics(trainer.network, task, split, config.seed)  # type: ignore[arg-type]
        for statistics, columns, posterior in zip(pooled, step.columns, step.output.posteriors, strict=True):
            statistics |= {name: value.numpy() for name, value in columns.items()}
            if posterior.phi is not None:
                statistics["phi"] = posterior.phi.detach().numpy()
        found["splits"][split] = [
            {name: np.round(layer[name].astype(float), 5).tolist() for name in KEPT if name in layer}
            for layer in pooled
        ]
    found["nll"] = scores(trainer.network, task, "test", TEST_DRAWS, config.seed, TEST_EXAMPLES, crps=False)[
        "nll_joint"
    ]
    return found


def spread(text: str, neurons: int) -> np.ndarray:
    """(N,) set-points of neurons in groups."""
    values = np.array([float(part) for part in text.split(",")])
    return values[np.arange(neurons) * len(values) // neurons]


def change(asked: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Change of a statistic over the range of what was asked, as a share of its mean, and its p."""
    line = stats.linregress(asked, found)
    return line.slope * np.ptp(asked) / found.mean(), line.pvalue


def held(asked: np.ndarray, found: np.ndarray) -> str:
    """How far statistics (seeds, N) are off what was asked (N,), and how many are within 10 % of it."""
    off = np.abs(found / asked - 1)
    return f"{100 * np.median(off):.1f} %, {100 * np.mean(off < 0.1):.0f} %"


def rows(data: str, name: str, runs: list[dict[str, Any]]) -> list[list[str]]:
    """Rows of the table, one a split and layer, of all seeds of one law."""
    law, found = LAWS[name], []
    nll = f"{np.mean([run['nll'] for run in runs]):.4f}"
    for split in ("train", "test"):
        for layer in range(SMALL["layers"]):
            told, kept = (
                np.array([run["splits"][split][layer][statistic] for run in runs])
                for statistic in ("information", "persistence")
            )
            line = [data, name, split, str(layer + 1), f"{told.mean():.3f}", f"{kept.mean():.3f}", "", "", ""]
            if "c_min" in law:
                asked = spread(law["c_min"], told.shape[1])
                moved, p = change(np.tile(asked, len(kept)), kept.ravel())
                line[6], line[8] = held(asked, told), f"{100 * moved:+.0f} % (p {p:.2g})"
            if "persistence" in law:
                line[7] = held(spread(law["persistence"], kept.shape[1]), kept)
            found.append([*line, nll])
    return found


HEAD = (
    "data", "laws", "split", "layer", "information", "slope", "information off (median), within 10 %",
    "slope off, within 10 %", "change of slope over the range of information", "test NLL",
)  # fmt: skip

DATA = ("nyc", "made")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=sections.some_of(DATA), default=list(DATA), help=f"[{','.join(DATA)}]")
    parser.add_argument("--laws", type=sections.some_of(LAWS), default=list(LAWS), help=f"[{','.join(LAWS)}]")
    parser.add_argument("--seeds", type=sections.whole_numbers, default=[0, 1, 2], help="[0,1,2]")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("build") / "set-points.jsonl",
        help="kept trainings [%(default)s]",
    )
    options = parser.parse_args()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    results, lines = Results(options.results), []
    with tempfile.TemporaryDirectory() as folder:
        made = made_series(Path(folder) / "made.csv")
        for data in options.data:
            for name in options.laws:
                runs = []
                for seed in options.seeds:
                    settings = {**SMALL, **LAWS[name], "seed": seed}
                    source = "nyc" if data == "nyc" else f"csv:{made}"
                    window = {} if data == "nyc" else {"window": 168, "horizon": 24, "beta": 0.005}
                    own = {"data": source, **window, **settings}
                    runs.append(results.get({"data": data, **settings}, lambda own=own: measured(own)))
                lines += rows(data, name, runs)
    print(sections.table(HEAD, lines))


if __name__ == "__main__":
    main()
