"""Which modules of a foreign network hold posteriors: hooks on all of them until the first step, then on
those alone.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.jit import ScriptModule
from torch.utils.hooks import RemovableHandle

from probes.errors import first_line
from probes.watching.adapters import (
    CONVOLUTIONS,
    fields,
    find_in_output,
    gaussian_processes,
    latent_diffusion,
    other_distributions,
    predictions,
    sibling_layers,
    weight_posteriors,
)
from probes.watching.after_head import BETWEEN, AfterHeads, Reread, tensors_in
from probes.watching.evidence import draws_gaussian, normalised, note, other_family, posteriors_of
from probes.watching.family_pools import AnyPool, pool_for
from probes.watching.family_readings import AnyObserved, FamilyObserved, is_joint
from probes.watching.family_sources import (
    FamilySource,
    UnderPrior,
    is_gaussian_reader,
    observed_source,
    own_tensors,
    without_any_prior,
)
from probes.watching.family_sources import settle as settle_source
from probes.watching.gaussians import prior_tensors
from probes.watching.graph_uses import OF_BITS, OF_CLASSES, halved, made_with, uses_of_candidates
from probes.watching.hooks import (
    COMPILED,
    EVALUATED,
    WITHOUT_GRADIENTS,
    Argument,
    CompiledError,
    PairHooks,
    Sites,
    counts,
    flat,
    hook_arguments,
    hook_output,
    hook_sites,
    is_compiled,
    is_drawing,
    is_on,
    is_pyro,
    passed_over,
    without_gradients,
)
from probes.watching.layouts import Observed, positions_of
from probes.watching.made import Families
from probes.watching.makers import Makers
from probes.watching.naming import Role, describe, not_latent, role
from probes.watching.own_priors import is_in_flow, prior_above
from probes.watching.pooling import Reading
from probes.watching.posterior_source import (
    RANK_DISTRIBUTION,
    RANK_GUESS,
    RANK_NAMED,
    RANK_OBSERVED,
    PosteriorSource,
    Prior,
    PriorFunction,
    Taken,
    UnknownPrior,
)
from probes.watching.predictions import MAY_BE_PREDICTED
from probes.watching.prior_links import Kept, PriorLinks, Waiting
from probes.watching.quantisers import find_codes
from probes.watching.shares import VIEWED, Placed, digest, digest_of_rows, placed
from probes.watching.slots import DISTRIBUTION, SINGLE, Slot
from probes.watching.stated import (
    GRAMMAR,
    PartError,
    PartSpec,
    PriorSpec,
    parse_parts,
    stated_prior,
    with_prior,
)
from probes.watching.tensors import NoRows, NotReadable

Seen = tuple[str, Reading | Exception]
"""Name of a layer, or path of a module, and what it computed or why that cannot be read."""
POOLED = (
    "the model was called with different arguments ({said}), which are pooled; to keep them apart call"
    " probes.observe({name!r}, mu, sigma, tag=...) in its forward pass and watch with hooks=False"
)
PADDED = (
    "ASSUMED that every position counts, though the model was called with {mask}: leave padding out with"
    " parts={{...: probes.Part(..., mask={mask!r})}}, or probes.observe(name, mu, sigma, mask=...)"
)
REPEATED = (
    "ASSUMED that the rows of its {calls} calls of a step are independent inputs: where they are positions of"
    " the same sequences they are worth fewer, which layout='sequences' says, in observe or in a part;"
    " layout='bn' says that they are not"
)
IN_TURN = "; its {calls} calls of a step are positions of the same sequences, a row a sequence"
REPEATS = 5  # calls for each of the model's from which it may be a loop over positions
MASKS = re.compile(r"(^|_)(mask|masks|padding|pad|len|lens|lengths?)($|_)")
"""Arguments that say which positions of a sequence count."""
NOT_READ = (
    "the posterior of {name} is a {family}, no Gaussian, and its own numbers are not seen: hand it over with"
    " probes.observe(name, q) in the forward pass"
)
BITS = (
    "{name} goes through a sigmoid, so that its last axis are independent bits and no classes: call"
    " probes.observe(name, torch.distributions.Bernoulli(logits=...)) in the forward pass, no Gaussian and no"
    " Categorical"
)
CLASSES = "; ASSUMED that its last axis are classes, since what uses it was not seen"
SEVERAL_WAYS = (
    "{path} puts out what {one} makes, and {other}: they may be a posterior and its prior, so that neither is"
    " read: call probes.observe(name, q, prior=p) in the forward pass"
)
HALVES = "could be mu | log_var"
LIKELY = re.compile(r"post|quant|enc|latent|(^|_)z(_|$|[0-9])|z_|_z")
TABLE_SEEN = "{path!r} returns Gaussians that no input makes: they may be the components of one"
SHARDED = (
    "its neurons are sharded over devices, and here is a part of them: gather them first (full_tensor(), or"
    " an output layout of Replicate()), or watch before the model is parallelised"
)
TABLE = (
    "a table of parameters, which no input makes: the components of a prior, or a row for each item; name it"
    " by hand if it is a posterior of the rows at hand"
)
UNEVEN = "outputs have no partner, since posterior and prior were not computed equally often by"
COMPARED = 64  # calls of the first step that are compared with those of other processes, at most
OF_A_PRIOR = "what a prior has put out"
LISTED = 30  # modules that the error for "nothing found" lists


class WatchError(RuntimeError):
    """A model that cannot be watched as asked; the message says what was looked at and what to do."""


@dataclass
class Candidate:
    """A posterior found before the first step. `tensors`, its first ones, are kept so that their addresses
    stay theirs; of later ones the sums alone. `prior`: its prior's first mean. `given`: whether it came with
    a prior. `failures`: why batches after the first were not read. `kept`: what it was, where it waits for
    its prior. `calls`: of the first step. `moves`: whether it varies with its input or is trained.
    `made_with`: `graph_uses.made_with`.
    `placed`, `digests`: what tells, of several processes, which share of it this one has; of each batch.
    """

    source: PosteriorSource
    tensors: tuple[Tensor, ...]
    pool: AnyPool
    given: bool
    failures: list[str] = dataclass_field(default_factory=list)
    kept: Kept = dataclass_field(default_factory=Kept)
    prior: Tensor | None = None
    calls: int = 1
    moves: bool = True
    made_with: frozenset[int] = frozenset()
    placed: Placed | None = None
    digests: list[str | None] = dataclass_field(default_factory=list)

    @property
    def values(self) -> str | None:
        """What tells its batches from others; None where one of them does not differ from row to row."""
        return None if None in self.digests else " ".join(map(str, self.digests))

    @classmethod
    def of(cls, source: PosteriorSource, tensors: tuple[Tensor, ...], observed: AnyObserved) -> Candidate:
        """With its first batch. Raises what sums of odd tensors raise."""
        pool = pool_for(observed, shared=source.of != "activations")
        pool.add_observed(observed)
        return cls(source, tensors, pool, observed.has_prior)

    @property
    def positions(self) -> int | None:
        """Of its first batch, as of `Observed`."""
        return positions_of(self.tensors[0].shape, self.source.layout or "rows") if self.tensors else None

    @property
    def kind_of_prior(self) -> str:
        """What the manifest calls the layer's prior."""
        if isinstance(self.source.prior, UnknownPrior):
            return "unknown"
        return "given" if self.source.prior is not None or self.given else self.source.default_prior

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

    def is_prior_of(self, other: Candidate) -> bool:
        """Whether the mean is that of another's prior."""
        return (
            other is not self
            and other.prior is not None
            and other.prior.data_ptr() == self.tensors[0].data_ptr()
        )

    def is_put_together_of(self, others: Iterable[Candidate]) -> bool:
        """Whether the mean is those of others side by side, of which each has as much of a prior: a neuron is
        of one layer.
        """
        axis = 1 if self.source.layout == "channels" else -1
        whole = self.tensors[0] if self.tensors else None
        if (
            self.source.rank == RANK_OBSERVED
            or self.source.of != "activations"
            or whole is None
            or not whole.dim()
        ):
            return False
        pieces = [
            one.tensors[0]
            for one in others
            if one is not self
            and one.tensors
            and one.source.of == "activations"
            and one.source.family == self.source.family
            and (_has_prior(one) or not _has_prior(self))
            and _fits(one.tensors[0], whole, axis)
        ]
        at = 0
        while at < whole.shape[axis]:
            found = next(
                (one for one in pieces if _same_numbers(one, _block(whole, axis, at, one.shape[axis]))), None
            )
            if found is None:
                return False
            at += found.shape[axis]
        return True


def _fits(part: Tensor, whole: Tensor, axis: int) -> bool:
    """Whether a tensor may stand in another beside more, along an axis."""
    if part.dim() != whole.dim() or part.dtype != whole.dtype or part.shape[axis] >= whole.shape[axis]:
        return False
    return _block(whole, axis, 0, part.shape[axis]).shape == part.shape


def _block(whole: Tensor, axis: int, start: int, size: int) -> Tensor:
    return whole.narrow(axis, start, min(size, whole.shape[axis] - start))


def _has_prior(candidate: Candidate) -> bool:
    return candidate.given or candidate.source.prior is not None


class Finder:
    """Hooks a model and hands each posterior it computes in training to `receive(name, reading)`, or why not.

    Before `settle` everything is a candidate; `settle` decides and returns the candidates that are layers, in
    the order of the forward pass. Raises CompiledError for compiled modules, PartError for parts named by
    hand that are not there.

    several: whether this is one of several processes, which may share layers. passed_over: forward passes, or
    parts of them, that were not looked at, by why (`hooks.passed_over`).
    """

    def __init__(
        self,
        model: nn.Module,
        receive: Callable[[str, Reading | Exception], None],
        parts: Mapping[str, PartSpec] | None,
        skip: Sequence[str],
        priors: Mapping[str, PriorSpec],
        hooks: bool,
        no_grad: bool,
        several: bool = False,
    ) -> None:
        self.model, self._several = model, several
        self._receive, self._skip = receive, tuple(skip)
        self._priors: dict[str, Prior] = {name: stated_prior(name, prior) for name, prior in priors.items()}
        self._links = PriorLinks(model, self._skipped)
        self._no_grad, self._paused = no_grad, False
        self._listening = False  # to every forward pass, in eval mode and without gradients too
        self._search = hooks and parts is None
        self._arguments: list[RemovableHandle] = []  # hooks on what forwards are called with
        self._handles: dict[str, list[RemovableHandle]] = {}  # by path, as all below
        self._modules: dict[str, list[tuple[str, nn.Module]]] = {}
        self._pairs: dict[str, PairHooks] = {}
        self._sources: dict[str, list[PosteriorSource]] = {}
        self._looked: dict[str, str] = {}
        self._known: set[str] = set()  # need not be looked through again
        self._candidates: dict[tuple[str, int], Candidate] = {}  # by name and rank
        self._layers: dict[str, PosteriorSource] | None = None  # None until settled
        self._after: AfterHeads | None = None  # None: nothing is looked for after heads
        self._families: Families | None = None
        self._makers: Makers | None = None
        self._made_sources: dict[str, list[FamilySource]] = {}
        self._absorbed: set[tuple[str, int]] = set()  # heads of distributions that are read themselves
        self._refused: dict[tuple[str, int], str] = {}  # why a candidate cannot be read as it is used
        self._normed: dict[tuple[str, int], tuple[str, int]] = {}  # heads -> the norms behind them
        self._uses: dict[tuple[str, int], set[str]] = {}  # what candidates go through
        self._widths = _widths(model)
        self._given: Counter[tuple[str, ...]] = Counter()  # which arguments the model was called with
        self._masks: dict[str, torch.Size] = {}  # those that may say which positions count
        self._calls: RemovableHandle | None = None
        self._batches: list[str | None] = []  # digests of what the model was called with
        self._inside: list[str] = []  # and of what its modules were
        self._batch_calls: list[RemovableHandle] = []
        self.passed_over: Counter[str] = Counter()
        self._uncalled: set[str] = set()  # paths of modules whose weights are read without a call
        self._ran: set[str] = set()  # paths that put something out, and names that were handed over
        if hooks:
            try:
                self._attach(parts)
            except BaseException:
                self.detach()
                raise

    def reset(self) -> None:
        """Forget half a pair that a forward pass left behind when it broke off."""
        for path, pair in self._pairs.items():
            pair.reset()
            if pair.uneven and self._layers is not None:
                for name, layer in self._layers.items():
                    if layer.path == path and layer.prior_said is not None:
                        self._receive(name, NotReadable(f"{pair.uneven} {UNEVEN} {path}"))
            pair.uneven = 0

    def detach(self) -> None:
        """Remove our hooks, and no others; let go of what was looked at."""
        self._candidates.clear()
        self._stop_looking()
        if self._makers is not None:
            self._makers.close()
        for handles in (*self._handles.values(), self._arguments):
            for handle in handles:
                handle.remove()
        self._handles.clear()

    def _stop_looking(self) -> None:
        for looking in (self._after, self._families):
            if looking is not None:
                looking.close()

    def _hears(self) -> bool:
        """Whether a forward pass that runs now counts, without counting it."""
        if self._paused or is_drawing():
            return False
        why = passed_over(self.model)
        if why == EVALUATED and self._listening:
            why = None
        return why is None and (self._listening or self._no_grad or without_gradients() is None)

    def _made(self, path: str, made: list[Distribution]) -> None:
        """One round of what a module has made in its forward pass."""
        assert self._makers is not None  # it tells
        module = self.model.get_submodule(path)
        if self._layers is not None:
            for source in self._made_sources.get(path, ()):
                if (seen := self._take(source, module, made)) is not None:
                    self._receive(*seen)
            return
        self._hand_on(path, lambda: self._look_at_made(path, module, made))

    def _look_at_made(self, path: str, module: nn.Module, made: list[Distribution]) -> list[Seen]:
        assert self._makers is not None  # it tells
        if path not in self._made_sources and not is_in_flow(self.model, path):
            if prior_above(self.model, path) is not None or role(path) == "data":
                return []
            no_gaussian = {key for key, _ in self._families.others()} if self._families is not None else set()
            found = [
                (source, heads)
                for source, heads in self._makers.sources(path, module, made)
                if heads <= no_gaussian and not any(map(self._is_read_as_it_is, heads))
            ]
            self._made_sources[path] = [source for source, _ in found]
            for source, heads in found:
                if (
                    self._take(source, module, made) is None
                    and (source.name, source.rank) in self._candidates
                ):
                    self._absorb(heads)
            return []
        seen = [self._take(source, module, made) for source in self._made_sources.get(path, ())]
        return [one for one in seen if one is not None]

    def _absorb(self, keys: set[tuple[str, int]]) -> None:
        """Heads of a distribution that is read itself: they are no layers, and nothing is left out."""
        self._absorbed |= keys
        for key in keys:
            if (why := self._refused.pop(key, None)) is not None and self._looked.get(key[0]) == why:
                del self._looked[key[0]]

    def _is_read_as_it_is(self, key: tuple[str, int]) -> bool:
        """Whether a candidate is a distribution itself, and not its heads."""
        candidate = self._candidates.get(key)
        return candidate is not None and candidate.source.slot.form in (DISTRIBUTION, *SINGLE)

    def _made_otherwise(self, path: str, why: str) -> None:
        for name, layer in (self._layers or {}).items():
            if layer.origin == "made" and layer.path == path:
                self._receive(name, NotReadable(why))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is looked at inside."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Forward passes in eval mode and without gradients are looked at inside."""
        before, self._listening = self._listening, True
        try:
            yield
        finally:
            self._listening = before

    def observe(self, name: str, reading: Reading, why_not: str | None) -> bool:
        """A posterior that `probes.observe` handed over; False when its name came too late to be a layer.

        why_not: as `hooks.without_gradients`, or what else is known of it. Raises ValueError for one that
        cannot be read, before the layers are settled.
        """
        if not self._listens(why_not):
            return True
        made, reading = reading.made, self._under_stated_prior(name, reading)
        if self._layers is None:
            self._observe_candidate(name, reading, made)
        elif name in self._layers:
            self._receive(name, reading)
        return self._layers is None or name in self._layers

    def _under_stated_prior(self, name: str, reading: Reading) -> Reading:
        """What was handed over without a prior, under the one of `priors=`."""
        prior = next((prior for pattern, prior in self._priors.items() if fnmatchcase(name, pattern)), None)
        if prior is None:
            return reading
        if isinstance(prior, UnknownPrior):
            return Reading(reading.read, reading.taken, unknown_prior=True, layout=reading.layout)
        if not is_gaussian_reader(reading.read):
            under: Any = reading.read
            return Reading(UnderPrior(under, prior, self.model), reading.taken, layout=reading.layout)
        return Reading(partial(_under, reading.read, prior, self.model), reading.taken, layout=reading.layout)

    def _observe_candidate(self, name: str, reading: Reading, made: Any) -> None:
        try:
            observed = reading()
            if isinstance(observed, FamilyObserved):
                observed.check()
            source = observed_source(name, reading, observed)
            candidate = self._candidates.get((name, RANK_OBSERVED))
            if candidate is not None:
                candidate.pool.add_observed(observed)
                candidate.calls += 1
                self._compare(candidate, _tensors_of(reading))
            elif observed.rows:  # else the next batch may have inputs
                first = observed.mu if isinstance(observed, Observed) else reading.taken[0]
                tensors = () if first is None else (first,)
                candidate = self._candidates[name, RANK_OBSERVED] = Candidate.of(source, tensors, observed)
                if (mean := _mean_of(made)) is not None:
                    candidate.placed = placed(mean, source.layout or "neurons")
                self._compare(candidate, _tensors_of(reading))
                self._ran.add(name)
        except (ValueError, RuntimeError, TypeError) as error:
            said = first_line(error)
            raise ValueError(said if said.startswith("observe") else f"observe({name!r}): {said}") from error

    @property
    def waits(self) -> str | None:
        """Why it is too early to settle: what could be a layer has not run yet; None: it is not."""
        if self._candidates:
            return None
        if not self._ran:
            reasons = [f"its forward passes were {why}" for why in self.passed_over]
            return "; ".join(reasons) or "no forward pass yet"
        return f"no inputs have come to {', '.join(self.missing[:LISTED])}" if self.missing else None

    def read_what_is_not_called(self) -> None:
        """Weights of modules that the network asks for samples, and never calls; at the end of a step."""
        if self._layers is None and self._ran and self._looks():
            self._uncalled |= {
                path
                for path, sources in self._sources.items()
                if path not in self._ran and all(source.origin == "parameters" for source in sources)
            }
        if self._uncalled and self.model.training and not self._paused:
            for path in self._uncalled & self._sources.keys():
                self._seen(path, self.model.get_submodule(path), None)

    @property
    def left_out(self) -> list[str]:
        """What is known to be a distribution, or to be used as one, and is not recorded."""
        looked = [
            f"{what}: {why}" for what, why in self._looked.items() if "no Gaussian" in why or why == SHARDED
        ]
        return list(dict.fromkeys((*self._refused.values(), *looked)))

    @property
    def missing(self) -> list[str]:
        """Where a posterior is known to stand that has not been computed."""
        return [
            path or "the model"
            for path, sources in self._sources.items()
            if path not in self._ran and not all(source.is_prior for source in sources)
        ]

    def unhooked(self, seen: Iterable[str]) -> list[str]:
        """Layers, besides those `seen`, that no hook of ours is on any more, or whose module has left the
        model.
        """
        layers = self._layers or {}
        gone = []
        for name in layers.keys() - set(seen):
            path = layers[name].path
            if layers[name].origin not in ("observe", "made") and not (
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

    def settle(self, merges: bool = False) -> list[Candidate]:
        """The candidates that become layers; hooks elsewhere are removed. Raises WatchError when there are
        none.

        merges: whether parts of a layer that lie in several processes are put together later; else they are
        refused.
        """
        if self._after is not None:
            self._after.settle(last=True)
            self._read_as_its_heads()
        for key, family in self._families.others() if self._families is not None else ():
            candidate = self._candidates.get(key)
            if candidate is None or candidate.source.by_hand or key in self._absorbed:
                continue
            if not isinstance(candidate.source, FamilySource):
                self._refuse(key, NOT_READ.format(family=family, name=key[0]))
        for key, candidate in self._candidates.items() if not merges else ():
            if candidate.placed is not None and candidate.placed.is_split:
                self._refuse(key, SHARDED)
        families = self._families
        for key, candidate in self._candidates.items() if families is not None else ():
            behind = families.map_of(key) if families is not None else None
            if candidate.source.family == "gaussian" and behind is not None:
                why = f"{candidate.source.why}; of the Gaussian before the map {behind}"
                candidate.source = replace(candidate.source, map=behind, why=why)
        for key, candidate in self._candidates.items():
            self._settle_classes(key, candidate)
        candidates = [
            candidate
            for key, candidate in self._candidates.items()
            if not self._is_elsewhere(key) and self._may_be_latent(candidate)
        ]
        chosen: list[Candidate] = []
        # stable: first seen first, but one that came with its prior says more
        for candidate in sorted(candidates, key=lambda one: (one.source.rank, not _has_prior(one))):
            if candidate.source.rank == RANK_GUESS and chosen and chosen[0].source.rank < RANK_GUESS:
                break
            stated = candidate.source.rank == RANK_OBSERVED  # what has two names is two layers
            if stated or not any(candidate.same_as(other) for other in chosen):
                chosen.append(candidate)
        chosen = [one for one in chosen if not any(one.is_prior_of(other) for other in chosen)]
        chosen = [one for one in chosen if not one.is_put_together_of(chosen)]
        names = [candidate.source.name for candidate in chosen]
        if not chosen or len(set(names)) < len(names):
            raise WatchError(f"two posteriors have one name: {names}" if chosen else self._nothing_found())
        chosen.sort(key=candidates.index)
        self._link_priors(chosen)
        self._say_what_is_pooled(chosen)
        self._say_what_is_padded(chosen)
        self._say_what_is_repeated(chosen)
        self._layers = {candidate.source.name: candidate.source for candidate in chosen}
        self._candidates = {}
        self._stop_looking()
        self._drop_other_hooks()
        return chosen

    def _read_as_its_heads(self) -> None:
        """What a module returns are the outputs of its heads, under other names: it is what is sampled with
        them.
        """
        assert self._after is not None  # the caller looked
        for head, key in self._after.handed_on.items():
            inner, outer = self._candidates.get(head), self._candidates.get(key)
            if outer is None or outer.source.slot.form == DISTRIBUTION:
                continue
            if key in self._after.sampled and head not in self._after.sampled:
                continue  # its own sample was seen
            if head in self._refused:
                self._refuse(key, self._refused[head])
            elif inner is not None and (inner.source.after, inner.source.slot.form) != (
                None,
                outer.source.slot.form,
            ):
                source = inner.source
                if inner.pool.size != outer.pool.size and not outer.given:
                    del self._candidates[key]  # the heads are the layer
                    continue
                if outer.given:
                    self._refuse(key, BETWEEN.format(source=key[0], what="code", side="scale"))
                    continue
                slot = replace(outer.source.slot, form=source.slot.form)
                read = replace(outer.source, slot=slot, after=source.after, why=source.why)
                outer.source = read.known(scale=source.origins["scale"])
                outer.pool, outer.kept = inner.pool, inner.kept

    def _say_what_is_pooled(self, chosen: Sequence[Candidate]) -> None:
        """Forward passes of a step with different arguments are terms of a loss that are not kept apart."""
        if len(self._given) < 2:
            return
        said = "; ".join(", ".join(names) or "none" for names in sorted(self._given))
        for candidate in chosen:
            source = candidate.source
            if source.of == "activations" and not (source.origin == "observe" and "/" in source.name):
                pooled = POOLED.format(said=said, name=source.name)
                why = f"{source.why}; ASSUMED one term of the loss: {pooled}"
                candidate.source = replace(source, why=why, pooled=f"called with {said}")

    def _say_what_is_padded(self, chosen: Sequence[Candidate]) -> None:
        """Of sequences that the model got a mask for, and are read without one."""
        for candidate in chosen:
            source, shape = candidate.source, candidate.tensors[0].shape if candidate.tensors else ()
            if source.mask is not None or source.origin == "observe" or source.of != "activations":
                continue
            mask = next((name for name, of in self._masks.items() if _may_be_masked(shape[:-1], of)), None)
            if mask is not None and source.layout != "channels":
                why = f"{source.why}; {PADDED.format(mask=mask)}"
                candidate.source = replace(source, why=why, padded=mask)

    def _say_what_is_repeated(self, chosen: Sequence[Candidate]) -> None:
        """Of what was called several times in a step, as a network that goes from position to position is."""
        for candidate in chosen:
            source, calls = candidate.source, candidate.calls
            if source.layout == "sequences":
                if calls > 1 and candidate.positions == 1:
                    candidate.source = replace(source, why=source.why + IN_TURN.format(calls=calls))
            elif (
                calls >= REPEATS * max(1, self._given.total())
                and source.of == "activations"
                and source.family not in ("codes", "samples")
                and source.stated_layout is None
            ):
                why = f"{source.why}; {REPEATED.format(calls=calls)}"
                candidate.source = replace(source, why=why, repeated=calls)

    def _may_be_latent(self, candidate: Candidate) -> bool:
        """Not what neither varies with the input nor is trained, such as the base of a flow."""
        if not candidate.moves:
            path = candidate.source.path or "(the model itself)"
            self._looked[f"{path} as {candidate.source.slot}"] = (
                "neither varies with the input nor is trained: a prior, or the base of a flow"
            )
        return candidate.moves

    def _link_priors(self, chosen: Sequence[Candidate]) -> None:
        """Give each posterior that came without one its prior, as far as the model tells."""
        lacking = [one for one in chosen if one.source.origins.get("prior") == "assumed" and not one.given]
        linked = self._links.settle([Waiting(one.source, one.kept) for one in lacking], self._ran)
        for candidate, link in zip(lacking, linked, strict=True):
            before, candidate.source = candidate.source, link.source
            if link.again is not None:
                read = [link.source.observed(taken) for taken in link.again]
                shared = candidate.pool.shared
                candidate.pool = pool_for(read[0], shared) if read else candidate.pool.anew()
                for observed in read if not link.incomplete else ():
                    candidate.pool.add_observed(observed)
            if link.incomplete:
                candidate.failures.append("the first step is not read again under its prior")
            if link.source.path != before.path:
                self._sources[link.source.path] = [link.source]
                self._ran.add(link.source.path)
                self._hook(link.source.path)
        for candidate in chosen:
            candidate.kept = Kept()
            source = candidate.source
            unsaid = source.prior is None and source.origins.get("prior") == "assumed"
            if unsaid and source.default_prior == "none" and not candidate.given:
                candidate.source = without_any_prior(source)

    def _is_elsewhere(self, key: tuple[str, int]) -> bool:
        """Whether a candidate is not what the network samples with: another is, or one that is not read."""
        inside = self._after.inside.get(key) if self._after is not None else None
        if self._after is not None and key not in self._after.sampled:
            norm = self._normed.get(key)
            inside = inside or (norm if norm in self._after.sampled else None)
        known = inside in self._candidates or key in self._refused or key in self._absorbed
        return known or self._is_a_step_to_another(key)

    def _is_a_step_to_another(self, key: tuple[str, int]) -> bool:
        """Whether a candidate stands in the module of another, and that one alone is sampled with: what an
        encoder is made of may be called an encoder too.
        """
        source, sampled = (
            self._candidates[key].source,
            self._after.sampled if self._after is not None else set(),
        )
        path = source.path.split(" & ")[0]
        others = (self._candidates[other].source for other in sampled if other in self._candidates)
        if source.origin not in ("output", "layers") or source.by_hand or key in sampled:
            return False
        above = next((one.path for one in others if one.path and path.startswith(f"{one.path}.")), None)
        if above is not None:
            self._looked[source.path] = (
                f"nothing was seen to sample with it, but with {above}, which it stands in"
            )
        return above is not None

    # ---- attaching

    def _attach(self, parts: Mapping[str, PartSpec] | None) -> None:
        if parts is not None:
            sources = parse_parts(self.model, parts)
            paths = [source.path for source in sources]
        else:
            sources = [
                source
                for source in (
                    *sibling_layers(self.model),
                    *latent_diffusion(self.model),
                    *weight_posteriors(self.model),
                    *gaussian_processes(self.model),
                )
                if not self._skipped(source.path)
            ]
            modules = [path for path, _ in self.model.named_modules() if not self._skipped(path)]
            paths = modules + [source.path for source in sources]
        self._refuse_compiled(paths)
        for module in self.model.modules() if self._several else ():
            if not isinstance(module, ScriptModule):
                self._batch_calls.append(hook_arguments(module, partial(self._called_with, module)))
        self._arguments += self._batch_calls
        if self._search:
            self._calls = hook_arguments(self.model, self._called)
            self._arguments.append(self._calls)
            named = {path: self.model.get_submodule(path) for path in modules}
            parameters = dict(self.model.named_parameters())
            self._families = Families(self._looks)
            self._after = AfterHeads(named, sources, self._looks, self._reread, parameters)
            whole = {path: module for path, module in named.items() if not isinstance(module, ScriptModule)}
        for source in sources:
            self._sources.setdefault(source.path, []).append(source)
            if isinstance(source.mask, Argument):
                self._arguments.append(source.mask.attach(self.model))
        for path in dict.fromkeys(paths):
            self._hook(path)
        if self._search:
            self._makers = Makers(whole, self._hears, self._made, self._made_otherwise)

    def _hook(self, path: str) -> None:
        if " & " in path:
            pair = PairHooks(
                self.model,
                path,
                lambda outputs: self._seen(path, self.model, outputs),
                self._listens_now,
            )
            self._pairs[path] = pair
            self._handles[path], self._modules[path] = pair.handles, pair.modules
            return
        module = self.model.get_submodule(path)
        self._modules[path] = [(path, module)]
        if isinstance(module, ScriptModule):
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
        for calls in (self._calls, *self._batch_calls):
            if calls is not None:
                calls.remove()
        self._sources = {
            path: kept
            for path, sources in self._sources.items()
            if (kept := [s for s in sources if _is_layer(s, layers)])
        }
        sampled = {source.path for source in layers.values() if source.origin == "sites"}
        if self._makers is not None:
            self._makers.keep({source.path for source in layers.values() if source.origin == "made"})
        self._uncalled &= self._sources.keys()
        for path in [path for path in self._handles if path not in self._sources and path not in sampled]:
            for handle in self._handles.pop(path):
                handle.remove()

    # ---- what the hooks bring

    def _listens(self, why_not: str | None) -> bool:
        if self._paused or is_drawing():
            return False
        if why_not == WITHOUT_GRADIENTS and (self._no_grad or self._listening):
            why_not = None
        why = passed_over(self.model)
        if why == EVALUATED and self._listening:
            why = None
        if (why := why or why_not) is not None:
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
        if self._search and self._layers is None and " & " not in path:
            self._look_at_others(path, module, output)
            if not path:
                self._look_at_uses(output)
        return [one for one in seen if one is not None]

    def _look_at_others(self, path: str, module: nn.Module, output: Any) -> None:
        """Heads that a returned distribution is made of are read as that distribution, or not at all."""
        for place, (family, tensors) in other_distributions(module, output).items():
            is_read = any(
                candidate.source.family not in ("gaussian", "") and candidate.source.slot.mean == place
                for candidate in self._candidates.values()
                if candidate.source.path == path
            )
            for key in posteriors_of(tensors):
                candidate = self._candidates.get(key)
                if candidate is None or isinstance(candidate.source, FamilySource):
                    continue
                if is_read:
                    self._absorb({key})
                else:
                    self._refuse(key, NOT_READ.format(family=family, name=key[0]))

    def _look_at_uses(self, output: Any) -> None:
        """What logits, and scales of weights, go through on the way to what the model returns."""
        tensors = list(tensors_in(output))
        if any(candidate.source.slot.form == "logits" for candidate in self._candidates.values()):
            for key, kinds in uses_of_candidates(tensors).items():
                self._uses.setdefault(key, set()).update(kinds)
        scales = {
            id(scale): (path, place)
            for path, sources in self._sources.items()
            for place, source in enumerate(sources)
            if source.origin == "parameters" and source.slot.form == "log_sigma"
            for scale in [getattr(self.model.get_submodule(path), str(source.slot.scale), None)]
        }
        if scales and self._after is not None and not self._after.hooked:
            for scale in halved(tensors, scales.keys()):
                self._read_as_log_variance(*scales[scale])

    def _read_as_log_variance(self, path: str, place: int) -> None:
        """Weights whose scale is sampled with as a log variance, whatever it is called."""
        source = self._sources[path][place]
        why = f"{source.why}; {source.slot.scale} is ln σ², since its half is what is used"
        prior = source.prior
        if isinstance(prior, Slot) and prior.form == "log_sigma":
            prior, why = replace(prior, form="log_var"), f"{why}; ASSUMED its prior's is, too"
        source = replace(source, slot=replace(source.slot, form="log_var"), prior=prior, why=why)
        self._sources[path][place] = source
        if self._candidates.pop((source.name, source.rank), None) is not None:
            self._take(source, self.model.get_submodule(path), None)

    def _settle_classes(self, key: tuple[str, int], candidate: Candidate) -> None:
        """Returned logits are of classes or of bits: what they go through tells, else it is said."""
        source, kinds = candidate.source, self._uses.get(key, set())
        if source.slot.form != "logits" or source.by_hand or source.origin != "output":
            return
        made = self._families.families_of(key) if self._families is not None else set()
        classes = kinds.intersection(OF_CLASSES) or any("Categorical" in one for one in made)
        bits = kinds.intersection(OF_BITS) or any("Bernoulli" in one for one in made)
        if bits and not classes:
            self._refuse(key, BITS.format(name=source.name))
        elif not classes or bits:
            candidate.source = replace(source, why=source.why + CLASSES).known(family="assumed")

    def _look_for_more(self, path: str, module: nn.Module, output: Any) -> None:
        """Posteriors in a module's output; where there are none, the next output may hold some."""
        named = [name for name in fields(module, output).values() if name is not None]
        called = f", called {', '.join(named)}" if named else ""
        self._looked[path] = f"{type(module).__name__} returned {describe(output)}{called}"
        if (halves := self._halves(path, module, output)) is not None:
            self._looked[path] += f"; its {halves} channels {HALVES}"
        if is_in_flow(self.model, path) and not self._is_conditional_flow(path, output):
            return
        of: Role | None = "prior" if prior_above(self.model, path) is not None else role(path)
        for kind in predictions(path, module, output) if of != "data" else ():
            self._looked[path] += f"; {MAY_BE_PREDICTED.format(kind=kind, path=path)}"
        try:
            codes = find_codes(self.model, path, output)
        except NotReadable as error:
            codes = []
            self._refuse((path or type(module).__name__, RANK_NAMED), str(error))
        if found := [*codes, *find_in_output(path, module, output, of)]:
            self._sources.setdefault(path, []).extend(found)
            self._known.add(path)

    def _is_conditional_flow(self, path: str, output: Any) -> bool:
        """Whether a whole flow returned a distribution for each input, as zuko's do; its base is none."""
        if not is_joint(output) or not output.batch_shape:
            return False
        above = path.rpartition(".")[0]
        return not above or not is_in_flow(self.model, above)

    def _halves(self, path: str, module: nn.Module, output: Any) -> int | None:
        """Channels of an output that another module takes half of: two numbers for each of what comes
        after."""
        if not isinstance(output, Tensor) or output.dim() < 2 or not_latent(path):
            return None
        axis = 1 if output.dim() > 3 or isinstance(module, CONVOLUTIONS) else -1
        size = output.shape[axis]
        return size if size % 2 == 0 and size // 2 in self._widths else None

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
            value = source.value(module, output)
            if layers is None and source.is_prior:
                self._links.arrived(source, value)
                return None
            if layers is None:
                self._take_candidate(source, value, module, output)
                return None
            layer = layers[source.name]
            return source.name, Reading(layer.observed, layer.take(value, module, output), layer.apart)
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

    def _take_candidate(self, source: PosteriorSource, value: Any, module: Any, output: Any) -> None:
        key = source.name, source.rank
        if (candidate := self._candidates.get(key)) is not None:
            self._look_at_its_layers(key, candidate, value)
            if self._after is not None and candidate.source.slot.form not in SINGLE:
                self._after.returned(candidate.source, value)
            self._add(candidate, candidate.source.take(value, module, output))
            self._compare(candidate, candidate.source.computed(value))
            return
        source = self._with_stated_prior(source)
        try:
            settled = settle_source(source, value)
        except NoRows:
            raise
        except NotReadable as error:
            if source.by_hand:
                raise PartError(f"parts: {source.path!r} cannot be read as {source.slot}: {error}") from error
            raise
        if settled.is_table(value):
            self._links.tables.append(TABLE_SEEN.format(path=source.path or "the model"))
            raise NotReadable(TABLE)
        if self._after is not None and settled.slot.form not in SINGLE:
            self._after.returned(settled, value)
        tensors = settled.computed(value)
        if self._links.has_put_out(tensors[0]):
            raise NotReadable(OF_A_PRIOR)
        if settled.layout == "rows" and any(
            other.source.layout == "channels" and _same_place(other.tensors[0], tensors[0])
            for other in self._candidates.values()
        ):
            # (B, C, T) that a convolution has put out before
            settled = replace(settled, layout="channels").known(layout="named")
        taken = settled.take(value, module, output)
        candidate = Candidate.of(settled, tensors, settled.observed(taken))
        self._links.keep(candidate.kept, taken)
        candidate.prior = settled.prior_tensor(value, taken)
        candidate.moves = (
            settled.origin not in ("output", "layers") or settled.by_hand or _moves(settled, value)
        )
        self._candidates[key] = candidate
        note(mean := settled.tensors(value)[0], key)
        self._normed |= dict.fromkeys(normalised(mean) if settled.origin == "layers" else (), key)
        candidate.made_with = made_with(mean)
        candidate.placed = placed(mean, settled.layout or "rows")
        if settled.slot.halves and candidate.placed is not None and candidate.placed.is_split:
            candidate.placed = candidate.placed._replace(why_not=VIEWED)
        self._compare(candidate, tensors)
        if self._families is not None:
            self._families.noted(mean, key)
        forms = (DISTRIBUTION, *SINGLE)
        if settled.slot.form not in forms and not settled.by_hand and settled.of == "activations":
            self._refuse_other_family(key, settled)

    def _look_at_its_layers(self, key: tuple[str, int], candidate: Candidate, value: Any) -> None:
        """One module that other layers than before have made the output of may be asked for the posterior at
        one time, and for the prior at another.
        """
        source = candidate.source
        if source.origin != "output" or source.by_hand or not torch.is_grad_enabled():
            return
        now = made_with(source.tensors(value)[0])
        if not candidate.made_with or not candidate.made_with.isdisjoint(now):
            return
        names = {id(parameter): name.rpartition(".")[0] for name, parameter in self.model.named_parameters()}
        one, other = (
            next((names[made] for made in ids if made in names), "a parameter")
            for ids in (candidate.made_with, now)
        )
        other = f"what {other} makes" if now else "constants"
        self._refuse(key, SEVERAL_WAYS.format(path=source.path or "the model", one=one, other=other))

    def _refuse_other_family(self, key: tuple[str, int], source: PosteriorSource) -> None:
        """By the source of what holds the heads: it draws from another family, and from no Gaussian."""
        holders = {
            source.path.split(" & ")[0].rpartition(".")[0] if " & " in source.path else source.path,
            "",
        }
        kinds: list[Any] = [type(self.model.get_submodule(path)) for path in holders]
        families = [other_family(kind) for kind in kinds if kind.__module__.split(".")[0] != "torch"]
        if any(families) and not any(map(draws_gaussian, kinds)):
            self._refuse(key, NOT_READ.format(family=next(filter(None, families)), name=source.name))

    def _refuse(self, key: tuple[str, int], why: str) -> None:
        self._refused[key] = why
        self._looked[key[0]] = why

    def _add(self, candidate: Candidate, taken: Taken) -> None:
        candidate.pool.add_observed(candidate.source.observed(taken))
        candidate.calls += 1
        self._links.keep(candidate.kept, taken)

    def _with_stated_prior(self, source: PosteriorSource) -> PosteriorSource:
        for pattern, prior in self._priors.items():
            if fnmatchcase(source.name, pattern):
                return with_prior(source, prior)
        return source

    def _called(self, given: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Which arguments the model is called with: another set is another term of the loss."""
        if self._layers is None and self._looks():
            try:
                bound = inspect.signature(self.model.forward).bind_partial(*given[0], **given[1]).arguments
            except (TypeError, ValueError):
                return
            self._given[tuple(name for name, value in bound.items() if _holds_tensors(value))] += 1
            self._masks |= {
                name: value.shape
                for name, value in bound.items()
                if isinstance(value, Tensor) and value.dim() and MASKS.search(name.lower())
            }

    def _called_with(self, module: nn.Module, given: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """What the model is called with before its layers are settled, to be compared with what it is called
        with in other processes.
        """
        if self._layers is not None or not self._hears():
            return
        if module is self.model and len(self._batches) < COMPARED:
            self._batches.append(digest(tensors_in(given)))
        elif (
            module is not self.model and not self._inside and (told := digest(tensors_in(given))) is not None
        ):
            self._inside.append(told)

    @property
    def batch(self) -> str | None:
        """What tells this process's batches from those of others; None where nothing does."""
        return " ".join(map(str, self._batches)) if any(self._batches) else None

    @property
    def inside(self) -> str | None:
        """What the first of its modules was called with, where a loop calls these and not the model."""
        return next(iter(self._inside), None)

    def _compare(self, candidate: Candidate, tensors: Sequence[Tensor]) -> None:
        """Keep what tells a batch from one of other processes."""
        if self._several and len(candidate.digests) < COMPARED and tensors:
            candidate.digests.append(digest_of_rows(tensors, candidate.pool.shared))

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
        if isinstance(before.prior, Slot) and before.prior.form == before.slot.form:
            why = f"{source.why}; ASSUMED its prior's scale is made in the same way"
            candidate.source = source = replace(source, why=why, prior_like=True)
        candidate.pool, candidate.kept = candidate.pool.anew(), Kept()
        pair = replace(source, slot=replace(source.slot, mean=0, scale=1))
        for output in outputs:
            taken = pair.take(output)
            candidate.pool.add_observed(pair.observed(taken))
            self._links.keep(candidate.kept, taken)
        if source.path != before.path:
            del self._sources[before.path]
            self._sources[source.path] = [source]
            self._ran.add(source.path)
            self._hook(source.path)

    def _nothing_found(self) -> str:
        looked = sorted(self._looked.items(), key=lambda one: not _is_likely(*one))
        likely = sum(_is_likely(*one) for one in looked)
        lines = [f"  {path or '(the model itself)'}: {seen}" for path, seen in looked]
        first, rest = lines[:likely][:LISTED], lines[likely:][:LISTED]
        more = len(lines) - len(first) - len(rest)
        if first:
            first = ["Most likely:", *first]
        return "\n".join(
            [
                f"no posterior was found in {type(self.model).__name__} before the first step.",
                *first,
                "Looked at:" if not first else "Looked at besides:",
                *rest,
                *([f"  and {more} more"] if more else []),
                *(f"  {count} calls {why}" for why, count in self.passed_over.items()),
                (
                    f"Name it by hand: parts={{path pattern: {GRAMMAR}}}; for a pair of layers the pattern is"
                    " 'path & path'."
                ),
                "Or call probes.observe(name, mu, sigma) in the forward pass.",
            ]
        )


def _mean_of(made: Any) -> Tensor | None:
    """What stands first in what was handed over."""
    if isinstance(made, Distribution):
        return next(iter(own_tensors(made)), None)
    return made if isinstance(made, Tensor) else None


def _tensors_of(reading: Reading) -> list[Tensor]:
    """What was handed over, without what may be the same in all rows."""
    return [one for one in reading.taken[:2] if one is not None]


def _is_likely(path: str, seen: str) -> bool:
    """Whether what was looked at may be a posterior all the same: an output of two halves, a name that
    speaks of one, a distribution that is not read.
    """
    name = path.split(" as ")[0].rpartition(".")[2]
    return bool(HALVES in seen or "no Gaussian" in seen or LIKELY.search(name.lower()))


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


def _widths(model: nn.Module) -> set[int]:
    """Inputs that the model's linear layers and convolutions take."""
    sizes = (
        getattr(module, name, None)
        for module in model.modules()
        for name in ("in_features", "in_channels", "input_size")
    )
    return {size for size in sizes if isinstance(size, int)}


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_holds_tensors, value))
    return isinstance(value, Tensor)


def _under(read: Callable[[Any], Observed], prior: Prior, model: nn.Module, taken: Any) -> Observed:
    observed = read(taken)
    if observed.prior_mu is not None or observed.prior_sigma is not None:
        return observed
    given = prior.call(model, None) if isinstance(prior, PriorFunction) else prior
    mean, sd = prior_tensors(given, observed.mu)
    lift = [value[..., None] if value.dim() else value for value in (mean, sd)]  # of a neuron's dimensions
    return observed._replace(prior_mu=lift[0], prior_sigma=lift[1])


def _may_be_masked(lead: Sequence[int], mask: Sequence[int]) -> bool:
    """Whether a mask, or lengths, may be of sequences: of rows and positions, in either order."""
    if len(lead) < 2:
        return False
    return mask[0] in lead[:2] if len(mask) == 1 else sorted(mask[:2]) == sorted(lead[:2])


def _same_place(one: Tensor, other: Tensor) -> bool:
    try:
        return one.shape == other.shape and one.data_ptr() == other.data_ptr()
    except RuntimeError:  # tensors without memory
        return False


def _moves(source: PosteriorSource, value: Any) -> bool:
    """Whether a posterior varies over the rows of a batch, or with parameters that are trained."""
    if source.family in ("samples", "codes"):
        return True
    tensors = source.tensors(value)
    if any(tensor.requires_grad for tensor in tensors) or not torch.is_grad_enabled():
        return True
    return any(tensor.dim() > 1 and bool((tensor != tensor[:1]).any()) for tensor in tensors)


def _is_layer(source: PosteriorSource, layers: Mapping[str, PosteriorSource]) -> bool:
    """Whether an unsettled source is the one that a layer was made from."""
    layer = layers.get(source.name)
    return layer is not None and (layer.path, layer.rank) == (source.path, source.rank)


def _parents(path: str) -> list[str]:
    """Paths above a path, the model ("") first."""
    parts = path.split(".") if path else []
    return [".".join(parts[:size]) for size in range(len(parts))]
