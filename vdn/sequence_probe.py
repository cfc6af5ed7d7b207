"""The probe sequence of a run: the beginning of its first validation sequence, looked at again and again as
training goes on.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes import Recorder
from vdn.heads import Gaussian
from vdn.probe_batch import PROBE_DRAWS, share_from_input
from vdn.scores import pit, widened_for_draws
from vdn.sequence import SequenceOutput, SequencePosterior
from vdn.sequence_data import LOWEST_NOTE, SequenceBatch, SequenceTask
from vdn.sequence_objective import sequence_nll
from vdn.sequence_scores import Network
from vdn.trainer import SequenceTrainer
from vdn.transformer import TokenPosterior

LIKELIEST, LIKELY_NOTES = 5, 12  # symbols, notes that are kept of each position's prediction


class ProbeSequence:
    """The probe sequence of one training and what is recorded of it; training is not touched.

    trainer: whose `config` is fitted (`fit_probe_batch`); recorder: of its run.
    """

    def __init__(self, trainer: SequenceTrainer, recorder: Recorder) -> None:
        self.trainer, self.recorder = trainer, recorder
        self.batch = trainer.sequences.beginning("validation", trainer.config.probe_sequence)
        if trainer.done == 0:
            recorder.inputs(0, shown(trainer.sequences, self.batch.x[0]))

    @torch.no_grad()
    def record(self, step: int) -> list[dict[str, Tensor]]:
        """Beliefs and predictions before optimiser step `step`; noise comes from a generator of its own.
        Returns the statistics of `neurons/` that need several draws: a dictionary a layer.
        """
        trainer, batch = self.trainer, self.batch
        generator = torch.Generator(trainer.device).manual_seed(trainer.config.seed)
        network = trainer.network.train(False)
        state = network.start(1, PROBE_DRAWS, generator)
        noise = network.draw_noise(1, batch.x.shape[1], PROBE_DRAWS, generator)
        output = network(batch.x, state, PROBE_DRAWS, noise)
        network.train()
        further: list[dict[str, Tensor]] = []
        for layer, posterior in enumerate(output.posteriors):
            mean, sd = self._beliefs(step, layer, posterior)
            self.recorder.probe(step, layer, *(part[0].sum(-1).cpu().numpy() for part in (mean, sd)))
            # rows t S + s, as `share_from_input` takes them
            rows = mean.transpose(0, 1).flatten(0, 1)
            further.append({"share_from_input": share_from_input(rows, PROBE_DRAWS)} if layer else {})
        frame = prediction_frame(network, trainer.sequences, output, batch)
        if frame is not None:
            self.recorder.predictions(step, frame)
        return further or [{} for _ in range(trainer.config.layers)]

    def _beliefs(
        self, step: int, layer: int, posterior: SequencePosterior | TokenPosterior
    ) -> tuple[Tensor, Tensor]:
        """Means and sds (S, T, N, K) at each position; the first draw's go to `sequence/`. A token's
        posterior is all that is believed of it.
        """
        conditional = posterior.mu[:, 0], posterior.sigma[:, 0]
        if isinstance(posterior, TokenPosterior):
            (mean, variance), kl = (conditional[0], conditional[1].square()), posterior.kl
        else:
            (mean, variance), kl = posterior.belief, posterior.closed_kl
        columns = (mean, variance, *conditional)
        m, v, mu, sigma = (part[0].mean(-1).cpu().numpy() for part in columns)
        self.recorder.sequence(step, layer, m=m, V=v, mu=mu, sigma=sigma, kl=kl[0].cpu().numpy())
        return mean, variance.sqrt()


def shown(task: SequenceTask, x: Tensor) -> list[tuple[str, str]]:
    """What stands at each position, as `Recorder.inputs` takes it.

    task: whose positions they are; x: (T,) symbols or (T, D). The start of a sequence is an empty text.
    """
    return [("text", text) for text in texts(task, x)]


def texts(task: SequenceTask, x: Tensor) -> list[str]:
    """Positions in words: symbols, MIDI numbers of a chord, numbers.

    task: whose positions they are; x: (T,) symbols or (T, D).
    """
    if task.kind == "symbols":
        return ["" if number < 0 else task.names[number] for number in x.tolist()]
    if task.kind == "chords":
        return [
            " ".join(str(LOWEST_NOTE + int(key)) for key in chord.nonzero().flatten()) for chord in x.cpu()
        ]
    return [json.dumps([float(f"{value:.4g}") for value in row]) for row in x.tolist()]


def prediction_frame(
    network: Network, task: SequenceTask, output: SequenceOutput, batch: SequenceBatch
) -> pd.DataFrame | None:
    """Predictions of the one sequence of a batch, a row a position (input): of symbols y, nll, entropy and
    conditional_entropy (nats) and the likeliest; of signals as `probe_batch.prediction_frame`; of chords y,
    nll and the likeliest notes, each for itself.
    """
    nll = sequence_nll(network.log_prob(output, batch.y, batch.mask))[0]
    columns: dict[str, Any] = {"input": np.arange(len(nll)), "nll": nll.cpu().numpy()}
    head = network.head
    if isinstance(head, Gaussian):
        mean, scale = (part[:, 0] for part in head.mean_and_scale(output.parameters))  # (S, T, D)
        y = batch.y[0]
        several = len(mean) > 1
        values = {
            "y": y,
            "mean": mean.mean(0),
            "latent_variance": mean.var(0) if several else torch.full_like(y, torch.nan),
            "observation_variance": scale.square().mean(0),
            "pit": pit(y, widened_for_draws(mean), scale),
        }
        columns["horizon"] = np.zeros(len(y), np.int64)
        columns |= {name: value[:, 0].cpu().numpy() for name, value in values.items()}
    elif task.kind == "symbols":
        p = output.parameters[:, 0].softmax(-1)  # (S, T, C)
        mean = p.mean(0)
        columns["y"] = texts(task, batch.y[0])
        columns["entropy"] = torch.special.entr(mean).sum(-1).cpu().numpy()
        columns["conditional_entropy"] = torch.special.entr(p).sum(-1).mean(0).cpu().numpy()
        top, symbols = mean.topk(min(LIKELIEST, task.outputs), -1)
        for rank in range(top.shape[1]):
            columns[f"symbol_{rank + 1}"] = texts(task, symbols[:, rank])
            columns[f"p_{rank + 1}"] = top[:, rank].cpu().numpy()
    else:
        p = head.probability(output.parameters[:, 0]).mean(0)  # (T, 88), each note for itself
        columns["y"] = texts(task, batch.y[0])
        top, keys = p.topk(LIKELY_NOTES, -1)
        for rank in range(LIKELY_NOTES):
            columns[f"symbol_{rank + 1}"] = [str(LOWEST_NOTE + key) for key in keys[:, rank].tolist()]
            columns[f"p_{rank + 1}"] = top[:, rank].cpu().numpy()
    return pd.DataFrame(columns)
