"""Which distributions a network makes of its heads while it runs, before its layers are settled.

A head that is called mean may be that of any family: what is made of it tells. For as long as somebody
listens, `torch.distributions.Distribution.__init__` reports each new distribution after it has run; no
distribution is kept, a note stands in the graph's nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import ref

import torch
from torch import Tensor
from torch.distributions import Distribution

from probes.watching.evidence import NOTE, near
from probes.watching.posterior_source import is_gaussian, unwrapped

Key = tuple[str, int]
Made = tuple["ref[Distribution]", str | None]
"""A distribution and its family's name; None: a Gaussian."""
MADE = "probes.made"  # in the metadata of a node: distributions that were made of it
DEEPEST = 3  # of distributions that stand around others

_LISTENERS: list[Callable[[Distribution], None]] = []
_INIT = Distribution.__init__


def _told(self: Distribution, *args: Any, **kwargs: Any) -> None:
    _INIT(self, *args, **kwargs)
    if torch.compiler.is_compiling():
        return
    for listener in tuple(_LISTENERS):
        listener(self)


def tensors_of(value: Any, depth: int = DEEPEST) -> list[Tensor]:
    """The tensors of a distribution, those of the distributions that it stands around too."""
    if isinstance(value, Tensor):
        return [value]
    if not isinstance(value, Distribution) or not depth:
        return []
    return [tensor for part in vars(value).values() for tensor in tensors_of(part, depth - 1)]


class Families:
    """What was made of each candidate's mean.

    Parameters
    ----------
    listens
        Whether a forward pass that runs now counts.
    """

    def __init__(self, listens: Callable[[], bool]) -> None:
        self._listens = listens
        self._made: dict[Key, list[Made]] = {}
        if not _LISTENERS:
            Distribution.__init__ = _told  # type: ignore[method-assign]
        _LISTENERS.append(self._seen)

    def close(self) -> None:
        """Listen no more."""
        if self._seen in _LISTENERS:
            _LISTENERS.remove(self._seen)
        if not _LISTENERS and Distribution.__init__ is _told:
            Distribution.__init__ = _INIT  # type: ignore[method-assign]

    def noted(self, mean: Tensor, key: Key) -> None:
        """A candidate's mean, of which something may have been made already."""
        node: Any = mean.grad_fn
        if node is not None:
            self._made.setdefault(key, []).extend(node.metadata.get(MADE, ()))

    def others(self) -> Iterator[tuple[Key, str]]:
        """Candidates of which distributions were made, and no Gaussian, with the family's name."""
        for key, made in self._made.items():
            families = [family for _, family in made]
            if families and None not in families:
                yield key, str(families[-1])

    def _seen(self, distribution: Distribution) -> None:
        try:
            if self._listens():
                self._note(distribution)
        except Exception:  # noqa: BLE001 - whatever it is, their training goes on
            self.close()

    def _note(self, distribution: Distribution) -> None:
        family = None if is_gaussian(distribution) else type(unwrapped(distribution)).__name__
        inside = list(_inside(distribution, DEEPEST))
        for node in near(tensors_of(distribution)):
            notes = node.metadata.setdefault(MADE, [])
            for made in (notes, *(self._made.setdefault(key, []) for key in node.metadata.get(NOTE, ()))):
                made[:] = [one for one in made if not any(one[0]() is part for part in inside)]
                made.append((ref(distribution), family))


def _inside(distribution: Distribution, depth: int) -> Iterable[Distribution]:
    """The distributions that one stands around."""
    for part in vars(distribution).values() if depth else ():
        if isinstance(part, Distribution):
            yield part
            yield from _inside(part, depth - 1)
