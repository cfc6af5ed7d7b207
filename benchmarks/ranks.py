"""Measures what it costs to record one run of several processes.

python -m benchmarks.ranks [--quick] [--write]

Each process hands over the posterior of its share of a batch, 128 rows of 1,024 neurons, step after step; in
turns rank 0 records its own share alone, and all ranks record together. What is compared is the CPU time of
the whole process, its writer and gloo's threads included, over steps that end with a flush. `--write` puts
the table into docs/benchmarks.md, section "Several processes".
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

import probes
from benchmarks import sections

ROWS, NEURONS = 128, 1024
STEPS, REPEATS = 256, 5
QUICK = 128, 3
SIZES = (2, 4)
GOAL = 0.15
WAIT = 600
processes = get_context("forkserver")
processes.set_forkserver_preload([__name__ if __name__ != "__main__" else "benchmarks.ranks"])
METHOD = """
Each process hands over a posterior of {rows} rows and {neurons:,} neurons a step; in turns rank 0 records its own share
alone, and all ranks record together. CPU time of the process in {steps} steps, its writer and the threads that talk
included; medians of {repeats}.
"""


def one(folder: Path, which: str, steps: int) -> float:
    """CPU milliseconds a step of this process, after the first."""
    torch.manual_seed(0)
    mu, sigma = torch.randn(ROWS, NEURONS), torch.rand(ROWS, NEURONS) + 0.1
    model = torch.nn.Linear(1, 1)
    with probes.watch(model, folder, hooks=False, ranks=which) as recording:  # type: ignore[arg-type]
        for step in range(steps + 1):
            if step == 1:
                began = time.process_time()
            probes.observe("latent", mu, sigma)
            recording.step(step)
        recording.flush()
        return (time.process_time() - began) / steps * 1e3


def rank(number: int, size: int, folder: Path, steps: int, repeats: int, answers: Any) -> None:
    """One process: its milliseconds, alone and together."""
    torch.set_num_threads(1)
    meeting = f"file://{folder / f'meeting{size}'}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=number, world_size=size)
    found: dict[str, list[float]] = {"first": [], "all": []}
    for repeat in range(repeats):
        for which, times in found.items():
            times.append(one(folder / f"{size}-{which}-{repeat}", which, steps))
            torch.distributed.barrier()
    answers.put((number, {which: statistics.median(times) for which, times in found.items()}))
    answers.close()
    answers.join_thread()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads may abort an interpreter that winds down


def measure(size: int, folder: Path, steps: int, repeats: int) -> dict[int, dict[str, float]]:
    """By rank, milliseconds a step alone and together."""
    answers = processes.Queue()
    started = [
        processes.Process(target=rank, args=(number, size, folder, steps, repeats, answers))
        for number in range(size)
    ]
    for process in started:
        process.start()
    try:
        return dict(answers.get(timeout=WAIT) for _ in started)
    finally:
        for process in started:
            process.join(10)
            process.kill()


def main() -> None:
    """Measure and print, or write, the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--write", action="store_true")
    given = arguments.parse_args()
    steps, repeats = QUICK if given.quick else (STEPS, REPEATS)
    machine = sections.measured_on("torch")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            found = measure(size, Path(folder), steps, repeats)
            alone, together = found[0]["first"], found[0]["all"]
            others = max(found[number]["all"] - found[number]["first"] for number in range(1, size))
            rows.append((str(size), f"{alone:.3f}", f"{together:.3f}", f"{together - alone:+.3f}",
                         f"{others:.3f}", f"<= {GOAL} added"))  # fmt: skip
    head = ("processes", "rank 0 alone", "rank 0 of all", "added", "another rank", "goal")
    method = METHOD.format(rows=ROWS, neurons=NEURONS, steps=steps, repeats=repeats)
    command = f"`python -m benchmarks.ranks{' --quick' * given.quick} --write`"
    body = f"{command}; {machine}.\n{method}\n{sections.table(head, rows)}"
    if given.write:
        sections.write("ranks", "Several processes", f"{body}\n\nMilliseconds of CPU a step.")
    else:
        print(body)


if __name__ == "__main__":
    main()
