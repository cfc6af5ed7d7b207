"""Candidates as forward passes before the first step bring them, and what was seen that is none, with why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from probes.errors import first_line
from probes.watching.after_head import AfterHeads
from probes.watching.calls import COMPARED
from probes.watching.candidates import Candidate, same_place, varies
from probes.watching.evidence import CandidateKey, draws_gaussian, normalised, note, other_family
from probes.watching.family_readings import FamilyObserved
from probes.watching.family_sources import observed_source, own_tensors
from probes.watching.family_sources import settle as settle_source
from probes.watching.graph_uses import made_with
from probes.watching.layouts import Observed
from probes.watching.made import Families
from probes.watching.pooling import Reading
from probes.watching.posterior_source import RANK_OBSERVED, PosteriorSource, Taken
from probes.watching.prior_links import PriorLinks
from probes.watching.shares import VIEWED, digest_of_rows, placed
from probes.watching.slots import DISTRIBUTION, SINGLE
from probes.watching.stated import PartError
from probes.watching.stated_priors import StatedPriors
from probes.watching.tensors import NoRows, NotReadable

NOT_READ = (
    "the posterior of {name} is a {family}, no Gaussian, and its own numbers are not seen: hand it over with"
    " probes.observe(name, q) in the forward pass"
)
SEVERAL_WAYS = (
    "{path} puts out what {one} makes, and {other}: they may be a posterior and its prior, so that neither is"
    " read: call probes.observe(name, q, prior=p) in the forward pass"
)
SHARDED = (
    "its neurons are sharded over devices, and here is a part of them: gather them first (full_tensor(), or"
    " an output layout of Replicate()), or watch before the model is parallelised"
)
TABLE = (
    "a table of parameters, which no input makes: the components of a prior, or a row for each item; name it"
    " by hand if it is a posterior of the rows at hand"
)
TABLE_SEEN = "{path!r} returns Gaussians that no input makes: they may be the components of one"
OF_A_PRIOR = "what a prior has put out"


class Candidates:
    """What may be a posterior, by name and rank.

    Parameters
    ----------
    model
        The watched one.
    links
        Collects what speaks of priors.
    priors
        Those that the user states.
    several
        Whether this is one of several processes, which may share layers.

    Attributes
    ----------
    found
        The candidates, in the order in which they came.
    looked_at
        Path of a module, or of a part of one -> what was seen there.
    refused
        Why a candidate cannot be read as it is used.
    absorbed
        Heads of distributions that are read themselves.
    norms
        Norms -> the heads that they stand behind.
    uses
        What candidates go through on the way to what the model returns (`graph_uses`).
    added
        Those to whose mean something is added on that way.
    after, families
        What the network does with heads, and what it makes of them; None where nothing is looked for.
    """

    def __init__(self, model: nn.Module, links: PriorLinks, priors: StatedPriors, several: bool) -> None:
        self.model, self._priors, self._several = model, priors, several
        self.links = links
        self.found: dict[CandidateKey, Candidate] = {}
        self.looked_at: dict[str, str] = {}
        self.refused: dict[CandidateKey, str] = {}
        self.absorbed: set[CandidateKey] = set()
        self.norms: dict[CandidateKey, CandidateKey] = {}
        self.uses: dict[CandidateKey, set[str]] = {}
        self.added: set[CandidateKey] = set()
        self._new: set[CandidateKey] = set()  # since the forward pass that runs began
        self._before: dict[CandidateKey, Candidate] = {}  # what came to it since, as it was
        self._may_raise = False  # whether one runs
        self.after: AfterHeads | None = None
        self.families: Families | None = None

    def close(self) -> None:
        """Let go of what was found, and look no longer at what becomes of it."""
        self.found, self._before = {}, {}
        for looking in (self.after, self.families):
            if looking is not None:
                looking.close()

    def begin(self) -> None:
        """A forward pass begins, which may raise."""
        self._new, self._before, self._may_raise = set(), {}, True
        self.links.begin()

    def drop(self) -> None:
        """It has raised: what came since it began is forgotten."""
        reread = {
            key
            for key, before in self._before.items()
            if key not in self.found or before.source is not self.found[key].source
        }
        for key in self._new:
            self.found.pop(key, None)
        self.found |= self._before
        if self.after is not None:
            self.after.forget(self._new | reread)
        self.links.drop()
        self._new, self._before, self._may_raise = set(), {}, False

    def about_to_change(self, key: CandidateKey) -> None:
        """Keep a candidate as it is, in case that the forward pass raises."""
        if self._may_raise and key not in self._new and key not in self._before:
            self._before[key] = self.found[key].copied()

    @property
    def left_out(self) -> list[str]:
        """What is known to be a distribution, or to be used as one, and is not recorded."""
        looked = [
            f"{what}: {why}" for what, why in self.looked_at.items() if "no Gaussian" in why or why == SHARDED
        ]
        return list(dict.fromkeys((*self.refused.values(), *looked)))

    def refuse(self, key: CandidateKey, why: str) -> None:
        """It is no layer, and why is said."""
        self.refused[key] = why
        self.looked_at[key[0]] = why

    def absorb(self, keys: Iterable[CandidateKey]) -> None:
        """Heads of a distribution that is read itself: they are no layers, and nothing is left out."""
        self.absorbed |= set(keys)
        for key in keys:
            if (why := self.refused.pop(key, None)) is not None and self.looked_at.get(key[0]) == why:
                del self.looked_at[key[0]]

    def is_read_as_it_is(self, key: CandidateKey) -> bool:
        """Whether a candidate is a distribution itself, and not its heads."""
        candidate = self.found.get(key)
        return candidate is not None and candidate.source.slot.form in (DISTRIBUTION, *SINGLE)

    def observe(self, name: str, reading: Reading, made: Any) -> bool:
        """A posterior that was handed over; whether it is the first of its name that has rows.

        Raises ValueError for one that cannot be read.
        """
        is_first = False
        try:
            observed = reading()
            if isinstance(observed, FamilyObserved):
                observed.check()
            source = observed_source(name, reading, observed)
            candidate = self.found.get((name, RANK_OBSERVED))
            if candidate is not None:
                self.about_to_change((name, RANK_OBSERVED))
                candidate.pool.add_observed(observed)
                candidate.calls += 1
                self._compare(candidate, _tensors_of(reading))
            elif observed.rows:  # else the next batch may have inputs
                first = observed.mu if isinstance(observed, Observed) else reading.taken[0]
                tensors = () if first is None else (first,)
                self._new.add((name, RANK_OBSERVED))
                candidate = self.found[name, RANK_OBSERVED] = Candidate.of(source, tensors, observed)
                if (mean := _mean_of(made)) is not None:
                    candidate.placed = placed(mean, source.layout or "neurons")
                self._compare(candidate, _tensors_of(reading))
                is_first = True
        except (ValueError, RuntimeError, TypeError) as error:
            said = first_line(error)
            raise ValueError(said if said.startswith("observe") else f"observe({name!r}): {said}") from error
        return is_first

    def take(self, source: PosteriorSource, value: Any, module: Any, output: Any) -> None:
        """One more batch of a candidate, or the first. Raises NotReadable for what is none, PartError where
        the user named it.
        """
        key = source.name, source.rank
        if (candidate := self.found.get(key)) is not None:
            self.about_to_change(key)
            self._look_at_its_layers(key, candidate, value)
            if self.after is not None and candidate.source.slot.form not in SINGLE:
                self.after.returned(candidate.source, value)
            self._add(candidate, candidate.source.take(value, module, output))
            self._compare(candidate, candidate.source.computed(value))
            return
        source = self._priors.source_under(source)
        try:
            settled = settle_source(source, value)
        except NoRows:
            raise
        except NotReadable as error:
            if source.by_hand:
                raise PartError(f"parts: {source.path!r} cannot be read as {source.slot}: {error}") from error
            raise
        if settled.is_table(value):
            self.links.tables.append(TABLE_SEEN.format(path=source.path or "the model"))
            raise NotReadable(TABLE)
        if self.after is not None and settled.slot.form not in SINGLE:
            self.after.returned(settled, value)
        tensors = settled.computed(value)
        if self.links.has_put_out(tensors[0]):
            raise NotReadable(OF_A_PRIOR)
        if settled.layout == "rows" and any(
            other.source.layout == "channels" and same_place(other.tensors[0], tensors[0])
            for other in self.found.values()
        ):
            # (B, C, T) that a convolution has put out before
            settled = replace(settled, layout="channels").known(layout="named")
        taken = settled.take(value, module, output)
        candidate = Candidate.of(settled, tensors, settled.observed(taken))
        self.links.keep(candidate.kept, taken)
        candidate.prior = settled.prior_tensor(value, taken)
        candidate.moves = (
            settled.origin not in ("output", "layers") or settled.by_hand or varies(settled, value)
        )
        self.found[key] = candidate
        self._new.add(key)
        note(mean := settled.tensors(value)[0], key)
        self.norms |= dict.fromkeys(normalised(mean) if settled.origin == "layers" else (), key)
        candidate.made_with = made_with(mean)
        candidate.placed = placed(mean, settled.layout or "rows")
        if settled.slot.halves and candidate.placed is not None and candidate.placed.is_split:
            candidate.placed = candidate.placed._replace(why_not=VIEWED)
        self._compare(candidate, tensors)
        if self.families is not None:
            self.families.noted(mean, key)
        forms = (DISTRIBUTION, *SINGLE)
        if settled.slot.form not in forms and not settled.by_hand and settled.of == "activations":
            self._refuse_other_family(key, settled)

    def _look_at_its_layers(self, key: CandidateKey, candidate: Candidate, value: Any) -> None:
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
        self.refuse(key, SEVERAL_WAYS.format(path=source.path or "the model", one=one, other=other))

    def _refuse_other_family(self, key: CandidateKey, source: PosteriorSource) -> None:
        """By the source of what holds the heads: it draws from another family, and from no Gaussian."""
        holders = {
            source.path.split(" & ")[0].rpartition(".")[0] if " & " in source.path else source.path,
            "",
        }
        kinds: list[Any] = [type(self.model.get_submodule(path)) for path in holders]
        families = [other_family(kind) for kind in kinds if kind.__module__.split(".")[0] != "torch"]
        if any(families) and not any(map(draws_gaussian, kinds)):
            self.refuse(key, NOT_READ.format(family=next(filter(None, families)), name=source.name))

    def _add(self, candidate: Candidate, taken: Taken) -> None:
        candidate.pool.add_observed(candidate.source.observed(taken))
        candidate.calls += not is_in_backward()
        self.links.keep(candidate.kept, taken)

    def _compare(self, candidate: Candidate, tensors: Sequence[Tensor]) -> None:
        """Keep what tells a batch from one of other processes."""
        if self._several and len(candidate.digests) < COMPARED and tensors:
            candidate.digests.append(digest_of_rows(tensors, candidate.pool.shared))


def is_in_backward() -> bool:
    """Whether autograd runs backwards now: activation checkpointing repeats a forward pass there."""
    running = getattr(torch._C, "_current_graph_task_id", None)
    return running is not None and running() != -1


def _mean_of(made: Any) -> Tensor | None:
    """What stands first in what was handed over."""
    if isinstance(made, Distribution):
        return next(iter(own_tensors(made)), None)
    return made if isinstance(made, Tensor) else None


def _tensors_of(reading: Reading) -> list[Tensor]:
    """What was handed over, without what may be the same in all rows."""
    return [one for one in reading.taken[:2] if one is not None]
