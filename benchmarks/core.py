"""Measures the training core: forecasts against the deterministic twin, cost of a step, rate against
distortion.

python -m benchmarks.core [--etth FOLDER] [--seeds 0,1,2] [--parts scores,steps,sweep] [--results FILE]

Scores: the variational network and its twin get the same number of trials, chosen by the joint NLL on the
validation split with the first seed; the chosen ones run with every seed and are tested with S = 64.
ETTh1.csv and ETTh2.csv (Zhou et al. 2021) are read from FOLDER where given. Every finished training is kept
in FILE (JSON lines), so that a second call goes on where the first stopped. The tables go to
docs/benchmarks.md, section "Training core".
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import sections
from vdn.config import Config, from_dict, resolve
from vdn.data import Task, load
from vdn.evaluate import baselines, network_scores, scores
from vdn.network import DeterministicTwin, VariationalNetwork
from vdn.objective import objective
from vdn.sweep import paired_interval
from vdn.trainer import Trainer

VALIDATION_DRAWS, VALIDATION_EXAMPLES = 16, 4096
TEST_DRAWS = 64
ETT_ROWS = "8640,2880,2880"
SWEEP_BETAS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SWEEP_STEPS = 1000

# Three trials each. The twin overfits within an epoch or two, so that its trials are about when to stop and
# how fast to go.
VARIATIONAL_TRIALS: list[dict[str, Any]] = [{"beta": 0.005}, {"beta": 0.01}, {"beta": 0.02}]
TWIN_TRIALS: list[dict[str, Any]] = [
    {"twin": True, "steps": 500, "lr": 1e-3},
    {"twin": True, "steps": 500, "lr": 3e-4},
    {"twin": True, "steps": 1000, "lr": 3e-4},
]


class Results:
    """Finished trainings, in memory and in a file of JSON lines: key -> what was measured."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self.known: dict[str, Any] = dict(json.loads(line) for line in lines)

    def get(self, what: dict[str, Any], measure: Callable[[], Any]) -> Any:
        """The kept measurement of `what`, or a new one."""
        key = json.dumps(what, sort_keys=True)
        if key not in self.known:
            self.known[key] = measure()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, self.known[key]]) + "\n")
        return self.known[key]


def trained(settings: dict[str, Any]) -> tuple[Config, Task, VariationalNetwork]:
    """A network trained without a log."""
    config = resolve(from_dict(settings))
    task = load(config)
    trainer = Trainer(config, task)
    while trainer.done < trainer.steps:
        trainer.step()
    return config, task, trainer.network


def trial(settings: dict[str, Any], test: bool) -> dict[str, Any]:
    """Validation NLL, and the test scores where asked for, of one training."""
    began = time.perf_counter()
    config, task, network = trained(settings)
    seconds = time.perf_counter() - began
    draws = 1 if config.twin else VALIDATION_DRAWS
    validation = scores(network, task, "validation", draws, config.seed, VALIDATION_EXAMPLES, crps=False)
    result: dict[str, Any] = {"validation": validation["nll_joint"], "seconds": seconds}
    if test:
        result["test"] = network_scores(network, task, "test", 1 if config.twin else TEST_DRAWS, config.seed)[
            0
        ]
    return result


def compare(results: Results, data: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
    """Variational network and twin on one data set: the chosen trial of each, tested with every seed."""
    found: dict[str, Any] = {}
    for who, trials in (("model", VARIATIONAL_TRIALS), ("twin", TWIN_TRIALS)):
        tried = []
        for extra in trials:
            settings = {**data, **extra, "seed": seeds[0]}
            nll = results.get({"trial": settings}, lambda settings=settings: trial(settings, test=False))[
                "validation"
            ]
            tried.append((nll, extra))
        best = min(tried, key=lambda pair: pair[0])[1]
        runs = [{**data, **best, "seed": seed} for seed in seeds]
        found[who] = [
            results.get({"test": run}, lambda run=run: trial(run, test=True))["test"] for run in runs
        ]
        found[f"{who} trial"] = " ".join(f"{name} {value}" for name, value in best.items() if name != "twin")
    return found


def score_rows(name: str, found: dict[str, Any], naive: dict[str, Any]) -> list[list[str]]:
    """Rows of the table of scores: model, twin, ratio with its paired 95 % interval, naive forecasts."""

    def mean(who: str, score: str) -> str:
        return f"{statistics.mean(run[score] for run in found[who]):.4f}"

    rows = []
    for who in ("model", "twin"):
        coverage = statistics.mean(run["coverage"]["80"] for run in found[who])
        living = [min(run["living_share"]) for run in found[who]] if who == "model" else []
        cells = [mean(who, score) for score in ("mse", "crps", "nll_joint", "nll_marginal")]
        rows.append(
            [
                f"{name} {who} ({found[f'{who} trial']})",
                *cells,
                f"{coverage:.3f}",
                f"{min(living):.3f}" if living else "",
            ]
        )
    cells = []
    for score in ("mse", "crps"):
        ratio = [
            model[score] / twin[score] for model, twin in zip(found["model"], found["twin"], strict=True)
        ]
        middle, half = paired_interval(np.array(ratio)) if len(ratio) > 1 else (ratio[0], float("nan"))
        cells.append(f"{middle:.3f} ± {half:.3f}")
    gaps = [
        model["nll_joint"] - twin["nll_joint"]
        for model, twin in zip(found["model"], found["twin"], strict=True)
    ]
    rows.append(
        [f"{name} model / twin (NLL: difference)", *cells, f"{statistics.mean(gaps):+.3f}", "", "", ""]
    )
    for who, one in naive.items():
        cells = [f"{one[score]:.4f}" for score in ("mse", "crps", "nll_joint", "nll_marginal")]
        rows.append([f"{name} {who.replace('_', ' ')}", *cells, f"{one['coverage']['80']:.3f}", ""])
    return rows


def step_times(rounds: int = 60, warmup: int = 5) -> dict[str, tuple[float, float]]:
    """Median milliseconds of a training step without statistics and median ratio to the twin's of the same
    round, interleaved.
    """
    torch.manual_seed(0)
    x, y = torch.randn(256, 168).cumsum(1), torch.randn(256, 24)
    networks = {
        "twin": DeterministicTwin(168, 24),
        "per_neuron": VariationalNetwork(168, 24, sigma="per_neuron"),
        "input": VariationalNetwork(168, 24, sigma="input"),
    }
    optimisers = {
        name: torch.optim.AdamW(network.parameters(), fused=True) for name, network in networks.items()
    }
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(rounds + warmup):
        for name, network in networks.items():
            began = time.perf_counter()
            output = network(x, pairs=True)
            loss = objective(output, y, [0.01] * len(output.posteriors)).total
            optimisers[name].zero_grad()
            loss.backward()
            optimisers[name].step()
            times[name].append(1e3 * (time.perf_counter() - began))
    kept = {name: values[warmup:] for name, values in times.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(values, kept["twin"], strict=True))
        for name, values in kept.items()
    }
    return {name: (statistics.median(values), ratios[name]) for name, values in kept.items()}


def sweep_point(settings: dict[str, Any]) -> dict[str, Any]:
    """Rate, distortion and living share of each layer of one training, on the validation split."""
    config, task, network = trained(settings)
    result = network_scores(network, task, "validation", VALIDATION_DRAWS, config.seed)[0]
    return {name: result[name] for name in ("rate", "nll_joint", "mse", "living_share")}


def compared(results: Results, sets: dict[str, dict[str, Any]], seeds: list[int]) -> list[str]:
    """Scores on the test split of each data set, name -> settings."""
    rows: list[list[str]] = []
    for name, data in sets.items():
        naive = results.get(
            {"naive": data}, lambda data=data: baselines(load(resolve(from_dict(data))), "test")
        )
        rows += score_rows(name, compare(results, data, seeds), naive)
    head = ["", "MSE", "CRPS", "joint NLL", "marginal NLL", "80 % coverage", "living"]
    said = (
        "Test split, S = 64, means over seeds; ratios paired by seed, 95 % intervals; living: the least layer"
        " of any seed."
    )
    return [said, sections.table(head, rows)]


def timed() -> list[str]:
    """What a step costs."""
    rows = [[name, f"{ms:.1f}", f"{ratio:.2f}"] for name, (ms, ratio) in step_times().items()]
    said = "A training step, batch 256, three layers of 256, S = 1, without statistics; interleaved medians."
    return [said, sections.table(["sigma", "ms", "to the twin"], rows)]


def swept(results: Results, name: str, data: dict[str, Any], seed: int) -> list[str]:
    """Rate against distortion on the data set called `name`."""
    rows = []
    for read in (True, False):
        for beta in SWEEP_BETAS:
            settings = {**data, "beta": beta, "read_first": read, "steps": SWEEP_STEPS, "seed": seed}
            point = results.get({"sweep": settings}, lambda settings=settings: sweep_point(settings))
            living = " / ".join(f"{share:.2f}" for share in point["living_share"])
            rows.append(
                [
                    f"{beta:g}",
                    "yes" if read else "no",
                    f"{point['rate']:.1f}",
                    f"{point['nll_joint']:.4f}",
                    living,
                ]
            )
    head = [
        "beta",
        "head reads layer 1",
        "rate, nats",
        "NLL, nats a number",
        "living share of layers 1 / 2 / 3",
    ]
    said = f"Rate and distortion over beta, {name}, validation split, {SWEEP_STEPS} steps, seed {seed}."
    return [said, sections.table(head, rows)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.core", description="Measures the training core."
    )
    parser.add_argument("--etth", type=Path, help="folder with ETTh1.csv and ETTh2.csv")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--parts", default="scores,steps,sweep")
    parser.add_argument(
        "--results", type=Path, default=Path("benchmark-core.jsonl"), help="kept measurements"
    )
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    ran_on = sections.measured_on("torch")
    torch.set_num_threads(arguments.threads)
    results, parts = Results(arguments.results), arguments.parts.split(",")
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    sets: dict[str, dict[str, Any]] = {"NYC 168 → 24": {"data": "nyc"}}
    if arguments.etth is not None:
        for name in ("ETTh1", "ETTh2"):
            sets[f"{name} 336 → 96"] = {"data": f"csv:{arguments.etth / name}.csv", "split_rows": ETT_ROWS}
    body = [f"`python -m benchmarks.core`; {ran_on}, {arguments.threads} thread(s), seeds {arguments.seeds}."]
    if "scores" in parts:
        body += compared(results, sets, seeds)
    if "steps" in parts:
        body += timed()
    if "sweep" in parts:
        name = list(sets)[1 if arguments.etth is not None else 0]
        body += swept(results, name, sets[name], seeds[0])
    text = "\n\n".join(body)
    print(text)
    if set(parts) == {"scores", "steps", "sweep"}:
        sections.write("core", "Training core", text)


if __name__ == "__main__":
    main()
