"""Which prior belongs to which posterior, where the two are computed by different modules, and what is said
where that cannot be told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from probes.family_moments import prior_parameters
from probes.watching.evidence import applied
from probes.watching.family_readings import is_joint
from probes.watching.family_sources import BY_DRAWS, FamilySource, at_slot, family_of_prior
from probes.watching.gaussians import prior_tensors
from probes.watching.naming import returned_names, speaks_of_prior, subject, words
from probes.watching.own_priors import Held, held_priors, is_prior, mentions, prior_above
from probes.watching.posterior_source import PosteriorSource, Prior, PriorFunction, Taken
from probes.watching.slots import DISTRIBUTION, Slot, nested
from probes.watching.tensors import NotReadable

HELD_BYTES = 16e6  # of outputs before the first step that wait for their priors


@dataclass
class Kept:
    """What was computed before the first step, as far as that is little enough; how often it was."""

    taken: list[Taken] = field(default_factory=list)
    count: int = 0

    @property
    def whole(self) -> bool:
        return len(self.taken) == self.count

    def copied(self) -> Kept:
        """The same so far."""
        return Kept(self.taken.copy(), self.count)


@dataclass
class SeenPrior:
    """What a module that is a prior has put out: mean and scale, or the parameters of its family."""

    source: PosteriorSource
    family: str = "gaussian"
    parameters: tuple[str, ...] = ()
    kept: Kept = field(default_factory=Kept)


@dataclass
class Waiting:
    """A posterior without a prior of its own."""

    source: PosteriorSource
    kept: Kept


@dataclass
class Linked:
    """A posterior with its prior, or why it has none. again: what it was so far, to be read anew; None where
    its reading is what it was. incomplete: part of that was not kept.
    """

    source: PosteriorSource
    again: list[Taken] | None = None
    incomplete: bool = False


class PriorLinks:
    """Collects, until layers are settled, what speaks of priors in a model, and gives each posterior its own.

    Parameters
    ----------
    model
        Looked through at the start and when layers are settled, not run.
    skipped
        Whether the user leaves a path alone.
    """

    def __init__(self, model: nn.Module, skipped: Callable[[str], bool]) -> None:
        self._model, self._skipped = model, skipped
        self._look()
        self._hinted = bool(self.mentions) or any(
            speaks_of_prior(name)
            for module in model.modules()
            for name in (*vars(module), *returned_names(type(module).forward))
            if name is not None
        )
        self._seen: dict[str, SeenPrior] = {}
        self._bytes = 0.0
        self._before: tuple[dict[str, Kept], float] = {}, 0.0  # as the forward pass that runs began
        self.tables: list[str] = []  # what else may be a prior's

    @property
    def wanted(self) -> bool:
        """Whether what posteriors are has to be kept until their priors are known."""
        return self._hinted

    def _look(self) -> None:
        """What the model holds by now: a prior may be made in the first forward pass."""
        self.mentions = [one for one in mentions(self._model) if not self._skipped(one.path)]
        self._held = [one for one in held_priors(self._model) if not self._skipped(one.path)]

    def begin(self) -> None:
        """A forward pass begins, which may raise."""
        self._before = {name: seen.kept.copied() for name, seen in self._seen.items()}, self._bytes

    def drop(self) -> None:
        """It has raised: what came since it began is forgotten."""
        kept, self._bytes = self._before
        self._seen = {name: replace(self._seen[name], kept=one.copied()) for name, one in kept.items()}

    def arrived(self, source: PosteriorSource, value: Any) -> None:
        """A prior was computed. Raises NotReadable for what has no numbers of single neurons."""
        if is_joint(whole := at_slot(source, value)):
            seen = self._seen.setdefault(source.name, SeenPrior(source, "samples"))
            self.keep(seen.kept, ())
            return
        found = family_of_prior(whole)
        if found is None:
            mean, scale = source.slot.tensors(value)
            seen = self._seen.setdefault(source.name, SeenPrior(source))
            self.keep(seen.kept, (mean.detach(), scale.detach()))
            return
        seen = self._seen.setdefault(source.name, SeenPrior(source, found.family, tuple(found.parameters)))
        self.keep(seen.kept, tuple(found.parameters.values()))

    def has_put_out(self, mean: Tensor) -> bool:
        """Whether a tensor is the mean that a prior has computed, which a module above may return."""
        return any(
            one and one[0] is not None and one[0].data_ptr() == mean.data_ptr() and one[0].shape == mean.shape
            for seen in self._seen.values()
            for one in seen.kept.taken
        )

    def keep(self, kept: Kept, taken: Taken) -> None:
        """One more; the first is always kept."""
        kept.count += 1
        if not self.wanted or (kept.taken and self._bytes > HELD_BYTES):
            return
        self._bytes += sum(value.nbytes for value in taken if value is not None)
        kept.taken.append(taken)

    def settle(self, posteriors: Sequence[Waiting], ran: Collection[str]) -> list[Linked]:
        """Each posterior with its prior, as far as the model tells it.

        ran: paths of the modules that have put something out.
        """
        self._look()
        self._drop_what_stands_in_others()
        self._drop_parts_of_a_whole(ran)
        links = self._links(posteriors)
        flows = self._densities(posteriors)
        linked = {seen.source.name for seen in links.values()}
        linked |= {seen.source.name for seen in flows.values()}
        free = [seen for name, seen in self._seen.items() if name not in linked]
        held = {
            place: own
            for place, one in enumerate(posteriors)
            if place not in links and (own := self._held_by(one, posteriors)) is not None
        }
        used = [one.source.path for one in posteriors if one.source.family == "samples"]
        used += [
            side for seen in (*links.values(), *flows.values()) for side in seen.source.path.split(" & ")
        ]
        used += [one.path for one in held.values()]
        unused = [
            mention for mention in self.mentions if not any(_explains(path, mention.path) for path in used)
        ]
        reason = self._why_not(free, posteriors) or next((one.said for one in unused), None)
        reason = reason or next(iter(self.tables), None)
        found: list[Linked] = []
        for place, posterior in enumerate(posteriors):
            source, kept = posterior.source, posterior.kept
            if place in flows:
                by_draws = _joined(source, flows[place].source)
                by_draws = replace(by_draws, why=f"{by_draws.why}; {BY_DRAWS}")
                found.append(Linked(by_draws, [], incomplete=True))
            elif place in links:
                prior = links[place]
                if prior.family != source.family:
                    found.append(Linked(source.without_prior(OF_ANOTHER.format(prior=prior))))
                    continue
                if isinstance(source, FamilySource):
                    whole = source.under(prior.parameters)
                    if whole is None:
                        found.append(Linked(source.without_prior(f"{prior.source.name!r} is computed")))
                        continue
                    again = [
                        whole.again(one, theirs)
                        for one, theirs in zip(kept.taken, prior.kept.taken, strict=False)
                    ]
                    found.append(Linked(_joined(whole, prior.source), again, len(again) < kept.count))
                    continue
                joined = _made(_joined(source, prior.source), source, prior, self._model)
                if isinstance(joined, str):
                    found.append(Linked(source.without_prior(joined)))
                    continue
                pairs = zip(kept.taken, prior.kept.taken, strict=False)
                again = [
                    (*one[:2], mean, joined.prior_sigma(mean, scale), *one[4:])
                    for one, (mean, scale) in pairs
                    if mean is not None and scale is not None
                ]
                found.append(Linked(joined, again, len(again) < kept.count))
            elif place in held and isinstance(source, FamilySource):
                parameters = _parameters_of(held[place], source) or {}
                under = source.under(tuple(parameters))
                if under is None:
                    found.append(Linked(source.without_prior(f"{held[place].name!r} is held")))
                    continue
                again = [under.again(one, tuple(parameters.values())) for one in kept.taken]
                source = replace(under, prior=held[place].prior).known(prior="named")
                found.append(Linked(source, again, not kept.whole))
            elif place in held:
                source = replace(source, prior=held[place].prior).known(prior="named")
                found.append(Linked(source, _anew(held[place].prior, kept.taken), not kept.whole))
            elif reason is not None:
                found.append(Linked(source.without_prior(reason)))
            else:
                found.append(Linked(source))
        return found

    def _drop_what_stands_in_others(self) -> None:
        """Heads of a prior are that of the module which returns it."""
        outer = [seen.source.path for seen in self._seen.values() if seen.source.origin == "output"]
        self._seen = {
            name: seen
            for name, seen in self._seen.items()
            if not any(seen.source.path.startswith(f"{path}.") for path in outer)
        }

    def _drop_parts_of_a_whole(self, ran: Collection[str]) -> None:
        """Of a prior that is a module of its own and returns no Gaussian, such as a density, only heads that
        are its own tell what it is, and no network or several Gaussians in it.
        """
        returned = {seen.source.path for seen in self._seen.values()}
        parts: dict[str, list[str]] = {}  # of each such prior
        for path in (*returned, *(one.path for one in self._held)):
            whole = prior_above(self._model, path.split(" & ")[0])
            if whole is not None and whole in ran and whole not in returned:
                parts.setdefault(whole, []).append(path)
        unlike = {
            path
            for whole, inside in parts.items()
            for path in inside
            if len(inside) > 1 or not self._is_own(whole, path)
        }
        self._seen = {name: seen for name, seen in self._seen.items() if seen.source.path not in unlike}
        self._held = [one for one in self._held if one.path not in unlike]

    def _is_own(self, whole: str, path: str) -> bool:
        """Whether a part of a prior is its own head, or a network that is called a prior itself."""
        side = path.split(" & ")[0]
        if any(one.path == path for one in self._held) or " & " in path:
            return side.rpartition(".")[0] == whole
        named = any(
            speaks_of_prior(seen.source.name.rpartition(".")[2])
            for seen in self._seen.values()
            if seen.source.path == path
        )
        return named or is_prior(side.rpartition(".")[2], type(self._model.get_submodule(side)))

    def _links(self, posteriors: Sequence[Waiting]) -> dict[int, SeenPrior]:
        """Place of a posterior -> its prior: of one subject and parent, of one subject, or the only ones; as
        often computed, and of fitting shapes.
        """
        found: dict[int, SeenPrior] = {}
        left = [
            place
            for place, one in enumerate(posteriors)
            if one.source.origin in ("output", "layers") and one.source.family not in WITHOUT_LINKS
        ]
        free = list(self._seen.values())
        for alike in (_same_place, _same_subject, _any):
            for place in left.copy():
                fits = [seen for seen in free if alike(posteriors[place].source, seen.source)]
                rivals = [
                    other
                    for other in left
                    if len(fits) == 1 and alike(posteriors[other].source, fits[0].source)
                ]
                if len(fits) == 1 and rivals == [place] and _together(posteriors[place].kept, fits[0].kept):
                    found[place] = fits[0]
                    left.remove(place)
                    free.remove(fits[0])
        return found

    def _densities(self, posteriors: Sequence[Waiting]) -> dict[int, SeenPrior]:
        """Place of the only posterior that is known by draws -> the only prior that is a density."""
        densities = [seen for seen in self._seen.values() if seen.family == "samples"]
        places = [at for at, one in enumerate(posteriors) if one.source.family == "samples"]
        if len(densities) == 1 == len(places) and posteriors[places[0]].kept.count == densities[0].kept.count:
            return {places[0]: densities[0]}
        return {}

    def _held_by(self, posterior: Waiting, posteriors: Sequence[Waiting]) -> Held | None:
        """The prior that a module holds for a posterior: of its subject, or the only one for the only one."""
        held_too = ("output", "layers", "made")
        if posterior.source.origin not in held_too or posterior.source.family in WITHOUT_LINKS:
            return None
        fits = [one for one in self._held if _fits(one, posterior)]
        same = [one for one in fits if subject(one.name) == subject(posterior.source.name)]
        if len(same) == 1:
            return same[0]
        return fits[0] if len(fits) == 1 and (len(posteriors) == 1 or not subject(fits[0].name)) else None

    def _why_not(self, free: Sequence[SeenPrior], posteriors: Sequence[Waiting]) -> str | None:
        if not free:
            return None
        names = ", ".join(repr(seen.source.name) for seen in free[:3])
        if len(posteriors) > 1 or len(free) > 1:
            return f"of {names} is not told whose prior it is"
        return f"{names} is computed another number of times, or in another shape"


def _explains(used: str, mentioned: str) -> bool:
    if used == mentioned or used.startswith(f"{mentioned}.") or mentioned.startswith(f"{used}."):
        return True
    (above, _, name), (over, _, trunk) = used.rpartition("."), mentioned.rpartition(".")
    ours, theirs = words(name), words(trunk)
    return (
        above == over
        and ours[:1] == theirs[:1] != ()  # the model itself has no name
        and (subject(name) == subject(trunk) or set(theirs) <= set(ours))
    )


def _same_place(one: PosteriorSource, other: PosteriorSource) -> bool:
    return _above(one) == _above(other) and subject(one.name) == subject(other.name)


def _same_subject(one: PosteriorSource, other: PosteriorSource) -> bool:
    return subject(one.name) == subject(other.name)


def _any(_: PosteriorSource, __: PosteriorSource) -> bool:
    return True


def _above(source: PosteriorSource) -> str:
    return source.path.split(" & ")[0].rpartition(".")[0]


def _together(posterior: Kept, prior: Kept) -> bool:
    """Whether a posterior and a prior were computed equally often, in shapes that fit."""
    if not posterior.taken or posterior.count != prior.count:
        return False
    means = [one[0] for one in posterior.taken]
    return all(
        mean is not None and _broadcasts(value, mean)
        for mean, values in zip(means, prior.taken, strict=False)
        for value in values
        if value is not None
    )


def _broadcasts(value: Tensor, mean: Tensor) -> bool:
    try:
        value.expand(mean.shape)
    except RuntimeError:
        return False
    return True


def _fits(held: Held, posterior: Waiting) -> bool:
    if isinstance(posterior.source, FamilySource):
        return _parameters_of(held, posterior.source) is not None
    kept = posterior.kept
    mean = kept.taken[0][0] if kept.taken else None
    if mean is None or not isinstance(held.prior, PriorFunction):
        return False
    try:
        return all(_broadcasts(value, mean) for value in prior_tensors(held.prior.call(None, None), mean))
    except (NotReadable, TypeError, ValueError):
        return False


def _parameters_of(held: Held, source: FamilySource) -> dict[str, Tensor] | None:
    """Parameters of a prior that a module holds, where it is of a posterior's family."""
    given = held.prior.call(None, None) if isinstance(held.prior, PriorFunction) else None
    return prior_parameters(source.family, given) if isinstance(given, Distribution) else None


WITHOUT_LINKS = ("gaussian_full", "samples", "codes")
"""Families whose prior is not put together with what another module computes."""
OF_ANOTHER = "{prior.source.name!r} is computed, a {prior.family}"


def _anew(prior: Prior, taken: list[Taken]) -> list[Taken]:
    assert isinstance(prior, PriorFunction)  # of those that modules hold
    return [
        (*one[:2], *prior_tensors(prior.call(None, None), one[0]), *one[4:])
        for one in taken
        if one[0] is not None
    ]


def _made(
    joined: PosteriorSource, posterior: PosteriorSource, prior: SeenPrior, model: nn.Module
) -> PosteriorSource | str:
    """A joined source that says how the prior's scale is made of what is read of it, as the posterior's is
    where the source of the module or the names say so; or, in words, what is not known of it.
    """
    ours, theirs = (_behind(one, model) for one in (posterior, prior.source))
    form = prior.source.slot.form
    assert isinstance(joined.prior, Slot)  # made so
    if form == DISTRIBUTION:
        return joined
    changed = (
        posterior.after is not None or "ASSUMED" in posterior.why or (ours is not None and ours[1] != ())
    )
    if theirs is not None and theirs[0] != ():
        return NOT_REPEATED.format(side="mean", path=prior.source.path, chain=" and ".join(theirs[0]))
    if theirs is not None and ours is not None and theirs[1] == ours[1] and changed:
        return replace(joined, prior_like=True)
    if theirs is not None and theirs[1] in CHAINS and form in ("sigma", *CHAINS[theirs[1]]):
        return replace(joined, prior=replace(joined.prior, form=CHAINS[theirs[1]][-1]))
    if theirs is not None and theirs[1] not in ((), *EXPONENTIALS):
        return NOT_REPEATED.format(side="scale", path=prior.source.path, chain=" and ".join(theirs[1]))
    if theirs is None and changed:
        why = f"{joined.why}; ASSUMED its scale is made in the same way"
        return replace(joined, why=why, prior_like=True)
    lowest = min((float(taken[1].min()) for taken in prior.kept.taken if taken[1] is not None), default=0.0)
    if form in ("sigma", "var") and lowest < 0:
        return f"the scale of {prior.source.path} holds negative values"
    return joined


NOT_REPEATED = "what its code does with the {side} of {path} ({chain}) is not repeated"
CHAINS = {("softplus",): ("rho",), ("exp",): ("log_sigma",)}
"""What code does with a raw scale -> the forms that its name may stand for, the last the one that it is."""
EXPONENTIALS = (("exp",), ("half", "exp"), ("exp", "sqrt"))


def _behind(source: PosteriorSource, model: nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """What the code of the module that holds a pair of heads does with mean and scale; None where it does not
    tell.
    """
    if source.origin != "layers":
        return None
    sides = source.path.split(" & ")[:2]
    above = sides[0].rpartition(".")[0]
    kind: Any = type(model.get_submodule(above))
    order = sides if source.slot.mean == 0 else sides[::-1]
    mean, scale = (applied(kind, side.rpartition(".")[2]) for side in order)
    return None if mean is None or scale is None else (mean, scale)


def _joined(posterior: PosteriorSource, prior: PosteriorSource) -> PosteriorSource:
    """A posterior that is read together with its prior: the outputs of both modules, side by side."""
    sides = len(posterior.path.split(" & "))
    slot = posterior.slot if posterior.origin == "layers" else posterior.slot.under(0)
    if prior.origin == "layers":
        own = Slot(nested(sides, None), nested(sides + 1, None), prior.slot.form)
        if prior.slot.mean == 1:
            own = Slot(sides + 1, sides, prior.slot.form)
    else:
        own = prior.slot.under(sides)
    joined = replace(
        posterior,
        path=f"{posterior.path} & {prior.path}",
        origin="layers",
        slot=slot,
        prior=own,
        why=f"{posterior.why}; its prior is what {prior.path or 'the model'} computes",
        prior_said=prior.path,
    )
    return joined.known(prior="named")
