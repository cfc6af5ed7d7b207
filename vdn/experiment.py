"""python -m vdn probe RUN EXPERIMENT: active experiments on a run's checkpoint; results are stored with the
run.

Loads our own checkpoint and hands it to `probes.experiments`, which knows nothing of how the network is
built.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes import RunError, regimes
from probes.command_line import INTERRUPTED, shown, whole_number
from probes.diagnostics import derived
from probes.experiments import store
from probes.experiments.ablation import ablate, predictors, reliability
from probes.experiments.kinds import EXPERIMENTS
from probes.experiments.risk_coverage import measure, risk_coverage
from probes.experiments.rollout import rollout, write_replay
from probes.experiments.shift import dose_response
from probes.experiments.store import Cancelled, Progress
from probes.experiments.subject import Score, Subject
from probes.experiments.traversal import traverse
from probes.neuron_names import read_neuron
from vdn.config import Config, ConfigError, described
from vdn.data import READING, SPLITS, ForecastTask, Split, Task, index_batches, say_what_was_read
from vdn.generation import beginning, continuation_tables, read_prompt
from vdn.held import traverse_sequence
from vdn.network import VariationalNetwork
from vdn.objective import class_nll
from vdn.pools import pooled_statistics
from vdn.records import DataError
from vdn.scores import brier, mixture_crps, mixture_nll
from vdn.selection import WEIGHTS
from vdn.sequence_data import SequenceTask
from vdn.sequence_experiment import SequenceSubject, examples, sequence_score
from vdn.student import student_noise
from vdn.subject import NetworkSubject
from vdn.trainer import load_checkpoint, load_network

Tables = dict[str, pd.DataFrame]
DEFAULTS = {"experiment": None, "weights": "best", "data": None, "changed_data": False, "windows": 1}
"""What `Bench` takes where its arguments do not say."""


def scores_of(task: Task, df: Tensor | None = None) -> dict[str, Score]:
    """Scores of a task, one number an example, lower is better: nll (nats a predicted number), crps, mse;
    nll, brier, error. df: degrees of freedom of a Student observation.
    """
    if task.kind == "classification":
        return {"nll": lambda mean, scale, y: class_nll(mean, y), "brier": _brier, "error": _error}

    def nll(mean: Tensor, scale: Tensor | None, y: Tensor) -> Tensor:
        assert scale is not None
        return mixture_nll(y, mean, scale, reduction="none", df=df)

    def crps(mean: Tensor, scale: Tensor | None, y: Tensor) -> Tensor:
        assert scale is not None
        return mixture_crps(y, mean, scale, "none", df).mean(-1)

    return {"nll": nll, "crps": crps, "mse": _mse}


def _mse(mean: Tensor, scale: Tensor | None, y: Tensor) -> Tensor:
    return (mean.mean(0) - y).square().mean(-1)


def _error(logits: Tensor, scale: Tensor | None, y: Tensor) -> Tensor:
    return (logits.softmax(-1).mean(0).argmax(-1) != y).to(logits.dtype)


def _brier(logits: Tensor, scale: Tensor | None, y: Tensor) -> Tensor:
    return brier(logits.softmax(-1).mean(0), y, "none")


class Examples:
    """Evenly spread examples of a split: x, y, their numbers, and blocks of time (`ForecastTask.blocks`)."""

    def __init__(self, task: Task, split: Split, count: int) -> None:
        self.groups: np.ndarray | None = None
        if isinstance(task, SequenceTask):
            self.x, self.y = examples(task, split, count)
            self.index = torch.arange(len(self.x))
            return
        self.index = torch.cat(list(index_batches(task, split, 1, count)))
        batch = task.batch(split, self.index)
        self.x, self.y = batch.x, batch.y
        if isinstance(task, ForecastTask):
            self.groups = task.blocks(split, self.index).numpy()


class Bench:
    """A run's checkpoint, ready for experiments: subject, task, scores and the settings that a result is
    stored with. `arguments` are those of the command line; of split and seed alone the rest is its default.
    """

    def __init__(self, run: Path, arguments: argparse.Namespace) -> None:
        arguments = argparse.Namespace(**{**DEFAULTS, **vars(arguments)})
        state = load_checkpoint(run, arguments.weights)
        self.step, self.weights = int(state["step"]), str(state["weights"])
        self.config, self.task, network = load_network(
            state, arguments.data, arguments.changed_data, reading_of(arguments)
        )
        say_what_was_read(self.task)
        self.network = network
        self.subject: NetworkSubject | SequenceSubject
        self.scores: Mapping[str, Score]
        sequences = isinstance(self.task, SequenceTask)
        if arguments.experiment is not None and not EXPERIMENTS[arguments.experiment].fits(sequences):
            others = [name for name, one in EXPERIMENTS.items() if one.fits(sequences)]
            kind = "sequences" if sequences else "windows or rows"
            raise ConfigError(f"{arguments.experiment} does not take {kind}; {', '.join(others)} do")
        if isinstance(self.task, SequenceTask):
            assert not isinstance(network, VariationalNetwork)
            self.subject, self.scores = SequenceSubject(network), sequence_score(network, self.task)
        else:
            assert isinstance(network, VariationalNetwork)
            self.subject, self.scores = NetworkSubject(network), scores_of(self.task, network.df)
        self.split: Split = arguments.split
        self.seed: int = arguments.seed
        self.examples = Examples(self.task, self.split, arguments.windows)

    def scored(self, draws: int) -> tuple[Subject, Tensor, Tensor, Mapping[str, Score], int, int]:
        """What experiments on scores begin with: subject, x, y, scores, draws, seed."""
        return self.subject, self.examples.x, self.examples.y, self.scores, draws, self.seed

    def statistics(self) -> pd.DataFrame:
        """Every neuron's statistics over the split and its regime: layer, neuron, regime, statistics."""
        frames = []
        for layer, values in enumerate(pooled_statistics(self.network, self.task, self.split, self.seed)):
            frame = pd.DataFrame({"layer": layer, "neuron": np.arange(len(values["kl"])), **values})
            frames.append(frame.assign(regime=regimes.classify(frame, latent_dim=self.config.latent_dim)))
        return derived(pd.concat(frames, ignore_index=True), self.config.latent_dim, self.config.stride or 1)


def run_ablation(bench: Bench, arguments: argparse.Namespace, progress: Progress) -> Tables:
    groups = bench.examples.groups
    effects = ablate(
        *bench.scored(arguments.draws), groups=groups, workers=arguments.workers, progress=progress
    )
    neurons = bench.statistics()
    return {
        "effects": effects,
        "neurons": neurons,
        "predictors": predictors(effects, neurons),
        "reliability": reliability(effects),
    }


def run_traversal(bench: Bench, arguments: argparse.Namespace, progress: Progress) -> Tables:
    statistics = bench.statistics()
    if isinstance(bench.task, SequenceTask):
        return _held(bench, bench.task, statistics, arguments, progress) | {"neurons": statistics}
    if arguments.at:
        raise ConfigError("--at is a position of a sequence; this run has windows or rows")
    chosen = arguments.neurons or most_informative(statistics, arguments.each)
    tables = traverse(bench.subject, bench.examples.x, chosen, arguments.draws, bench.seed, progress=progress)
    return tables | {"neurons": statistics, "targets": _targets(bench.examples.y)}


def _held(
    bench: Bench,
    task: SequenceTask,
    statistics: pd.DataFrame,
    arguments: argparse.Namespace,
    progress: Progress,
) -> Tables:
    """Neurons held at positions of the sequence that the page Sequence shows, or of another split's first."""
    x = task.beginning(bench.split, bench.config.probe_sequence or task.window).x[0]
    spread = np.linspace(0, len(x) - 1, arguments.windows + 2)[1:-1].round().astype(int)
    places = arguments.at or sorted(set(spread.tolist()))
    by = "held_information" if "held_information" in statistics else "information"
    chosen = arguments.neurons or most_informative(statistics, arguments.each, by)
    assert isinstance(bench.subject, SequenceSubject)
    return traverse_sequence(
        bench.subject.network, task, x, places, chosen, arguments.draws, bench.seed, progress
    )


def most_informative(statistics: pd.DataFrame, each: int, by: str = "information") -> list[tuple[int, int]]:
    """(layer, neuron) of the `each` neurons with the largest information, `by`, in every layer."""
    top = (
        statistics.sort_values(by, ascending=False)
        .groupby("layer")
        .head(each)
        .sort_values(["layer", "neuron"])
    )
    return [(int(layer), int(neuron)) for layer, neuron in zip(top["layer"], top["neuron"], strict=True)]


def _targets(y: Tensor) -> pd.DataFrame:
    rows = y.reshape(len(y), -1)
    index, output = np.indices(rows.shape)
    return pd.DataFrame({"input": index.ravel(), "output": output.ravel(), "y": rows.numpy().ravel()})


def run_shift(bench: Bench, arguments: argparse.Namespace, progress: Progress) -> Tables:
    return dose_response(*bench.scored(arguments.draws), groups=bench.examples.groups, progress=progress)


def run_risk_coverage(bench: Bench, arguments: argparse.Namespace, progress: Progress) -> Tables:
    errors, uncertainties = measure(*bench.scored(arguments.draws), progress=progress)
    return risk_coverage(errors, uncertainties, bench.examples.groups)


def run_rollout(bench: Bench, arguments: argparse.Namespace, progress: Progress) -> Tables:
    task = bench.task
    if not isinstance(task, ForecastTask):
        raise ConfigError(f"a rollout continues a series; {bench.config.data} has rows without an order")
    series, origin = task.locate(bench.split, bench.examples.index)
    room = task.ends[SPLITS.index(bench.split)] - arguments.length
    kept = origin <= room
    if not bool(kept.any()):
        raise ConfigError(
            f"no window of the {bench.split} split has {arguments.length} rows after it; take a smaller"
            " --length"
        )
    series, origin = series[kept], origin[kept]
    windows = bench.examples.x[kept]
    truth = task.values.unfold(1, arguments.length, 1)[series, origin]
    assert isinstance(bench.network, VariationalNetwork)
    df = bench.network.df
    tables = rollout(
        bench.subject,
        windows,
        arguments.length,
        arguments.trajectories,
        arguments.feed,
        bench.seed,
        truth,
        progress,
        None if df is None else lambda like, source: student_noise(tuple(like.shape), df, like, source),
    )
    starts = {
        "start": np.arange(len(series)),
        "series": [task.names[i] for i in series.tolist()],
        "origin": origin.numpy(),
    }
    replay = store.folder_of(arguments.run, arguments.name) / "replay"
    shutil.rmtree(replay, ignore_errors=True)
    layers = [{"name": name, "neurons": count, "latent_dim": k} for name, count, k in bench.subject.layers]
    write_replay(replay, tables.pop("neurons"), layers)
    return tables | {"starts": pd.DataFrame(starts)}


def run_generation(bench: Bench, arguments: argparse.Namespace, progress: Progress) -> Tables:
    assert isinstance(bench.task, SequenceTask)
    assert isinstance(bench.subject, SequenceSubject)
    network, task = bench.subject.network, bench.task
    if arguments.prompt is None:
        prompt = beginning(network, task, bench.split)
    else:
        prompt = read_prompt(task, arguments.prompt)
    tables = continuation_tables(
        network, task, prompt, arguments.length, arguments.trajectories, bench.seed, progress
    )
    if task.kind == "symbols":
        given = arguments.prompt if arguments.prompt is not None else "".join(tables["prompt"]["text"])
        for number, part in tables["continuations"].groupby("trajectory"):
            nats = -part["log_prob"].mean()
            print(f"--- draw {int(str(number)) + 1}, {nats:.3f} nats a position under itself")
            print(*map(shown, (given + "".join(part["text"])).split("\n")), sep="\n")
    return tables


RUNNERS: dict[str, Callable[[Bench, argparse.Namespace, Progress], Tables]] = {
    "ablation": run_ablation,
    "traversal": run_traversal,
    "shift": run_shift,
    "risk-coverage": run_risk_coverage,
    "rollout": run_rollout,
    "generation": run_generation,
}


def add_command(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds `probe` to the subparsers of `python -m vdn`."""
    probe = commands.add_parser("probe", help="experiment on a run's network: what its neurons do")
    probe.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    kinds = probe.add_subparsers(
        dest="experiment", required=True, metavar="EXPERIMENT", prog=f"{probe.prog} RUN"
    )

    parsers = {}
    for name, experiment in EXPERIMENTS.items():
        one = parsers[name] = kinds.add_parser(name, help=experiment.help)
        for setting in experiment.settings:
            words = f"{setting.help} [{setting.value}]"
            one.add_argument(
                f"--{setting.flag}", type=positive, default=setting.value, metavar="N", help=words
            )
        one.add_argument("--split", choices=SPLITS, default="test", help="where they are from [test]")
        one.add_argument("--seed", type=whole_number, default=0, metavar="N", help="seed of the noise [0]")
        add_data(one)
        add_weights(one)
        one.add_argument(
            "--name", default=name, metavar="NAME", help=f"name under which the result is stored [{name}]"
        )
    cores = os.cpu_count() or 1
    parsers["ablation"].add_argument(
        "--workers", type=positive, default=cores, metavar="N", help=f"threads [{cores}]"
    )
    which = "which; layers are counted from 1, neurons from 0"
    parsers["traversal"].add_argument("--neurons", type=neuron, nargs="+", metavar="LAYER:NEURON", help=which)
    where = "of sequences: positions t to hold them at; the page Sequence shows the validation split's"
    parsers["traversal"].add_argument("--at", type=place, nargs="+", metavar="T", help=where)
    words = (
        "what is continued: a text; MIDI numbers with commas between chords; numbers with commas between"
        " [the beginning of the split's first sequence]"
    )
    parsers["generation"].add_argument("--prompt", metavar="TEXT", help=words)
    fed = "predicted rows that are fed back at once [1]"
    parsers["rollout"].add_argument("--feed", type=positive, default=1, metavar="N", help=fed)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Flags of commands on a run that exists: where its data lies, and whether that may have changed."""
    parser.add_argument("--data", metavar="csv:PATH", help="where the run's data lies now, if it has moved")
    parser.add_argument(
        "--changed-data",
        action="store_true",
        help="take the data as it is, though the run was trained on other",
    )
    for item in dataclasses.fields(Config):
        if item.name in READING:
            doc = f"{described(item)} [as the run was trained]"
            choices = item.metadata.get("options")
            parser.add_argument(
                f"--{item.name}", choices=choices, default=argparse.SUPPRESS, metavar="TEXT", help=doc
            )


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Flag of commands on a run's network: which of its weights."""
    words = "those with the best validation score, where they were kept, or the last ones [best]"
    parser.add_argument("--weights", choices=WEIGHTS, default="best", help=words)


def reading_of(arguments: argparse.Namespace) -> dict[str, str]:
    """The flags among READING that were given."""
    return {name: value for name, value in vars(arguments).items() if name in READING}


def neuron(text: str) -> tuple[int, int]:
    """(layer, neuron), both from 0, of LAYER:NEURON, for argparse."""
    found = read_neuron(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"a neuron is LAYER:NEURON, such as 1:17, layers counted from 1; this is {text!r}"
        )
    return found


def place(text: str) -> int:
    """A position of a sequence, from 0, for argparse."""
    value = whole_number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"positions are counted from 0, this is {value}")
    return value


def positive(text: str) -> int:
    """A count of at least 1, for argparse."""
    value = whole_number(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, this is {value}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Runs the experiment and stores its tables and settings; exit status. Raises ConfigError, DataError or
    RunError.
    """
    began = time.monotonic()
    torch.set_num_threads(1)  # small products: two threads on one of them wait for each other
    bench = Bench(arguments.run, arguments)
    try:
        with store.tracked(arguments.run, arguments.name, _show) as tracker:
            tables = RUNNERS[arguments.experiment](bench, arguments, tracker)
            settings = {
                name: value
                for name, value in vars(arguments).items()
                if name not in ("command", "run", "name", "data", "changed_data", *READING)
            }
            settings |= {
                "step": bench.step,
                "weights": bench.weights,
                "seconds": round(time.monotonic() - began, 2),
            }
            if "windows" in settings:
                settings["windows"] = len(
                    tables["felt"]["input"].unique() if "felt" in tables else bench.examples.x
                )
            folder = store.save(arguments.run, arguments.name, tables, settings)
    except Cancelled:
        print(f"{arguments.experiment}: cancelled, nothing stored", file=sys.stderr)
        return INTERRUPTED
    except ValueError as error:
        if isinstance(error, ConfigError | DataError | RunError):
            raise
        raise ConfigError(str(error)) from error
    print(
        f"{arguments.experiment}: {bench.weights} weights, of step {bench.step:,};"
        f" {time.monotonic() - began:.1f} s, stored in {folder}"
    )
    return 0


def _show(done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\r{done / total:4.0%}", end=end, file=sys.stderr, flush=True)
