"""A sweep: seeds x grid, one process a run, and a table of means, sds and differences with their intervals
against the first grid point. Where the processes run is for `vdn.sweep_engines`.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from probes import Run
from probes.analysis.paired_scores import UnpairedError
from probes.analysis.score_differences import said, score_differences
from probes.command_line import near
from probes.log.limits import JSON_BYTES
from probes.storage import is_store, open_folder
from vdn.config import Config, ConfigError, flag_words
from vdn.sweep_engines import Engine

POLL_SECONDS = 0.2
RETRIES = 3  # of a job that was killed: memory, a node that was lost
SETTINGS = tuple(item.name for item in dataclasses.fields(Config))
SWITCHES = {
    (item.name, word): word == "true"
    for item in dataclasses.fields(Config)
    if isinstance(item.default, bool)
    for word in ("true", "false")
}
"""A switch of the grid and its word -> its value."""
OF_DATA = frozenset(
    (
        "data",
        "sequence",
        "columns",
        "sep",
        "decimal",
        "header",
        "time",
        "id",
        "split",
        "split_rows",
        "horizon",
    )
)
"""Settings that say what is predicted: scores of two of their values are not compared."""
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

    @property
    def settings(self) -> list[str]:
        """The settings of its point as words of a command line."""
        return [
            word
            for name, value in self.point
            for word in flag_words(name, SWITCHES.get((name, value), value))
        ]

    def command(self, common: list[str]) -> list[str]:
        """The training's command line."""
        return [
            sys.executable,
            "-m",
            "vdn",
            "train",
            *common,
            *self.settings,
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
        name = name.strip().replace("-", "_")
        if name == "seed":
            raise ConfigError(f"seeds are not of the grid: give --seeds {values}")
        if name not in SETTINGS:
            raise ConfigError(
                f"--grid: there is no setting {name!r}{near(name, SETTINGS)}; vdn train --help lists them"
            )
        if any(name == axis[0][0] for axis in axes):
            raise ConfigError(
                f"--grid has {name} twice: give all of its values at once, {name}=VALUE,VALUE..."
            )
        axis = [(name, value.strip()) for value in values.split(",")]
        if (name, "true") in SWITCHES and any(value not in SWITCHES for value in axis):
            raise ConfigError(f"--grid: {name} is true or false, not {values}")
        axes.append(axis)
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError as error:
        raise ConfigError(f"--seeds takes whole numbers with commas between, this is {seeds!r}") from error
    jobs: list[Job] = []
    for point in itertools.product(*axes):
        label = "-".join(f"{name}{value}" for name, value in point) or "default"
        for seed in numbers:
            folder = runs / "".join(c if c.isalnum() or c in "-_.=" else "_" for c in f"{label}-seed{seed}")
            stored = is_store(folder)
            there = open_folder(folder).stamp("run.json") is not None if stored else folder.exists()
            if there:
                raise ConfigError(f"{folder} is there already; give the sweep a new --runs folder")
            if any(job.folder == folder for job in jobs):
                raise ConfigError(
                    f"two runs of the sweep would be {folder.name}; give every value and seed once"
                )
            jobs.append(Job(point, seed, folder))
    return jobs


def run_jobs(
    jobs: list[Job], common: list[str], at_once: int, report: Callable[[Job, int, str], None], engine: Engine
) -> Iterator[Job]:
    """Runs the jobs, `at_once` at a time, and yields those that ended well; `report` gets each job, its exit
    status, and what it said on standard error.

    One that was killed is started again, RETRIES times at most, and goes on from its checkpoint. An
    interruption stops the jobs that run (each closes its log) before it is raised.
    """
    waiting = list(reversed(jobs))
    running: dict[Job, Any] = {}
    tries = dict.fromkeys(jobs, 0)
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop()
                tries[job] += 1
                running[job] = engine.start(job.command(common)[3:], job.folder)
            time.sleep(POLL_SECONDS)
            for job, handle in list(running.items()):
                if (ended := engine.ended(handle)) is None:
                    continue
                del running[job]
                status, said = ended
                if status < 0 and tries[job] <= RETRIES:
                    waiting.append(job)
                    continue
                report(job, status, said)
                if status == 0:
                    yield job
    finally:
        engine.stop(running.values())


def summarise(
    results: dict[Job, dict[str, Any]],
    names: Sequence[str],
    origins: Mapping[Job, pd.DataFrame] | None = None,
) -> list[dict[str, Any]]:
    """One row a grid point: n, mean and sd over seeds of each score, and the mean difference to the first
    point, paired by seed.

    `difference_NAME` is (mean, half width of the 95 % interval), None for the first point or where nothing
    can be said of it. The interval is over time and seeds where `origins` has what the jobs stored of each
    origin (`score_differences`), and `over` says what it is of; of a score that it does not have over seeds
    alone (`paired_interval`), from two of them on. Points of other data than the first one's (`OF_DATA`) have
    none. A score that not all jobs of a point have is NaN there.
    """
    points: dict[str, dict[int, Job]] = {}
    for job in results:
        points.setdefault(job.name, {})[job.seed] = job
    rows = []
    first: dict[int, Job] | None = None
    for point, by_seed in points.items():
        row: dict[str, Any] = {"point": point, "n": len(by_seed), "over": ""}
        common = sorted(by_seed.keys() & first.keys()) if first is not None else []
        pairs = [(by_seed[seed], first[seed]) for seed in common] if first is not None else []
        pairs = [pair for pair in pairs if len({_data_of(job) for job in pair}) == 1]
        found = _by_origin(pairs, origins or {})
        if len(found):
            row["over"] = said(found)
        for name in names:
            values = np.array([results[job].get(name, math.nan) for job in by_seed.values()], float)
            row[name] = (values.mean(), values.std(ddof=1) if len(values) > 1 else math.nan)
            row[f"difference_{name}"] = None
            if name in found.index:
                line = found.loc[name]
                row[f"difference_{name}"] = line["difference"], line["high"] - line["difference"]
            elif len(pairs) > 1 and all(name in results[job] for pair in pairs for job in pair):
                row[f"difference_{name}"] = paired_interval(
                    np.array([results[own][name] - results[other][name] for own, other in pairs])
                )
        rows.append(row)
        first = by_seed if first is None else first
    return rows


def _data_of(job: Job) -> tuple[tuple[str, str], ...]:
    """What a job predicts, as far as it is of the grid."""
    return tuple((name, value) for name, value in job.point if name in OF_DATA)


def _by_origin(pairs: list[tuple[Job, Job]], origins: Mapping[Job, pd.DataFrame]) -> pd.DataFrame:
    """What `score_differences` says of pairs of jobs; nothing where they have no scores by origin."""
    if not pairs or not all(job in origins for pair in pairs for job in pair):
        return pd.DataFrame()
    try:
        return score_differences(*([origins[job] for job in side] for side in zip(*pairs, strict=True)))
    except UnpairedError:
        return pd.DataFrame()


def paired_interval(differences: np.ndarray) -> tuple[float, float]:
    """Mean of paired differences (n,), n >= 2, and half the width of its 95 % Student interval."""
    n = len(differences)
    return float(differences.mean()), float(stats.t.ppf(PAIRED_LEVEL, n - 1)) * float(
        differences.std(ddof=1)
    ) / math.sqrt(n)


def origin_scores(run: Path) -> pd.DataFrame:
    """Scores of each origin of the test split that a finished run has stored, also of a store."""
    return Run(run).origin_scores()


def test_scores(run: Path) -> dict[str, float]:
    """Scores of a finished run on the test split, from its manifest, also of a store."""
    content = json.loads(open_folder(run).read("run.json", JSON_BYTES))
    return {
        name.removeprefix("test/"): entry["value"]
        for name, entry in content["scores"].items()
        if name.startswith("test/")
    }
