"""The fixed probe batch of a run: inputs spread over the validation split, then one sequence of consecutive t
of one series.

Its inputs are numbered in this order, and the run's configuration says how many there are of each
(`probe_inputs`, `probe_sequence`): `probes.analysis.posteriors.split_inputs` tells them apart again.
Forecasts are of the spread
inputs alone, and forces of as many spread ones as their noise asks for: neighbours in t say nearly the same.
"""

from __future__ import annotations

import dataclasses

import pandas as pd
import torch
from torch import Tensor

from probes import Recorder
from vdn.config import Config
from vdn.data import ForecastTask, Task
from vdn.forces import forces
from vdn.network import Output
from vdn.objective import parts
from vdn.scores import pit, widened_for_draws
from vdn.sequence_data import SequenceTask
from vdn.trainer import Trainer

PROBE_DRAWS = 8  # of the forecasts, an input
# with 64 the noise of the targets hides a balance that 256 show; nothing of them is stored
FORCE_INPUTS = 256


def fit_probe_batch(config: Config, task: Task) -> Config:
    """`config` with no more probe inputs than the validation split has, and a sequence only where there are
    series. Of sequences there is the probe sequence alone.
    """
    consecutive = 0
    if isinstance(task, SequenceTask):
        first, last, _ = task.spans["validation"][0].tolist()
        most = min(
            config.probe_sequence, last - first, task.window if config.network == "transformer" else last
        )
        return dataclasses.replace(config, probe_inputs=0, probe_sequence=most)
    if isinstance(task, ForecastTask):
        first, last = task.origins("validation")
        consecutive = last - first
    return dataclasses.replace(
        config,
        probe_inputs=min(config.probe_inputs, task.count("validation")),
        probe_sequence=min(config.probe_sequence, consecutive),
    )


class ProbeBatch:
    """The probe batch of one training and what is recorded of it; training is not touched.

    trainer: whose `config` is fitted (`fit_probe_batch`); recorder: of its run.
    """

    def __init__(self, trainer: Trainer, recorder: Recorder) -> None:
        config, task, device = trainer.config, trainer.examples, trainer.device
        self.trainer, self.recorder = trainer, recorder

        def spread(count: int) -> Tensor:
            """`count` examples of the validation split, evenly spaced."""
            return torch.arange(count, device=device) * task.count("validation") // max(1, count)

        index = spread(config.probe_inputs)
        self.spread = task.batch("validation", index)
        self.blocks = task.blocks("validation", index) if isinstance(task, ForecastTask) else None
        force_inputs = min(FORCE_INPUTS, task.count("validation"))
        # as a training batch is made
        self.paired = task.batch("validation", spread(force_inputs), task.pairs)
        # of the first series
        self.sequence = task.batch("validation", torch.arange(config.probe_sequence, device=device))

    def record(self, step: int) -> list[dict[str, Tensor]]:
        """Posteriors, forecasts and forces before optimiser step `step`; noise comes from a generator of its
        own. Returns the statistics of `neurons/` that need several draws of an input: a dictionary a layer.
        """
        generator = torch.Generator(self.trainer.device).manual_seed(self.trainer.config.seed)
        posteriors: list[list[tuple[Tensor, Tensor]]] = []
        further: list[dict[str, Tensor]] = [{} for _ in range(self.trainer.config.layers)]
        if len(self.spread.x):
            output = self._forward(self.spread.x, PROBE_DRAWS, generator)
            if len(self.spread.x) > 1:
                for columns, posterior in zip(further[1:], output.posteriors[1:], strict=False):
                    columns["share_from_input"] = share_from_input(posterior.mu, PROBE_DRAWS)
            posteriors.append(self._posteriors(output, PROBE_DRAWS))
            if output.scale is not None:
                self.recorder.predictions(step, prediction_frame(output, self.spread.y, self.blocks))
        if len(self.sequence.x):
            posteriors.append(self._posteriors(self._forward(self.sequence.x, 1, generator), 1))
        for layer, pieces in enumerate(zip(*posteriors, strict=True)):
            mu, sigma = (torch.cat(values).cpu().numpy() for values in zip(*pieces, strict=True))
            self.recorder.probe(step, layer, mu=mu, sigma=sigma)
        if not self.trainer.config.twin:
            self._forces(step, generator)
        return further

    @torch.no_grad()
    def _forward(self, x: Tensor, draws: int, generator: torch.Generator) -> Output:
        network = self.trainer.network
        return network(x, draws, noise=network.draw_noise(len(x), draws, generator))

    def _posteriors(self, output: Output, draws: int) -> list[tuple[Tensor, Tensor]]:
        """Mean and sd of the pooled variable, each (B, N), a layer.

        Beyond the first layer an input has a posterior for each draw of what lies below: the log keeps the
        first draw's.
        """
        found = []
        for layer, (neurons, posterior) in enumerate(
            zip(self.trainer.network.neuron_layers, output.posteriors, strict=False)
        ):
            every = 1 if layer == 0 else draws
            sigma = neurons.pool_sd(posterior.sigma).expand(len(posterior.mu), -1)
            found.append((neurons.pool(posterior.mu)[::every], sigma[::every]))
        return found

    def _forces(self, step: int, generator: torch.Generator) -> None:
        """What each term of the training loss does to the neurons, on spread inputs and their
        predecessors.
        """
        trainer, batch = self.trainer, self.paired
        config, network = trainer.config, trainer.network
        noise = network.draw_noise(len(batch.x), config.draws, generator)
        output = network(batch.x, config.draws, trainer.task.pairs, noise)
        terms = parts(output, batch.y, trainer.controller.betas(), config.lam_rec)
        if config.local_decoder == "watch":
            del terms["decoder"]  # it moves the decoders alone
        terms |= trainer.controller.penalties(output, trainer.done, batch.series)
        for layer, by_term in enumerate(forces(output, terms)):
            for term, values in by_term.items():
                self.recorder.forces(
                    step, layer, term, **{name: value.cpu().numpy() for name, value in values.items()}
                )


def share_from_input(mu: Tensor, draws: int) -> Tensor:
    """Share of the spread of means that comes from the input, not from the sampling below: (N,).

    mu: (B S, N, K), row = b S + s, at least 2 inputs and 2 draws. By the law of total variance, each part
    without bias (one-way random effects): within = E_b Var_s[mu] with S - 1, between = Var_b(E_s[mu]) with
    B - 1, less within / S; between / (between + within), variances summed over K. Noise may take it below 0;
    NaN for a mean that does not move.
    """
    # around the neuron's mean, so that float32 keeps the digits of what moves
    by_draw = (mu - mu.mean(0)).unflatten(0, (-1, draws))
    within = by_draw.var(1).mean(0).sum(-1)
    between = by_draw.mean(1).var(0).sum(-1) - within / draws
    return between / (between + within)


def prediction_frame(output: Output, y: Tensor, blocks: Tensor | None = None) -> pd.DataFrame:
    """Forecasts of a batch, one row an (input, horizon): y, mean, the two parts of the predictive variance,
    pit, df where observations are Student's t, and block where there are blocks of inputs (B,).

    Draws are few: the latent part is the unbiased estimate (NaN for one draw), and the PIT is that of the
    mixture widened for its draws.
    """
    assert output.scale is not None
    inputs, horizon = torch.meshgrid(torch.arange(y.shape[0]), torch.arange(y.shape[1]), indexing="ij")
    single = torch.full_like(output.mean[0], torch.nan)
    columns = {
        "input": inputs,
        "horizon": horizon,
        "y": y,
        "mean": output.mean.mean(0),
        "latent_variance": output.mean.var(0) if len(output.mean) > 1 else single,
        "observation_variance": output.scale.square().mean(0),
        "pit": pit(y, widened_for_draws(output.mean), output.scale, output.df),
    }
    if output.df is not None:
        columns["df"] = output.df.detach().expand(y.shape)
    if blocks is not None:
        columns["block"] = blocks[:, None].expand(y.shape)
    return pd.DataFrame({name: values.flatten().cpu().numpy() for name, values in columns.items()})
