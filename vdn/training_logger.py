"""What a training tells its log: statistics of the neurons, scalars, what the control laws did."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from probes import Recorder
from probes.moments import derive
from probes.persistence import Pairs
from probes.sequence_moments import derive_sequence
from vdn.data import Batch
from vdn.pools import accumulate, living_share, new_pool, series_count
from vdn.probe_batch import ProbeBatch
from vdn.sequence import SequenceOutput
from vdn.sequence_data import SequenceBatch
from vdn.sequence_probe import ProbeSequence
from vdn.sequence_scores import accumulate_sequences, new_sequence_pool
from vdn.trainer import SequenceTrainer, Step, Trainer, Training

BUFFERED_STEPS = 64  # recorded steps that stay on the device before they move in one copy


def geometric_steps(count: int, steps: int) -> set[int]:
    """About `count` step numbers from 0 to steps - 1, dense at first and ever wider apart, both ends among
    them.
    """
    if count < 1:
        return set()
    return {int(step) for step in np.rint(np.geomspace(1, steps, count)) - 1} | {0, steps - 1}


class TrainingLogger:
    """Gathers statistics on the device while a network trains and hands them to the log a block at a time.

    It reads `trainer` and writes `recorder`; training does not depend on it.
    """

    def __init__(self, trainer: Training, recorder: Recorder) -> None:
        config = trainer.config
        self.trainer, self.recorder = trainer, recorder
        self.probed = (
            geometric_steps(config.probe_times, trainer.steps)
            if config.probe_inputs + config.probe_sequence
            else set()
        )
        # what the probe batch says of a step stands in that step's rows
        self.recorded = (
            geometric_steps(config.record_start, trainer.steps) | {0, trainer.steps - 1} | self.probed
        )
        self.probe_batch = probe_of(trainer, recorder) if self.probed else None
        self._of_probe_batch: list[dict[str, Tensor]] = []
        self._steps: list[int] = []
        # a list of layers each recorded step
        self._statistics: list[list[tuple[dict[str, Tensor], dict[str, Tensor]]]] = []
        self._scalars: list[tuple[int, int, dict[str, Tensor]]] = []
        self._living: float | None = None
        self.loss = self.rate = float("nan")

    def before(self, step: int) -> None:
        """Before optimiser step `step`: what is seen of the probe batch, where it is due."""
        if self.probe_batch is not None and (step in self.probed or step == self.trainer.last - 1):
            self.flush()  # a block holds the same statistics at all of its steps
            self._of_probe_batch = self.probe_batch.record(step)

    def after(self, step: int, done: Step) -> None:
        """After optimiser step `step`: what the control laws did, and the statistics of what was computed
        before the update.
        """
        for act in done.interventions:
            neurons = None if act.neurons is None else act.neurons.cpu().numpy()
            self.recorder.event(step, act.mechanism, act.layer, neurons, act.amounts.cpu().numpy())
        recorded = step in self.recorded or step == self.trainer.last - 1
        if not recorded and step % self.trainer.config.record_every:
            return
        self._scalars.append((step, self.trainer.order.epoch(step), done.scalars))
        if done.output.posteriors:
            self._steps.append(step)
            shared = self._of_input(done.batch)
            self._statistics.append(
                [self._accumulate(layer, done, shared) for layer in range(len(done.output.posteriors))]
            )
            if self._of_probe_batch or len(self._steps) >= BUFFERED_STEPS:
                self.flush()
            self._of_probe_batch = []

    def _of_input(self, batch: Batch | SequenceBatch) -> dict[str, Tensor]:
        """The input's own persistence, (N,), the same for all neurons; nothing where the batch has no
        predecessors.
        """
        if isinstance(batch, SequenceBatch) or batch.series is None:
            return {}
        half = len(batch.x) // 2
        # (P, 1, F): slopes are pooled over the last dimension
        now, before = batch.x[:half, None], batch.x[half:, None]
        slope = (
            Pairs(series_count(self.trainer.task)).update(now, before, batch.series).result()["persistence"]
        )
        return {"input_persistence": slope.expand(self.trainer.config.neurons)}

    def _accumulate(
        self, layer: int, done: Step, shared: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Sums that the statistics are derived from, and columns that are statistics already."""
        batch, output = done.batch, done.output
        further = dict(done.columns[layer]) | shared
        if self._of_probe_batch:
            further |= self._of_probe_batch[layer]
        if isinstance(output, SequenceOutput):
            assert isinstance(batch, SequenceBatch)
            of_sequence = new_sequence_pool(output.posteriors[layer])
            accumulate_sequences(of_sequence, output.posteriors[layer], batch.mask)
            return of_sequence.sufficient_statistics(), further
        pool, posterior = new_pool(self.trainer.task), output.posteriors[layer]
        assert not isinstance(batch, SequenceBatch)
        accumulate(pool, posterior, batch)
        if output.explained:
            further["local_elbo"] = (output.explained[layer].detach() - posterior.kl.detach()).mean(0)
        return pool.sufficient_statistics(), further

    def flush(self) -> None:
        """Moves what is buffered to the log."""
        if self._scalars:
            moved = torch.stack([value for *_, scalars in self._scalars for value in scalars.values()])
            numbers = iter(moved.double().tolist())  # one copy, one wait for the device
            for step, epoch, scalars in self._scalars:
                told = {name: next(numbers) for name in scalars}
                for name, number in told.items():
                    self.recorder.scalar(step, name, number, split="train", epoch=epoch)
            self.loss, self.rate = told["loss"], told["rate"]
            self._scalars.clear()
        if self._steps:
            shares = []
            for layer in range(len(self._statistics[0])):
                rows = [statistics[layer] for statistics in self._statistics]
                sums = stacked([sums for sums, _ in rows])
                found = (derive_sequence if "gate" in sums else derive)(sums)
                found |= stacked([further for _, further in rows])
                block = {name: values.float().cpu().numpy() for name, values in found.items()}
                self.recorder.record_block(self._steps, layer, block)
                shares.append(
                    living_share(
                        {name: values[-1] for name, values in block.items()}, self.trainer.config.latent_dim
                    )
                )
            self._living = sum(shares) / len(shares)
            self._steps, self._statistics = [], []

    def living_share(self) -> float | None:
        """Share of living neurons at the last recorded step that reached the log; None for a twin."""
        return self._living


def probe_of(trainer: Training, recorder: Recorder) -> ProbeBatch | ProbeSequence:
    """What is looked at again and again: a batch, or of sequences a sequence."""
    if isinstance(trainer, SequenceTrainer):
        return ProbeSequence(trainer, recorder)
    assert isinstance(trainer, Trainer)
    return ProbeBatch(trainer, recorder)


def stacked(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """T dictionaries of tensors as one: name -> (T, ...)."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
