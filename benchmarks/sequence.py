"""Measures networks of sequences against their twins, the Kalman filter and a GRU.

python -m benchmarks.sequence [--chords FILE] [--seeds 0,1,2] [--parts signal,text,chords,steps]
    [--results FILE] [--write]

Network and twin get the same number of trials, chosen by the validation NLL of the first seed; weights are
those of the best of ten validations. S = 1 in training; tests state theirs. Every finished training is kept
in FILE (JSON lines), so that a second call goes on where the first stopped; with --write the table goes to
docs/benchmarks.md, section "Sequences". The chords (JSON: train, valid, test) are read from FILE where given.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import sections
from benchmarks.core import Results
from vdn.config import Config, from_dict, resolve
from vdn.data import load
from vdn.evaluate import network_scores, scores
from vdn.sequence import Edit, LayerState, SequenceOutput, SequentialNetwork, SequentialTwin, State
from vdn.sequence_data import SequenceTask
from vdn.sequence_objective import sequence_nll
from vdn.sequence_scores import passes, sequence_baselines
from vdn.trainer import SequenceTrainer

VALIDATIONS, VALIDATION_DRAWS, VALIDATION_POSITIONS = 10, 8, 16_384
TRIALS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "signal": ([{"beta": 0.0005}, {"beta": 0.0002}], [{"lr": 3e-3}, {"lr": 1e-3}]),
    "text": ([{"beta": 0.0001}, {"beta": 3e-5, "sigma_init": 0.03}], [{"lr": 3e-3}, {"lr": 1e-3}]),
    "chords": (
        [{"beta": 0.001}, {"beta": 0.002}, {"beta": 0.003}, {"beta": 0.001, "dropout": 0.1}],
        [{"dropout": 0.0}, {"dropout": 0.1}, {"dropout": 0.2}, {"dropout": 0.4}],
    ),
}
"""Of the network and of the twin."""


class GruNetwork(SequentialTwin):
    """A GRU of as many units in place of the neurons: what the words of a state that is no sample cost."""

    def __init__(self, symbols: int, neurons: int) -> None:
        super().__init__(symbols, layers=1, neurons=neurons)
        self.gru = nn.GRU(neurons, neurons, batch_first=True)
        self.neurons = neurons

    def draw_noise(
        self, batch: int, positions: int, n_samples: int = 1, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        return []

    def start(self, batch: int, n_samples: int = 1, generator: torch.Generator | None = None) -> State:
        zero = torch.zeros(batch * n_samples, self.neurons, 1)
        return [LayerState(zero, zero, zero)]

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        n_samples: int = 1,
        noise: Any = None,
        edit: Edit | None = None,
    ) -> SequenceOutput:
        before = (state or self.start(len(x)))[0].z[..., 0]
        hidden, last = self.gru(self.embedding(x), before[None].contiguous())
        end = last[0].detach()[..., None]
        return _Ended(self.head(hidden)[None], [], [], [LayerState(end, end, end)])


class _Ended(SequenceOutput):
    """An output whose state is given."""

    def __init__(self, parameters: Tensor, paths: list[Any], posteriors: list[Any], ends: State) -> None:
        super().__init__(parameters, paths, posteriors)
        self._ends = ends

    @property
    def state(self) -> State:
        return self._ends


class GruTrainer(SequenceTrainer):
    """The same training of a GRU."""

    def __init__(self, config: Config, task: SequenceTask) -> None:
        super().__init__(config, task)
        torch.manual_seed(config.seed)
        self.network = GruNetwork(task.outputs, config.neurons)
        self.core = list(self.network.parameters())
        self.optimiser = torch.optim.AdamW(
            self.core, lr=config.lr, weight_decay=config.weight_decay, fused=True
        )


def train(settings: dict[str, Any], kind: type[SequenceTrainer] = SequenceTrainer) -> dict[str, Any]:
    """Scores of one training with the weights of its best validation; CPU seconds of its steps alone."""
    config = resolve(from_dict(settings))
    task = load(config)
    assert isinstance(task, SequenceTask)
    trainer = kind(config, task)
    seconds = 0.0
    for number in range(1, VALIDATIONS + 1):
        began = time.process_time()
        while trainer.done < round(trainer.steps * number / VALIDATIONS):
            trainer.step()
        seconds += time.process_time() - began
        found = scores(
            trainer.network, task, "validation", VALIDATION_DRAWS, config.seed, VALIDATION_POSITIONS
        )
        trainer.validated(found["nll_joint"])
    trainer.take_best()
    assert trainer.best is not None
    test, pooled = network_scores(trainer.network, task, "test", config.test_draws, config.seed)
    result: dict[str, Any] = {
        "validation": trainer.best["score"],
        "best_step": trainer.best["step"],
        "test": test["nll_joint"],
        "draws": 1 if config.twin else config.test_draws,
        "seconds": seconds,
    }
    if pooled:
        result["living"] = test["living_share"]
        result["rate"] = test["rate"]
        result["slope"] = [
            float(np.corrcoef(one["persistence"], one["phi"])[0, 1]) for one in pooled if "phi" in one
        ]
        result["bypass"] = without_input(trainer.network, task, config.seed)
    return result


@torch.no_grad()
def without_input(network: SequentialNetwork, task: SequenceTask, seed: int) -> float:
    """Validation NLL with every draw replaced by one of the stationary prior, S = 8: nothing else reaches the
    head.
    """
    network.eval()
    generator = torch.Generator().manual_seed(seed)

    def edit(layer: int, z: Tensor) -> Tensor:
        return torch.randn(z.shape, generator=generator)

    total = count = 0.0
    for batch, output in passes(network, task, "validation", 8, seed, 4096):
        blind = network(batch.x, None, 8, None, edit)
        nll = sequence_nll(network.log_prob(blind, batch.y, batch.mask))
        total, count = total + float(nll[batch.mask].sum()), count + float(batch.mask.sum())
        del output
    return total / count


def compare(results: Results, name: str, data: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
    """The chosen trial of network and twin with every seed."""
    found: dict[str, Any] = {}
    for who, trials in zip(("neurons", "twin"), TRIALS[name], strict=True):
        tried = []
        for extra in trials:
            settings = {**data, **extra, "twin": who == "twin", "seed": seeds[0]}
            tried.append((results.get(settings, lambda s=settings: train(s))["validation"], settings))
        best = min(tried, key=lambda pair: pair[0])[1]
        runs = [{**best, "seed": seed} for seed in seeds]
        found[who] = [results.get(run, lambda s=run: train(s)) for run in runs]
        found[f"{who} trial"] = " ".join(f"{key} {best[key]}" for key in trials[0] if key in best)
    return found


def step_ratio(rounds: int = 40, warmup: int = 5) -> dict[str, float]:
    """Median CPU milliseconds of a training step (2 layers of 96, T 64, 32 rows, S = 1) and median ratio to
    the twin's of the same round, interleaved.
    """
    trainers = {
        who: SequenceTrainer(config, load(config))  # type: ignore[arg-type]
        for who, config in (
            (who, resolve(from_dict({"data": "text", "neurons": 96, "twin": who == "twin"})))
            for who in ("twin", "neurons")
        )
    }
    times: dict[str, list[float]] = {who: [] for who in trainers}
    for _ in range(rounds + warmup):
        for who, trainer in trainers.items():
            began = time.process_time()
            trainer.step()
            times[who].append(1e3 * (time.process_time() - began))
    kept = {who: values[warmup:] for who, values in times.items()}
    pairs = zip(kept["neurons"], kept["twin"], strict=True)
    return {who: statistics.median(values) for who, values in kept.items()} | {
        "ratio": statistics.median(a / b for a, b in pairs)
    }


def row(name: str, runs: list[dict[str, Any]]) -> list[str]:
    """A row of the table: mean over seeds."""

    def mean(key: str, digits: int = 4) -> str:
        return f"{statistics.mean(run[key] for run in runs):.{digits}f}" if key in runs[0] else ""

    living = [min(run["living"]) for run in runs if "living" in run]
    slopes = [f"{value:.2f}" for value in np.mean([run["slope"] for run in runs], 0)] if living else []
    return [
        name, mean("test"), str(runs[0]["draws"]), mean("bypass", 2), f"{min(living):.2f}" if living else "",
        " ".join(slopes), mean("rate", 1), mean("seconds", 0), str(len(runs)),
    ]  # fmt: skip


HEAD = ["", "test NLL", "S", "blind", "living", "slope, φ", "rate", "CPU s", "seeds"]


def gru_result(results: Results, settings: dict[str, Any]) -> dict[str, Any]:
    """The same training of a GRU of as many units."""
    kept: dict[str, Any] = results.get(
        {**settings, "gru": True}, lambda: train({**settings, "twin": True}, GruTrainer)
    )
    return kept


def measured(results: Results, parts: list[str], seeds: list[int], chords: Path | None) -> str:
    """The section."""
    rows: list[list[str]] = []
    sets: dict[str, dict[str, Any]] = {"signal": {"data": "signal"}, "text": {"data": "text"}}
    if chords is not None:
        sets["chords"] = {"data": f"chords:{chords}"}
    for name, data in sets.items():
        if name not in parts:
            continue
        found = compare(results, name, data, seeds)
        for who in ("neurons", "twin"):
            rows.append(row(f"{name}, {who} ({found[f'{who} trial']})", found[who]))
        if name == "text":
            gru = [gru_result(results, {**data, "seed": seed}) for seed in seeds]
            rows.append(row("text, GRU", gru))
        if name == "signal":
            best = results.get(
                {"kalman": True},
                lambda: sequence_baselines(load(resolve(from_dict({"data": "signal"}))), "test")["kalman"],  # type: ignore[arg-type]
            )
            rows.append(["signal, Kalman filter", f"{best['nll_joint']:.4f}", *[""] * (len(HEAD) - 2)])
        if name == "chords":
            plain = {**data, "head": "bernoulli"}
            both = compare(results, name, plain, seeds)
            for who in ("neurons", "twin"):
                rows.append(row(f"chords, Bernoulli head, {who} ({both[f'{who} trial']})", both[who]))
    lines = [sections.table(HEAD, rows)] if rows else []
    if "steps" in parts:
        steps = step_ratio()
        lines += [
            "",
            f"A training step, 2 layers of 96, T 64, 32 rows, S = 1: neurons {steps['neurons']:.1f} ms, twin"
            f" {steps['twin']:.1f} ms of CPU, ratio {steps['ratio']:.2f}.",
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--chords", type=Path)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--parts", default="signal,text,chords,steps")
    parser.add_argument("--results", type=Path, default=Path("build") / "sequence.jsonl")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    on = sections.measured_on("torch")
    body = measured(Results(arguments.results), arguments.parts.split(","), seeds, arguments.chords)
    print(body)
    if arguments.write:
        sections.write("sequences", "Sequences", f"{on}.\n\n{body}")


if __name__ == "__main__":
    main()
