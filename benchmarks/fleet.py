"""Measures questions to many runs: the living share at the end of 300, from their summaries and from files.

python -m benchmarks.fleet [--write] [--runs N] [--folder FOLDER]

Some runs of four layers are recorded, then copied under other settings; each has the seven basic statistics
of 256 neurons at 500 steps. Every question is asked in a fresh process: CPU of the process, and its peak
memory, imports included. Opening reads the manifests; the first answer also makes the table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import probes
from benchmarks import sections
from probes.log import neuron_summary

RUNS, LAYERS, WIDTH, STEPS = 300, 4, 64, 500
RECORDED = 6  # runs that are recorded; the others are copies of them under other settings
BETAS, RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3), (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
WIDE = 4096  # neurons of a run whose summary is weighed
QUESTIONS = {
    "summaries": "select beta, lr, avg(living::int) as living from neurons join runs using (run)"
    " group by all",
    "files": "select beta, lr, avg((h.settled in (0, 9))::int) as living from history h join runs r"
    " on r.run = h.run where h.step = r.last_step group by all",
    "layer and neuron": "select layer, beta, median(contraction_last), avg(onset), avg(kl_mean) from neurons"
    " join runs using (run) group by all order by all",
}

INTRODUCTION = """
`make bench-fleet`; {ran_on}.

{runs} runs x {neurons} neurons x {steps} steps, the seven basic
statistics: {megabytes:,.0f} MB without pyramids. Questions by beta and learning
rate, in a fresh process each; CPU milliseconds, peak memory with
all that is imported.
"""


def record(path: Path, seed: int, neurons: int = WIDTH, layers: int = LAYERS, steps: int = STEPS) -> None:
    """A run whose neurons contract one after the other, some of them never."""
    rng = np.random.default_rng(seed)
    names = [{"name": f"layer {index + 1}", "neurons": neurons} for index in range(layers)]
    with probes.Recorder(path, names, config={"seed": seed}, precision="10bit") as recorder:
        at = np.arange(steps)[:, None]
        for index in range(layers):
            starts = rng.exponential(steps / 3, neurons) * (rng.random(neurons) < 0.8) + 1e9 * (
                rng.random(neurons) < 0.2
            )
            variance = 1 - 0.9 * rng.random(neurons) / (1 + np.exp(-np.clip((at - starts) / 20, -50, 50)))
            noise = 1 + 0.02 * rng.normal(size=(steps, neurons))
            spread = np.maximum(1 - variance, 1e-4) * noise
            information = -0.5 * np.log(variance)
            mean = 0.1 * rng.normal(size=(steps, neurons))
            recorder.record_block(
                np.arange(steps), index,
                {"mean": mean, "variance": variance * noise, "mu2": mean**2, "spread": spread,
                 "kl": information + 0.01, "information": information, "mismatch": np.full_like(mean, 0.01)},
            )  # fmt: skip


def make(folder: Path, runs: int) -> None:
    """The runs: some recorded, the others copies with other settings."""
    grid = itertools.cycle(itertools.product(BETAS, RATES))
    for number, (beta, rate) in zip(range(runs), grid, strict=False):
        path = folder / f"run{number:04d}"
        if number < RECORDED:
            record(path, number)
            shutil.rmtree(path / "pyramid")
        else:
            shutil.copytree(folder / f"run{number % RECORDED:04d}", path)
        manifest = json.loads((path / "run.json").read_text())
        settings = {"beta": beta, "lr": rate, "seed": number, "optimizer": {"name": "adamw", "decay": 0.01}}
        (path / "run.json").write_text(
            json.dumps(manifest | {"config": settings, "name": path.name, "seed": number})
        )


def asked(folder: Path, question: str) -> dict[str, float]:
    """What a question costs in this process, which has asked nothing yet."""
    began = time.process_time()
    import duckdb  # noqa: F401

    imported = time.process_time()
    with probes.fleet(folder) as fleet:
        opened = time.process_time()
        first = fleet.sql(QUESTIONS[question])
        answered = time.process_time()
        fleet.sql(QUESTIONS[question])
        again = time.process_time()
        assert len(first)
        assert not fleet.left_out
    return {
        "import": 1e3 * (imported - began),
        "open": 1e3 * (opened - imported),
        "first": 1e3 * (answered - opened),
        "again": 1e3 * (again - answered),
        "peak": sections.memory("VmHWM"),
    }


def in_fresh_process(folder: Path, question: str) -> dict[str, Any]:
    """`asked` in a process of its own, the median of three by the first answer."""
    command = [sys.executable, "-m", "benchmarks.fleet", "--folder", str(folder), "--ask", question]
    found = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    return sorted(found, key=lambda one: float(one["first"]))[1]


def summary_bytes(folder: Path) -> tuple[float, float]:
    """Bytes a neuron of the summary of a wide run, and of a whole one of the fleet's runs."""
    record(folder / "wide", 0, WIDE, 1, 200)
    wide, small = (folder / name / neuron_summary.FILE for name in ("wide", "run0000"))
    sizes = wide.stat().st_size / WIDE, small.stat().st_size
    shutil.rmtree(folder / "wide")
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--folder", type=Path, help="runs made before, or where they are made and stay")
    parser.add_argument("--ask", choices=QUESTIONS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        print(json.dumps(asked(options.folder, options.ask)))
        return
    ran_on = sections.measured_on("duckdb", "pyarrow")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "runs"
        if not folder.exists():
            make(folder, options.runs)
        size = sum(file.stat().st_size for file in folder.rglob("*.parquet")) / 1e6
        weights = summary_bytes(folder)
        rows = []
        for question in QUESTIONS:
            found = in_fresh_process(folder, question)
            rows.append(
                [
                    question,
                    *(f"{found[key]:,.0f}" for key in ("import", "open", "first", "again")),
                    f"{found['peak']:,.0f} MB",
                ]
            )
    head = ["from", "import duckdb", "open the fleet", "first answer", "again", "peak memory"]
    neurons = LAYERS * WIDTH
    introduction = INTRODUCTION.format(
        ran_on=ran_on, runs=options.runs, neurons=neurons, steps=STEPS, megabytes=size
    )
    summaries = (
        f"A summary: {weights[0]:.1f} bytes a neuron of {WIDE:,};"
        f" {weights[1] / 1e3:.1f} kB of a run of {neurons} neurons."
    )
    body = "\n\n".join([introduction.strip(), sections.table(head, rows), summaries])
    print(body)
    if options.write:
        sections.write("fleet", "Many runs", body)


if __name__ == "__main__":
    main()
