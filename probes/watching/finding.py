"""Which modules of a foreign network hold posteriors: hooks on all of them until the first step, then on
those alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from torch import nn
from torch.distributions import Distribution
from torch.jit import ScriptModule
from torch.utils.hooks import RemovableHandle

from probes.errors import first_line
from probes.watching.adapters import (
    gaussian_processes,
    latent_diffusion,
    sibling_layers,
    weight_posteriors,
)
from probes.watching.after_head import AfterHeads
from probes.watching.calls import Calls
from probes.watching.candidates import Candidate
from probes.watching.choosing import choose, link_priors
from probes.watching.collecting import Candidates
from probes.watching.forward_passes import ForwardPasses
from probes.watching.gathering import Calls as GatheredCalls
from probes.watching.gathering import Gathering, Unread, may_wait, places_of
from probes.watching.hooks import BROKEN_OFF, Argument, Sites, flat
from probes.watching.made import Families
from probes.watching.makers import Makers
from probes.watching.module_hooks import ModuleHooks, parents, refuse_compiled
from probes.watching.nothing_found import nothing_found
from probes.watching.pooling import Reading
from probes.watching.posterior_source import PosteriorSource
from probes.watching.prior_links import PriorLinks
from probes.watching.rechecking import Rechecks
from probes.watching.resting import Resting
from probes.watching.searching import Search
from probes.watching.stated import PartError, PartSpec, PriorSpec, parse_parts
from probes.watching.stated_priors import StatedPriors
from probes.watching.tensors import NotReadable
from probes.watching.whole_passes import WholePasses

Seen = tuple[str, Reading | Unread | Exception]
"""Name of a layer, or path of a module, and what it computed or why that cannot be read."""
UNEVEN = "outputs have no partner, since posterior and prior were not computed equally often by"


class WatchError(RuntimeError):
    """A model that cannot be watched as asked; the message says what was looked at and what to do."""


class Finder:
    """Hooks a model and hands each posterior it computes in training to `receive(name, reading)`, or why not.

    Before `settle` everything is a candidate; `settle` decides and returns the candidates that are layers, in
    the order of the forward pass. Raises CompiledError for compiled modules, PartError for parts named by
    hand that are not there.

    several: whether this is one of several processes, which may share layers.

    expected: names of layers that are waited for, once some of them have come: those of a run that goes on,
    of a model that is left alone, where a forward pass that broke off shows only some.
    several: whether this is one of several processes, which may share layers. is_due: whether the step that
    runs is recorded.
    """

    def __init__(
        self,
        model: nn.Module,
        receive: Callable[[str, Reading | Unread | Exception], None],
        parts: Mapping[str, PartSpec] | None,
        skip: Sequence[str],
        priors: Mapping[str, PriorSpec],
        hooks: bool,
        no_grad: bool,
        several: bool = False,
        is_due: Callable[[], bool] = lambda: True,
    ) -> None:
        self.model, self._receive = model, receive
        self._skip, self._several, self._is_due = tuple(skip), several, is_due
        searches = hooks and parts is None
        self._passes = ForwardPasses(model, no_grad)
        self._calls = Calls(model, self._passes)
        self._priors = StatedPriors(priors, model)
        links = PriorLinks(model, self._skipped)
        self._candidates = Candidates(model, links, self._priors, several)
        self._hooks = ModuleHooks(model, self._passes, self._seen, self._sampled if searches else None)
        self._search = Search(model, self._candidates, self._skipped, self._hooks.hook, by_hand=not searches)
        self._rechecks = Rechecks(model, self._passes.is_trained_on, self._skipped)
        self._whole = WholePasses(self._begin, self._drop)
        self._arguments: list[RemovableHandle] = []  # hooks on what forwards are called with
        self._makers: Makers | None = None
        self._layers: dict[str, PosteriorSource] | None = None  # None until settled
        self._at: dict[str, list[PosteriorSource]] = {}  # layers by the path that they are read at
        self._uncalled: set[str] = set()  # paths of modules whose weights are read without a call
        self._resting = Resting()
        self.expected: frozenset[str] = frozenset()
        self._not_come: list[str] = []  # of these, in a step that had others
        self._gatherings: list[Gathering] = []  # of what is read once a step
        self._gathered: dict[str, tuple[Gathering, list[int]]] = {}  # by path, where one module puts it out
        if hooks:
            try:
                self._attach(parts)
            except BaseException:
                self.detach()
                raise

    # ---- attaching

    def _attach(self, parts: Mapping[str, PartSpec] | None) -> None:
        if parts is not None:
            sources = parse_parts(self.model, parts)
            modules: list[str] = []
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
        paths = [*modules, *(source.path for source in sources)]
        refuse_compiled(self.model, paths)
        whole = self._heard(paths)
        self._whole.hear_beginnings(whole)
        if self._several:
            self._calls.hear_modules()
        named = {path: self.model.get_submodule(path) for path in modules}
        if parts is None:
            self._calls.hear_model()
            parameters = dict(self.model.named_parameters())
            is_trained_on = self._passes.is_trained_on
            self._candidates.families = Families(is_trained_on)
            self._candidates.after = AfterHeads(
                named, sources, is_trained_on, self._search.reread, parameters
            )
        for source in sources:
            self._search.sources.setdefault(source.path, []).append(source)
            if isinstance(source.mask, Argument):
                self._arguments.append(source.mask.attach(self.model))
        for path in dict.fromkeys(paths):
            self._search.listen(path)
        if parts is None:
            making = {path: module for path, module in named.items() if not isinstance(module, ScriptModule)}
            self._makers = Makers(making, self._passes.would_count, self._made, self._made_otherwise)

        self._whole.hear_ends(whole)

    def _heard(self, paths: Iterable[str]) -> list[nn.Module]:
        """The modules that are listened to, and those above them."""
        sides = [side for path in paths for side in path.split(" & ")]
        modules = dict(self.model.named_modules())
        heard = dict.fromkeys(above for side in sides for above in (*parents(side), side))
        found = (modules[path] for path in heard if path in modules)
        return [module for module in found if not isinstance(module, ScriptModule)]

    def _begin(self) -> None:
        """A forward pass begins, which may raise."""
        self._search.begin()
        self._calls.begin()

    def _drop(self) -> None:
        """It has raised: what came since it began is forgotten, and it is counted."""
        self._search.drop()
        self._calls.drop()
        if self._passes.would_count():
            self.passed_over[BROKEN_OFF] += 1

    @property
    def unmatched_priors(self) -> list[str]:
        """Patterns of `priors` that have fitted no layer so far."""
        return sorted(self._priors.unmatched)

    def _skipped(self, path: str) -> bool:
        return any(fnmatchcase(side, pattern) for side in path.split(" & ") for pattern in self._skip)

    def reset(self) -> None:
        """Forget half a pair that a forward pass left behind when it broke off."""
        for path, pair in self._hooks.pairs.items():
            pair.reset()
            if pair.uneven:
                for name, layer in (self._layers or {}).items():
                    if layer.path == path and layer.prior_said is not None:
                        self._receive(name, NotReadable(f"{pair.uneven} {UNEVEN} {path}"))
            pair.uneven = 0

    def look_again(self) -> dict[str, str]:
        """A step of training ends; the layers that from this step on cannot be read, with why."""
        self.reset()
        return self._rechecks.step() if self._layers is not None else {}

    def rest(self) -> None:
        """Until `wake` nothing is seen: our hooks are off the model."""
        if self._layers is not None and not self._resting.is_on:
            makers = self._makers.handles if self._makers is not None else []
            self._resting.begin([*self._hooks.handles, *makers, *self._arguments])

    def wake(self) -> None:
        """Our hooks are back where they were."""
        self._resting.end()

    def detach(self) -> None:
        """Remove our hooks, and no others; let go of what was looked at."""
        self._resting.forget()
        self._candidates.close()
        self._whole.close()
        for gathering in self._gatherings:
            gathering.clear()
        if self._makers is not None:
            self._makers.close()
        self._hooks.close()
        self._calls.close()
        self._rechecks.close()
        for handle in self._arguments:
            handle.remove()

    # ---- what the hooks bring

    def _seen(self, path: str, module: nn.Module, output: Any) -> None:
        if self._layers is None:
            self._search.seen(path, module, output)
            return
        if path in self._gathered and self._gather(path, output):
            return
        for layer in self._at.get(path, ()):
            self._receive(layer.name, self._read(layer, module, output))

    def _gather(self, path: str, output: Any) -> bool:
        """Whether an output waits until others of its step are read."""
        gathering, places = self._gathered[path]
        if not gathering.waits:
            return False
        fits = type(output) is tuple and len(output) > places[-1]
        taken = [output[place] for place in places] if fits else []
        if fits and all(map(may_wait, taken)):
            return all([gathering.put(head, value) for head, value in enumerate(taken)])
        gathering.break_off()
        return False

    def _hand_on(self, path: str, places: Sequence[int], calls: GatheredCalls) -> None:
        """Calls that are read together."""
        nbytes = calls.nbytes
        for layer in self._at.get(path, ()):
            self._receive(layer.name, Unread(nbytes, partial(self._read_gathered, layer, places, calls)))

    def _read_gathered(
        self, layer: PosteriorSource, places: Sequence[int], calls: GatheredCalls
    ) -> Iterator[Reading | Exception]:
        output: list[Any] = [None] * (1 + max(places))
        try:
            for count, heads in calls.batches():
                for place, value in zip(places, heads, strict=True):
                    output[place] = value
                reading = self._read(layer, self.model, tuple(output))
                if isinstance(reading, Reading):
                    reading.calls, reading.is_ours = count, calls.copies or count > 1
                yield reading
        except NotReadable as error:
            yield error

    def _sampled(self, path: str, sites: Sites) -> None:
        if self._layers is None:
            self._search.sampled(path, sites)
            return
        for site, distribution in sites.items() if not sites.observed else ():
            layer = self._layers.get(site)
            if layer is not None and (layer.path, layer.origin) == (path, "sites"):
                self._receive(site, self._read(layer, self.model, {site: flat(distribution)}))

    def _made(self, path: str, made: list[Distribution]) -> None:
        """One round of what a module has made in its forward pass."""
        if self._layers is None:
            assert self._makers is not None  # it tells
            self._search.has_made(path, made, self._makers)
            return
        for layer in self._layers_made(path):
            self._receive(layer.name, self._read(layer, self.model.get_submodule(path), made))

    def _made_otherwise(self, path: str, why: str) -> None:
        for layer in self._layers_made(path):
            self._receive(layer.name, NotReadable(why))

    def _layers_made(self, path: str) -> list[PosteriorSource]:
        """Layers that are distributions which a module makes in its forward pass."""
        layers = (self._layers or {}).values()
        return [layer for layer in layers if (layer.path, layer.origin) == (path, "made")]

    def _read(self, layer: PosteriorSource, module: Any, output: Any) -> Reading | Exception:
        """One batch of a layer, or why it cannot be read."""
        if (changed := self._rechecks.changed.get(layer.name)) is not None:
            return NotReadable(changed)
        if isinstance(output, NotReadable):
            return output
        try:
            value = layer.value(module, output)
            return Reading(layer.observed, layer.take(value, module, output), layer.apart)
        except PartError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, their training goes on
            path = layer.path or "the model"
            return NotReadable(f"{path} no longer returns what it did: {first_line(error)}")

    def observe(self, name: str, reading: Reading, why_not: str | None) -> bool:
        """A posterior that `probes.observe` handed over; False when its name came too late to be a layer.

        why_not: as `hooks.without_gradients`, or what else is known of it. Raises ValueError for one that
        cannot be read, before the layers are settled.
        """
        if not self._passes.counts(why_not):
            return True
        made, reading = reading.made, self._priors.reading_under(name, reading)
        if self._layers is None:
            self._search.observe(name, reading, made)
        elif name in self._layers:
            self._receive(name, reading)
        return self._layers is None or name in self._layers

    def paused(self) -> AbstractContextManager[None]:
        """Nothing is looked at inside."""
        return self._passes.paused()

    def listening(self) -> AbstractContextManager[None]:
        """Forward passes in eval mode and without gradients are looked at inside."""
        return self._passes.listening()

    @contextmanager
    def probing(self) -> Iterator[None]:
        """As `listening`; what is seen inside is of no step, and received at once."""
        rests = self._resting.is_on
        for gathering in self._gatherings:
            gathering.waits = False
        self.wake()
        try:
            with self.listening():
                yield
        finally:
            for gathering in self._gatherings:
                gathering.waits = True
            if rests:
                self.rest()

    # ---- what is known of the layers

    @property
    def passed_over(self) -> Counter[str]:
        """Forward passes, or parts of them, that were not looked at, by why."""
        return self._passes.passed_over

    @property
    def waits(self) -> str | None:
        """Why it is too early to settle: what could be a layer has not run yet; None: it is not."""
        if self._not_come:
            return f"layers of the run have not come: {', '.join(self._not_come)}"
        if not self._search.ran and not self._candidates.found:
            reasons = [f"its forward passes were {why}" for why in self.passed_over]
            return "; ".join(reasons) or "no forward pass yet"
        return self._search.waits

    @property
    def left_out(self) -> list[str]:
        """What is known to be a distribution, or to be used as one, and is not recorded."""
        return self._candidates.left_out

    @property
    def missing(self) -> list[str]:
        """Where a posterior is known to stand that has not been computed."""
        return self._search.missing

    @property
    def batch(self) -> str | None:
        """What tells this process's batches from those of others; None where nothing does."""
        return self._calls.batch

    @property
    def inside(self) -> str | None:
        """What the first of its modules was called with, where a loop calls these and not the model."""
        return self._calls.inside

    def end_step(self) -> None:
        """No forward pass runs any more. Where some of the layers that are expected have not come, the step
        is waited out. Weights of modules that the network asks for samples, and never calls, are read.
        """
        self._whole.break_off()
        if self._layers is None and self.expected:
            found = {name for name, _ in self._candidates.found}
            self._not_come = sorted(self.expected - found) if found and found < self.expected else []
            if self._not_come:
                self._candidates.found.clear()  # a step of which there is a part is not recorded
        for gathering in self._gatherings:
            gathering.end_step()
        if self._layers is None and self._search.ran and self._passes.is_trained_on():
            self._uncalled |= self._search.not_called
        if self._uncalled and self.model.training and not self._passes.is_paused:
            for path in self._uncalled & (self._search.sources if self._layers is None else self._at).keys():
                self._seen(path, self.model.get_submodule(path), None)

    def unhooked(self, seen: Iterable[str]) -> list[str]:
        """Layers, besides those `seen`, that no hook of ours is on any more, or whose module has left the
        model.
        """
        layers = self._layers or {}
        return [
            name
            for name in layers.keys() - set(seen)
            if layers[name].origin not in ("observe", "made") and not self._hooks.is_whole(layers[name].path)
        ]

    # ---- settling

    def settle(self, merges: bool = False) -> list[Candidate]:
        """The candidates that become layers; hooks elsewhere are removed. Raises WatchError when there are
        none.

        merges: whether parts of a layer that lie in several processes are put together later; else they are
        refused.
        """
        chosen = choose(self._candidates, merges)
        names = [candidate.source.name for candidate in chosen]
        if not chosen:
            raise WatchError(nothing_found(self.model, self._candidates.looked_at, self.passed_over))
        if len(set(names)) < len(names):
            raise WatchError(f"two posteriors have one name: {names}")
        for source in link_priors(self._candidates.links, chosen, self._search.ran):
            self._search.move(source)
        self._calls.say_what_is_assumed(chosen)
        self._layers = {candidate.source.name: candidate.source for candidate in chosen}
        found = {key: candidate.source for key, candidate in self._candidates.found.items()}
        self._rechecks.settle(self._search.before, found, self._layers)
        self._candidates.close()
        self._whole.close()
        self._calls.close()
        self._keep_hooks_of_layers(self._layers)
        return chosen

    def _keep_hooks_of_layers(self, layers: Mapping[str, PosteriorSource]) -> None:
        self._at = {
            path: found
            for path, sources in self._search.sources.items()
            if (found := [layers[one.name] for one in sources if _is_layer(one, layers)])
        }
        for path in self._at.keys() - self._uncalled:
            self._begin_to_gather(path)
        if self._makers is not None:
            self._makers.keep({layer.path for layer in layers.values() if layer.origin == "made"})
        sampled = {layer.path for layer in layers.values() if layer.origin == "sites"}
        self._hooks.keep(self._at.keys() | sampled)
        for path, pair in self._hooks.pairs.items():
            if any(layer.after is not None for layer in self._at.get(path, ())):
                pair.keep_as_they_come()  # operations are repeated on them, some of which may be in place

    def _begin_to_gather(self, path: str) -> None:
        """What is put out there is read once a step from now on, where it can wait."""
        places, pair = places_of(self._at[path]), self._hooks.pairs.get(path)
        if places is None:
            return
        gathering = Gathering(len(places), self._is_due, partial(self._hand_on, path, places))
        if pair is None:
            self._gathered[path] = gathering, places
        elif not pair.gather(gathering):
            return
        self._gatherings.append(gathering)


def _is_layer(source: PosteriorSource, layers: Mapping[str, PosteriorSource]) -> bool:
    """Whether an unsettled source is the one that a layer was made from."""
    layer = layers.get(source.name)
    return layer is not None and (layer.path, layer.rank) == (source.path, source.rank)
