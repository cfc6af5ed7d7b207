"""Sound runs that hostile inputs are made from: a small one with every kind of file, and a real one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from probes import notes
from probes.experiments import store
from probes.log import manifest
from probes.log.blocks import is_grid, write_column_blocks
from probes.log.grid import GridFile
from probes.log.opening import LOCAL
from probes.log.rows import read_whole, write_rows
from probes.log.segments import parse
from probes.recorder import Recorder
from probes.schema import FORCES, PYRAMID, ROW_GROUP_NEURONS

REAL = Path(__file__).resolve().parents[2] / "sample_runs" / "healthy"
LAYERS = [{"name": "wide", "neurons": ROW_GROUP_NEURONS + 2}, {"name": "narrow", "neurons": 3}]
STEPS = PYRAMID[-1] + 44  # a full block, and the beginning of another
INPUTS = 6


def write_small(folder: Path) -> Path:
    """Two layers of 66 and 3 neurons over 300 steps, with every table, a stored experiment and notes."""
    random = np.random.default_rng(0)
    steps = np.arange(STEPS)
    with Recorder(
        folder, LAYERS, config={"seed": 1, "beta": 0.02, "probe_sequence": 2, "stride": 24}
    ) as recorder:
        for layer, item in enumerate(LAYERS):
            neurons = item["neurons"]
            terms = (
                np.abs(random.normal(size=(3, 1, neurons))) + 0.2 + 0.01 * random.random((3, STEPS, neurons))
            )
            statistics = {"mean": terms[0] - 1, "variance": terms[1] / 3, "spread": terms[2]}
            recorder.record_block(
                steps,
                layer,
                statistics
                | {"information": terms[0], "mismatch": terms[1], "kl": terms[0] + terms[1], "mu2": terms[2]},
            )
            for step in (0, STEPS - 1):
                recorder.probe(
                    step, layer, random.normal(size=(INPUTS, neurons)), np.full((INPUTS, neurons), 0.5)
                )
                for term in ("nll", "total"):
                    recorder.forces(step, layer, term, **dict.fromkeys(FORCES, random.normal(size=neurons)))
            recorder.evaluation(STEPS - 1, "test", layer, mean=terms[0][-1], kl=terms[1][-1])
        for step in range(0, STEPS, 10):
            recorder.scalar(step, "loss", 1 / (1 + step), epoch=step / 100)
            recorder.scalar(step, "nll", 2 / (1 + step), split="validation")
        recorder.event(7, "projection", layer=0, neuron=[1, 2], value=[1.5, 0.5], text="into the band")
        recorder.event(8, "phase", text="warm-up ends")
        frame = pd.DataFrame(
            {"input": np.arange(INPUTS), "horizon": 0, "y": random.normal(size=INPUTS), "mean": 0.0}
        )
        recorder.predictions(STEPS - 1, frame)
        score = np.linspace(0.2, 0.8, 60)
        recorder.origin_scores(STEPS - 1, "test", range(60), 1 - score, 4, crps=score, mse=score**2)
    table = pd.DataFrame({"layer": [0, 1], "neuron": [0, 1], "effect": [0.1, 0.2], "score": ["nll", "crps"]})
    store.save(folder, "study", {"effects": table}, {"experiment": "of one's own", "windows": 3})
    notes.write(folder, ["keep"], "a sound run")
    return folder


def write_real(folder: Path) -> Path:
    """The sample run `healthy`, its files written anew so that all have checksums."""
    shutil.copytree(REAL, folder, ignore=shutil.ignore_patterns("checkpoints", "experiments", ".lock"))
    state = manifest.read(LOCAL, str(folder))
    widths = [layer["neurons"] for layer in state["layers"]]
    for path in sorted(folder.rglob("*.parquet")):
        if parse(path.name) is None:
            continue
        name = str(path.parent.relative_to(folder))
        if not is_grid(name):
            write_rows(LOCAL, str(path), read_whole(LOCAL, str(path)), state["precision"])
            continue
        file = GridFile(LOCAL, str(path), widths)
        groups = [
            (group * ROW_GROUP_NEURONS, file.block(layer, group))
            for layer in file.layers
            for group in range(-(-widths[layer] // ROW_GROUP_NEURONS))
        ]
        nullable = {column for column in file.columns if file.may_lack(column)}
        file.close()
        write_column_blocks(LOCAL, str(path), groups, file.columns, nullable, state["precision"])
    return folder


def link_copy(source: Path, target: Path) -> None:
    """A copy whose files are hard links: whoever changes one must replace it."""
    for folder, _, files in os.walk(source):
        here = target / Path(folder).relative_to(source)
        here.mkdir(parents=True)
        for file in files:
            os.link(Path(folder, file), here / file)
