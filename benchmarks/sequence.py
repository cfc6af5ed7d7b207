"""Measures networks of sequences against their twins, the Kalman filter and a GRU.

python -m benchmarks.sequence [--chords FILE] [--seeds 0,1,2] [--results FILE] [--kept] [--write]
    [--parts signal,text,chords,bernoulli,slope,steps,run]

Network and twin get the same number of trials, chosen by the validation NLL of the first seed; weights are
those of the best of ten validations; only what is chosen is tested. S = 1 in training; tests state theirs.
Every training and every test is kept in FILE (JSON lines, the weights beside it) when it is done, so that
another call, of the same parts or of others, goes on where the last one stopped; --kept measures nothing
and shows what there is. With --write the table goes to docs/benchmarks.md, section "Sequences". The chords
(JSON: train, valid, test) are read from FILE where given.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from benchmarks import sections
from benchmarks.sequence_training import NotMeasuredError, Settings, Trainings
from probes.analysis.score_differences import half_width_of_sum
from vdn.config import from_dict, resolve
from vdn.data import load
from vdn.sequence_data import SequenceTask
from vdn.sequence_scores import sequence_baselines
from vdn.trainer import SequenceTrainer

PARTS = ("signal", "text", "chords", "bernoulli", "slope", "steps", "run")
OF_CHORDS = ("chords", "bernoulli", "slope")
_DROPOUTS: list[Settings] = [{"dropout": 0.0}, {"dropout": 0.1}, {"dropout": 0.2}, {"dropout": 0.4}]
TRIALS: dict[str, tuple[list[Settings], list[Settings]]] = {
    "signal": ([{"beta": 0.0005}, {"beta": 0.0002}], [{"lr": 3e-3}, {"lr": 1e-3}]),
    "text": (
        [
            {"beta": 1e-4},
            {"beta": 3e-5, "sigma_init": 0.03, "lr": 6e-3},
            {"beta": 1e-5, "sigma_init": 0.02, "lr": 6e-3},
            {"beta": 1e-5, "sigma_init": 0.02, "lr": 1e-2},
        ],
        [{"lr": 3e-3}, {"lr": 6e-3}, {"lr": 1e-2}, {"lr": 6e-3, "dropout": 0.1}],
    ),
    "chords": (
        [
            {"beta": 0.002},
            {"beta": 0.005},
            {"beta": 0.002, "dropout": 0.2},
            {"beta": 0.005, "dropout": 0.2},
        ],
        _DROPOUTS,
    ),
    "bernoulli": (
        [{"beta": 0.001}, {"beta": 0.002}, {"beta": 0.003}, {"beta": 0.001, "dropout": 0.1}],
        _DROPOUTS,
    ),
}
"""Of the network and of the twin."""
SLOPE_BETAS = (0.001, 0.01)
ROUNDS = 10_000
T = TypeVar("T")
HEAD = [
    "", "test NLL", "S", "less the twin's", "blind", "living", "slope, φ", "rate", "validation NLL", "CPU s",
    "seeds",
]  # fmt: skip
LEGEND = (
    "NLL in nats a position, mean over seeds (least to most); S draws in the test, 1 in training; less "
    "the twin's: difference and its 95 % interval over sequences, paired, and seeds; blind: validation "
    "NLL with every draw replaced by one of the prior; living: least share over seeds, layer by layer; "
    "slope, φ: correlation over a layer's neurons, mean; rate in nats a position; CPU s: of the "
    "optimiser's steps alone. Each side's trial is the best of as many by the first seed's validation "
    "NLL, weights are those of the best of ten validations."
)


def chosen(trainings: Trainings, trials: list[Settings], common: Settings, seed: int) -> Settings:
    """The trial of the lowest validation NLL with one seed."""
    tried = [(trainings.trained({**common, **extra, "seed": seed})["validation"], extra) for extra in trials]
    return min(tried, key=lambda pair: pair[0])[1]


def difference(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Mean difference of two lists of tests (one a seed) in nats a position, and its 95 % interval.

    Variances are added: over sequences, paired, by a bootstrap that draws whole sequences; over seeds, each
    side's own. Drawing three seeds again and again covers 84 % where seeds matter, this 92 to 99 %. With one
    seed its spread is not in it.
    """
    nats = [np.array([test["nats"] for test in tests]) for tests in (one, other)]
    positions = np.array(one[0]["positions"], float)
    sequences = len(positions)
    between = nats[0].mean(0) - nats[1].mean(0)
    mean = float(between.sum() / positions.sum())
    generator = np.random.default_rng(0)
    weight = generator.multinomial(sequences, np.full(sequences, 1 / sequences), ROUNDS)
    parts = [(float(np.var(weight @ between / (weight @ positions))), sequences - 1)]
    for side in nats:
        if len(side) > 1:
            scores = side.sum(1) / positions.sum()
            parts.append((float(scores.var(ddof=1)) / len(side), len(side) - 1))
    half = half_width_of_sum(parts)
    return mean, mean - half, mean + half


def row(name: str, trainings: Trainings, runs: list[Settings], twins: list[Settings] | None) -> list[str]:
    """A row of the table: mean over seeds; living the least of them."""
    trained, tests = [trainings.trained(run) for run in runs], [trainings.tested(run) for run in runs]
    against = ""
    if twins is not None:
        mean, low, high = difference(tests, [trainings.tested(twin) for twin in twins])
        against = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
    scores = [sum(test["nats"]) / sum(test["positions"]) for test in tests]
    spread = f" ({min(scores):.3f} to {max(scores):.3f})" if scores[1:] else ""
    shown = {"blind": "", "living": "", "slope": "", "rate": ""}
    if "living" in tests[0]:
        shown["blind"] = f"{statistics.mean(test['blind'] for test in tests):.2f}"
        shown["living"] = " ".join(f"{one:.2f}" for one in np.min([test["living"] for test in tests], 0))
        shown["slope"] = " ".join(f"{one:.2f}" for one in np.mean([test["slope"] for test in tests], 0))
        shown["rate"] = f"{statistics.mean(test['rate'] for test in tests):.0f}"
    return [
        name,
        f"{statistics.mean(scores):.3f}{spread}",
        str(tests[0]["draws"]),
        against,
        *shown.values(),
        f"{statistics.mean(one['validation'] for one in trained):.3f}",
        f"{statistics.mean(one['seconds'] for one in trained):.0f}",
        str(len(runs)),
    ]  # fmt: skip


def label(name: str, extra: Settings) -> str:
    """What a row is called."""
    return f"{name} ({', '.join(f'{key} {value:g}' for key, value in extra.items())})" if extra else name


def compared(trainings: Trainings, part: str, data: Settings, seeds: list[int]) -> list[list[str]]:
    """The chosen trials of network and twin with every seed, and what stands beside them."""
    title = {"chords": "chords, mixture", "bernoulli": "chords, Bernoulli"}.get(part, part)
    best = [
        chosen(trainings, trials, {**data, "twin": twin}, seeds[0])
        for twin, trials in zip((False, True), TRIALS[part], strict=True)
    ]
    neurons, twins = (
        [{**data, **extra, "twin": twin, "seed": seed} for seed in seeds]
        for twin, extra in zip((False, True), best, strict=True)
    )
    rows = [
        row(label(f"{title}: neurons", best[0]), trainings, neurons, twins),
        row(label(f"{title}: twin", best[1]), trainings, twins, None),
    ]
    if part == "text":
        rows += beside_text(trainings, data, neurons, twins, seeds)
    if part == "signal":
        filtered = trainings.get({"kalman": True}, kalman)
        rows.append(["signal: Kalman filter", f"{filtered['nll_joint']:.4f}", *[""] * (len(HEAD) - 2)])
    return rows


def beside_text(
    trainings: Trainings, data: Settings, neurons: list[Settings], twins: list[Settings], seeds: list[int]
) -> list[list[str]]:
    """The default configuration, neurons with the twin's CPU time, and a GRU: those that are to be had."""
    asked: list[Callable[[], list[str]]] = [
        lambda: row(
            "text: neurons, the defaults",
            trainings,
            [{**data, "beta": resolve(from_dict(data)).beta, "twin": False, "seed": seed} for seed in seeds],
            twins,
        ),
        lambda: equal_time(trainings, data, neurons, twins),
        lambda: row("text: GRU", trainings, [{**data, "gru": True, "seed": s} for s in seeds], twins),
    ]
    return [found for one in asked if (found := _if_kept(one)) is not None]


def equal_time(
    trainings: Trainings, data: Settings, neurons: list[Settings], twins: list[Settings]
) -> list[str]:
    """The neurons with so many steps as take the CPU time of the twin's."""
    ratio = trainings.get({"step_ratio": data}, lambda: step_ratio(data))["ratio"]
    steps = round(resolve(from_dict(data)).steps / ratio / 10) * 10
    runs = [{**run, "steps": steps} for run in neurons]
    return row(f"text: neurons, the twin's CPU time ({steps} steps)", trainings, runs, twins)


def kalman() -> dict[str, Any]:
    """The best possible scores of the signal's test split."""
    task = load(resolve(from_dict({"data": "signal"})))
    assert isinstance(task, SequenceTask)
    return sequence_baselines(task, "test")["kalman"]


def slopes(trainings: Trainings, data: Settings, seeds: list[int]) -> list[list[str]]:
    """Persistence that is learned beside the prior's, by the weight of the KL."""
    return [
        row(
            label("chords, mixture: neurons", {"beta": beta}),
            trainings,
            [{**data, "beta": beta, "twin": False, "seed": seed} for seed in seeds],
            None,
        )
        for beta in SLOPE_BETAS
    ]


def step_ratio(data: Settings, rounds: int = 40, warmup: int = 5) -> dict[str, float]:
    """Median CPU milliseconds of a training step, S = 1, and median ratio to the twin's of the same round,
    interleaved.
    """
    trainers = {}
    for who in ("twin", "neurons"):
        config = resolve(from_dict({**data, "twin": who == "twin"}))
        task = load(config)
        assert isinstance(task, SequenceTask)
        trainers[who] = SequenceTrainer(config, task)
    times: dict[str, list[float]] = {who: [] for who in trainers}
    for _ in range(rounds + warmup):
        for who, trainer in trainers.items():
            began = time.process_time()
            trainer.step()
            times[who].append(1e3 * (time.process_time() - began))
    kept = {who: values[warmup:] for who, values in times.items()}
    pairs = zip(kept["neurons"], kept["twin"], strict=True)
    return {who: statistics.median(values) for who, values in kept.items()} | {
        "ratio": statistics.median(a / b for a, b in pairs)
    }


def whole_run(data: Settings) -> dict[str, float]:
    """CPU and wall seconds of `python -m vdn train`, with recording, scores and all."""
    with tempfile.TemporaryDirectory() as folder:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "vdn", "train", "--runs", folder]
        for name, value in data.items():
            command += [f"--{name}", str(value)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return {"cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, "wall": wall}


def _if_kept(measure: Callable[[], T]) -> T | None:
    """What `measure` gives; None where only what is kept was asked for and it is not."""
    try:
        return measure()
    except NotMeasuredError:
        return None


def measured(trainings: Trainings, parts: list[str], seeds: list[int], chords: Path | None) -> str:
    """The section."""
    rows: list[list[str]] = []
    of_chords: Settings = {"data": f"chords:{chords}"}
    data: dict[str, Settings] = {
        "signal": {"data": "signal"},
        "text": {"data": "text"},
        "chords": of_chords,
        "bernoulli": {**of_chords, "head": "bernoulli"},
    }
    asked = [part for part in parts if chords is not None or part not in OF_CHORDS]
    for part, common in data.items():
        if part in asked:
            rows += _if_kept(lambda p=part, c=common: compared(trainings, p, c, seeds)) or []
    if "slope" in asked:
        rows += _if_kept(lambda: slopes(trainings, of_chords, seeds)) or []
    lines = [sections.table(HEAD, rows)] if rows else []
    size = {"data": "text", "neurons": 96}
    if "steps" in asked and (
        found := _if_kept(lambda: trainings.get({"step_ratio": size}, lambda: step_ratio(size)))
    ):
        lines += [
            "",
            f"A training step, 2 layers of 96, T 64, 32 rows, S = 1: neurons {found['neurons']:.1f} ms, twin"
            f" {found['twin']:.1f} ms of CPU, ratio {found['ratio']:.2f}.",
        ]
    if "run" in asked:
        for name in ("signal", "text", *(["chords"] if chords is not None else [])):
            one = data[name]
            if found := _if_kept(lambda d=one: trainings.get({"run": d}, lambda: whole_run(d))):
                lines += [
                    "",
                    f"A whole run of {name} (`python -m vdn train`, its log with it): {found['cpu']:.0f} s of"
                    f" CPU, {found['wall']:.0f} s on this machine.",
                ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--chords", type=Path, help="JSON of chorales; without it their parts are left out")
    parser.add_argument("--seeds", type=sections.whole_numbers, default=[0], help="[0]")
    parser.add_argument(
        "--parts", type=sections.some_of(PARTS), default=list(PARTS), help=f"[{','.join(PARTS)}]"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("build") / "sequence.jsonl", help="kept trainings [%(default)s]"
    )
    parser.add_argument("--kept", action="store_true", help="measure nothing, print what is kept")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    on = sections.measured_on("torch")
    trainings = Trainings(arguments.results, arguments.kept)
    body = measured(trainings, arguments.parts, arguments.seeds, arguments.chords)
    print(body)
    if arguments.write:
        sections.write("sequences", "Sequences", f"`make bench-sequence`; {on}. {LEGEND}\n\n{body}")


if __name__ == "__main__":
    main()
