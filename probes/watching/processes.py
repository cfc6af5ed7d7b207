"""This process among those of its training: whether it records, and what the layers of all of them are."""

from __future__ import annotations

import os
from typing import Literal, NamedTuple, get_args

import torch
from torch import nn

from probes.run_reader import LayerInfo
from probes.watching.posterior_source import FoundLayer
from probes.watching.ranks import Meeting, Ranks
from probes.watching.shares import TOGETHER, Evidence, Shared, layers_of_all, runs_together

RANK, WORLD_SIZE = "RANK", "WORLD_SIZE"  # where torchrun and its like put a process's number, and of how many
Which = Literal["all", "first"]
RANKS = get_args(Which)


class Agreed(NamedTuple):
    """What several processes have together. refused: parts of layers that do not make one. alone: why none of
    them runs the model by itself; empty where that can be.
    """

    layers: list[LayerInfo]
    found: list[FoundLayer]
    shared: dict[str, Shared]
    refused: list[str]
    alone: str


class Processes:
    """What this process knows of the others.

    Parameters
    ----------
    place
        Where the run is: processes that name the same one meet.
    which
        "all" of them record, or the "first".

    Attributes
    ----------
    number
        This process's, from 0.
    are_several
        Whether it is one of several.
    writes
        Whether it writes the run.
    ranks
        The others, once they have met; None where each stands alone.
    """

    def __init__(self, place: str, which: Which) -> None:
        if which not in RANKS:
            raise ValueError(f"ranks is {which!r}; it is one of {', '.join(map(repr, RANKS))}")
        self.number, self.are_several = _rank()
        self.writes = self.number == 0
        self.ranks: Ranks | None = None
        self._meeting = Meeting(place) if self.are_several and which == "all" else None

    @property
    def are_to_meet(self) -> bool:
        """Whether they record together and have not met yet."""
        return self._meeting is not None

    def meet(self) -> None:
        """Find the others. Raises RanksLostError where they do not answer."""
        assert self._meeting is not None  # the caller looked
        meeting, self._meeting = self._meeting, None
        self.ranks = meeting.ranks()

    def agree(
        self, model: nn.Module, own: tuple[list[LayerInfo], list[FoundLayer], list[Evidence]] | None
    ) -> Agreed | None:
        """The layers of all; None where no process has settled its own.

        own: what this process has settled, None where it has not. Raises RanksLostError.
        """
        assert self.ranks is not None  # the caller looked
        said = self.ranks.agree(list(own) if own is not None else None)
        if not any(said):
            return None
        layers, found, shared, refused = layers_of_all(said)
        together = any(one.together for one in shared.values()) or runs_together(model)
        return Agreed(layers, found, shared, refused, TOGETHER if together else "")


def _rank() -> tuple[int, bool]:
    """This process's number in a distributed job, and whether it is one of several; the launcher's word for
    it where the job has not begun to talk yet.
    """
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size() > 1
    rank, size = (os.environ.get(name, "") for name in (RANK, WORLD_SIZE))
    number = int(rank) if rank.isdecimal() else 0
    return number, number > 0 or (rank.isdecimal() and size.isdecimal() and int(size) > 1)
