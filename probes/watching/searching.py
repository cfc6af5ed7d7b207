"""Looking for posteriors in what the modules of a foreign network put out, before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from probes.errors import first_line
from probes.watching.adapters import (
    CONVOLUTIONS,
    fields,
    find_in_output,
    other_distributions,
    predictions,
)
from probes.watching.as_sampled import Reread
from probes.watching.collecting import NOT_READ, Candidates
from probes.watching.evidence import CandidateKey, posteriors_of
from probes.watching.family_readings import is_joint
from probes.watching.family_sources import FamilySource
from probes.watching.graph_nodes import tensors_in
from probes.watching.graph_uses import halved, scaled_by, summed, uses_of_candidates
from probes.watching.hooks import CompiledError, Sites, flat
from probes.watching.makers import Makers
from probes.watching.naming import FORMS, Role, describe, not_latent, role, scale_forms, speaks_of_prior
from probes.watching.nothing_found import HALVES, LISTED
from probes.watching.own_priors import is_in_flow, prior_above
from probes.watching.pooling import Reading
from probes.watching.posterior_source import RANK_DISTRIBUTION, RANK_NAMED, PosteriorSource
from probes.watching.predictions import MAY_BE_PREDICTED
from probes.watching.prior_links import Kept
from probes.watching.quantisers import find_codes
from probes.watching.slots import Slot
from probes.watching.stated import PartError
from probes.watching.tensors import NoRows, NotReadable

USED = {"log_var": "its half", "log_sigma": "its exponential", "rho": "its softplus"}
"""What is used of a scale that weights are sampled with, by its form."""


class Search:
    """Looks at outputs, and hands what may be a posterior to its candidates.

    Parameters
    ----------
    model
        The watched one.
    candidates
        What was found.
    skipped
        Whether the user leaves a path alone.
    hook
        Begins to listen at a path; why not, where that cannot be.
    by_hand
        Whether only what the user names is read, and nothing is looked for.

    Attributes
    ----------
    sources
        Path -> what is read of what comes from there.
    made
        The same, of the distributions that a module makes in its forward pass.
    ran
        Paths that put something out, and names that were handed over.
    before
        Candidates that are read as they are used, as they were found.
    """

    def __init__(
        self,
        model: nn.Module,
        candidates: Candidates,
        skipped: Callable[[str], bool],
        hook: Callable[[str], str | None],
        by_hand: bool,
    ) -> None:
        self._model, self._candidates = model, candidates
        self._skipped, self._hook, self._by_hand = skipped, hook, by_hand
        self.sources: dict[str, list[PosteriorSource]] = {}
        self.made: dict[str, list[FamilySource]] = {}
        self.ran: set[str] = set()
        self.before: dict[CandidateKey, PosteriorSource] = {}
        self._ran_before: set[str] = set()  # as the forward pass that runs began
        self._known: set[str] = set()  # need not be looked through again
        self._widths = _widths(model)

    @property
    def missing(self) -> list[str]:
        """Where a posterior is known to stand that has not been computed."""
        return [
            path or "the model"
            for path, sources in self.sources.items()
            if path not in self.ran and not all(source.is_prior for source in sources)
        ]

    @property
    def waits(self) -> str | None:
        """Why it is too early to settle: what could be a layer has not run yet; None: it is not."""
        if self._candidates.found or not self.ran or not self.missing:
            return None
        return f"no inputs have come to {', '.join(self.missing[:LISTED])}"

    @property
    def not_called(self) -> set[str]:
        """Modules whose weights are read, and that have put nothing out."""
        return {
            path
            for path, sources in self.sources.items()
            if path not in self.ran and all(source.origin == "parameters" for source in sources)
        }

    def begin(self) -> None:
        """A forward pass begins, which may raise."""
        self._ran_before = self.ran.copy()
        self._candidates.begin()

    def drop(self) -> None:
        """It has raised: what came since it began is forgotten."""
        self.ran = self._ran_before.copy()
        self._candidates.drop()

    def listen(self, path: str) -> None:
        """Look at what comes from a path."""
        if (why := self._hook(path)) is not None:
            self._candidates.looked_at[path] = why

    def move(self, source: PosteriorSource) -> None:
        """A source is read at another path than before, which has run."""
        self.sources[source.path] = [source]
        self.ran.add(source.path)
        self.listen(source.path)

    def seen(self, path: str, module: nn.Module, output: Any) -> None:
        """What a module has put out."""
        self.ran.add(path)
        self._safely(path, lambda: self._look(path, module, output))

    def sampled(self, path: str, sites: Sites) -> None:
        """What a Pyro guide has sampled."""
        self.ran.add(path)
        self._safely(path, lambda: self._look_at_sites(path, sites))

    def has_made(self, path: str, made: list[Distribution], makers: Makers) -> None:
        """One round of what a module has made in its forward pass."""
        self._safely(path, lambda: self._look_at_made(path, made, makers))

    def observe(self, name: str, reading: Reading, made: Any) -> None:
        """A posterior that was handed over. Raises ValueError for one that cannot be read."""
        if self._candidates.observe(name, reading, made):
            self.ran.add(name)

    def _safely(self, path: str, look: Callable[[], None]) -> None:
        """What goes wrong in looking does not reach the forward pass, but for parts named by hand."""
        try:
            look()
        except (PartError, CompiledError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, their training goes on
            self._candidates.looked_at[path] = f"cannot be read: {first_line(error)}"

    def _look(self, path: str, module: nn.Module, output: Any) -> None:
        searches = not self._by_hand and " & " not in path
        if searches and path not in self._known:
            self._look_for_more(path, module, output)
        for source in self.sources.get(path, ()):
            self._take(source, module, output)
        if not searches:
            return
        if self._candidates.after is not None:
            self._candidates.after.passed(path, output)
        self._look_at_others(path, module, output)
        if not path:
            self._look_at_uses(output)

    def _look_for_more(self, path: str, module: nn.Module, output: Any) -> None:
        """Posteriors in a module's output; where there are none, the next output may hold some."""
        named = [name for name in fields(module, output).values() if name is not None]
        called = f", called {', '.join(named)}" if named else ""
        self._candidates.looked_at[path] = f"{type(module).__name__} returned {describe(output)}{called}"
        if (halves := self._halves(path, module, output)) is not None:
            self._candidates.looked_at[path] += f"; its {halves} channels {HALVES}"
        if is_in_flow(self._model, path) and not self._is_conditional_flow(path, output):
            return
        of: Role | None = "prior" if prior_above(self._model, path) is not None else role(path)
        for kind in predictions(path, module, output) if of != "data" else ():
            self._candidates.looked_at[path] += f"; {MAY_BE_PREDICTED.format(kind=kind, path=path)}"
        try:
            codes = find_codes(self._model, path, output)
        except NotReadable as error:
            codes = []
            self._candidates.refuse((path or type(module).__name__, RANK_NAMED), str(error))
        if found := [*codes, *find_in_output(path, module, output, of)]:
            self.sources.setdefault(path, []).extend(found)
            self._known.add(path)

    def _is_conditional_flow(self, path: str, output: Any) -> bool:
        """Whether a whole flow returned a distribution for each input, as zuko's do; its base is none."""
        if not is_joint(output) or not output.batch_shape:
            return False
        above = path.rpartition(".")[0]
        return not above or not is_in_flow(self._model, above)

    def _halves(self, path: str, module: nn.Module, output: Any) -> int | None:
        """Channels of an output that another module takes half of: two numbers for each of what comes
        after."""
        if not isinstance(output, Tensor) or output.dim() < 2 or not_latent(path):
            return None
        axis = 1 if output.dim() > 3 or isinstance(module, CONVOLUTIONS) else -1
        size = output.shape[axis]
        return size if size % 2 == 0 and size // 2 in self._widths else None

    def _look_at_others(self, path: str, module: nn.Module, output: Any) -> None:
        """Heads that a returned distribution is made of are read as that distribution, or not at all."""
        for place, (family, tensors) in other_distributions(module, output).items():
            is_read = any(
                candidate.source.family not in ("gaussian", "") and candidate.source.slot.mean == place
                for candidate in self._candidates.found.values()
                if candidate.source.path == path
            )
            for key in posteriors_of(tensors):
                candidate = self._candidates.found.get(key)
                if candidate is None or isinstance(candidate.source, FamilySource):
                    continue
                if is_read:
                    self._candidates.absorb({key})
                else:
                    self._candidates.refuse(key, NOT_READ.format(family=family, name=key[0]))

    def _look_at_uses(self, output: Any) -> None:
        """What logits, and scales of weights, go through on the way to what the model returns."""
        tensors = list(tensors_in(output))
        self._candidates.added |= summed(tensors)
        if any(candidate.source.slot.form == "logits" for candidate in self._candidates.found.values()):
            for key, kinds in uses_of_candidates(tensors).items():
                self._candidates.uses.setdefault(key, set()).update(kinds)
        scales = {
            id(scale): (path, place)
            for path, sources in self.sources.items()
            for place, source in enumerate(sources)
            if source.origin == "parameters" and source.slot.form in ("log_sigma", "rho")
            for scale in [getattr(self._model.get_submodule(path), str(source.slot.scale), None)]
        }
        after = self._candidates.after
        if scales and after is not None and not after.hooked:
            used = scaled_by(tensors, scales.keys()) | dict.fromkeys(
                halved(tensors, scales.keys()), "log_var"
            )
            for scale, form in used.items():
                self._read_as_used(*scales[scale], form)

    def _read_as_used(self, path: str, place: int, form: str) -> None:
        """Weights whose scale is sampled with in another form than it is called by."""
        source = self.sources[path][place]
        called = source.slot.form
        if form == called:
            return
        why = f"{source.why}; {source.slot.scale} is {FORMS[form]}, since {USED[form]} is what is used"
        prior = source.prior
        if isinstance(prior, Slot) and prior.form == called:
            prior, why = replace(prior, form=form), f"{why}; ASSUMED its prior's is, too"
        source = replace(source, slot=replace(source.slot, form=form), prior=prior, why=why)
        module = self._model.get_submodule(path)
        if isinstance(prior, tuple) and any(
            speaks_of_prior(name) and called in scale_forms(name) for name in vars(module)
        ):
            source = source.doubted(f"that its prior's scale is {FORMS[called]}", f"its own is {FORMS[form]}")
        self.sources[path][place] = source
        if self._candidates.found.pop((source.name, source.rank), None) is not None:
            self._take(source, module, None)

    def _look_at_made(self, path: str, made: list[Distribution], makers: Makers) -> None:
        module, families = self._model.get_submodule(path), self._candidates.families
        if path in self.made or is_in_flow(self._model, path):
            for source in self.made.get(path, ()):
                self._take(source, module, made)
            return
        if prior_above(self._model, path) is not None or role(path) == "data":
            return
        no_gaussian = {key for key, _ in families.others()} if families is not None else set()
        found = [
            (source, heads)
            for source, heads in makers.sources(path, module, made)
            if heads <= no_gaussian and not any(map(self._candidates.is_read_as_it_is, heads))
        ]
        self.made[path] = [source for source, _ in found]
        for source, heads in found:
            self._take(source, module, made)
            if (source.name, source.rank) in self._candidates.found:
                self._candidates.absorb(heads)

    def _look_at_sites(self, path: str, sites: Sites) -> None:
        if sites.observed:
            self._candidates.looked_at[path] = (
                f"a Pyro model, it observes {', '.join(sites.observed)}: watch its guide instead"
            )
            return
        for site, distribution in sites.items():
            if not self._skipped(site):
                shared = not distribution.batch_shape
                why = "sampled by a Pyro guide"
                source = PosteriorSource(
                    site, path, "sites", Slot(site), why, RANK_DISTRIBUTION,
                    of="shared variables" if shared else "activations",
                )  # fmt: skip
                self._take(source, self._model, {site: flat(distribution)})

    def _take(self, source: PosteriorSource, module: Any, output: Any) -> None:
        """Read one posterior, or keep why it cannot be read."""
        candidates = self._candidates
        try:
            value = source.value(module, output)
            if source.is_prior:
                candidates.links.arrived(source, value)
            else:
                candidates.take(source, value, module, output)
        except PartError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, their training goes on
            if isinstance(error, NoRows):
                self.ran.discard(source.path)
            if (candidate := candidates.found.get((source.name, source.rank))) is not None:
                candidate.failures.append(first_line(error))
            else:
                place = f"{source.path or '(the model itself)'} as {source.slot}"
                candidates.looked_at[place] = first_line(error)

    def reread(self, key: CandidateKey, reread: Reread, outputs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """A candidate is read as it is used; so is what came before."""
        candidate = self._candidates.found.get(key)
        if candidate is None:
            return
        self._candidates.about_to_change(key)
        before = candidate.source
        try:
            candidate.source = source = reread(before)
        except NotReadable as error:
            self._candidates.refused[key] = self._candidates.looked_at[before.path] = str(error)
            return
        if (source.slot, source.after, source.path) == (before.slot, before.after, before.path):
            return
        if isinstance(before.prior, Slot) and before.prior.form == before.slot.form:
            why = f"{source.why}; ASSUMED its prior's scale is made in the same way"
            candidate.source = source = replace(source, why=why, prior_like=True)
        self.before.setdefault(key, before)
        candidate.pool, candidate.kept = candidate.pool.anew(), Kept()
        pair = replace(source, slot=replace(source.slot, mean=0, scale=1))
        for output in outputs:
            taken = pair.take(output)
            candidate.pool.add_observed(pair.observed(taken))
            self._candidates.links.keep(candidate.kept, taken)
        if source.path != before.path:
            del self.sources[before.path]
            self.move(source)


def _widths(model: nn.Module) -> set[int]:
    """Inputs that the model's linear layers and convolutions take."""
    sizes = (
        getattr(module, name, None)
        for module in model.modules()
        for name in ("in_features", "in_channels", "input_size")
    )
    return {size for size in sizes if isinstance(size, int)}
