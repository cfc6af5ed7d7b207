"""Measures what `vdn sweep` adds to its trainings, on each engine.

python -m benchmarks.sweep [--write] [--engines local,ray,submitit] [--jobs 4,16]

A training is trivially short, so that what stands around it shows. What a sweep of N takes is compared with N
times a `vdn train` of its own: CPU seconds of all processes that the command started (found by a mark in
their environment, Ray's included), and wall seconds, two at once. Needs the packages of
requirements-fleet.txt.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import numpy as np

from benchmarks import sections

ROOT = Path(__file__).resolve().parents[1]
ENGINES, JOBS, AT_ONCE = ("local", "ray", "submitit"), (4, 16), 2
TINY = (
    *(
        "--layers=1",
        "--neurons=4",
        "--batch=16",
        "--test-draws=1",
        "--threads=1",
        "--window=48",
        "--horizon=4",
    ),
    *("--steps=4", "--validate-every=4"),
)
START, EACH = 5.0, 0.5  # seconds that are to be added at most: once, and a job
ALONE = 3  # trainings, whose median is taken
LOOK = 0.1  # seconds between two looks at the processes
MARK = "BENCHMARK_OF_SWEEPS"
TICKS = os.sysconf("SC_CLK_TCK")
INTRODUCTION = """
`{command}`; {ran_on}, {after:.1f} after.

Seconds of CPU of all processes, and wall seconds with {at_once} jobs at once, of a
sweep of N trainings of 4 steps; in brackets what is added to N times a
`vdn train` of its own, which takes {cpu:.1f} s of CPU and {wall:.1f} s.
"""


class Marked:
    """CPU seconds of processes that carry a mark, each as last seen."""

    def __init__(self, mark: str) -> None:
        self._mark, self._seen = f"{MARK}={mark}".encode(), dict[tuple[int, str], float]()
        self._other: set[tuple[int, str]] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Marked:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def cpu(self) -> float:
        return sum(self._seen.values())

    def _watch(self) -> None:
        while not self._ended.wait(LOOK):
            for path in Path("/proc").glob("[0-9]*"):
                self._look(path)

    def _look(self, path: Path) -> None:
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            process = int(path.name), fields[19]  # when it began: numbers come again
            if process in self._other:
                return
            parent = int(fields[1])  # Ray's workers write their titles over their environment
            if (
                process not in self._seen
                and parent not in {number for number, _ in self._seen}
                and self._mark not in (path / "environ").read_bytes().split(b"\0")
            ):
                if time.time() - os.stat(path).st_mtime > 5:  # a fork gets its program's environment later
                    self._other.add(process)
                return
            self._seen[process] = (int(fields[11]) + int(fields[12])) / TICKS
        except (OSError, IndexError):  # it has ended
            return


def measured(words: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of a command line of `vdn`."""
    mark = uuid.uuid4().hex
    env = os.environ | {MARK: mark, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with Marked(mark) as marked:
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "vdn", *words], env=env, capture_output=True, text=True)
        wall = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-2000:]}")
    return marked.cpu, wall


def main() -> None:
    """Measure and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument(
        "--engines", type=sections.some_of(ENGINES), default=list(ENGINES), help=f"[{','.join(ENGINES)}]"
    )
    parser.add_argument(
        "--jobs", type=sections.whole_numbers, default=list(JOBS), help=f"[{','.join(map(str, JOBS))}]"
    )
    options = parser.parse_args()
    ran_on = sections.measured_on("torch", "ray", "submitit")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        waves = [f"{math.sin(row / 5):.4f},{math.cos(row / 7):.4f}" for row in range(600)]
        (folder / "waves.csv").write_text("\n".join(["a,b", *waves]))
        common = [f"--data=csv:{folder / 'waves.csv'}", *TINY]
        alone = [measured(["train", *common, f"--out={folder / f'alone{at}'}"]) for at in range(ALONE)]
        cpu, wall = (float(value) for value in np.median(alone, axis=0))
        for engine in options.engines:
            for jobs in options.jobs:
                runs = folder / f"{engine}{jobs}"
                seeds = ",".join(map(str, range(jobs)))
                words = ["sweep", "--grid", "beta=0.1", "--seeds", seeds, "--jobs", str(AT_ONCE)]
                taken = measured([*words, "--engine", engine, f"--runs={runs}", *common])
                added = taken[0] - jobs * cpu, taken[1] - math.ceil(jobs / AT_ONCE) * wall
                shown = [f"{one:.1f} ({more:+.1f})" for one, more in zip(taken, added, strict=True)]
                rows.append([engine, str(jobs), *shown, f"<= {START + EACH * jobs:.0f}"])
                print(rows[-1], flush=True)
    head = ["engine", "jobs", "CPU s (added)", "wall s (added)", "goal: added"]
    introduction = INTRODUCTION.format(
        command=f"python -m benchmarks.sweep {'--write' * options.write}".strip(), ran_on=ran_on,
        after=os.getloadavg()[0], at_once=AT_ONCE, cpu=cpu, wall=wall,
    )  # fmt: skip
    body = "\n\n".join([introduction.strip(), sections.table(head, rows)])
    if options.write:
        sections.write("sweeps", "Sweeps by engine", body)
    else:
        print(body)


if __name__ == "__main__":
    main()
