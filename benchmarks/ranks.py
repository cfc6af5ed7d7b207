"""Measures what it costs to record one run of several processes, beside what recording costs one.

python -m benchmarks.ranks [--quick] [--write]

Processes of this machine hand over the sums of a flush, 64 steps of a posterior of 1,024 neurons, again and
again: made fit to be added up, put together, added up, pooled on rank 0. What is taken is the CPU time of the
whole process, gloo's threads included. What stands before and after (sums of rows, statistics from sums, the
log) is that of one process. `--write` puts the table into docs/benchmarks.md, section "Several processes".
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

from benchmarks import sections
from probes.moments import Moments
from probes.watching.ranks import Meeting, stacked
from probes.watching.statistics_buffer import BUFFERED_STEPS

ROWS, NEURONS = 128, 1024
FLUSHES, QUICK = 60, 20
SIZES = (2, 4)
GOAL = 0.15
WAIT = 600
processes = get_context("forkserver")
processes.set_forkserver_preload(["probes.watching.ranks", "torch.distributed"])
METHOD = """
Processes hand over the sums of a flush, {steps} steps of {rows} rows and {neurons:,} neurons. CPU
milliseconds a step of the whole process that this adds to what recording costs one process; medians of
{flushes} flushes.
"""


def rank(number: int, size: int, folder: Path, flushes: int, answers: Any) -> None:
    """One process: milliseconds a step of each flush."""
    torch.set_num_threads(1)
    meeting = f"file://{folder / f'meeting{size}'}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=number, world_size=size)
    torch.manual_seed(number)
    mu, sigma = torch.randn(ROWS, NEURONS, 1), torch.rand(ROWS, NEURONS, 1) + 0.1
    steps = list(range(BUFFERED_STEPS))
    kept = [Moments().update_plain(mu, sigma) for _ in steps]
    ranks = Meeting(str(folder)).ranks()
    assert ranks is not None  # all of them come
    found = []
    for _ in range(flushes):
        began = time.process_time()
        for one in kept:
            one.sufficient_statistics()
        alone = time.process_time() - began
        began = time.process_time()
        sums = [([step], {"latent": _steps_in_front(one)}) for step, one in enumerate(kept)]
        ranks.pool(steps, stacked(steps, sums), {"latent": "gaussian"})
        found.append((time.process_time() - began - alone) / BUFFERED_STEPS * 1e3)
    answers.put((number, statistics.median(found)))
    answers.close()
    answers.join_thread()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads may abort an interpreter that winds down


def _steps_in_front(one: Moments) -> dict[str, torch.Tensor]:
    return {name: value[None] for name, value in one.poolable().items()}


def measure(size: int, folder: Path, flushes: int) -> dict[int, float]:
    """By rank, milliseconds a step."""
    answers = processes.Queue()
    started = [
        processes.Process(target=rank, args=(number, size, folder, flushes, answers))
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
    arguments.add_argument("--quick", action="store_true", help=f"{QUICK} flushes, not {FLUSHES}")
    arguments.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    given = arguments.parse_args()
    flushes = QUICK if given.quick else FLUSHES
    machine = sections.measured_on("torch")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            found = measure(size, Path(folder), flushes)
            others = max(found[number] for number in range(1, size))
            rows.append((str(size), f"{found[0]:.3f}", f"{others:.3f}", f"<= {GOAL}"))
    head = ("processes", "rank 0", "another rank, at most", "goal")
    method = METHOD.format(steps=BUFFERED_STEPS, rows=ROWS, neurons=NEURONS, flushes=flushes)
    command = f"`python -m benchmarks.ranks{' --quick' * given.quick}{' --write' * given.write}`"
    body = f"{command}; {machine}.\n{method}\n{sections.table(head, rows)}"
    if given.write:
        sections.write("ranks", "Several processes", body)
    else:
        print(body)


if __name__ == "__main__":
    main()
