"""Measures how the run log grows: steps at a fixed width, neurons at a fixed length, runs in the catalog.

python -m benchmarks.scale [--write] [--quick] [--folder FOLDER]

Runs of one layer with the seven basic statistics, recorded step by step as fast as the recorder takes them,
so that it writes whenever 256 steps or 64 MB are full. The numbers drift with noise, as those of a training
do. All times are CPU: writing is that of the thread that records and of the writer beside it, a step; reading
is the first call on a run just opened (every footer still to be read) and the median of calls after it, files
cached by the system. Bytes are of the whole folder, summaries and pyramid too.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import sections
from benchmarks.log import STATISTICS, drifting, median_ms, once_ms
from probes import Recorder, Run, catalog
from probes.schema import BLOCK_STEPS

LENGTHS, WIDTH = (1_000, 10_000, 100_000), 1_024  # steps, all with this many neurons
WIDTHS, LENGTH = (100, 1_000, 10_000, 100_000), 1_000  # neurons, all with this many steps
RUNS = (1, 10, 100, 1_000)
QUICK = 10  # times shorter, and the last of each line left out
WOBBLE = 1e-3  # of the mean over steps, so that blocks of the same noise are not the same numbers
WARM_CALLS = 7

INTRODUCTION = """
`make bench-scale`; {ran_on}.

One layer, the seven basic statistics,
recorded as fast as the recorder takes them; CPU milliseconds. Writing: the thread that
records + the writer beside it, a step. Bytes: the whole folder,
summaries and pyramid too. Reading: first on a run just opened;
then the median of later calls.
"""


def write(path: Path, steps: int, neurons: int) -> dict[str, float]:
    """Record a run; CPU ms a step of both threads, bytes a number."""
    rng = np.random.default_rng(0)
    start = np.abs(rng.normal(size=neurons)).astype(np.float32)
    block = min(steps, BLOCK_STEPS)
    noise = {name: drifting(rng, start, block) for name in STATISTICS}
    recording = preparing = 0.0
    process = time.process_time()
    with Recorder(path, [{"name": "layer", "neurons": neurons}]) as recorder:
        for step in range(steps):
            began = time.thread_time()
            values = {
                name: block_values[step % block] + WOBBLE * math.sin(step)
                for name, block_values in noise.items()
            }
            prepared = time.thread_time()
            recorder.record(step, 0, **values)
            preparing += prepared - began
            recording += time.thread_time() - prepared
    process = time.process_time() - process
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {
        "recording": 1e3 * recording / steps,
        "beside": 1e3 * (process - preparing - recording) / steps,
        "bytes": size / (steps * neurons * len(STATISTICS)),
        "megabytes": size / 1e6,
    }


def first_and_later(path: Path, read: Callable[[Run, int], Any]) -> tuple[float, float]:
    """CPU ms of the first call on a run just opened, and the median of calls after it."""
    run = Run(path)
    first = once_ms(lambda: read(run, 0))
    return first, median_ms(lambda index: read(run, index), WARM_CALLS)


def read(path: Path, steps: int, neurons: int) -> dict[str, tuple[float, float]]:
    """Each way of reading: first call, later calls."""
    names = list(STATISTICS)
    apart = steps // (WARM_CALLS + 1)
    return {
        "neuron": first_and_later(
            path, lambda run, index: run.history(0, index * neurons // WARM_CALLS, names)
        ),
        "step": first_and_later(path, lambda run, index: run.at(index * apart, statistics=names)),
        "matrix": first_and_later(path, lambda run, index: run.matrix(0, names[index])),
        "summary": first_and_later(path, lambda run, _: run.layer_summary()),
    }


def measure(folder: Path, steps: int, neurons: int) -> list[str]:
    """One row of the table."""
    path = folder / f"{steps}x{neurons}"
    found = write(path, steps, neurons)
    back = read(path, steps, neurons)
    shutil.rmtree(path)
    cells = [f"{steps:,}", f"{neurons:,}", f"{found['recording']:.2f} + {found['beside']:.2f}"]
    cells += [f"{found['bytes']:.2f}", f"{found['megabytes']:,.0f}"]
    return cells + [f"{first:.0f}; {later:.1f}" for first, later in back.values()]


def catalog_row(folder: Path, runs: int) -> list[str]:
    """The catalog of a folder of `runs` runs: the first time and again."""
    one, root = folder / "one", folder / f"{runs}-runs"
    if not one.exists():
        write(one, BLOCK_STEPS, WIDTH)
    text = (one / "run.json").read_text("utf-8")
    root.mkdir()
    for index in range(runs):
        (root / f"run{index:04d}").mkdir()
        (root / f"run{index:04d}" / "run.json").write_text(
            json.dumps(json.loads(text) | {"name": f"run{index:04d}"}), "utf-8"
        )
    first = once_ms(lambda: catalog(root))
    again = statistics.median(once_ms(lambda: catalog(root)) for _ in range(WARM_CALLS))
    return [f"{runs:,}", f"{first:.0f}", f"{again:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="where the runs are written, up to 4 GB (default: a temporary folder)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the steps, the last of each line left out"
    )
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    ran_on = sections.measured_on("numpy", "pyarrow", "pandas")
    shorter, leave = (QUICK, -1) if options.quick else (1, None)
    lines = [(steps // shorter, WIDTH) for steps in LENGTHS[:leave]] + [
        (LENGTH // shorter, width) for width in WIDTHS[:leave]
    ]
    folder = Path(tempfile.mkdtemp(prefix="benchmark-scale-", dir=options.folder))
    try:
        measure(folder, BLOCK_STEPS, WIDTH)  # what Python and Arrow set up once is no part of it
        catalog_row(folder, 0)
        rows = []
        for steps, neurons in lines:
            rows.append(measure(folder, steps, neurons))
            print("| " + " | ".join(rows[-1]) + " |", file=sys.stderr, flush=True)
        catalogs = [catalog_row(folder, runs) for runs in RUNS[:leave]]
    finally:
        shutil.rmtree(folder)
    head = [
        "steps",
        "neurons",
        "writing, ms a step",
        "bytes a number",
        "MB",
        "one neuron, every step",
        "every neuron, one step",
    ]
    head += ["a statistic of every neuron, at most 1,000 columns", "layer summary"]
    text = "\n\n".join(
        [
            INTRODUCTION.format(ran_on=ran_on).strip(),
            sections.table(head, rows),
            "The catalog of a folder, CPU milliseconds:",
            sections.table(["runs", "first time", "again"], catalogs),
        ]
    )
    print(text)
    if options.write:
        sections.write("scale", "Scale", text)


if __name__ == "__main__":
    main()
