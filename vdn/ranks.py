"""One training on several processes, started by torchrun: each computes its share of a batch's rows.

Every process has the whole batch, its order and its noise, as one process has them; the network runs on a
share of the rows, and what it computed is gathered, with a gradient of the own share. So whatever is computed
of a batch (loss, penalties, control laws, scores) is that of one process, and gradients are the sum of the
shares'. Rank 0 keeps the log.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vdn.config import Config, ConfigError
from vdn.network import Output
from vdn.neuron import Posterior

WORLD_SIZE, LOCAL_RANK = "WORLD_SIZE", "LOCAL_RANK"  # where torchrun says how many processes there are
FEWEST_ROWS = 2  # of each process: one row could be taken for what all rows share
RANKS = "ranks"  # of the configuration that a log keeps: how many processes there were
BACKEND = "cpu:gloo,cuda:nccl"
DRAWS_FIRST = ("z", "activation")
"""Tensors of a posterior whose second axis are rows."""
_sharing = False


@contextmanager
def together() -> Iterator[bool]:
    """A block in which networks are run on shares of rows, where torchrun has started several processes.

    Yields
    ------
    bool
        Whether this process keeps the log: the only one, or rank 0.
    """
    global _sharing
    if int(os.environ.get(WORLD_SIZE) or 1) < 2:
        yield True
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get(LOCAL_RANK) or 0))
    dist.init_process_group(BACKEND if torch.cuda.is_available() else "gloo")
    _sharing = True
    try:
        yield dist.get_rank() == 0
    finally:
        _sharing = False
        dist.destroy_process_group()


@contextmanager
def apart() -> Iterator[None]:
    """A block in which this process computes for itself."""
    global _sharing
    before, _sharing = _sharing, False
    try:
        yield
    finally:
        _sharing = before


def count() -> int:
    """How many processes share the rows."""
    return dist.get_world_size() if _sharing else 1


def keeps_log() -> bool:
    """Whether this process writes."""
    return not _sharing or dist.get_rank() == 0


def refuse_what_is_not_shared(config: Config, is_sequence: bool) -> None:
    """Raises ConfigError for a training that several processes cannot share.

    Parameters
    ----------
    config
        Of the training.
    is_sequence
        Whether its data are sequences.
    """
    if count() == 1:
        return
    if is_sequence:
        raise ConfigError("sequences are trained by one process: start it without torchrun")
    assert config.steps is not None  # resolved
    fewest = FEWEST_ROWS * count() * 2
    if config.batch < fewest:
        raise ConfigError(f"batch is {config.batch}: {count()} processes need {fewest} examples a batch")


def any_of(asked: bool) -> bool:
    """Whether any process says so; the same answer on all.

    Parameters
    ----------
    asked
        Whether this one does.
    """
    if not _sharing:
        return asked
    said = torch.tensor([int(asked)])
    dist.all_reduce(said)
    return bool(said)


def of_first(numbers: Sequence[float]) -> list[float]:
    """What rank 0 has of numbers that all processes have; the same answer on all, so that they decide alike.

    Parameters
    ----------
    numbers
        As many on every process.
    """
    if not _sharing:
        return list(numbers)
    said = torch.tensor(numbers, dtype=torch.float64)
    dist.broadcast(said, 0)
    return [float(number) for number in said.tolist()]


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """The gradients of all shares, in the place of each process's own.

    Parameters
    ----------
    parameters
        The same on all processes.
    """
    if not _sharing:
        return
    gradients = [one.grad for one in parameters if one.grad is not None]
    flat = torch.cat([one.flatten() for one in gradients])
    dist.all_reduce(flat)
    for one, value in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
        one.copy_(value.view_as(one))


def run(
    network: Callable[..., Output],
    x: Tensor,
    draws: int,
    pairs: bool = False,
    noise: Sequence[Tensor] | None = None,
) -> Output:
    """`network(x, draws, pairs, noise)`, of which each process computes a share.

    Parameters
    ----------
    network
        A `VariationalNetwork`, its twin, or one of them compiled.
    x, draws, pairs, noise
        As for `VariationalNetwork.forward`, of the whole batch.

    Returns
    -------
    Output
        Of the whole batch; its gradient is that of this process's share.
    """
    groups = 2 if pairs else 1
    share = Share.of(len(x), groups)
    if not _sharing or share is None:
        return network(x, draws, pairs, noise)
    own = None if noise is None else [share.cut(one, 1) for one in noise]
    return share.gathered(network(share.cut(x, 0), draws, pairs, own))


class Share(NamedTuple):
    """Rows of one process: of `rows`, in `groups` of equal length one after the other, the same places of
    each group, from `start` to `stop`.
    """

    rows: int
    groups: int
    start: int
    stop: int

    @classmethod
    def of(cls, rows: int, groups: int) -> Share | None:
        """This process's; None where there are too few rows to share."""
        size, rank = count(), dist.get_rank() if _sharing else 0
        places = rows // groups
        if places < FEWEST_ROWS * size:
            return None
        return cls(rows, groups, places * rank // size, places * (rank + 1) // size)

    def cut(self, value: Tensor, axis: int) -> Tensor:
        """The own rows of all."""
        places = self.rows // self.groups
        starts = [group * places + self.start for group in range(self.groups)]
        return torch.cat([value.narrow(axis, start, self.stop - self.start) for start in starts], axis)

    def gathered(self, output: Output) -> Output:
        """An output of the own rows as one of all."""
        found: list[Tensor] = []
        axes: list[int] = []

        def keep(value: Tensor | None, axis: int, rows: int) -> Any:
            """A place in `found`, or what all rows share as it is: its gradient is rank 0's."""
            if value is None or value.dim() <= axis or value.shape[axis] != rows:
                return value if value is None or keeps_log() else value.detach()
            found.append(value)
            axes.append(axis)
            return len(found) - 1

        def posterior(one: Posterior) -> list[Any]:
            rows = len(one.mu)
            return [
                value if name == "phi" else keep(value, 1 if name in DRAWS_FIRST else 0, rows)
                for name, value in one._asdict().items()
            ]

        mean, scale = (keep(value, 1, output.mean.shape[1]) for value in (output.mean, output.scale))
        posteriors = [posterior(one) for one in output.posteriors]
        explained = [keep(value, 0, len(value)) for value in output.explained]
        whole = self._whole(found, axes)

        def back(value: Any) -> Any:
            return whole[value] if isinstance(value, int) else value

        return Output(
            back(mean),
            back(scale),
            [Posterior(*map(back, one)) for one in posteriors],
            [back(one) for one in explained],
            # its gradient is rank 0's, and 0 on the others: each adds up equally many
            output.df if output.df is None or keeps_log() else output.df.detach() + 0 * output.df,
        )

    def _whole(self, found: Sequence[Tensor], axes: Sequence[int]) -> list[Tensor]:
        """Tensors of the own rows, of which there may be several for each, as those of all rows."""
        empty = []
        for value, axis in zip(found, axes, strict=True):
            shape = list(value.shape)
            shape[axis] = shape[axis] // self._own * self.rows
            full = value.new_zeros(shape)
            for into, part in self._segments(value.detach(), axis):
                full.narrow(axis, into, part.shape[axis]).copy_(part)
            empty.append(full)
        flat = torch.cat([full.flatten() for full in empty])
        dist.all_reduce(flat)
        pieces = flat.split([full.numel() for full in empty])
        whole = []
        for piece, full, value, axis in zip(pieces, empty, found, axes, strict=True):
            others, end, joined = piece.view_as(full).to(value.dtype), 0, []
            for into, part in self._segments(value, axis):
                joined += [others.narrow(axis, end, into - end), part]
                end = into + part.shape[axis]
            whole.append(torch.cat([*joined, others.narrow(axis, end, full.shape[axis] - end)], axis))
        return whole

    @property
    def _own(self) -> int:
        return self.groups * (self.stop - self.start)

    def _segments(self, value: Tensor, axis: int) -> list[tuple[int, Tensor]]:
        """Where each group's part of the own rows begins among all, and the part."""
        draws = value.shape[axis] // self._own
        places, length = self.rows // self.groups * draws, (self.stop - self.start) * draws
        return [
            (group * places + self.start * draws, value.narrow(axis, group * length, length))
            for group in range(self.groups)
        ]


class Silence:
    """In the place of a log on a process that keeps none: takes whatever it is told."""

    def __getattr__(self, name: str) -> Any:
        return _nothing

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        return None


def _nothing(*_: Any, **__: Any) -> None:
    return None
