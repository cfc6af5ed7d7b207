"""What training is made of: the order of examples, one optimiser step, the checkpoint; nothing of logs.

All that a step draws comes from the seed and the step's number or from generators whose state is in the
checkpoint, so that a resumed run continues bit for bit.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from probes.errors import writing
from probes.storage.local import write_atomic
from vdn import ranks
from vdn.config import Config, ConfigError, from_dict
from vdn.controller import Controller, Intervention, spread_groups
from vdn.data import Batch, ForecastTask, RowTask, Task, identity, load_known
from vdn.epoch_order import EpochOrder
from vdn.heads import HeadKind
from vdn.network import DeterministicTwin, Output, VariationalNetwork
from vdn.objective import objective, predicted_numbers, ramp
from vdn.selection import Selection, Weights
from vdn.sequence import LayerState, SequenceOutput, SequentialNetwork, SequentialTwin, State, continued
from vdn.sequence_data import SequenceBatch, SequenceOrder, SequenceTask
from vdn.sequence_objective import sequence_objective
from vdn.transformer import SequenceTransformer, TransformerTwin

CHECKPOINT = Path("checkpoints") / "last.pt"
BEST = Path("checkpoints") / "best.pt"
"""The weights with the best validation score, which are read unless the last ones are asked for."""
OLDER = {"patience": 0, "likelihood": "gaussian"}
"""Settings that checkpoints lack which were written before they were there."""
SequenceNetwork = SequentialNetwork | SequenceTransformer
Network = VariationalNetwork | SequenceNetwork


class DivergedError(ArithmeticError):
    """A training whose weights are no numbers any more; the message says since when and what to do."""


class Order:
    """Which examples a step takes: a new permutation every epoch, from the seed and the step's number
    alone.
    """

    def __init__(self, task: Task, batch: int, seed: int) -> None:
        self.order = EpochOrder(task.count("train"), seed)
        self.size = min(batch // 2 if task.pairs else batch, self.order.count)
        self.per_epoch = self.order.count // self.size

    def epoch(self, step: int) -> int:
        return step // self.per_epoch

    def examples(self, step: int) -> Tensor:
        """Example numbers of optimiser step `step`, counted from 0."""
        epoch, at = divmod(step, self.per_epoch)
        return self.order.of(epoch)[at * self.size : (at + 1) * self.size]


def one_cycle(step: int, steps: int, warmup_share: float) -> float:
    """Factor on the learning rate at optimiser step `step`: linear rise, then half a cosine down to 0 (Smith
    & Topin 2018).
    """
    rise = max(1, round(steps * warmup_share))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def make_window_network(config: Config, task: ForecastTask | RowTask) -> VariationalNetwork:
    """The network of windows or rows, or its twin, with weights drawn from the configuration's seed."""
    assert config.encoder is not None
    assert config.normalise is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        kind = DeterministicTwin if config.twin else VariationalNetwork
        return kind(
            task.inputs,
            task.outputs,
            layers=config.layers,
            neurons=config.neurons,
            latent_dim=config.latent_dim,
            sigma=config.sigma,  # type: ignore[arg-type]  # Config holds it to the choices
            pool=config.pool,  # type: ignore[arg-type]
            sigma_init=config.sigma_init,
            mean_gain=1.0 if config.twin else config.mean_gain,
            prior=config.prior,  # type: ignore[arg-type]
            phi=spread_groups(config.phi, config.neurons),
            learn_phi=config.learn_phi,
            encoder=config.encoder,
            normalise=config.normalise,  # type: ignore[arg-type]
            task=task.kind,
            read_first=config.read_first,
            local_decoder=config.local_decoder,  # type: ignore[arg-type]
            likelihood=config.likelihood,  # type: ignore[arg-type]
            df=config.df or None,
        )


def make_sequence_network(config: Config, task: SequenceTask) -> SequenceNetwork:
    """The network of sequences, or its twin, with weights drawn from the configuration's seed."""
    head = cast("HeadKind", config.head)  # Config has looked at it
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.network == "transformer":
            return (TransformerTwin if config.twin else SequenceTransformer)(
                task.outputs,
                head,
                task.window,
                layers=config.layers,
                neurons=config.neurons,
                latent_dim=config.latent_dim,
                phi=spread_groups(config.phi, config.neurons) if config.prior == "autoregressive" else None,
                learn_phi=config.learn_phi,
                sigma_init=config.sigma_init,
                dropout=config.dropout,
            )
        return (SequentialTwin if config.twin else SequentialNetwork)(
            task.outputs,
            head,
            layers=config.layers,
            neurons=config.neurons,
            latent_dim=config.latent_dim,
            phi=spread_groups(config.phi, config.neurons),
            learn_phi=config.learn_phi,
            log_width=math.log(config.sigma_init),
            dropout=config.dropout,
        )


def make_network(config: Config, task: Task) -> Network:
    """The network, or the twin, of a resolved configuration, with weights drawn from its seed."""
    if isinstance(task, SequenceTask):
        return make_sequence_network(config, task)
    return make_window_network(config, task)


def make_device(name: str) -> torch.device:
    """The device called `name`. ConfigError when this machine has none."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {name!r} cannot be used here, --device cpu can: {str(error).splitlines()[0]}"
        ) from error
    return device


class Forward(NamedTuple):
    """A step before its update: batch, output, loss (differentiable), scalars by name."""

    batch: Batch | SequenceBatch
    output: Output | SequenceOutput
    total: Tensor
    scalars: dict[str, Tensor]


class Step(NamedTuple):
    """What one optimiser step did: batch, output, scalars by name and the laws' columns (a dictionary a
    layer), all still on the device and as they were for the update; then the interventions after it."""

    batch: Batch | SequenceBatch
    output: Output | SequenceOutput
    scalars: dict[str, Tensor]
    columns: list[dict[str, Tensor]]
    interventions: list[Intervention]


class Training(ABC):
    """One training: network, optimiser, generators and the number of steps done.

    config: resolved; task: from `vdn.data.load`; network: what is trained; core: its parameters whose
    gradients are clipped. `step()` does one optimiser step; `state()` and `restore()` are the checkpoint;
    `selection` holds the weights with the best validation score.
    """

    def __init__(
        self,
        config: Config,
        task: Task,
        network: Network,
        order: Order | SequenceOrder,
        core: list[nn.Parameter],
    ) -> None:
        self.config, self.task, self.order, self.core = config, task, order, core
        self.device = core[0].device
        assert config.lr is not None
        self.lr = config.lr
        self.optimiser = torch.optim.AdamW(
            (p for p in network.parameters() if p.requires_grad),
            lr=self.lr,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.noise = torch.Generator(self.device).manual_seed(config.seed)
        self.done = 0
        assert config.steps is not None
        assert config.beta is not None
        self.steps, self.beta = config.steps, config.beta
        assert config.patience is not None
        self.selection = Selection(config.patience)
        self.best_saved: int | None = None  # the step whose weights best.pt holds

    @property
    def last(self) -> int:
        """Steps that this training has in all: one more than were done when patience ran out, so that the log
        holds how it ended.
        """
        return self.steps if self.selection.ended is None else self.selection.ended + 1

    @property
    @abstractmethod
    def trained(self) -> Network:
        """The network that is trained."""

    @abstractmethod
    def forward(self) -> Forward:
        """What optimiser step `done` computes before its update."""

    def control(self, done: Forward) -> tuple[list[dict[str, Tensor]], list[Intervention]]:
        """Columns of the control laws, a dictionary a layer, and what they did after the update."""
        return [{} for _ in range(self.config.layers)], []

    def step(self) -> Step:
        """One optimiser step: what was computed before the update, and what the control laws did after it."""
        config = self.config
        found = self.forward()
        self.optimiser.zero_grad()
        found.total.backward()
        ranks.add_gradients(self.trained.parameters())
        # decoders that only watch change nothing
        norm = torch.nn.utils.clip_grad_norm_(self.core, config.clip_grad)
        rate = self.lr * one_cycle(self.done, self.steps, config.warmup_share)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.done += 1
        scalars = {"loss": found.total.detach(), **found.scalars, "gradient_norm": norm}
        return Step(found.batch, found.output, scalars, *self.control(found))

    def diverged(self) -> bool:
        """Whether a weight that predictions depend on is NaN or infinite, which no further step mends."""
        return not bool(torch.stack([weights.isfinite().all() for weights in self.core]).all())

    def validated(self, scores: dict[str, Any]) -> bool:
        """Takes note of a validation of the present weights, on all processes alike; whether it is the
        best.
        """
        names = [name for name, value in scores.items() if isinstance(value, float)]
        same = dict(zip(names, ranks.of_first([scores[name] for name in names]), strict=True))
        return self.selection.validated(self.done, same, self.trained.state_dict())

    def take_best(self) -> None:
        """The best weights in place of the present ones."""
        if self.selection.best is not None:
            self.trained.load_state_dict(self.selection.best["model"])

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: tensors and plain values only."""
        state: dict[str, Any] = {
            "config": dataclasses.asdict(self.config),
            "step": self.done,
            "model": self.trained.state_dict(),
            "data": identity(self.config, self.task),
            "selection": self.selection.state(),
        }
        if self.config.checkpoint == "full":
            state |= {"optimizer": self.optimiser.state_dict(), "noise": self.noise.get_state()}
            state |= self.further_state()
        return state

    def further_state(self) -> dict[str, Any]:
        """What else resuming needs."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up a checkpoint. ConfigError when it holds the weights alone."""
        if "optimizer" not in state:
            raise ConfigError(
                'this run kept "model" checkpoints, which cannot be resumed; train with --checkpoint full'
            )
        self.trained.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimizer"])
        self.noise.set_state(state["noise"])
        if "selection" in state:
            self.selection.restore(state["selection"], state.get("best"))
        self.done = state["step"]


class Trainer(Training):
    """Training of a `VariationalNetwork` on windows of series, or on rows.

    config: resolved; task: from `vdn.data.load`.
    """

    def __init__(self, config: Config, task: ForecastTask | RowTask) -> None:
        device = make_device(config.device)
        self.network = make_window_network(config, task).to(device)
        self.examples = task.to(device)
        decoders = {id(p) for p in self.network.decoders.parameters()}
        core = [p for p in self.network.parameters() if p.requires_grad and id(p) not in decoders]
        super().__init__(config, self.examples, self.network, Order(task, config.batch, config.seed), core)
        series = len(task.values) if isinstance(task, ForecastTask) else 1
        self.controller = Controller(config, self.network, self.beta, series)
        self.compute = torch.compile(self.network) if config.compile else self.network

    @property
    def trained(self) -> VariationalNetwork:
        return self.network

    def forward(self) -> Forward:
        config = self.config
        batch = self.examples.batch("train", self.order.examples(self.done).to(self.device), self.task.pairs)
        noise = None if config.twin else self.network.draw_noise(len(batch.x), config.draws, self.noise)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16):
            output = ranks.run(self.compute, batch.x, config.draws, self.task.pairs, noise)
        loss = objective(output, batch.y, self.controller.betas(), config.lam_rec)
        penalty = self.controller.penalty(output, self.done, loss.total.detach(), batch.series)
        scalars = {"nll": loss.distortion / predicted_numbers(output, batch.y), "rate": loss.rate}
        if penalty is None:
            return Forward(batch, output, loss.total, scalars)
        return Forward(batch, output, loss.total + penalty, scalars | {"penalty": penalty.detach()})

    def control(self, done: Forward) -> tuple[list[dict[str, Tensor]], list[Intervention]]:
        assert isinstance(done.output, Output)
        assert isinstance(done.batch, Batch)
        return self.controller.columns(), self.controller.act(done.output, self.done, done.batch.series)

    def further_state(self) -> dict[str, Any]:
        return {"controller": self.controller.state()}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.controller.restore(state["controller"])


class SequenceTrainer(Training):
    """Training of a network of sequences, chunk after chunk, its state carried from one to the next.

    config: resolved; task: from `vdn.data.load`.
    """

    def __init__(self, config: Config, task: SequenceTask) -> None:
        device = make_device(config.device)
        self.network = make_sequence_network(config, task).to(device)
        self.sequences = task.to(device)
        core = [p for p in self.network.parameters() if p.requires_grad]
        order = SequenceOrder(task, config.batch, config.seed)
        super().__init__(config, self.sequences, self.network, order, core)
        self.carried: State | None = None

    @property
    def trained(self) -> SequenceNetwork:
        return self.network

    def forward(self) -> Forward:
        config, draws = self.config, 1 if self.config.twin else self.config.draws
        self.network.train()
        batch = self.sequences.batch("train", self.order.examples(self.done).to(self.device))
        state = continued(self.network, self.carried, batch.fresh, draws, self.noise)
        noise = self.network.draw_noise(len(batch.mask), batch.mask.shape[1], draws, self.noise)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16)
        with autocast, torch.random.fork_rng(enabled=config.dropout > 0):
            if config.dropout:  # it takes no generator: so that a resumed run drops the same
                torch.manual_seed(config.seed * 1_000_003 + self.done)
            output = self.network(batch.x, state, draws, noise)
        if self.sequences.chunks("train") > 1:
            self.carried = output.state
        ramp_steps = round(config.beta_ramp * self.steps)
        beta = self.beta * ramp(self.done, 0, ramp_steps)
        loss = sequence_objective(self.network, output, batch, beta)
        return Forward(batch, output, loss.total, {"nll": loss.distortion, "rate": loss.rate})

    def further_state(self) -> dict[str, Any]:
        return {"carried": None if self.carried is None else [list(layer) for layer in self.carried]}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        if state["carried"] is not None:
            self.carried = [LayerState(*layer) for layer in state["carried"]]


def make_trainer(config: Config, task: Task) -> Trainer | SequenceTrainer:
    """The training that a task needs, at its first step. ConfigError where several processes cannot share
    it.
    """
    ranks.refuse_what_is_not_shared(config, isinstance(task, SequenceTask))
    return SequenceTrainer(config, task) if isinstance(task, SequenceTask) else Trainer(config, task)


def save_checkpoint(trainer: Training, run: Path) -> None:
    """Writes RUN/checkpoints/best.pt, if there is a better one, and last.pt, each whole or not at all; of
    several processes rank 0 does. Raises WriteError when it cannot.
    """
    if not ranks.keeps_log():
        return
    state, best = trainer.state(), trainer.selection.best
    # a crash between the two leaves weights that the resumed training comes by again
    if best is not None and best["step"] != trainer.best_saved:
        kept = {name: state[name] for name in ("config", "data")} | best
        with writing(run / BEST):
            write_atomic(run / BEST, lambda temporary: _save(kept, temporary))
        trainer.best_saved = best["step"]
    with writing(run / CHECKPOINT):
        write_atomic(run / CHECKPOINT, lambda temporary: _save(state, temporary))


def _save(state: dict[str, Any], path: Path) -> None:
    try:
        torch.save(state, path)
    except RuntimeError as error:  # torch's word for a disk that takes no more
        raise OSError(f"{path}: {str(error).splitlines()[0]}") from error


def load_checkpoint(run: Path, weights: Weights = "last") -> dict[str, Any]:
    """A state in RUN/checkpoints, read without running code.

    weights: "last" is last.pt, all that resuming needs, with the best weights as "best"; "best" is best.pt
    where there is one, else last.pt. Its "weights" says which it is. ConfigError when there is none that can
    be read.
    """
    last = _read(run, CHECKPOINT) if weights == "last" or not (run / BEST).is_file() else None
    if last is None:
        return _read(run, BEST) | {"weights": "best"}
    kept = last.pop("best", None)  # runs of sequences once kept it in here
    if weights == "best" and kept is not None:
        return last | kept | {"weights": "best"}
    if weights == "last" and "selection" in last and (run / BEST).is_file():
        last["best"] = _read(run, BEST)["model"]
    elif kept is not None:
        last["selection"] = {**{"tie": 0.0, "since": 0, "ended": None}, **kept}
        last["best"] = last["selection"].pop("model")
    return last | {"weights": "last"}


def _read(run: Path, place: Path) -> dict[str, Any]:
    path = run / place
    if not path.is_file():
        raise ConfigError(f"{run} has no checkpoint {place}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, OSError, UnpicklingError) as error:
        raise ConfigError(f"the checkpoint {path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict) or not {"config", "step", "model"} <= state.keys():
        raise ConfigError(f"{path} is no checkpoint of this program")
    state["config"] = OLDER | state["config"]
    return state


def load_data(
    state: Mapping[str, Any],
    data: str | None = None,
    changed: bool = False,
    reading: Mapping[str, str] | None = None,
) -> tuple[Config, Task]:
    """Configuration and data of a checkpoint; see `vdn.data.load_known`. ConfigError or DataError when
    they cannot be had.
    """
    return load_known(from_dict(state["config"]), state.get("data", {}), data, changed, reading)


def load_network(
    state: Mapping[str, Any],
    data: str | None = None,
    changed: bool = False,
    reading: Mapping[str, str] | None = None,
) -> tuple[Config, Task, Network]:
    """Configuration, task and trained network of a checkpoint; the rest as for `vdn.data.load_known`.
    ConfigError or DataError when one cannot be had.
    """
    config, task = load_data(state, data, changed, reading)
    network = make_network(config, task)
    network.load_state_dict(state["model"])
    return config, task, network


def load_run(
    run: Path,
    data: str | None = None,
    changed: bool = False,
    reading: Mapping[str, str] | None = None,
    weights: Weights = "best",
) -> tuple[Config, Task, Network]:
    """`load_network` of a run's checkpoint, `load_checkpoint`."""
    return load_network(load_checkpoint(run, weights), data, changed, reading)
