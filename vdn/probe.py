"""python -m vdn probe RUN EXPERIMENT: active experiments on a run's checkpoint; results are stored with the run.

Loads our own checkpoint and hands it to `probes.experiments`, which knows nothing of how the network is built.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes import regimes
from probes.diagnostics import contraction
from probes.experiments import store
from probes.experiments.ablation import ablate, predictors, reliability
from probes.experiments.store import Cancelled, Progress
from probes.experiments.subject import Score
from vdn.config import ConfigError
from vdn.data import ForecastTask, Split, Task
from vdn.evaluate import chunks, pooled_statistics
from vdn.objective import class_nll
from vdn.scores import mixture_crps, mixture_nll
from vdn.subject import NetworkSubject
from vdn.trainer import load_checkpoint, load_run

Tables = dict[str, pd.DataFrame]
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
BLOCK_HORIZONS = 2  # length of a block of windows: errors of means stop growing with it there (docs/decisions.md)


def scores_of(task: Task) -> dict[str, Score]:
    """Proper scores of a task, each one number an example: nll (nats; a number for forecasts) with crps or brier."""
    if task.kind == "classification":
        return {"nll": lambda mean, scale, y: class_nll(mean, y), "brier": lambda mean, scale, y: _brier(mean, y)}
    return {"nll": lambda mean, scale, y: mixture_nll(y, mean, scale, reduction="none"), "crps": _crps}  # type: ignore[arg-type]


def _crps(mean: Tensor, scale: Tensor | None, y: Tensor) -> Tensor:
    assert scale is not None
    return mixture_crps(y, mean, scale, "none").mean(-1)


def _brier(logits: Tensor, y: Tensor) -> Tensor:
    """Squared distance of the mean class probabilities (S, B, C) from the class that is right, (B,) (Brier 1950)."""
    share = logits.softmax(-1).mean(0)
    return (share - torch.nn.functional.one_hot(y, share.shape[-1])).square().sum(-1)


class Examples:
    """Evenly spread examples of a split: x, y, their numbers, and blocks of them that are independent.

    Windows that overlap share targets and weather: those of one block of time, of whichever series, count as one for errors.
    """

    def __init__(self, task: Task, split: Split, count: int) -> None:
        self.index = torch.cat(list(chunks(task, split, 1, count)))
        batch = task.batch(split, self.index)
        self.x, self.y = batch.x, batch.y
        self.groups: np.ndarray | None = None
        if isinstance(task, ForecastTask):
            self.groups = (task.locate(split, self.index)[1] // (BLOCK_HORIZONS * task.horizon)).numpy()


class Bench:
    """A run's checkpoint, ready for experiments: subject, task, scores and the settings that a result is stored with."""

    def __init__(self, run: Path, arguments: argparse.Namespace) -> None:
        self.step = int(load_checkpoint(run)["step"])
        self.config, self.task, network = load_run(run)
        self.subject = NetworkSubject(network)
        self.scores = scores_of(self.task)
        self.split: Split = arguments.split
        self.seed: int = arguments.seed
        self.examples = Examples(self.task, self.split, arguments.windows)

    def statistics(self) -> pd.DataFrame:
        """Every neuron's statistics over the split and its regime: layer, neuron, regime, statistics."""
        frames = []
        for layer, values in enumerate(pooled_statistics(self.subject.network, self.task, self.split, self.seed)):
            frame = pd.DataFrame({"layer": layer, "neuron": np.arange(len(values["kl"])), **values})
            frames.append(frame.assign(regime=regimes.classify(frame, latent_dim=self.config.latent_dim)))
        return pd.concat(frames, ignore_index=True).assign(contraction=lambda frame: contraction(frame["variance"]))


def run_ablation(bench: Bench, arguments: argparse.Namespace, progress: Progress) -> Tables:
    examples = bench.examples
    effects = ablate(
        bench.subject,
        examples.x,
        examples.y,
        bench.scores,
        arguments.draws,
        bench.seed,
        groups=examples.groups,
        workers=arguments.workers,
        progress=progress,
    )
    neurons = bench.statistics()
    return {
        "effects": effects,
        "neurons": neurons,
        "predictors": predictors(effects, neurons),
        "reliability": reliability(effects),
    }


EXPERIMENTS: dict[str, Callable[[Bench, argparse.Namespace, Progress], Tables]] = {"ablation": run_ablation}


def add_command(commands: Any) -> None:
    """Adds `probe` to the subparsers of `python -m vdn`."""
    probe = commands.add_parser("probe", help="experiment on a run's network: what its neurons do")
    probe.add_argument("run", type=Path, help="folder of the run")
    kinds = probe.add_subparsers(dest="experiment", required=True)

    def add(name: str, doc: str, windows: int, draws: int) -> argparse.ArgumentParser:
        one = kinds.add_parser(name, help=doc)
        one.add_argument("--windows", type=positive, default=windows, help=f"examples, evenly spread [{windows}]")
        one.add_argument("--draws", type=positive, default=draws, help=f"draws an example [{draws}]")
        one.add_argument("--split", choices=("train", "validation", "test"), default="test", help="where they are from [test]")
        one.add_argument("--seed", type=int, default=0, help="seed of the noise [0]")
        one.add_argument("--name", default=name, help=f"name under which the result is stored [{name}]")
        return one

    ablation = add("ablation", "each neuron silenced: effect on the scores", 2000, 2)
    cores = os.cpu_count() or 1
    ablation.add_argument("--workers", type=positive, default=cores, help=f"threads [{cores}]")


def positive(text: str) -> int:
    """A count of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, this is {value}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Runs the experiment and stores its tables and settings; exit status. Raises ConfigError, DataError or RunError."""
    began = time.monotonic()
    bench = Bench(arguments.run, arguments)
    try:
        with store.tracked(arguments.run, arguments.name, _show) as tracker:
            tables = EXPERIMENTS[arguments.experiment](bench, arguments, tracker)
            settings = {name: value for name, value in vars(arguments).items() if name not in ("command", "run", "name")}
            settings |= {"step": bench.step, "windows": len(bench.examples.x), "seconds": time.monotonic() - began}
            folder = store.save(arguments.run, arguments.name, tables, settings)
    except Cancelled:
        print(f"\n{arguments.experiment}: cancelled, nothing stored", file=sys.stderr)
        return INTERRUPTED
    print(f"\n{arguments.experiment}: {time.monotonic() - began:.1f} s, stored in {folder}")
    return 0


def _show(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done / total:4.0%}", end="", file=sys.stderr, flush=True)


__all__ = ["ConfigError", "add_command", "run"]
