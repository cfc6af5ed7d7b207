"""Which modules of a foreign network hold posteriors: hooks on all of them until the first step, then on
those alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from probes.errors import first_line
from probes.watching.adapters import (
    RANK_DISTRIBUTION,
    RANK_GUESS,
    RANK_OBSERVED,
    fields,
    find_in_output,
    sibling_layers,
    weight_posteriors,
)
from probes.watching.after_head import AfterHeads, Reread
from probes.watching.hooks import (
    COMPILED,
    WITHOUT_GRADIENTS,
    CompiledError,
    PairHooks,
    Sites,
    counts,
    flat,
    hook_output,
    hook_sites,
    is_compiled,
    is_on,
    is_pyro,
    passed_over,
    without_gradients,
)
from probes.watching.naming import describe
from probes.watching.pooling import Pool, Reading
from probes.watching.posterior_source import NoRows, NotReadable, Observed, PosteriorSource, Slot
from probes.watching.stated import GRAMMAR, PartError, PartSpec, parse_parts

Seen = tuple[str, Reading | Exception]
"""Name of a layer, or path of a module, and what it computed or why that cannot be read."""
LISTED = 30  # modules that the error for "nothing found" lists


class WatchError(RuntimeError):
    """A model that cannot be watched as asked; the message says what was looked at and what to do."""


@dataclass
class Candidate:
    """A posterior found before the first step. `tensors`, its first ones, are kept so that their addresses
    stay theirs; of later ones the sums alone. `standard`: without a prior of its own. `failures`: why batches
    after the first were not read.
    """

    source: PosteriorSource
    tensors: tuple[Tensor, ...]
    pool: Pool
    standard: bool
    failures: list[str] = dataclass_field(default_factory=list)

    @classmethod
    def of(cls, source: PosteriorSource, tensors: tuple[Tensor, ...], observed: Observed) -> Candidate:
        """With its first batch. Raises what sums of odd tensors raise."""
        _, neurons, dimensions = observed.mu.shape
        pool = Pool((neurons, dimensions), shared=source.of != "activations")
        pool.add_observed(observed)
        return cls(source, tensors, pool, source.prior is None and observed.prior_mu is None)

    def same_as(self, other: Candidate) -> bool:
        """Whether both are of the same tensors: a mean, or a scale that was computed (a parameter may serve
        several). A cast or a copy of a mean is the same mean.
        """
        try:
            addresses = {tensor.data_ptr() for tensor in self.tensors}
            return any(tensor.data_ptr() in addresses for tensor in other.tensors) or _same_numbers(
                self.tensors[0], other.tensors[0]
            )
        except RuntimeError:  # tensors without memory
            return False


class Finder:
    """Hooks a model and hands each posterior it computes in training to `receive(name, reading)`, or why not.

    Before `settle` everything is a candidate; `settle` decides and returns the candidates that are layers, in
    the order of the forward pass. Raises CompiledError for compiled modules, PartError for parts named by
    hand that are not there.

    passed_over: forward passes, or parts of them, that were not looked at, by why (`hooks.passed_over`).
    """

    def __init__(
        self,
        model: nn.Module,
        receive: Callable[[str, Reading | Exception], None],
        parts: Mapping[str, PartSpec] | None,
        skip: Sequence[str],
        priors: Mapping[str, tuple[float, float]],
        hooks: bool,
        no_grad: bool,
    ) -> None:
        self.model = model
        self._receive, self._skip, self._priors = receive, tuple(skip), priors
        self._no_grad, self._paused = no_grad, False
        self._search = hooks and parts is None
        self._handles: dict[str, list[RemovableHandle]] = {}  # by path, as all below
        self._modules: dict[str, list[tuple[str, nn.Module]]] = {}
        self._pairs: list[PairHooks] = []
        self._sources: dict[str, list[PosteriorSource]] = {}
        self._looked: dict[str, str] = {}
        self._known: set[str] = set()  # need not be looked through again
        self._candidates: dict[tuple[str, int], Candidate] = {}  # by name and rank
        self._layers: dict[str, PosteriorSource] | None = None  # None until settled
        self._after: AfterHeads | None = None  # None: nothing is looked for after heads
        self._refused: dict[tuple[str, int], str] = {}  # why a candidate cannot be read as it is used
        self.passed_over: Counter[str] = Counter()
        self._ran: set[str] = set()  # paths that put something out, and names that were handed over
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
        if self._after is not None:
            self._after.close()
        for handles in self._handles.values():
            for handle in handles:
                handle.remove()
        self._handles.clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is looked at inside."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def observe(self, name: str, reading: Reading, why_not: str | None) -> bool:
        """A posterior that `probes.observe` handed over; False when its name came too late to be a layer.

        why_not: as `hooks.without_gradients`, or what else is known of it. Raises ValueError for one that
        cannot be read, before the layers are settled.
        """
        if not self._listens(why_not):
            return True
        if self._layers is None:
            self._observe_candidate(name, reading())
        elif name in self._layers:
            self._receive(name, reading)
        return self._layers is None or name in self._layers

    def _observe_candidate(self, name: str, observed: Observed) -> None:
        why = "handed over by probes.observe"
        source = PosteriorSource(name, name, "observe", Slot(), why, RANK_OBSERVED, layout="neurons")
        try:
            candidate = self._candidates.get((name, RANK_OBSERVED))
            if candidate is not None:
                candidate.pool.add_observed(observed)
            elif len(observed.mu):  # else the next batch may have inputs
                self._candidates[name, RANK_OBSERVED] = Candidate.of(source, (observed.mu,), observed)
                self._ran.add(name)
        except (ValueError, RuntimeError, TypeError) as error:
            raise ValueError(f"observe({name!r}): {first_line(error)}") from error

    @property
    def waits(self) -> str | None:
        """Why it is too early to settle: what could be a layer has not run yet; None: it is not."""
        if self._candidates:
            return None
        if not self._ran:
            reasons = [f"its forward passes were {why}" for why in self.passed_over]
            return "; ".join(reasons) or "no forward pass yet"
        return f"no inputs have come to {', '.join(self.missing[:LISTED])}" if self.missing else None

    @property
    def missing(self) -> list[str]:
        """Where a posterior is known to stand that has not been computed."""
        return [path or "the model" for path in self._sources if path not in self._ran]

    def unhooked(self, seen: Iterable[str]) -> list[str]:
        """Layers, besides those `seen`, that no hook of ours is on any more, or whose module has left the
        model.
        """
        layers = self._layers or {}
        gone = []
        for name in layers.keys() - set(seen):
            path = layers[name].path
            if layers[name].origin != "observe" and not (
                all(map(is_on, self._handles[path])) and all(map(self._is_there, self._modules[path]))
            ):
                gone.append(name)
        return gone

    def _is_there(self, place: tuple[str, nn.Module]) -> bool:
        path, module = place
        try:
            return self.model.get_submodule(path) is module
        except AttributeError:
            return False

    def settle(self) -> list[Candidate]:
        """The candidates that become layers; hooks elsewhere are removed. Raises WatchError when there are
        none.
        """
        if self._after is not None:
            self._after.settle(last=True)
        candidates = [candidate for key, candidate in self._candidates.items() if not self._is_elsewhere(key)]
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
        if self._after is not None:
            self._after.close()
        self._drop_other_hooks()
        return chosen

    def _is_elsewhere(self, key: tuple[str, int]) -> bool:
        """Whether a candidate is not what the network samples with: another is, or one that is not read."""
        inside = self._after.inside.get(key) if self._after is not None else None
        return inside in self._candidates or key in self._refused

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
        if self._search:
            named = {path: self.model.get_submodule(path) for path in modules}
            parameters = dict(self.model.named_parameters())
            self._after = AfterHeads(named, sources, self._looks, self._reread, parameters)
        for source in sources:
            self._sources.setdefault(source.path, []).append(source)
        for path in dict.fromkeys(paths):
            self._hook(path)

    def _hook(self, path: str) -> None:
        if " & " in path:
            pair = PairHooks(
                self.model,
                path,
                lambda outputs: self._seen(path, self.model, outputs),
                self._listens_now,
            )
            self._pairs.append(pair)
            self._handles[path], self._modules[path] = pair.handles, pair.modules
            return
        module = self.model.get_submodule(path)
        self._modules[path] = [(path, module)]
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

    def _listens(self, why_not: str | None) -> bool:
        if self._paused:
            return False
        if why_not == WITHOUT_GRADIENTS and self._no_grad:
            why_not = None
        if (why := passed_over(self.model) or why_not) is not None:
            self.passed_over[why] += 1
        return why is None

    def _listens_now(self) -> bool:
        if self.model.training and not self._paused and counts():
            return True
        return self._listens(without_gradients())

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
        for name, reading in seen:
            self._receive(name, reading)

    def _arrived(self, path: str, module: nn.Module, output: Any) -> None:
        if self._listens_now():
            self._seen(path, module, output)

    def _seen(self, path: str, module: nn.Module, output: Any) -> None:
        if self._layers is None:
            self._ran.add(path)
            self._hand_on(path, lambda: self._look(path, module, output))
            return
        for source in self._sources.get(path, ()):  # as above in fewer calls: this runs all training long
            if (seen := self._take(source, module, output)) is not None:
                self._receive(*seen)

    def _look(self, path: str, module: nn.Module, output: Any) -> list[Seen]:
        if self._search and self._layers is None and " & " not in path and path not in self._known:
            self._look_for_more(path, module, output)
        seen = [self._take(source, module, output) for source in self._sources.get(path, ())]
        if self._after is not None and " & " not in path:
            self._after.passed(path, output)
        return [one for one in seen if one is not None]

    def _look_for_more(self, path: str, module: nn.Module, output: Any) -> None:
        """Posteriors in a module's output; where there are none, the next output may hold some."""
        named = [name for name in fields(module, output).values() if name is not None]
        called = f", called {', '.join(named)}" if named else ""
        self._looked[path] = f"{type(module).__name__} returned {describe(output)}{called}"
        if found := find_in_output(path, module, output):
            self._sources.setdefault(path, []).extend(found)
            self._known.add(path)

    def _sampled(self, path: str, sites: Sites) -> None:
        if self._listens_now():
            self._ran.add(path)
            self._hand_on(path, lambda: self._look_at_sites(path, sites))

    def _look_at_sites(self, path: str, sites: Sites) -> list[Seen]:
        if sites.observed:
            self._looked[path] = (
                f"a Pyro model, it observes {', '.join(sites.observed)}: watch its guide instead"
            )
            return []
        seen: list[Seen] = []
        for site, distribution in sites.items():
            if not self._skipped(site):
                shared = not distribution.batch_shape
                why = "sampled by a Pyro guide"
                source = PosteriorSource(
                    site, path, "sites", Slot(site), why, RANK_DISTRIBUTION,
                    of="shared variables" if shared else "activations",
                )  # fmt: skip
                one = self._take(source, self.model, {site: flat(distribution)})
                seen += [] if one is None else [one]
        return seen

    def _take(self, source: PosteriorSource, module: nn.Module, output: Any) -> Seen | None:
        """Read one posterior, or why it cannot be read; None where it is a candidate yet, or no layer."""
        layers = self._layers
        if layers is not None and not _is_layer(source, layers):
            return None
        try:
            value = module if source.origin == "parameters" else output
            if source.function is not None:
                value = source.function(module, output)
            if layers is None:
                self._take_candidate(source, value)
                return None
            layer = layers[source.name]
            return source.name, Reading(layer.observed, layer.take(value), layer.of == "activations")
        except PartError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, their training goes on
            if isinstance(error, NoRows):
                self._ran.discard(source.path)
            if layers is not None:
                why = f"{source.path or 'the model'} no longer returns what it did: {first_line(error)}"
                return source.name, NotReadable(why)
            if (candidate := self._candidates.get((source.name, source.rank))) is not None:
                candidate.failures.append(first_line(error))
            else:
                self._looked[f"{source.path or '(the model itself)'} as {source.slot}"] = first_line(error)
            return None

    def _take_candidate(self, source: PosteriorSource, value: Any) -> None:
        key = source.name, source.rank
        if (candidate := self._candidates.get(key)) is not None:
            if self._after is not None:
                self._after.returned(candidate.source, value)
            candidate.pool.add_observed(candidate.source.observed(candidate.source.take(value)))
            return
        prior = next(
            (prior for name, prior in self._priors.items() if fnmatchcase(source.name, name)), source.prior
        )
        try:
            settled = replace(source, prior=prior).settle(value)
        except NoRows:
            raise
        except NotReadable as error:
            if source.by_hand:
                raise PartError(f"parts: {source.path!r} cannot be read as {source.slot}: {error}") from error
            raise
        if self._after is not None:
            self._after.returned(settled, value)
        tensors = settled.computed(value)
        candidate = Candidate.of(settled, tensors, settled.observed(settled.take(value)))
        if settled.layout == "rows" and any(
            other.source.layout == "channels" and other.same_as(candidate)
            for other in self._candidates.values()
        ):
            # (B, C, T) that a convolution has put out before
            settled = replace(settled, layout="channels")
            candidate = Candidate.of(settled, tensors, settled.observed(settled.take(value)))
        self._candidates[key] = candidate

    def _looks(self) -> bool:
        return not self._paused and (passed_over(self.model) or without_gradients()) is None

    def _reread(self, key: tuple[str, int], reread: Reread, outputs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """A candidate is read as it is used; so is what came before."""
        candidate = self._candidates.get(key)
        if candidate is None:
            return
        before = candidate.source
        try:
            candidate.source = source = reread(before)
        except NotReadable as error:
            self._refused[key] = self._looked[before.path] = str(error)
            return
        if (source.slot, source.after, source.path) == (before.slot, before.after, before.path):
            return
        candidate.pool = Pool(candidate.pool.size, candidate.pool.shared)
        pair = replace(source, slot=replace(source.slot, mean=0, scale=1))
        for output in outputs:
            candidate.pool.add_observed(pair.observed(pair.take(output)))
        if source.path != before.path:
            del self._sources[before.path]
            self._sources[source.path] = [source]
            self._ran.add(source.path)
            self._hook(source.path)

    def _nothing_found(self) -> str:
        lines = [f"  {path or '(the model itself)'}: {seen}" for path, seen in self._looked.items()]
        more = [f"  and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
        lines += [f"  {count} calls {why}" for why, count in self.passed_over.items()]
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


def _same_numbers(one: Tensor, other: Tensor) -> bool:
    """Whether a mean is a copy of another, to the rounding of the coarser. One number throughout, as heads
    may begin with, is no evidence.
    """
    if one.shape != other.shape or one.device != other.device or bool((one == one.flatten()[0]).all()):
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
