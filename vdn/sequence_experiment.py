"""A network of sequences as the subject of `probes.experiments`: an example is a chunk, read from the
stationary prior on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from probes.experiments.subject import CallableSubject, Edit, Forecast, Layer, Response, Score
from vdn.config import ConfigError
from vdn.data import Split
from vdn.neuron import VariationalNeurons
from vdn.sequence import SequenceNeurons, SequenceOutput
from vdn.sequence_data import SequenceTask
from vdn.sequence_scores import Network


class SequenceSubject(CallableSubject):
    """`probes.experiments.subject.Subject` of a network of sequences, in evaluation mode.

    A neuron's draws are replaced at every position of a chunk by one value; its own recurrence, which nothing
    else reads, goes on. Forecasts are (S, B, T P): the parameters of every position below each other.

    Raises ConfigError for a twin, whose neurons have no distribution.
    """

    def __init__(self, network: Network) -> None:
        if network.deterministic:
            raise ConfigError("this run is a deterministic twin: it has no distributions to experiment on")
        self.network = network.eval()
        found: Sequence[SequenceNeurons | VariationalNeurons] = network.neuron_layers
        layers = [
            Layer(f"layer {index + 1}", layer.neurons, layer.latent_dim) for index, layer in enumerate(found)
        ]
        super().__init__(self._answer, layers)

    def _answer(self, x: Tensor, draws: int, seed: int, edit: Edit | None) -> Response:
        network, generator = self.network, torch.Generator(x.device).manual_seed(seed)
        batch, positions = x.shape[:2]
        state = network.start(batch, draws, generator)
        noise = network.draw_noise(batch, positions, draws, generator)

        def along(layer: int, z: Tensor) -> Tensor:
            """One position's edit, at every position: z (S, B, T, N, K)."""
            assert edit is not None
            by_position = z.permute(2, 0, 1, 3, 4)
            return torch.stack([edit(layer, one) for one in by_position], 2)

        output = network(x, state, draws, noise, None if edit is None else along)
        return Response(Forecast(output.parameters.flatten(2), None), *self._posteriors(output))

    def _posteriors(
        self, output: SequenceOutput
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """z, mu, sigma and kl at the last position."""
        last = [(p.z[:, :, -1], p.mu[:, :, -1], p.sigma[:, :, -1]) for p in output.posteriors]
        z, mu, sigma = ([part[which] for part in last] for which in range(3))
        rows = [[part.transpose(0, 1).flatten(0, 1) for part in parts] for parts in (mu, sigma)]
        return z, rows[0], rows[1], [p.kl[:, -1] for p in output.posteriors]


def examples(task: SequenceTask, split: Split, count: int) -> tuple[Tensor, Tensor]:
    """x and y of evenly spread whole chunks, at most `count`; of pieces also those that end within a chunk.

    task, split: where they are from. Targets beyond a sequence's end are NaN, or -1 for symbols.
    """
    total = task.count(split)
    index = torch.arange(min(count, total)) * total // min(count, total)
    batch = task.batch(split, index)
    whole = batch.mask.any(1)
    blank = -1 if task.kind == "symbols" else math.nan
    mask = batch.mask if task.kind == "symbols" else batch.mask[..., None]
    return batch.x[whole], torch.where(mask, batch.y, blank)[whole]


def sequence_score(network: Network, task: SequenceTask) -> Mapping[str, Score]:
    """ "nll": nats a position of each chunk, averaged inside the logarithm over draws.

    network: whose head scores; task: that it predicts.
    """

    def nll(parameters: Tensor, scale: Tensor | None, y: Tensor) -> Tensor:
        absent = y < 0 if task.kind == "symbols" else y.isnan().any(-1)
        by_position = parameters.unflatten(2, (y.shape[1], -1))
        given = y.clamp_min(0) if task.kind == "symbols" else y.nan_to_num()
        log_p = network.head.log_prob(by_position, given)
        nats = math.log(len(log_p)) - torch.logsumexp(log_p, 0)
        return nats.masked_fill(absent, 0).sum(1) / (~absent).sum(1)

    return {"nll": nll}
