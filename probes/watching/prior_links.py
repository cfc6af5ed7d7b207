"""Which prior belongs to which posterior, where the two are computed by different modules, and what is said
where that cannot be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from probes.watching.naming import subject, words
from probes.watching.own_priors import Held, Mention, held_priors, mentions
from probes.watching.posterior_source import (
    NotReadable,
    PosteriorSource,
    Prior,
    PriorFunction,
    Slot,
    Taken,
    UnknownPrior,
    nested,
    prior_tensors,
)

HELD_BYTES = 16e6  # of outputs before the first step that wait for their priors
SAY = (
    "KL and its parts are left out. Say the prior: priors={{{name!r}: (mean, sd)}}, or a function (module, output)"
    " -> (mu, sigma) instead, or probes.observe(name, q, prior=p) in the forward pass; (0, 1) if it is none of it"
)


@dataclass
class SeenPrior:
    """What a module that is a prior has put out before the first step."""

    source: PosteriorSource
    outputs: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # mean, sd


@dataclass
class Waiting:
    """What a posterior without a prior of its own was before the first step; None: too much to keep."""

    source: PosteriorSource
    taken: list[Taken] | None = field(default_factory=list)


class PriorLinks:
    """Collects, until layers are settled, what speaks of priors in a model, and gives each posterior its own.

    Parameters
    ----------
    model
        Looked through once, not run.
    skipped
        Whether the user leaves a path alone.
    """

    def __init__(self, model: nn.Module, skipped: Callable[[str], bool]) -> None:
        self.mentions = [one for one in mentions(model) if not skipped(one.path)]
        self._held = [one for one in held_priors(model) if not skipped(one.path)]
        self._seen: dict[str, SeenPrior] = {}
        self._bytes = 0.0

    @property
    def wanted(self) -> bool:
        """Whether what posteriors are has to be kept until their priors are known."""
        return bool(self.mentions)

    def arrived(self, source: PosteriorSource, value: Any) -> None:
        """A prior was computed. Raises NotReadable for what is no Gaussian."""
        if self._bytes > HELD_BYTES:
            return
        mean, scale = source.slot.tensors(value)
        sigma = source.slot.sigmas(scale)[0]
        seen = self._seen.setdefault(source.name, SeenPrior(source))
        seen.outputs.append((mean.detach(), sigma.detach()))
        self._bytes += mean.nbytes + sigma.nbytes

    def keep(self, waiting: list[Taken] | None, taken: Taken) -> list[Taken] | None:
        """What a posterior was, kept with what it was before; None where that is too much."""
        self._bytes += sum(value.nbytes for value in taken if value is not None)
        if waiting is None or self._bytes > HELD_BYTES:
            return None
        return [*waiting, taken]

    def settle(self, posteriors: Sequence[Waiting]) -> list[tuple[PosteriorSource, list[Taken] | None]]:
        """Each posterior with its prior, and, where that changes how it is read, what it was at first, to be
        read anew.
        """
        links = self._links(posteriors)
        free = [
            seen
            for name, seen in self._seen.items()
            if name not in {one.source.name for one in links.values()}
        ]
        used = [side for seen in links.values() for side in seen.source.path.split(" & ")]
        result = []
        for place, posterior in enumerate(posteriors):
            source, taken = posterior.source, posterior.taken
            if place in links:
                joined = _joined(source, links[place].source)
                result.append((joined, _with_priors(taken, links[place])))
                continue
            held = self._held_by(source, posteriors, [one.path for one in self._held])
            if held is not None and _fits(held, taken):
                used.append(held.path)
                result.append(
                    (replace(source, prior=held.prior).known(prior="named"), _anew(held.prior, taken))
                )
                continue
            seen = self._unused(used, source)
            reason = self._why_not(free, posteriors) or (seen[0].said if seen else None)
            if reason is None:
                result.append((source, None))
            else:
                unknown = UnknownPrior(f"{reason} speaks of one, and it was not used")
                why = f"{source.why}; the prior is not known: {reason} speaks of one. {SAY.format(name=source.name)}"
                result.append((replace(source, prior=unknown, why=why).known(prior="absent"), None))
        return result

    def _links(self, posteriors: Sequence[Waiting]) -> dict[int, SeenPrior]:
        """Place of a posterior -> its prior: of one subject and parent, of one subject, or the only ones; as often
        computed, and of fitting shapes.
        """
        found: dict[int, SeenPrior] = {}
        left = [place for place, one in enumerate(posteriors) if one.source.origin in ("output", "layers")]
        free = list(self._seen.values())
        for alike in (_same_place, _same_subject, _any):
            for place in left.copy():
                fits = [seen for seen in free if alike(posteriors[place].source, seen.source)]
                rivals = [
                    other
                    for other in left
                    if len(fits) == 1 and alike(posteriors[other].source, fits[0].source)
                ]
                if len(fits) == 1 and rivals == [place] and _together(posteriors[place].taken, fits[0]):
                    found[place] = fits[0]
                    left.remove(place)
                    free.remove(fits[0])
        return found

    def _held_by(
        self, source: PosteriorSource, posteriors: Sequence[Waiting], _: Sequence[str]
    ) -> Held | None:
        same = [one for one in self._held if subject(one.name) == subject(source.name)]
        if len(same) == 1:
            return same[0]
        # one prior for all that there is
        paths = {one.path.rpartition(".")[0] for one in self._held}
        return (
            self._held[0]
            if len(self._held) == 1 or (len(paths) == 1 and len(posteriors) == 1 == len(self._held))
            else None
        )

    def _why_not(self, free: Sequence[SeenPrior], posteriors: Sequence[Waiting]) -> str | None:
        if not free:
            return None
        names = ", ".join(repr(seen.source.name) for seen in free[:3])
        if len(posteriors) > 1 or len(free) > 1:
            return f"{names}, of which is not known whose it is,"
        return f"{names}, which is computed another number of times, or has another shape,"

    def _unused(self, used: Iterable[str], source: PosteriorSource) -> list[Mention]:
        """Mentions that no prior in use explains: a trunk called prior of a head called prior_mean is its."""
        used = list(used)
        return [
            mention for mention in self.mentions if not any(_explains(path, mention.path) for path in used)
        ]


def _explains(used: str, mentioned: str) -> bool:
    if used == mentioned or used.startswith(f"{mentioned}.") or mentioned.startswith(f"{used}."):
        return True
    (above, _, name), (over, _, trunk) = used.rpartition("."), mentioned.rpartition(".")
    ours, theirs = words(name), words(trunk)
    return (
        above == over
        and theirs[0] == ours[0]
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


def _together(taken: list[Taken] | None, prior: SeenPrior) -> bool:
    """Whether a posterior and a prior were computed equally often, in shapes that fit."""
    if taken is None or len(taken) != len(prior.outputs):
        return False
    for (mean, *_), outputs in zip(taken, prior.outputs, strict=True):
        for value in outputs:
            if mean is None or not _broadcasts(value, mean):
                return False
    return True


def _broadcasts(value: Tensor, mean: Tensor) -> bool:
    try:
        value.expand(mean.shape)
    except RuntimeError:
        return False
    return True


def _fits(held: Held, taken: list[Taken] | None) -> bool:
    if not taken:
        return taken is not None
    mean = taken[0][0]
    if mean is None or not isinstance(held.prior, PriorFunction):
        return False
    try:
        return all(_broadcasts(value, mean) for value in prior_tensors(held.prior.call(None, None), mean))
    except (NotReadable, TypeError, ValueError):
        return False


def _with_priors(taken: list[Taken] | None, prior: SeenPrior) -> list[Taken]:
    return [(*one[:2], *given, *one[4:]) for one, given in zip(taken or (), prior.outputs, strict=True)]


def _anew(prior: Prior, taken: list[Taken] | None) -> list[Taken]:
    assert isinstance(prior, PriorFunction)  # of those that modules hold
    return [
        (*one[:2], *prior_tensors(prior.call(None, None), one[0]), *one[4:])
        for one in taken or ()
        if one[0] is not None
    ]


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
