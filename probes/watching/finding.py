"""Which modules of a foreign network hold posteriors: hooks on all of them until the first step, then on
those alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from probes.watching.adapters import (
    RANK_DISTRIBUTION,
    RANK_GUESS,
    RANK_OBSERVED,
    fields,
    find_in_output,
    sibling_layers,
    weight_posteriors,
)
from probes.watching.hooks import (
    COMPILED,
    CompiledError,
    PairHooks,
    Sites,
    hook_output,
    hook_sites,
    is_compiled,
    is_pyro,
    is_transforming,
)
from probes.watching.naming import describe
from probes.watching.posterior_source import NotReadable, Observed, PosteriorSource, Slot
from probes.watching.stated import GRAMMAR, PartError, PartSpec, parse_parts

Observe = Callable[[], Observed]
"""A posterior that was computed, to be read when and if it is needed; reading raises one of `CHANGED`."""
Seen = tuple[str, Observe | Exception]
"""Name of a layer, or path of a module, and what it computed or why that cannot be read."""
CHANGED = (ValueError, RuntimeError, KeyError, IndexError, AttributeError, TypeError)
"""What reading an output raises when a module suddenly returns something else."""
LISTED = 30  # modules that the error for "nothing found" lists


class WatchError(RuntimeError):
    """A model that cannot be watched as asked; the message says what was looked at and what to do."""


@dataclass
class Candidate:
    """A posterior found before the first step; `tensors`, its first ones, are kept so that their addresses
    stay theirs.
    """

    source: PosteriorSource
    tensors: tuple[Tensor, ...]
    observed: list[Observed] = dataclass_field(default_factory=list)

    def same_as(self, other: Candidate) -> bool:
        """Whether both are of the same tensors: a mean, or a scale that was computed (a parameter may serve
        several). A cast or a copy of a mean is the same mean.
        """
        addresses = {tensor.data_ptr() for tensor in self.tensors}
        return any(tensor.data_ptr() in addresses for tensor in other.tensors) or _same_numbers(
            self.tensors[0], other.tensors[0]
        )


class Finder:
    """Hooks a model and hands each posterior it computes in training mode to `receive(name, observe)`, or why
    not.

    Before `settle` everything is a candidate and kept; `settle` decides and returns the candidates that are
    layers, in the order of the forward pass. Raises CompiledError for compiled modules, PartError for parts
    named by hand that are not there.
    """

    def __init__(
        self,
        model: nn.Module,
        receive: Callable[[str, Observe | Exception], None],
        parts: Mapping[str, PartSpec] | None,
        skip: Sequence[str],
        priors: Mapping[str, tuple[float, float]],
        hooks: bool,
    ) -> None:
        self.model = model
        self._receive, self._skip, self._priors = receive, tuple(skip), priors
        self._search = hooks and parts is None
        self._handles: dict[str, list[RemovableHandle]] = {}  # by path, as all below
        self._pairs: list[PairHooks] = []
        self._sources: dict[str, list[PosteriorSource]] = {}
        self._looked: dict[str, str] = {}
        self._candidates: dict[tuple[str, int], Candidate] = {}  # by name and rank
        self._layers: dict[str, PosteriorSource] | None = None  # None until settled
        self.evaluations = 0  # forward passes in eval mode
        self.transformed = 0  # and inside transforms of torch.func
        if hooks:
            try:
                self._attach(parts)
            except BaseException:
                self.detach()
                raise

    def reset(self) -> None:
        """Forget half a pair that a forward pass left behind when it broke off."""
        for pair in self._pairs:
            pair.reset()

    def detach(self) -> None:
        """Remove our hooks, and no others."""
        for handles in self._handles.values():
            for handle in handles:
                handle.remove()
        self._handles.clear()

    def observe(self, name: str, observed: Observed) -> bool:
        """A posterior that `probes.observe` handed over; False when its name came too late to be a layer."""
        if not self._listens():
            return True
        if self._layers is None:
            source = PosteriorSource(
                name,
                name,
                "observe",
                Slot(),
                "handed over by probes.observe",
                RANK_OBSERVED,
                layout="neurons",
            )
            self._candidates.setdefault(
                (name, RANK_OBSERVED), Candidate(source, observed[:2])
            ).observed.append(observed)
        elif name in self._layers:
            self._receive(name, given(observed))
        return self._layers is None or name in self._layers

    def settle(self) -> list[Candidate]:
        """The candidates that become layers; hooks elsewhere are removed. Raises WatchError when there are
        none.
        """
        candidates = list(self._candidates.values())
        chosen: list[Candidate] = []
        # stable: first seen first
        for candidate in sorted(candidates, key=lambda candidate: candidate.source.rank):
            if candidate.source.rank == RANK_GUESS and chosen and chosen[0].source.rank < RANK_GUESS:
                break
            if not any(candidate.same_as(other) for other in chosen):
                chosen.append(candidate)
        names = [candidate.source.name for candidate in chosen]
        if not chosen or len(set(names)) < len(names):
            self.detach()
            raise WatchError(f"two posteriors have one name: {names}" if chosen else self._nothing_found())
        chosen.sort(key=candidates.index)
        self._layers = {candidate.source.name: candidate.source for candidate in chosen}
        self._candidates = {}
        self._drop_other_hooks()
        return chosen

    # ---- attaching

    def _attach(self, parts: Mapping[str, PartSpec] | None) -> None:
        if parts is not None:
            sources = parse_parts(self.model, parts)
            paths = [source.path for source in sources]
        else:
            sources = [
                source
                for source in sibling_layers(self.model) + weight_posteriors(self.model)
                if not self._skipped(source.path)
            ]
            modules = [path for path, _ in self.model.named_modules() if not self._skipped(path)]
            paths = modules + [source.path for source in sources]
        self._refuse_compiled(paths)
        for source in sources:
            self._sources.setdefault(source.path, []).append(source)
        for path in dict.fromkeys(paths):
            self._hook(path)

    def _hook(self, path: str) -> None:
        if " & " in path:
            pair = PairHooks(self.model, path, lambda outputs: self._arrived(path, self.model, outputs))
            self._pairs.append(pair)
            self._handles[path] = pair.handles
            return
        module = self.model.get_submodule(path)
        if isinstance(module, torch.jit.ScriptModule):
            self._looked[path] = "scripted: its inside cannot be watched"
            return
        self._handles[path] = hook_output(module, lambda output: self._arrived(path, module, output))
        topmost = not any(is_pyro(self.model.get_submodule(parent)) for parent in _parents(path))
        if self._search and topmost and is_pyro(module):
            self._handles[path] += hook_sites(module, lambda sites: self._sampled(path, sites))

    def _refuse_compiled(self, paths: Iterable[str]) -> None:
        compiled = {path: module for path, module in self.model.named_modules() if is_compiled(module)}
        for path in paths:
            for side in path.split(" & "):
                for above in (*_parents(side), side):
                    if above in compiled:
                        what = repr(above) if above else f"the model ({type(compiled[above]).__name__})"
                        raise CompiledError(COMPILED.format(what=what))

    def _skipped(self, path: str) -> bool:
        return any(fnmatchcase(side, pattern) for side in path.split(" & ") for pattern in self._skip)

    def _drop_other_hooks(self) -> None:
        layers = self._layers or {}
        self._sources = {
            path: kept
            for path, sources in self._sources.items()
            if (kept := [s for s in sources if _is_layer(s, layers)])
        }
        sampled = {source.path for source in layers.values() if source.origin == "sites"}
        for path in [path for path in self._handles if path not in self._sources and path not in sampled]:
            for handle in self._handles.pop(path):
                handle.remove()

    # ---- what the hooks bring

    def _listens(self) -> bool:
        if not self.model.training:
            self.evaluations += 1
        elif is_transforming():
            self.transformed += 1
        else:
            return True
        return False

    def _hand_on(self, path: str, look: Callable[[], list[Seen]]) -> None:
        """What `look` finds; what goes wrong in it does not reach the forward pass, but for parts named by
        hand.
        """
        seen: list[Seen] = []
        try:
            seen = look()
        except (PartError, CompiledError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, their training goes on
            if self._layers is None:
                self._looked[path] = f"cannot be read: {first_line(error)}"
            else:
                seen = [(path, error)]
        for name, observe in seen:
            self._receive(name, observe)

    def _arrived(self, path: str, module: nn.Module, output: Any) -> None:
        if self._listens():
            self._hand_on(path, lambda: self._look(path, module, output))

    def _look(self, path: str, module: nn.Module, output: Any) -> list[Seen]:
        if self._search and self._layers is None and " & " not in path and path not in self._looked:
            named = [name for name in fields(module, output).values() if name is not None]
            called = f", called {', '.join(named)}" if named else ""
            self._looked[path] = f"{type(module).__name__} returned {describe(output)}{called}"
            self._sources.setdefault(path, []).extend(find_in_output(path, module, output))
        return [seen for source in self._sources.get(path, ()) for seen in self._take(source, module, output)]

    def _sampled(self, path: str, sites: Sites) -> None:
        if self._listens():
            self._hand_on(path, lambda: self._look_at_sites(path, sites))

    def _look_at_sites(self, path: str, sites: Sites) -> list[Seen]:
        if sites.observed:
            self._looked[path] = (
                f"a Pyro model, it observes {', '.join(sites.observed)}: watch its guide instead"
            )
            return []
        seen: list[Seen] = []
        for site in sites:
            if not self._skipped(site):
                source = PosteriorSource(
                    site, path, "sites", Slot(site), "sampled by a Pyro guide", RANK_DISTRIBUTION
                )
                seen += self._take(
                    replace(source, of="shared variables") if site in sites.shared else source,
                    self.model,
                    sites,
                )
        return seen

    def _take(self, source: PosteriorSource, module: nn.Module, output: Any) -> list[Seen]:
        """Read one posterior; none where it is a candidate yet, or no layer."""
        value = module if source.origin == "parameters" else output
        if source.function is not None:
            value = source.function(module, output)
        if self._layers is None:
            self._take_candidate(source, value)
        elif _is_layer(source, self._layers):
            layer = self._layers[source.name]
            try:
                observe: Observe | Exception = partial(layer.observed, layer.take(value))
            except CHANGED as error:
                observe = NotReadable(f"{source.path} no longer returns what it did: {error}")
            return [(source.name, observe)]
        return []

    def _take_candidate(self, source: PosteriorSource, value: Any) -> None:
        key = source.name, source.rank
        if key not in self._candidates:
            try:
                prior = next(
                    (prior for name, prior in self._priors.items() if fnmatchcase(source.name, name)),
                    source.prior,
                )
                settled = replace(source, prior=prior).settle(value)
            except NotReadable as error:
                if source.by_hand:
                    raise PartError(
                        f"parts: {source.path!r} cannot be read as {source.slot}: {error}"
                    ) from error
                self._looked[f"{source.path or '(the model itself)'} as {source.slot}"] = str(error)
                return
            candidate = Candidate(settled, settled.computed(value))
            if any(
                other.source.layout == "channels" and other.same_as(candidate)
                for other in self._candidates.values()
            ):
                # (B, C, T) that a convolution has put out before
                candidate.source = replace(settled, layout="channels")
        else:
            candidate = self._candidates[key]
        candidate.observed.append(candidate.source.observed(candidate.source.take(value)))
        self._candidates[key] = candidate  # not before it could be read

    def _nothing_found(self) -> str:
        lines = [f"  {path or '(the model itself)'}: {seen}" for path, seen in self._looked.items()]
        more = [f"  and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
        if not lines:
            lines = [
                "  no module ran in training mode; calls in eval mode, which are not recorded:"
                f" {self.evaluations} (model.train() goes back to training)"
            ]
        if self.transformed:
            lines.append(
                f"  calls inside transforms of torch.func (vmap, grad), whose tensors do not outlive them:"
                f" {self.transformed}"
            )
        return "\n".join(
            [
                f"no posterior was found in {type(self.model).__name__} before the first step. Looked at:",
                *lines[:LISTED],
                *more,
                (
                    f"Name it by hand: parts={{path pattern: {GRAMMAR}}}; for a pair of layers the pattern is"
                    " 'path & path'."
                ),
                "Or call probes.observe(name, mu, sigma) in the forward pass.",
            ]
        )


def given(observed: Observed) -> Observe:
    """What was read already."""
    return lambda: observed


def first_line(error: Exception) -> str:
    """What an error says first, or its name."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _same_numbers(one: Tensor, other: Tensor) -> bool:
    """Whether a mean is a copy of another, to the rounding of the coarser. Zeros, as heads may begin with,
    are no evidence.
    """
    if one.shape != other.shape or one.device != other.device or not bool(one.any()):
        return False
    if one.dtype == other.dtype:
        return torch.equal(one, other)
    rounding = max(torch.finfo(one.dtype).eps, torch.finfo(other.dtype).eps)
    return torch.allclose(one.double(), other.double(), rtol=rounding, atol=0)


def _is_layer(source: PosteriorSource, layers: Mapping[str, PosteriorSource]) -> bool:
    """Whether an unsettled source is the one that a layer was made from."""
    layer = layers.get(source.name)
    return layer is not None and (layer.path, layer.rank) == (source.path, source.rank)


def _parents(path: str) -> list[str]:
    """Paths above a path, the model ("") first."""
    parts = path.split(".") if path else []
    return [".".join(parts[:size]) for size in range(len(parts))]
