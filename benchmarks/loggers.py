"""Measures this project's log beside other loggers: what each costs a training step, what it keeps, and
reading it back.

python -m benchmarks.loggers [--write] [--quick] [--only NAME,NAME] (in the environment of `make
bench-loggers`)

The training loop is that of benchmarks.log: 4 layers x 1,024 neurons from 256 inputs, batch 256, AdamW, one
thread. Every row computes the same seven statistics of every neuron (probes.moments) and hands them to one
logger. Each measurement is a process of its own that has written a small log before, in three parts:

- train: groups of one logged step and bare steps beside it. CPU of the call is the training thread's inside
  the logging call, over the median bare step.
- write: the statistics of 128 real training steps are logged without training between them. CPU beside the
  calls is all else that the process and its children took, closing included; what the log weighs before its
  first step is not counted.
- read: a fresh process reads all that the log has of the first layer, once, files cached by the system,
  imports done.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks import sections
from benchmarks.log import BATCH, INPUTS, LAYERS, NEURONS, STATISTICS, BareNetwork, training_step
from benchmarks.logger_kinds import KINDS, SOME, Logging, Statistics
from probes.moments import moments

WARMUP = 1  # group that is not counted
PAIRS, TENS, HISTORY = 16, 3, 128  # pairs of bare and logged steps; groups of ten steps; steps for reading
TIMEOUT_S = 300
WIDTH = LAYERS * NEURONS * len(STATISTICS)
HALF = BATCH // 2

INTRODUCTION = """
`make bench-loggers`; {ran_on}; one thread for torch.

These tools were made for something else (experiments of every kind, for teams, with media, servers and
sweeps) and do it well; the question here is only what happens when the distribution of every neuron is to be
kept. System metrics, terminal capture and Git state are switched off (`x_disable_stats`, `console`,
`disable_git`, `system_tracking_interval=None`, `auto_log_cpu=False`), Weights & Biases is offline, all else
is default. `python -m benchmarks.loggers --help` says how each number is taken.
"""
COST = """
**Cost.** 4 layers x 1,024 neurons, batch 256. A bare step takes {bare:.0f} ms of CPU; the seven statistics,
which every row
computes and which the columns of CPU leave out,
take {computing} % of that (less where steps are derived in blocks, see Run
log). CPU is in % of a bare step: inside the call in the training thread (median),
and all that runs beside it (mean over the
steps of the next table, logged in a row,
closing included; a tenth of it for every 10th step). Wall: a logged step with its
statistics over the bare one beside it,
median of pairs. What runs in the background slows that bare step down too, so that its
CPU says more than the wall.
"""
KEEPING = """
**Keeping and reading.** The statistics of {steps} real training steps,
{width:,} numbers a step; fewer steps where the
column says so. The numbers of a histogram are its counts and its limits; the bytes of probes hold its
summaries and pyramid too. A log of few steps weighs more a step than a long one, Aim's most (64 neurons:
1,906 kB at 3 steps, 129 at 128). Reading: CPU of reading all that the log has of the first layer, by the
logger's own functions (`EventAccumulator`; `aim.Run`, its index being made; `SQLiteStorage.get_logs`;
`probes.Run.matrix` and `layer_summary`). W&B has no reader for a run that stayed offline: its records are
decoded by its own classes.
"""


class Training:
    """The training loop: one step, and the statistics of the neurons in the last one."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.network = BareNetwork()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), fused=True)
        self.x, self.y = torch.randn(BATCH, INPUTS), torch.randn(BATCH, 24)
        self.posteriors: list[tuple[torch.Tensor, ...]] = []

    def step(self) -> None:
        self.posteriors = training_step(self.network, self.optimiser, self.x, self.y)

    def statistics(self) -> Statistics:
        found = []
        for mu, sigma, ln, kl in self.posteriors:
            mu, sigma, ln = mu.detach()[..., None], sigma.detach()[..., None], ln.detach()[..., None]
            all_of_them = moments(mu, sigma, kl=kl.detach(), log_sigma=ln, previous_mu=mu[HALF:])
            found.append({name: all_of_them[name].numpy() for name in STATISTICS})
        return found


def tree_cpu() -> float:
    """CPU seconds of this process, its children alive and those that ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    alive = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(one.user + one.system for one in alive)


def once(kind: type[Logging], folder: Path) -> Logging:
    """A small log: imports, services and caches that a process sets up once are in no number."""
    small = kind(folder)
    width = NEURONS if kind.neurons is None else SOME  # 28,672 scalars take some loggers seconds
    small.log(0, [dict.fromkeys(STATISTICS, np.ones(width, np.float32))] * LAYERS)
    small.close()
    return small


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """CPU seconds of this thread, wall seconds, and the result."""
    wall, cpu = time.perf_counter(), time.thread_time()
    result = call()
    return time.thread_time() - cpu, time.perf_counter() - wall, result


def train(kind: type[Logging], folder: Path, every: int, groups: int) -> dict[str, float]:
    """Groups of one logged step and its bare neighbours: one of them when every step is logged, else the
    other every - 1.
    """
    once(kind, folder.with_name("trained-before"))
    training, log = Training(), kind(folder)
    bare, computing, logging, ratios = [], [], [], []
    step = 0
    for group in range(-WARMUP, groups):
        found = [timed(training.step) for _ in range(max(1, every - 1))]
        stepped = timed(training.step)
        computed = timed(training.statistics)
        logged = timed(lambda step=step, values=computed[2]: log.log(step, values))
        step += every
        if group >= 0:
            wall = statistics.median(one[1] for one in found)
            bare.append(statistics.median(one[0] for one in found))
            computing.append(computed[0])
            logging.append(logged[0])
            ratios.append((stepped[1] + computed[1] + logged[1] + (every - 1) * wall) / (every * wall))
    log.close()
    middle = statistics.median(bare)
    return {
        "bare_ms": 1e3 * middle,
        "computing": statistics.median(computing) / middle / every,
        "logging": statistics.median(logging) / middle / every,
        "wall": statistics.median(ratios),
    }


def make_history(folder: Path, steps: int) -> dict[str, float]:
    """Statistics of `steps` real training steps, (steps, layers, statistics, neurons), into history.npy."""
    training = Training()
    kept = np.empty((steps, LAYERS, len(STATISTICS), NEURONS), np.float32)
    for step in range(steps):
        training.step()
        for layer, found in enumerate(training.statistics()):
            kept[step, layer] = [found[name] for name in STATISTICS]
    np.save(folder / "history.npy", kept)
    return {}


def size(folder: Path) -> int:
    return sum(
        path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() and not path.is_symlink()
    )


def write(kind: type[Logging], folder: Path, history: Path) -> dict[str, float]:
    """Log the history: bytes, and CPU ms beside the calls, a step."""
    once(kind, folder.with_name("written-before"))
    kept = np.load(history)[: kind.steps]
    log = kind(folder)
    opened, beside = size(folder.parent), -tree_cpu()
    for step, layers in enumerate(kept):
        values = [dict(zip(STATISTICS, layer, strict=True)) for layer in layers]
        beside -= timed(lambda step=step, values=values: log.log(step, values))[0]
    log.close()
    beside += tree_cpu()
    found = {
        "bytes": (size(folder.parent) - opened) / len(kept),
        "beside_ms": 1e3 * beside / len(kept),
        "steps": len(kept),
    }
    log.settle()
    return found


def read(kind: type[Logging], folder: Path) -> dict[str, float]:
    """Read the first layer's history: milliseconds of CPU, and how many numbers there are."""
    other = folder.with_name("read-before")
    once(kind, other).settle()
    kind.read(other)
    began = time.process_time()
    numbers = sum(values.size for values in kind.read(folder))
    return {"read_ms": 1e3 * (time.process_time() - began), "numbers": numbers}


def isolated(part: str, **arguments: Any) -> dict[str, Any]:
    """A part in a process of its own; {"failed": reason} where it does not end well."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
    }
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.NamedTemporaryFile("r", suffix=".json") as result:
        task = json.dumps({"part": part, "result": result.name, **arguments}, default=str)
        command = [sys.executable, "-m", "benchmarks.loggers", "--task", task]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return {"failed": f"{part}: not done after {TIMEOUT_S} s"}
        if done.returncode:
            return {
                "failed": (
                    f"{part}: {(done.stderr.strip() or 'status ' + str(done.returncode)).splitlines()[-1]}"
                )
            }
        return json.loads(result.read())


def carry_out(task: dict[str, Any]) -> None:
    """What `isolated` asked for."""
    folder = Path(task["folder"])
    if task["part"] == "history":
        found = make_history(folder, task["steps"])
    elif task["part"] == "train":
        found = train(KINDS[task["kind"]], folder, task["every"], task["groups"])
    elif task["part"] == "write":
        found = write(KINDS[task["kind"]], folder, Path(task["history"]))
    else:
        found = read(KINDS[task["kind"]], folder)
    Path(task["result"]).write_text(json.dumps(found), "utf-8")


def measure(name: str, root: Path, quick: bool) -> dict[str, dict[str, Any]]:
    """All parts of one kind."""
    kind = KINDS[name]
    found: dict[str, dict[str, Any]] = {}
    if not kind.same_log:
        groups = min(kind.groups or PAIRS, 2 if quick else PAIRS)
        found["every"] = isolated(
            "train", kind=name, folder=root / name / "1" / "run", every=1, groups=groups
        )
        if kind.neurons is None:
            tens = 1 if quick else TENS
            found["tenth"] = isolated(
                "train", kind=name, folder=root / name / "10" / "run", every=10, groups=tens
            )
    if name != "Logging":
        place = root / name / "kept" / "run"
        place.parent.mkdir(parents=True)
        found["write"] = isolated("write", kind=name, folder=place, history=root / "history.npy")
        if "failed" not in found["write"]:
            found["read"] = isolated("read", kind=name, folder=place)
    return found


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def cost_row(kind: type[Logging], found: dict[str, dict[str, Any]]) -> list[str]:
    every, tenth, written = found["every"], found.get("tenth", {}), found.get("write", {})
    cells = [kind.logger, kind.what]
    if "failed" in every:
        return [*cells, f"did not run ({every['failed']})", *[""] * 5]
    beside = percent(written["beside_ms"] / every["bare_ms"]) if "beside_ms" in written else "-"
    cells += [
        f"{every['bare_ms'] * every['logging']:.1f}",
        percent(every["logging"]),
        beside,
        f"{every['wall']:.2f}",
    ]
    if not tenth:
        return [*cells, "-", "-"]
    if "failed" in tenth:
        return [*cells, f"did not run ({tenth['failed']})", ""]
    return [*cells, f"{100 * tenth['logging']:.2f}", f"{tenth['wall']:.2f}"]


def keeping_row(kind: type[Logging], found: dict[str, dict[str, Any]]) -> list[str]:
    written, back = found["write"], found.get("read", {})
    cells = [kind.logger, kind.what]
    if "failed" in written or "failed" in back:
        return [*cells, f"did not run ({written.get('failed') or back['failed']})", *[""] * 3, kind.cannot]
    steps = written["steps"]
    numbers = LAYERS * back["numbers"] / steps
    if kind.same_log:
        cells += ["(the same)", f"{numbers:,.0f}", "-"]
    else:
        cells += [f"{written['bytes'] / 1e3:.1f}", f"{numbers:,.0f}", f"{written['bytes'] / numbers:.1f}"]
    return [*cells, f"{back['read_ms']:.0f} / {steps}", kind.cannot]


def body(results: dict[str, dict[str, dict[str, Any]]], ran_on: str) -> str:
    """The section's text; ran_on: from `sections.measured_on`."""
    bare = [found["every"]["bare_ms"] for found in results.values() if "bare_ms" in found.get("every", {})]
    computing = [
        found["every"]["computing"] for found in results.values() if "computing" in found.get("every", {})
    ]
    parts = [
        INTRODUCTION.format(ran_on=ran_on),
        COST.format(bare=statistics.median(bare), computing=percent(statistics.median(computing))),
        sections.table(
            [
                "logger",
                "logged a step",
                "call, ms",
                "call, %",
                "beside it, %",
                "wall ratio",
                "every 10th step: call, %",
                "wall ratio",
            ],
            [cost_row(KINDS[name], found) for name, found in results.items() if "every" in found],
        ),
        KEEPING.format(steps=HISTORY, width=WIDTH),
        sections.table(
            [
                "logger",
                "logged a step",
                "kB a step",
                "numbers a step",
                "bytes a number",
                "reading, ms / steps",
                "cannot show",
            ],
            [keeping_row(KINDS[name], found) for name, found in results.items() if "write" in found],
        ),
    ]
    return "\n\n".join(part.strip() for part in parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="where the logs are written (default: a temporary folder)"
    )
    parser.add_argument(
        "--only",
        type=sections.some_of(KINDS),
        default=list(KINDS),
        help=f"ways of logging, of {', '.join(KINDS)}",
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        carry_out(json.loads(options.task))
        return
    names = options.only
    ran_on = sections.measured_on("torch", "numpy", "pyarrow", "tensorboard", "wandb", "aim", "trackio")
    root = Path(tempfile.mkdtemp(prefix="benchmark-loggers-", dir=options.folder))
    try:
        made = isolated("history", folder=root, steps=HISTORY // 8 if options.quick else HISTORY)
        if "failed" in made:
            sys.exit(
                f"benchmarks.loggers: the training that all loggers are given did not run ({made['failed']})"
            )
        results = {}
        for name in names:
            began = time.perf_counter()
            results[name] = measure(name, root, options.quick)
            print(
                f"{name} ({time.perf_counter() - began:.0f} s): {json.dumps(results[name])}",
                file=sys.stderr,
                flush=True,
            )
            shutil.rmtree(root / name, ignore_errors=True)  # "no logging" leaves nothing
    finally:
        shutil.rmtree(root)
    text = body(results, ran_on)
    print(text)
    if options.write:
        sections.write("loggers", "Beside other loggers", text)


if __name__ == "__main__":
    main()
