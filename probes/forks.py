"""A forked child has copies of its parent's open recorders and locks, and must leave them alone."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forgettable(Protocol):
    """What belongs to the process that made it."""

    def forget(self) -> None:
        """Called in a child just forked, where the parent's other threads are gone and their locks may be
        held: let go of the copy without touching what it stands for.
        """


_owned: WeakSet[Forgettable] = WeakSet()


def forget_in_children(thing: Forgettable) -> None:
    """Have `thing.forget()` called in every child that is forked from now on, for as long as it lives."""
    _owned.add(thing)


def _forget() -> None:
    for thing in list(_owned):
        thing.forget()
    _owned.clear()


if hasattr(os, "register_at_fork"):  # elsewhere nothing forks
    os.register_at_fork(after_in_child=_forget)
