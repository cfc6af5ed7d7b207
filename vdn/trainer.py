"""What training is made of: the order of examples, one optimiser step, the checkpoint; nothing of logs.

All that a step draws comes from the seed and the step's number or from generators whose state is in the
checkpoint, so that a resumed run continues bit for bit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import Tensor

from probes.errors import writing
from probes.storage.local import write_atomic
from vdn.config import Config, ConfigError, from_dict
from vdn.controller import Controller, Intervention, spread_groups
from vdn.data import Batch, Task, identity, load_known
from vdn.network import DeterministicTwin, Output, VariationalNetwork
from vdn.objective import objective, predicted_numbers

CHECKPOINT = Path("checkpoints") / "last.pt"


class Order:
    """Which examples a step takes: a new permutation every epoch, from the seed and the step's number
    alone.
    """

    def __init__(self, task: Task, batch: int, seed: int) -> None:
        self.count, self.seed = task.count("train"), seed
        self.size = min(batch // 2 if task.pairs else batch, self.count)
        self.per_epoch = self.count // self.size
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def epoch(self, step: int) -> int:
        return step // self.per_epoch

    def examples(self, step: int) -> Tensor:
        """Example numbers of optimiser step `step`, counted from 0."""
        epoch, at = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._epoch, self._order = epoch, torch.randperm(self.count, generator=generator)
        return self._order[at * self.size : (at + 1) * self.size]


def one_cycle(step: int, steps: int, warmup_share: float) -> float:
    """Factor on the learning rate at optimiser step `step`: linear rise, then half a cosine down to 0 (Smith
    & Topin 2018).
    """
    rise = max(1, round(steps * warmup_share))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def make_network(config: Config, task: Task) -> VariationalNetwork:
    """The network, or the twin, of a resolved configuration, with weights drawn from its seed."""
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
        )


def make_device(name: str) -> torch.device:
    """The device called `name`. ConfigError when this machine has none."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


class Step(NamedTuple):
    """What one optimiser step did: batch, output, scalars by name and the laws' columns (a dictionary a
    layer), all still on the device and as they were for the update; then the interventions after it."""

    batch: Batch
    output: Output
    scalars: dict[str, Tensor]
    columns: list[dict[str, Tensor]]
    interventions: list[Intervention]


class Trainer:
    """One training: network, optimiser, generators and the number of steps done.

    config: resolved; task: from `vdn.data.load`. `step()` does one optimiser step; `state()` and `restore()`
    are the checkpoint.
    """

    def __init__(self, config: Config, task: Task) -> None:
        self.config, self.device = config, make_device(config.device)
        self.task = task.to(self.device)
        self.network = make_network(config, task).to(self.device)
        self.optimiser = torch.optim.AdamW(
            (p for p in self.network.parameters() if p.requires_grad),
            lr=config.lr,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.noise = torch.Generator(self.device).manual_seed(config.seed)
        self.order = Order(task, config.batch, config.seed)
        self.done = 0
        assert config.steps is not None
        assert config.beta is not None
        self.steps = config.steps
        self.controller = Controller(config, self.network, config.beta)
        self.compute = torch.compile(self.network) if config.compile else self.network
        decoders = {id(p) for p in self.network.decoders.parameters()}
        self.core = [p for p in self.network.parameters() if p.requires_grad and id(p) not in decoders]

    def step(self) -> Step:
        """One optimiser step: what was computed before the update, and what the control laws did after it."""
        config = self.config
        batch = self.task.batch("train", self.order.examples(self.done).to(self.device), self.task.pairs)
        noise = None if config.twin else self.network.draw_noise(len(batch.x), config.draws, self.noise)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16):
            output = self.compute(batch.x, config.draws, self.task.pairs, noise)
        loss = objective(output, batch.y, self.controller.betas(), config.lam_rec)
        penalty = self.controller.penalty(output, self.done, loss.total.detach())
        total = loss.total if penalty is None else loss.total + penalty
        self.optimiser.zero_grad()
        total.backward()
        # decoders that only watch change nothing
        norm = torch.nn.utils.clip_grad_norm_(self.core, config.clip_grad)
        rate = config.lr * one_cycle(self.done, self.steps, config.warmup_share)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.done += 1
        scalars = {
            "loss": total.detach(),
            "nll": loss.distortion / predicted_numbers(output, batch.y),
            "rate": loss.rate,
            "gradient_norm": norm,
        }
        if penalty is not None:
            scalars["penalty"] = penalty.detach()
        return Step(batch, output, scalars, self.controller.columns(), self.controller.act(output, self.done))

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: tensors and plain values only."""
        state: dict[str, Any] = {
            "config": dataclasses.asdict(self.config),
            "step": self.done,
            "model": self.network.state_dict(),
            "data": identity(self.config, self.task),
        }
        if self.config.checkpoint == "full":
            state |= {
                "optimizer": self.optimiser.state_dict(),
                "noise": self.noise.get_state(),
                "controller": self.controller.state(),
            }
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up a checkpoint. ConfigError when it holds the weights alone."""
        if "optimizer" not in state:
            raise ConfigError(
                'this run kept "model" checkpoints, which cannot be resumed; train with --checkpoint full'
            )
        self.network.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimizer"])
        self.noise.set_state(state["noise"])
        self.controller.restore(state["controller"])
        self.done = state["step"]


def save_checkpoint(trainer: Trainer, run: Path) -> None:
    """Writes RUN/checkpoints/last.pt whole or not at all. Raises WriteError when it cannot."""
    path = run / CHECKPOINT
    state = trainer.state()
    with writing(path):
        write_atomic(path, lambda temporary: _save(state, temporary))


def _save(state: dict[str, Any], path: Path) -> None:
    try:
        torch.save(state, path)
    except RuntimeError as error:  # torch's word for a disk that takes no more
        raise OSError(f"{path}: {str(error).splitlines()[0]}") from error


def load_checkpoint(run: Path) -> dict[str, Any]:
    """The state in RUN/checkpoints/last.pt, read without running code. ConfigError when there is none that
    can be read.
    """
    path = run / CHECKPOINT
    if not path.is_file():
        raise ConfigError(f"{run} has no checkpoint {CHECKPOINT}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, OSError, UnpicklingError) as error:
        raise ConfigError(f"the checkpoint {path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict) or not {"config", "step", "model"} <= state.keys():
        raise ConfigError(f"{path} is no checkpoint of this program")
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
) -> tuple[Config, Task, VariationalNetwork]:
    """Configuration, task and trained network of a checkpoint; the rest as for `vdn.data.load_known`.
    ConfigError or DataError when one cannot be had.
    """
    config, task = load_data(state, data, changed, reading)
    network = make_network(config, task)
    network.load_state_dict(state["model"])
    return config, task, network


def load_run(
    run: Path, data: str | None = None, changed: bool = False, reading: Mapping[str, str] | None = None
) -> tuple[Config, Task, VariationalNetwork]:
    """`load_network` of a run's checkpoint, `load_checkpoint`."""
    return load_network(load_checkpoint(run), data, changed, reading)
