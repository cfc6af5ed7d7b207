"""The runs that `benchmarks.ui` opens: planted neurons in the log's own format, made once and kept under
build/.

They hold what a run of `python -m vdn train` holds: every statistic at every step, losses, scores,
interventions, and at 24 steps the posteriors and forecasts of 64 probe inputs.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from probes import Recorder
from probes.log.manifest import group_of
from probes.schema import BLOCK_STEPS
from probes.synthetic import plant, statistics

FOLDER = Path(__file__).resolve().parent.parent / "build" / "benchmark-ui"
VERSION = 2  # of what is written: another number makes the runs anew
# code -> weight: six of ten neurons live, the others are what collapse leaves behind
REGIMES = {0: 6, 4: 1, 5: 1, 6: 1, 9: 1}
INPUTS, HORIZON, PROBE_STEPS = 64, 24, 24  # as `python -m vdn train` stores them by default
BATCH = 64  # inputs of a step: the posteriors of four times as many would take four times as long to draw
SAMPLE = Path(__file__).resolve().parent.parent / "sample_runs" / "healthy"
MANY_VERSION = 1  # of what `write_many` writes
BETAS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
RATES, WINDOWS, SEEDS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), (24, 72, 168, 336, 504), range(5)
VALIDATIONS = 100  # scores of the validation split over a run
EVENTS = 300  # interventions over a run


@dataclass(frozen=True)
class Planned:
    """A run to open: its name, the neurons of each layer, how many steps, at how many of them the probe batch
    is stored.
    """

    name: str
    neurons: tuple[int, ...]
    steps: int
    probed: int = PROBE_STEPS


LONG = Planned("long", (1024,) * 4, 10_000)
THREE = Planned("three", (64,) * 3, 2_000)
WIDE = Planned("wide", (1024,), 1_000)


def made(planned: Planned) -> Path:
    """A folder of runs that holds this one alone, from an earlier call where there is one."""
    folder = FOLDER / f"{planned.name}-{len(planned.neurons)}x{planned.neurons[0]}x{planned.steps}-v{VERSION}"
    if not folder.exists():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        write(unfinished / planned.name, planned)
        unfinished.rename(folder)  # a run that was interrupted is not taken for a whole one
    return folder


def made_many(count: int) -> Path:
    """A folder of `count` copies of a sample run with other configs and scores, from an earlier call where
    there is one.
    """
    folder = FOLDER / f"many-{count}-v{MANY_VERSION}"
    if not folder.exists():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        write_many(unfinished, count)
        unfinished.rename(folder)
    return folder


def write_many(folder: Path, count: int) -> None:
    """Copies of `SAMPLE` over a grid of beta, learning rate, width of the window and seed.

    Their files of rows are links to the sample's, so that a thousand runs take no more room than their
    manifests; scores, curves and living shares are moved as if the config had done so.
    """
    manifest = json.loads((SAMPLE / "run.json").read_text())
    draw = np.random.default_rng(0)
    grid = product(SEEDS, WINDOWS, RATES, BETAS)
    for number, (seed, window, rate, beta) in enumerate(islice(grid, count)):
        path = folder / f"nyc-l3-n64-window{window}-lr{rate:g}-beta{beta:g}-seed{seed}"
        shutil.copytree(SAMPLE, path, copy_function=os.link)
        (path / "run.json").unlink()  # the sample's own is not to be written
        config = manifest["config"] | {"beta": beta, "lr": rate, "window": window, "seed": seed}
        worse = 0.1 * np.log10(beta / 1e-3) + 0.02 * float(draw.standard_normal())
        alive = float(np.clip(1.2 - beta / 0.05, 0, 1))
        curves = {
            name: [[step, value + worse if "nll" in name else value] for step, value in points]
            for name, points in manifest["sparklines"].items()
        }
        scores = {
            name: last | {"value": last["value"] + worse} if "nll" in name or "crps" in name else last
            for name, last in manifest["scores"].items()
        }
        content = manifest | {
            "name": path.name,
            "created": f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}T{number % 24:02d}:00:00+00:00",
            "config": config,
            "seed": seed,
            "group": group_of(config),
            "scores": scores,
            "sparklines": curves,
            "living_share": [share * alive for share in manifest["living_share"]],
        }
        (path / "run.json").write_text(json.dumps(content))


def write(path: Path, planned: Planned) -> None:
    """Record the whole run at `path`."""
    with recorder_of(path, planned) as recorder:
        write_steps(recorder, planned, 0, planned.steps)
        draw = np.random.default_rng(1)
        for step in np.unique(np.geomspace(1, planned.steps, planned.probed).astype(int) - 1):
            write_probe(recorder, planned, int(step), draw)
        for step in np.linspace(0, planned.steps - 1, EVENTS).astype(int):
            layer = int(draw.integers(len(planned.neurons)))
            neuron = int(draw.integers(planned.neurons[layer]))
            recorder.event(
                int(step), "projection", layer=layer, neuron=neuron, value=1.2, text="into the band"
            )


def recorder_of(path: Path, planned: Planned) -> Recorder:
    """A recorder of the run's layers, called `layer 1` and so on."""
    layers = [{"name": f"layer {index + 1}", "neurons": count} for index, count in enumerate(planned.neurons)]
    config = {"beta": 0.02, "seed": 0, "steps": planned.steps, "probe_inputs": INPUTS, "stride": 24}
    return Recorder(path, layers, config)


def write_steps(recorder: Recorder, planned: Planned, begin: int, end: int) -> None:
    """Every neuron at the steps from `begin` until before `end`, the loss of each and the validation split's
    scores.
    """
    torch.set_num_threads(1)  # small operations: two threads would mostly wait for each other
    truth = plant(planned.neurons, planned.steps, REGIMES)
    layers = [part.reset_index(drop=True) for _, part in truth.groupby("layer")]
    draw = np.random.default_rng(begin)
    every = max(planned.steps // VALIDATIONS, 1)
    for first in range(begin, end, BLOCK_STEPS):
        at = np.arange(first, min(first + BLOCK_STEPS, end))
        for index, part in enumerate(layers):
            recorder.record_block(at, index, statistics(part, at, planned.steps, draw, BATCH))
        for step in at.tolist():
            done = 1 / np.sqrt(1 + step)
            recorder.scalar(step, "loss", 0.5 + done, split="train")
            if step % every == 0 or step == planned.steps - 1:
                scores = {"nll_joint": 0.6 + done, "crps": 0.3 + 0.2 * done, "coverage_80": 0.8 - 0.3 * done}
                for name, value in scores.items():
                    recorder.scalar(step, name, value, split="validation")


def write_probe(recorder: Recorder, planned: Planned, step: int, draw: np.random.Generator) -> None:
    """Posteriors (inputs, N) of a layer that contract over the run, and forecasts (inputs, horizon)."""
    done = step / planned.steps
    for layer, neurons in enumerate(planned.neurons):
        mu = done * draw.standard_normal((INPUTS, neurons))
        recorder.probe(step, layer, mu=mu, sigma=np.full((INPUTS, neurons), 1 - 0.8 * done))
    y = np.random.default_rng(2).standard_normal(INPUTS * HORIZON)  # the same targets at every step
    frame = {
        "input": np.repeat(np.arange(INPUTS), HORIZON),
        "horizon": np.tile(np.arange(HORIZON), INPUTS),
        "y": y,
        "mean": done * y + 0.3 * draw.standard_normal(y.size),
        "latent_variance": draw.uniform(0.01, 0.1, y.size),
        "observation_variance": draw.uniform(0.1, 1.1 - done, y.size),
        "pit": draw.uniform(size=y.size),
    }
    recorder.predictions(step, pd.DataFrame(frame))
