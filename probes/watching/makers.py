"""Posteriors that a module makes in its forward pass and does not return: a Laplace of two heads, the
one-hot variables of a world model, what `gumbel_softmax` draws from.

Until the layers of a run are settled, what each module makes is looked at when it returns; from then on at
what the modules of layers make. A forward pass may make the same distributions several times, as a recurrent
network does: each round is a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, allclose, nn
from torch.distributions import Categorical, Distribution
from torch.utils.hooks import RemovableHandle

from probes.errors import first_line
from probes.watching.evidence import near, posteriors_of
from probes.watching.family_readings import is_joint
from probes.watching.family_sources import FamilySource, is_other_family
from probes.watching.gaussians import unwrapped
from probes.watching.hooks import hook_input, hook_output
from probes.watching.made import inside_of, listen, tensors_of, unlisten
from probes.watching.naming import role
from probes.watching.posterior_source import NAMED, RANK_MADE
from probes.watching.predictions import THROUGH, says_latent
from probes.watching.slots import Slot

OUTPUT = "probes.output"  # in the metadata of a node: the module that put it out
NUMBERS = "probes.numbers"  # in the metadata of such a node: how many there were
MOST = 4096  # distributions of one forward pass that are looked at
UNLIKE = (
    "it made {made} distributions in a forward pass, which are no rounds of the {known} of the first step"
)
Made = list[Distribution]


@dataclass(frozen=True)
class Entry:
    """One distribution of a round: its class, the module whose output it is made of, its shape but rows."""

    kind: str
    producer: str | None


class Makers:
    """Listens to what modules make.

    Parameters
    ----------
    modules
        Path -> module, of those that are looked at.
    hears
        Whether a forward pass that runs now counts.
    found
        Gets a module's path and one round of what it made, each source of which is then asked for.
    failed
        Gets a path and why its rounds cannot be told apart.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        hears: Callable[[], bool],
        found: Callable[[str, Made], None],
        failed: Callable[[str, str], None],
    ) -> None:
        self._hears, self._found, self._failed = hears, found, failed
        self._running: list[tuple[str, Made]] = []
        self._rounds: dict[str, list[Entry]] = {}  # of each module that makes some
        self._handles: dict[str, list[RemovableHandle]] = {}
        self._settled = False
        for path, module in modules.items():
            self._handles[path] = [
                hook_input(module, partial(self._entered, path)),
                *hook_output(module, partial(self._left, path)),
            ]
        listen(self._made)

    def keep(self, paths: Collection[str]) -> None:
        """From now on listen to these modules alone."""
        self._settled = True
        self._running.clear()
        for path in [path for path in self._handles if path not in paths]:
            for handle in self._handles.pop(path):
                handle.remove()
        if not self._handles:
            unlisten(self._made)

    @property
    def handles(self) -> list[RemovableHandle]:
        """Those of all hooks."""
        return [handle for handles in self._handles.values() for handle in handles]

    def close(self) -> None:
        """Listen no more."""
        self.keep(())

    def round_of(self, path: str) -> list[Entry]:
        """What a module makes in one round."""
        return self._rounds.get(path, [])

    def _entered(self, path: str, _: Any) -> None:
        if not path:
            self._running.clear()  # what a forward pass that broke off has left
        self._running.append((path, []))

    def _made(self, distribution: Distribution) -> None:
        if self._running and len(self._running[-1][1]) < MOST and self._hears():
            self._running[-1][1].append(distribution)

    def _left(self, path: str, output: Any) -> None:
        try:
            self._look_at(path, output)
        except Exception as error:  # noqa: BLE001 - whatever it is, their training goes on
            for handle in self._handles.pop(path, ()):
                handle.remove()
            self._failed(path, f"what it makes cannot be read: {first_line(error)}")

    def _look_at(self, path: str, output: Any) -> None:
        made: Made = []
        while self._running:
            above, made = self._running.pop()
            if above == path:
                break
        if not self._settled and self._hears():
            for tensor in _tensors(output) if path else ():
                node: Any = tensor.grad_fn
                if node is not None:
                    node.metadata[OUTPUT] = path  # the outermost that hands it on
                    node.metadata[NUMBERS] = tensor.numel()
        if made:
            self._look(path, made)

    def _look(self, path: str, made: Made) -> None:
        inner = {id(part) for one in made for part in inside_of(one)}
        whole = [one for one in made if id(one) not in inner and is_other_family(one) and not is_joint(one)]
        if not whole:
            return
        if not self._settled and path not in self._rounds:
            entries = [Entry(type(unwrapped(one)).__name__, _producer(one)) for one in whole]
            self._rounds[path] = _round(entries)
        size = len(self._rounds.get(path, ()))
        if not size:
            return
        kinds = [type(unwrapped(one)).__name__ for one in whole]
        if kinds != [entry.kind for entry in self._rounds[path]] * (len(whole) // size):
            self._failed(path, UNLIKE.format(made=len(whole), known=size))
            return
        for start in range(0, len(whole), size):
            self._found(path, whole[start : start + size])

    def sources(self, path: str, module: nn.Module, made: Made) -> Iterator[tuple[FamilySource, set[Any]]]:
        """Posteriors in one round, and the candidates whose heads they are made of."""
        entries = self.round_of(path)
        latent: dict[int, tuple[str, set[Any]]] = {}
        for place, one in enumerate(made):
            producer = entries[place].producer
            heads = posteriors_of(tensors_of(one))
            names = [name for name in (producer, path or type(module).__name__) if name]
            if role(producer or "") in ("prior", "data"):
                continue
            if any(_is_again(one, made[earlier]) for earlier in latent):
                continue
            if heads or isinstance(unwrapped(one), THROUGH) or says_latent(*names):
                called = min(heads)[0] if heads else producer or path or type(module).__name__
                latent[place] = called, heads
        names_used = [called for called, _ in latent.values()]
        for place, (called, heads) in latent.items():
            prior, origin = _prior_of(place, entries, made, latent), "named"
            if prior is None:
                origin = "assumed"
            name = called if names_used.count(called) == 1 else f"{called}.{place}"
            yield (
                FamilySource(
                    name,
                    path,
                    "made",
                    Slot(place),
                    f"makes a {type(unwrapped(made[place])).__name__}"
                    + (f" of what {entries[place].producer} puts out" if entries[place].producer else ""),
                    RANK_MADE,
                    prior,
                    origins={**NAMED, "prior": origin},  # type: ignore[dict-item]
                ),
                heads,
            )


def _prior_of(place: int, entries: Sequence[Entry], made: Made, latent: Mapping[int, Any]) -> Slot | None:
    """The one distribution beside a posterior that is made by what is called a prior."""
    fits = [
        at
        for at, entry in enumerate(entries)
        if at not in latent
        and role(entry.producer or "") == "prior"
        and entry.kind == entries[place].kind
        and (made[at].batch_shape, made[at].event_shape) == (made[place].batch_shape, made[place].event_shape)
    ]
    return Slot(fits[0]) if len(fits) == 1 else None


def _producer(distribution: Distribution) -> str | None:
    """The module whose output a distribution is made of, by the graph."""
    node = _head(distribution)
    return None if node is None else str(node.metadata[OUTPUT])


def _head(distribution: Distribution) -> Any:
    """The node of that output."""
    return next((node for node in near(tensors_of(distribution)) if OUTPUT in node.metadata), None)


def _is_again(one: Distribution, earlier: Distribution) -> bool:
    """Whether a distribution is what was made before, such as the classes that were drawn from, made once
    more for their KL: of the same numbers, all that one head put out.
    """
    head = _head(one)
    if head is None or head is not _head(earlier):
        return False
    first, second = unwrapped(one), unwrapped(earlier)
    if isinstance(first, Categorical) and isinstance(second, Categorical):
        pairs = [(first.probs, second.probs)]
    elif type(first) is type(second):
        pairs = list(zip(tensors_of(first), tensors_of(second), strict=False))
    else:
        return False
    return bool(pairs) and all(
        a.shape == b.shape and a.numel() == head.metadata[NUMBERS] and allclose(a, b) for a, b in pairs
    )


def _round(entries: list[Entry]) -> list[Entry]:
    """The shortest part that a list is repetitions of."""
    for size in range(1, len(entries) + 1):
        if len(entries) % size == 0 and entries == entries[:size] * (len(entries) // size):
            return entries[:size]
    return entries


def _tensors(value: Any, depth: int = 3) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, Mapping):
        for one in value.values():
            yield from _tensors(one, depth - 1)
    elif depth and isinstance(value, (tuple, list)):
        for one in value:
            yield from _tensors(one, depth - 1)
