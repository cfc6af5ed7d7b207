"""Which distributions a network makes while it runs.

A head that is called mean may be that of any family: what is made of it tells. For as long as somebody
listens, `torch.distributions.Distribution.__init__` reports each new distribution after it has run, and
`torch.nn.functional.gumbel_softmax` the categorical one that it draws from. `Families` keeps none of them, a
note stands in the graph's nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any
from weakref import ref

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical, Distribution

from probes.family_moments.widening import HALF
from probes.watching.evidence import NOTE, CandidateKey, near
from probes.watching.gaussians import is_gaussian, map_of, unwrapped

Made = tuple["ref[Distribution]", str | None, str | None]
"""A distribution, its family's name, None for a Gaussian, and the map that a Gaussian stands behind."""
MADE = "probes.made"  # in the metadata of a node: distributions that were made of it
DEEPEST = 3  # of distributions that stand around others

Listener = Callable[[Distribution], None]
_LISTENERS: list[Listener] = []
_INIT = Distribution.__init__
_GUMBEL = F.gumbel_softmax


class Logits(Categorical):
    """A categorical distribution of logits (..., C), normalised without a graph; `drawn`: as given."""

    def __init__(self, logits: Tensor) -> None:
        self.drawn = logits
        numbers = logits.detach()
        self.logits = (numbers.float() if numbers.dtype in HALF else numbers).log_softmax(-1)
        self.probs = self.logits.exp()
        self._num_events = logits.shape[-1]
        Distribution.__init__(self, logits.shape[:-1], validate_args=False)


class Gumbel(Logits):
    """What `gumbel_softmax` draws from."""


def _told(self: Distribution, *args: Any, **kwargs: Any) -> None:
    _INIT(self, *args, **kwargs)
    if torch.compiler.is_compiling():
        return
    for listener in tuple(_LISTENERS):
        listener(self)


@wraps(_GUMBEL)
def _drawn(logits: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    drawn = _GUMBEL(logits, *args, **kwargs)
    axis = kwargs.get("dim", args[3] if len(args) > 3 else -1)
    last = isinstance(logits, Tensor) and axis % max(1, logits.dim()) == logits.dim() - 1
    if _LISTENERS and last and logits.dim() > 1 and not torch.compiler.is_compiling():
        Gumbel(_grouped(logits))
    return drawn


def _grouped(logits: Tensor) -> Tensor:
    """Logits (R G, C) that one view has cut out of a last axis of G C as (R, G, C): rows alternate between G
    variables.
    """
    node: Any = logits.grad_fn
    if type(node).__name__ == "ToCopyBackward0":
        node = node.next_functions[0][0]
    sizes = getattr(node, "_saved_self_sym_sizes", None) or (0,)
    classes = logits.shape[-1]
    if logits.dim() != 2 or sizes[-1] <= classes or sizes[-1] % classes:
        return logits
    return logits.reshape(-1, sizes[-1] // classes, classes)


def listen(listener: Listener) -> None:
    """Report new distributions to a listener too."""
    if not _LISTENERS:
        Distribution.__init__ = _told  # type: ignore[method-assign]
        F.gumbel_softmax = _drawn
    _LISTENERS.append(listener)


def unlisten(listener: Listener) -> None:
    """Report nothing more to a listener; the last one leaves all as it was."""
    if listener in _LISTENERS:
        _LISTENERS.remove(listener)
    if not _LISTENERS and Distribution.__init__ is _told:
        Distribution.__init__ = _INIT  # type: ignore[method-assign]
    if not _LISTENERS and F.gumbel_softmax is _drawn:
        F.gumbel_softmax = _GUMBEL


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
        self._made: dict[CandidateKey, list[Made]] = {}
        listen(self._seen)

    def close(self) -> None:
        """Listen no more."""
        unlisten(self._seen)

    def noted(self, mean: Tensor, key: CandidateKey) -> None:
        """A candidate's mean, of which something may have been made already."""
        node: Any = mean.grad_fn
        if node is not None:
            self._made.setdefault(key, []).extend(node.metadata.get(MADE, ()))

    def others(self) -> Iterator[tuple[CandidateKey, str]]:
        """Candidates of which distributions were made, and no Gaussian, with the family's name."""
        for key, made in self._made.items():
            families = [family for _, family, _ in made]
            if families and None not in families:
                yield key, str(families[-1])

    def families_of(self, key: CandidateKey) -> set[str]:
        """The names of the families that were made of a candidate, but for Gaussians."""
        return {family for _, family, _ in self._made.get(key, ()) if family is not None}

    def map_of(self, key: CandidateKey) -> str | None:
        """The one map that all Gaussians made of a candidate's mean stand behind."""
        maps = {behind for _, family, behind in self._made.get(key, ()) if family is None}
        return maps.pop() if len(maps) == 1 else None

    def _seen(self, distribution: Distribution) -> None:
        try:
            if self._listens():
                self._note(distribution)
        except Exception:  # noqa: BLE001 - whatever it is, their training goes on
            self.close()

    def _note(self, distribution: Distribution) -> None:
        family = None if is_gaussian(distribution) else type(unwrapped(distribution)).__name__
        behind = map_of(distribution)
        inside = list(inside_of(distribution))
        for node in near(tensors_of(distribution)):
            notes = node.metadata.setdefault(MADE, [])
            for made in (notes, *(self._made.setdefault(key, []) for key in node.metadata.get(NOTE, ()))):
                made[:] = [one for one in made if not any(one[0]() is part for part in inside)]
                made.append((ref(distribution), family, behind))


def inside_of(distribution: Distribution, depth: int = DEEPEST) -> Iterator[Distribution]:
    """The distributions that one stands around."""
    for part in vars(distribution).values() if depth else ():
        if isinstance(part, Distribution):
            yield part
            yield from inside_of(part, depth - 1)
