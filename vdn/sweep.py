"""A sweep: seeds x grid, one process a run, and a table of means, sds and paired intervals against the first
grid point.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from vdn.config import ConfigError

POLL_SECONDS = 0.2
PAIRED_LEVEL = 0.975  # two-sided 95 % intervals


@dataclass(frozen=True)
class Job:
    """One run of a sweep: its settings beyond the common ones, its seed, its folder."""

    point: tuple[tuple[str, str], ...]
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.point) or "default"

    def command(self, common: list[str]) -> list[str]:
        """The training's command line."""
        own = [word for name, value in self.point for word in (f"--{name.replace('_', '-')}", value)]
        return [
            sys.executable,
            "-m",
            "vdn",
            "train",
            *common,
            *own,
            "--seed",
            str(self.seed),
            "--out",
            str(self.folder),
        ]


def plan(grid: list[str], seeds: str, runs: Path) -> list[Job]:
    """Jobs of a sweep: every combination of `grid` ("beta=0.01,0.02" each) with every seed ("0,1,2").

    Raises ConfigError for words that are neither, for a folder that is there already, and for two runs of one
    name.
    """
    axes: list[list[tuple[str, str]]] = []
    for word in grid:
        name, separator, values = word.partition("=")
        if not separator or not values:
            raise ConfigError(f"--grid takes NAME=VALUE,VALUE..., this is {word!r}")
        axes.append([(name.strip(), value.strip()) for value in values.split(",")])
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError as error:
        raise ConfigError(f"--seeds takes whole numbers with commas between, this is {seeds!r}") from error
    jobs: list[Job] = []
    for point in itertools.product(*axes):
        label = "-".join(f"{name}{value}" for name, value in point) or "default"
        for seed in numbers:
            folder = runs / "".join(c if c.isalnum() or c in "-_.=" else "_" for c in f"{label}-seed{seed}")
            if folder.exists():
                raise ConfigError(f"{folder} is there already; give the sweep a new --runs folder")
            if any(job.folder == folder for job in jobs):
                raise ConfigError(
                    f"two runs of the sweep would be {folder.name}; give every value and seed once"
                )
            jobs.append(Job(point, seed, folder))
    return jobs


def run_jobs(
    jobs: list[Job], common: list[str], at_once: int, report: Callable[[Job, int], None]
) -> Iterator[Job]:
    """Runs the jobs, `at_once` processes at a time, and yields those that ended well; `report(job, exit
    status)` for each.

    An interruption stops the processes that run (each closes its log) before it is raised.
    """
    waiting = list(reversed(jobs))
    running: dict[Job, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop()
                running[job] = subprocess.Popen(job.command(common), stdout=subprocess.DEVNULL)
            time.sleep(POLL_SECONDS)
            for job in [job for job, process in running.items() if process.poll() is not None]:
                status = running.pop(job).returncode
                report(job, status)
                if status == 0:
                    yield job
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def summarise(results: dict[Job, dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """One row a grid point: n, mean and sd over seeds of each score, and the mean difference to the first
    point, paired by seed.

    `difference_NAME` is (mean, half width of the 95 % t interval), None for the first point or fewer than two
    common seeds.
    """
    points: dict[str, dict[int, dict[str, Any]]] = {}
    for job, scores in results.items():
        points.setdefault(job.name, {})[job.seed] = scores
    rows = []
    first: dict[int, dict[str, Any]] | None = None
    for point, by_seed in points.items():
        row: dict[str, Any] = {"point": point, "n": len(by_seed)}
        for name in names:
            values = np.array([scores[name] for scores in by_seed.values()], float)
            row[name] = (values.mean(), values.std(ddof=1) if len(values) > 1 else math.nan)
            row[f"difference_{name}"] = None
            common = sorted(by_seed.keys() & first.keys()) if first is not None else []
            if first is not None and len(common) > 1:
                row[f"difference_{name}"] = paired_interval(
                    np.array([by_seed[s][name] - first[s][name] for s in common])
                )
        rows.append(row)
        first = by_seed if first is None else first
    return rows


def paired_interval(differences: np.ndarray) -> tuple[float, float]:
    """Mean of paired differences (n,), n >= 2, and half the width of its 95 % Student interval."""
    n = len(differences)
    return float(differences.mean()), float(stats.t.ppf(PAIRED_LEVEL, n - 1)) * float(
        differences.std(ddof=1)
    ) / math.sqrt(n)


def test_scores(run: Path) -> dict[str, float]:
    """Scores of a finished run on the test split, from its manifest."""
    content = json.loads((run / "run.json").read_text("utf-8"))
    return {
        name.removeprefix("test/"): entry["value"]
        for name, entry in content["scores"].items()
        if name.startswith("test/")
    }
