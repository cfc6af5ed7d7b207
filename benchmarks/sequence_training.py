"""Trainings of networks of sequences, and their tests, each done once and kept: what `benchmarks.sequence`
makes its table of.

A training is named by its settings: those of `vdn.config`, and "gru" for a GRU in place of the neurons. Its
validation NLL is kept apart from its test, so that choosing among trials looks at no test split.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.core import Results
from vdn.config import Config, from_dict, resolve
from vdn.data import load
from vdn.evaluate import scores
from vdn.pools import living_share
from vdn.sequence import Edit, LayerState, SequenceOutput, SequentialNetwork, SequentialTwin, State
from vdn.sequence_data import SequenceTask
from vdn.sequence_objective import sequence_nll
from vdn.sequence_scores import passes, pool_sequences
from vdn.splits import Split
from vdn.trainer import SequenceTrainer

VALIDATIONS, VALIDATION_DRAWS, VALIDATION_POSITIONS = 10, 8, 16_384
Settings = dict[str, Any]


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
            self.core, lr=self.lr, weight_decay=config.weight_decay, fused=True
        )


class NotMeasuredError(Exception):
    """Only what is kept was asked for, and this is not."""


class Trainings:
    """Finished trainings and tests.

    path: of JSON lines; the weights lie in a folder of its name. kept_only: measure nothing anew, but raise
    NotMeasuredError.
    """

    def __init__(self, path: Path, kept_only: bool = False) -> None:
        self.results, self.folder, self.kept_only = Results(path), path.with_suffix(""), kept_only

    def get(self, what: Settings, measure: Any) -> Any:
        """What is kept of `what`, or measured now."""
        if self.kept_only and json.dumps(what, sort_keys=True) not in self.results.known:
            raise NotMeasuredError(what)
        return self.results.get(what, measure)

    def trained(self, settings: Settings) -> dict[str, Any]:
        """Best validation NLL of a training, the step it was at, CPU seconds of the optimiser's steps."""
        found: dict[str, Any] = self.get(settings, lambda: self._train(settings))
        return found

    def tested(self, settings: Settings) -> dict[str, Any]:
        """Test of a training's best weights, of every sequence; its neurons' statistics."""
        found: dict[str, Any] = self.get({**settings, "tested": True}, lambda: self._test(settings))
        return found

    def _weights(self, settings: Settings) -> Path:
        name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        return self.folder / f"{name}.pt"

    def _train(self, settings: Settings) -> dict[str, Any]:
        trainer, task, config = _trainer(settings)
        seconds = 0.0
        for number in range(1, VALIDATIONS + 1):
            began = time.process_time()
            while trainer.done < round(trainer.steps * number / VALIDATIONS):
                trainer.step()
            seconds += time.process_time() - began
            found = scores(
                trainer.network, task, "validation", VALIDATION_DRAWS, config.seed, VALIDATION_POSITIONS
            )
            trainer.validated(found)
        best = trainer.selection.best
        assert best is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.save(best["model"], self._weights(settings))
        return {
            "validation": best["score"],
            "best_step": best["step"],
            "seconds": seconds,
        }

    def _test(self, settings: Settings) -> dict[str, Any]:
        path = self._weights(settings)
        if not path.is_file():  # of a training that was kept without them: it is the same again
            self._train(settings)
        trainer, task, config = _trainer(settings)
        network = trainer.network
        network.load_state_dict(torch.load(path, weights_only=True))
        draws = 1 if network.deterministic else config.test_draws
        nats, positions = by_sequence(network, task, "test", draws, config.seed)
        result: dict[str, Any] = {"nats": nats, "positions": positions, "draws": draws}
        pooled = pool_sequences(network, task, "test", config.seed)
        if pooled:
            result |= {
                "living": [living_share(one, config.latent_dim) for one in pooled],
                "rate": float(sum(one["kl"].sum() for one in pooled)),
                "slope": [float(np.corrcoef(one["persistence"], one["phi"])[0, 1]) for one in pooled],
                "blind": without_input(network, task, config.seed),
            }
        return result


def _trainer(settings: Settings) -> tuple[SequenceTrainer, SequenceTask, Config]:
    """A training at its first step."""
    gru = settings.get("gru", False)
    values = {name: value for name, value in settings.items() if name != "gru"}
    config = resolve(from_dict(values | {"twin": True} if gru else values))
    task = load(config)
    assert isinstance(task, SequenceTask)
    return (GruTrainer if gru else SequenceTrainer)(config, task), task, config


@torch.no_grad()
def by_sequence(
    network: SequentialNetwork, task: SequenceTask, split: Split, draws: int, seed: int
) -> tuple[list[float], list[int]]:
    """NLL in nats and count of positions of each sequence of a split, Q of each; draws: S."""
    network.eval()
    nats, positions = np.zeros(task.sequences(split)), np.zeros(task.sequences(split), int)
    first = after = 0
    for batch, output in passes(network, task, split, draws, seed):
        if bool(batch.fresh.all()):  # the next sequences that are gone through side by side
            first, after = after, after + len(batch.fresh)
        nll = sequence_nll(network.log_prob(output, batch.y, batch.mask).double())
        nats[first:after] += torch.where(batch.mask, nll, 0.0).sum(1).numpy()
        positions[first:after] += batch.mask.sum(1).numpy()
    return nats.tolist(), positions.tolist()


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
    for batch, _ in passes(network, task, "validation", 8, seed, 4096):
        blind = network(batch.x, None, 8, None, edit)
        nll = sequence_nll(network.log_prob(blind, batch.y, batch.mask))
        total, count = total + float(nll[batch.mask].sum()), count + float(batch.mask.sum())
    return total / count
