"""Mirrors for `probes.watch(..., mirror=...)`: the scalars of a run, and each layer's KL, in another tracker
as well.

A mirror is any function (name, value, step). TensorBoard's needs no wrapper:
`mirror=SummaryWriter(folder).add_scalar`.
"""

from __future__ import annotations

from typing import Any, Protocol

from probes.watching.statistics_buffer import Mirror


class WandbRun(Protocol):
    """What is used of a Weights & Biases run."""

    def define_metric(self, name: str, step_metric: str) -> object:
        """Say which number the values of `name` lie over."""

    def log(self, data: dict[str, Any]) -> object:
        """Values by name."""


def wandb_mirror(run: WandbRun) -> Mirror:
    """Mirror to a Weights & Biases run (what `wandb.init()` returns).

    Steps are written as a number of their own: the tracker's steps must not go back, and these come a batch
    of layers at a time.
    """
    run.define_metric("*", step_metric="probes/step")

    def mirror(name: str, value: float, step: int) -> None:
        run.log({name: value, "probes/step": step})

    return mirror
