"""Mirrors for `probes.watch(..., mirror=...)`: another tracker gets the scalars of a run, a summary of each
layer (kl, information, contraction, active_share) and where the run lies.

A mirror is any function (name, value, step); where it has a method `begin(folder)` that gets the run's
folder. TensorBoard's own `SummaryWriter(folder).add_scalar` is one too, without the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from probes.watching.statistics_buffer import Mirror

FOLDER = "probes/run"
"""What the run's folder is called where a tracker keeps texts."""


class WandbRun(Protocol):
    """What is used of a Weights & Biases run."""

    summary: Any

    def define_metric(self, name: str, step_metric: str) -> object:
        """Say which number the values of `name` lie over."""

    def log(self, data: dict[str, Any]) -> object:
        """Values by name."""


@dataclass
class _Wandb:
    run: WandbRun

    def __call__(self, name: str, value: float, step: int) -> None:
        self.run.log({name: value, "probes/step": step})

    def begin(self, folder: str) -> None:
        self.run.summary[FOLDER] = folder


def wandb_mirror(run: WandbRun) -> Mirror:
    """Mirror to a Weights & Biases run (what `wandb.init()` returns); its summary says where our run lies.

    Steps are written as a number of their own: the tracker's steps must not go back, and these come a batch
    of layers at a time.
    """
    run.define_metric("*", step_metric="probes/step")
    return _Wandb(run)


@dataclass
class _TensorBoard:
    writer: Any

    def __call__(self, name: str, value: float, step: int) -> None:
        self.writer.add_scalar(name, value, step)

    def begin(self, folder: str) -> None:
        self.writer.add_text(FOLDER, folder)


def tensorboard_mirror(writer: Any) -> Mirror:
    """Mirror to a `torch.utils.tensorboard.SummaryWriter`; a text says where our run lies."""
    return _TensorBoard(writer)


@dataclass
class _MLflow:
    mlflow: Any

    def __call__(self, name: str, value: float, step: int) -> None:
        self.mlflow.log_metric(name, value, step=step)

    def begin(self, folder: str) -> None:
        self.mlflow.set_tag(FOLDER, folder)


def mlflow_mirror(mlflow: Any) -> Mirror:
    """Mirror to the active run of the module `mlflow`; a tag says where our run lies."""
    return _MLflow(mlflow)
