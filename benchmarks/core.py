"""Measures the training core: forecasts against the deterministic twin, cost of a step, rate against
distortion.

python -m benchmarks.core [--etth FOLDER] [--seeds 0,1,2] [--parts trials,scores,steps,sweep] [--results FILE]

Trials: the variational network and its twin get the same number of settings, tried on every task with the
first seed; nothing but validation scores is taken. One setting a side is chosen for all tasks: the one with
the least mean over tasks of what its marginal NLL on the validation split has above the least of its side.
Scores: the chosen settings run with every seed, and are tested with S = 64. They are computed only once all
trials are there. Settings of the trials are written out: they stay what they are when defaults change.
ETTh1.csv and ETTh2.csv (Zhou et al. 2021) are read from FOLDER; daily means and random walks are made beside
FILE. Every finished training is kept in FILE (JSON lines), so that a second call goes on where the first
stopped. The tables go to docs/benchmarks.md, section "Training core".
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
import pandas as pd
import torch

from benchmarks import sections
from probes.analysis.score_differences import half_width_of_sum
from vdn.baselines import baselines
from vdn.config import Config, from_dict, resolve
from vdn.data import NYC, ForecastTask, Task, index_batches, load
from vdn.evaluate import network_scores, scores
from vdn.network import DeterministicTwin, VariationalNetwork
from vdn.objective import objective
from vdn.pools import living_share, pooled_statistics
from vdn.scores import coverage, mixture_crps, mixture_nll
from vdn.train import validation_scores
from vdn.trainer import Trainer

VALIDATION_DRAWS, VALIDATION_EXAMPLES = 16, 4096
TEST_DRAWS, TEST_EXAMPLES = 64, 4096  # evenly spaced: neighbouring windows say nearly the same
ETT_ROWS = "8640,2880,2880"
WALKS, WALK_ROWS, WALK_SD, WALK_SEED, UNSEEN_SEED = 8, 7500, 0.01, 2026, 7
FEWEST_BLOCKS = 8  # of time, for an interval
SCORES = ("mse", "crps", "nll_joint", "nll_marginal", "coverage")
SWEEP_BETAS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SWEEP_STEPS = 1000
PARTS = ("trials", "scores", "steps", "sweep")

COMMON: dict[str, Any] = {
    "layers": 3, "neurons": 256, "batch": 256, "draws": 1, "encoder": "linear", "patience": 4,
    "validate_every": 100, "warmup_share": 0.1, "weight_decay": 0.01, "steps": 1000, "normalise": "last",
    "likelihood": "gaussian", "lr": 1e-3,
}  # fmt: skip
"""What all trials share unless they say otherwise."""
VARIATIONAL_TRIALS: list[dict[str, Any]] = [
    {"beta": 0.01, "normalise": "window"},
    {"beta": 0.01},
    {"beta": 0.01, "likelihood": "student"},
    {"beta": 0.005, "likelihood": "student"},
    {"beta": 0.02, "likelihood": "student"},
    {"beta": 0.01, "likelihood": "student", "normalise": "window"},
    {"beta": 0.01, "likelihood": "student", "validate_every": 50, "patience": 8},
    {"beta": 0.01, "likelihood": "student", "steps": 2000, "patience": 6},
    {"beta": 0.005, "likelihood": "student", "lr": 5e-4},
    {"beta": 0.005, "likelihood": "student", "steps": 2000, "patience": 6},
    {"beta": 0.01, "likelihood": "student", "steps": 2000, "validate_every": 50, "patience": 12},
]
TWIN_TRIALS: list[dict[str, Any]] = [
    {"lr": 3e-4, "normalise": "window"},
    {"lr": 3e-4},
    {"lr": 3e-4, "likelihood": "student"},
    {"lr": 1e-3, "likelihood": "student"},
    {"lr": 1e-4, "likelihood": "student"},
    {"lr": 1e-4, "likelihood": "student", "normalise": "window"},
    {"lr": 1e-4, "likelihood": "student", "validate_every": 50, "patience": 8},
    {"lr": 3e-4, "likelihood": "student", "steps": 2000, "patience": 6},
    {"lr": 2e-4, "likelihood": "student"},
    {"lr": 2e-4, "likelihood": "student", "steps": 2000, "patience": 6},
    {"lr": 3e-4, "likelihood": "student", "steps": 2000, "validate_every": 25, "patience": 24},
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


def made(folder: Path) -> dict[str, dict[str, Any]]:
    """Two tasks whose files are written into a folder: daily means of the weather, and random walks."""
    daily, walks = folder / "nyc_daily.csv", folder / "walks.csv"
    hourly = pd.read_csv(NYC, parse_dates=["date"]).set_index("date")
    hourly.resample("D").mean().rename_axis("date").reset_index().to_csv(daily, index=False)
    # of the logarithms; with this drift the price itself has none, so that no forecast beats the last value
    steps = np.random.default_rng(WALK_SEED).normal(-(WALK_SD**2) / 2, WALK_SD, (WALK_ROWS, WALKS))
    names = [f"walk{number}" for number in range(WALKS)]
    pd.DataFrame(100 * np.exp(steps.cumsum(0)), columns=names).to_csv(walks, index=False)
    return {
        "NYC daily 56 → 14": {
            "data": f"csv:{daily}", "window": 56, "horizon": 14, "stride": 7, "season": 7,
            "split": "0.7,0.15,0.15",
        },
        "walks 336 → 96": {"data": f"csv:{walks}"},
    }  # fmt: skip


def unseen(folder: Path) -> dict[str, dict[str, Any]]:
    """A task that no setting was chosen on: prices whose volatility comes in clusters and whose steps have
    heavy tails, GARCH(1, 1) with Student's t of five degrees of freedom (Bollerslev 1987).
    """
    source = np.random.default_rng(UNSEEN_SEED)
    shocks = source.standard_t(5, (WALK_ROWS, WALKS)) * np.sqrt(3 / 5)
    variance, steps = np.full(WALKS, WALK_SD**2), np.empty_like(shocks)
    for row, shock in enumerate(shocks):
        steps[row] = np.sqrt(variance) * shock - variance / 2
        variance = 0.03 * WALK_SD**2 + 0.07 * variance * shock**2 + 0.90 * variance
    names = [f"price{number}" for number in range(WALKS)]
    path = folder / "clusters.csv"
    pd.DataFrame(100 * np.exp(steps.cumsum(0)), columns=names).to_csv(path, index=False)
    return {"unseen prices 336 → 96": {"data": f"csv:{path}"}}


def trained(settings: dict[str, Any]) -> tuple[Config, Task, Trainer]:
    """A network trained without a log, to the end of its patience, with its best weights."""
    config = resolve(from_dict(settings))
    task = load(config)
    trainer = Trainer(config, task)
    assert config.validate_every is not None
    while trainer.done < trainer.last:
        trainer.step()
        if trainer.done % config.validate_every == 0 or trainer.done == trainer.last:
            validation_scores(trainer, crps=False)
    trainer.take_best()
    return config, task, trainer


def trial(settings: dict[str, Any], test: bool) -> dict[str, Any]:
    """Validation scores, or the test scores where these are asked for, of one training."""
    began = time.process_time()
    config, task, trainer = trained(settings)
    result: dict[str, Any] = {
        "seconds": time.process_time() - began, "steps": trainer.done,
        "best": trainer.selection.told(trainer.done)["step"],
        "df": None if trainer.network.df is None else float(trainer.network.df.detach()),
    }  # fmt: skip
    if test:
        assert isinstance(task, ForecastTask)
        result["blocks"] = block_sums(trainer.network, task, 1 if config.twin else TEST_DRAWS, config.seed)
        statistics = pooled_statistics(trainer.network, task, "test", config.seed)
        result["living"] = [living_share(layer, config.latent_dim) for layer in statistics]
        return result
    draws = 1 if config.twin else VALIDATION_DRAWS
    found = scores(trainer.network, task, "validation", draws, config.seed, VALIDATION_EXAMPLES, crps=False)
    result["validation"] = {name: found[name] for name in ("nll_joint", "nll_marginal")}
    return result


@torch.no_grad()
def block_sums(
    network: VariationalNetwork, task: ForecastTask, draws: int, seed: int
) -> dict[str, list[float]]:
    """Scores of evenly spaced test windows, summed over each block of time, and how many windows it has."""
    generator = torch.Generator().manual_seed(seed)
    network.train(False)
    count = int(task.blocks("test", torch.tensor(task.count("test") - 1))) + 1
    sums = {name: torch.zeros(count, dtype=torch.float64) for name in ("windows", *SCORES)}
    for index in index_batches(task, "test", draws, TEST_EXAMPLES):
        x, y, _ = task.batch("test", index)
        mean, scale, *_, df = network(x, draws, noise=network.draw_noise(len(x), draws, generator))
        found = {
            "windows": torch.ones(len(x)),
            "mse": (y - mean.mean(0)).square().mean(1),
            "crps": mixture_crps(y, mean, scale, "none", df).mean(1),
            "nll_joint": mixture_nll(y, mean, scale, "joint", "none", df),
            "nll_marginal": mixture_nll(y, mean, scale, "marginal", "none", df).mean(1),
            "coverage": coverage(y, mean, scale, 0.8, "none", df).mean(1),
        }
        for name, values in found.items():
            sums[name].index_add_(0, task.blocks("test", index), values.double())
    return {name: values.tolist() for name, values in sums.items()}


def chosen(results: Results, sets: dict[str, dict[str, Any]], seed: int) -> dict[str, Any]:
    """The setting of each side, and a table of what the trials gave: regret in marginal NLL, validation."""
    found: dict[str, Any] = {}
    for who, trials in (("model", VARIATIONAL_TRIALS), ("twin", TWIN_TRIALS)):
        nll = np.zeros((len(trials), len(sets)))
        for column, data in enumerate(sets.values()):
            for row, extra in enumerate(trials):
                settings = {**COMMON, **data, **extra, "twin": who == "twin", "seed": seed}
                kept = results.get({"trial": settings}, lambda settings=settings: trial(settings, test=False))
                nll[row, column] = kept["validation"]["nll_marginal"]
        regret = nll - nll.min(0)
        best = int(regret.mean(1).argmin())
        found[who] = trials[best]
        found[f"{who} rows"] = [
            [f"{who} {spoken(extra)}", *(f"{value:.4f}" for value in row), f"{row.mean():.4f}"]
            for extra, row in zip(trials, regret, strict=True)
        ]
    return found


def spoken(settings: dict[str, Any]) -> str:
    """Settings in a table."""
    return " ".join(f"{name} {value}" for name, value in settings.items())


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
    config, task, trainer = trained(settings)
    result = network_scores(trainer.network, task, "validation", VALIDATION_DRAWS, config.seed)[0]
    return {name: result[name] for name in ("rate", "nll_joint", "mse", "living_share")}


def tried(picked: dict[str, Any], names: list[str]) -> list[str]:
    """What the trials gave."""
    said = (
        f"Trials on the validation split, {len(VARIATIONAL_TRIALS)} a side: marginal NLL above the side's"
        " least, nats a number. The setting with the least mean is the side's for all tasks. All:"
        f" {spoken(COMMON)}."
    )
    rows = picked["model rows"] + picked["twin rows"]
    return [said, sections.table(["", *names, "mean"], rows)]


def mean_scores(blocks: dict[str, list[float]]) -> dict[str, float]:
    """Scores of all windows from those of blocks."""
    windows = sum(blocks["windows"])
    return {name: sum(blocks[name]) / windows for name in SCORES}


def compared_with_interval(
    model: list[dict[str, list[float]]], twin: list[dict[str, list[float]]], score: str, ratio: bool
) -> tuple[float, float]:
    """Ratio of a score's means over seeds, or their difference, and half of its 95 % interval.

    Two parts of variance, added: of the blocks of time, which all seeds share, by leaving out one at a time
    (jackknife), and of the paired seeds. NaN for fewer than `FEWEST_BLOCKS` blocks or two seeds.
    """

    def combined(ours: np.ndarray, theirs: np.ndarray) -> Any:
        return ours / theirs if ratio else ours - theirs

    windows = np.array(model[0]["windows"])
    ours, theirs = (np.array([run[score] for run in side]) for side in (model, twin))  # (seeds, blocks)
    whole = combined(ours.sum() / windows.sum() / len(ours), theirs.sum() / windows.sum() / len(theirs))
    count, seeds = len(windows), len(ours)
    if count < FEWEST_BLOCKS or seeds < 2:
        return float(whole), float("nan")
    left = windows.sum() - windows
    without = combined(*((side.sum() - side.sum(0)) / left / seeds for side in (ours, theirs)))
    of_blocks = (count - 1) / count * np.square(without - without.mean()).sum()
    each = combined(*(side.sum(1) / windows.sum() for side in (ours, theirs)))
    of_seeds = each.var(ddof=1) / seeds
    return float(whole), half_width_of_sum([(of_blocks, count - 1), (of_seeds, seeds - 1)])


def compared(
    results: Results, sets: dict[str, dict[str, Any]], picked: dict[str, Any], seeds: list[int]
) -> list[str]:
    """Scores on the test split of each data set, name -> settings, of the settings that were chosen."""
    rows: list[list[str]] = []
    for name, data in sets.items():
        found: dict[str, Any] = {}
        for who in ("model", "twin"):
            runs = [{**COMMON, **data, **picked[who], "twin": who == "twin", "seed": seed} for seed in seeds]
            found[who] = [results.get({"test": run}, lambda run=run: trial(run, test=True)) for run in runs]
        naive = results.get(
            {"naive": data}, lambda data=data: baselines(load(resolve(from_dict(data))), "test")
        )
        rows += score_rows(name, found, naive)
    head = ["", "MSE", "CRPS", "joint NLL", "marginal NLL", "80 % coverage", "living"]
    said = (
        f"Test split, S = {TEST_DRAWS}, {TEST_EXAMPLES} evenly spaced windows at most, means over seeds; 95 %"
        " intervals of time and seeds, none with fewer than"
        f" {FEWEST_BLOCKS} blocks of time; living: the least layer of any seed."
        f" Model: {spoken(picked['model'])}; twin: {spoken(picked['twin'])}."
    )
    return [said, sections.table(head, rows)]


def score_rows(name: str, found: dict[str, Any], naive: dict[str, Any]) -> list[list[str]]:
    """Rows of the table of scores: model, twin, ratio or difference with its interval, naive forecasts."""
    rows = []
    for who in ("model", "twin"):
        each = [mean_scores(run["blocks"]) for run in found[who]]
        cells = [f"{np.mean([one[score] for one in each]):.4f}" for score in SCORES]
        living = min((min(run["living"]) for run in found[who] if run["living"]), default=None)
        rows.append([f"{name} {who}", *cells, "" if living is None else f"{living:.3f}"])
    model, twin = ([run["blocks"] for run in found[who]] for who in ("model", "twin"))
    cells = []
    for score in SCORES[:-1]:
        middle, half = compared_with_interval(model, twin, score, ratio := score in ("mse", "crps"))
        cells.append(
            (f"{middle:.3f}" if ratio else f"{middle:+.3f}") + ("" if half != half else f" ± {half:.3f}")
        )
    rows.append([f"{name} model / twin (NLL: difference)", *cells, "", ""])
    for who, one in naive.items():
        cells = [f"{one[score]:.4f}" for score in ("mse", "crps", "nll_joint", "nll_marginal")]
        rows.append([f"{name} {who.replace('_', ' ')}", *cells, f"{one['coverage']['80']:.3f}", ""])
    return rows


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
            own = {"beta": beta, "read_first": read, "steps": SWEEP_STEPS, "patience": 0, "seed": seed}
            settings = {**data, **own, "normalise": "window", "likelihood": "gaussian"}
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
    said = (
        f"Rate and distortion over beta, {name}, validation split, {SWEEP_STEPS} steps, seed {seed},"
        " Gaussian, windows less their mean."
    )
    return [said, sections.table(head, rows)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.core", description="Measures the training core."
    )
    parser.add_argument("--etth", type=Path, help="folder with ETTh1.csv and ETTh2.csv")
    parser.add_argument("--seeds", type=sections.whole_numbers, default=[0, 1, 2], help="[0,1,2]")
    parser.add_argument(
        "--parts", type=sections.some_of(PARTS), default=list(PARTS), help=f"[{','.join(PARTS)}]"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("benchmark-core.jsonl"), help="kept measurements"
    )
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    ran_on = sections.measured_on("torch")
    torch.set_num_threads(arguments.threads)
    results, parts, seeds = Results(arguments.results), arguments.parts, arguments.seeds
    folder = arguments.results.resolve().with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    sets = {**made(folder), "NYC 168 → 24": {"data": "nyc"}}
    if arguments.etth is not None:
        for name in ("ETTh1", "ETTh2"):
            sets[f"{name} 336 → 96"] = {"data": f"csv:{arguments.etth / name}.csv", "split_rows": ETT_ROWS}
    numbers = ",".join(map(str, seeds))
    body = [f"`python -m benchmarks.core`; {ran_on}, {arguments.threads} thread(s), seeds {numbers}."]
    if {"trials", "scores"} & set(parts):
        picked = chosen(results, sets, seeds[0])
        body += tried(picked, list(sets))
    if "scores" in parts:
        body += compared(results, sets | unseen(folder), picked, seeds)
    if "steps" in parts:
        body += timed()
    if "sweep" in parts:
        name = list(sets)[3 if arguments.etth is not None else 2]
        body += swept(results, name, sets[name], seeds[0])
    text = "\n\n".join(body)
    print(text)
    if {"scores", "steps", "sweep"} <= set(parts):
        sections.write("core", "Training core", text)


if __name__ == "__main__":
    main()
