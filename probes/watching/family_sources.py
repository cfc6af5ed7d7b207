"""A posterior of a network that is no diagonal Gaussian: where it stands, and what is kept of it at each
step."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor
from torch.distributions import Categorical, Distribution, Normal

from probes.families import FAMILIES
from probes.family_moments import FamilyReading, read_distribution
from probes.watching.evidence import feature_axis
from probes.watching.family_pools import WINDOW_STEPS
from probes.watching.family_readings import (
    ASSUMES_UNIFORM,
    DRAWN,
    AnyObserved,
    CodeReader,
    FamilyObserved,
    FamilyReader,
    FullReader,
    Read,
    SampleReader,
    is_fixed,
    read_full,
    read_posterior,
)
from probes.watching.gaussians import is_full_gaussian, is_gaussian, map_of, unmasked, unwrapped
from probes.watching.layouts import LAYOUTS, Layout
from probes.watching.made import Logits, tensors_of
from probes.watching.naming import describe
from probes.watching.pooling import Reading
from probes.watching.posterior_source import (
    RANK_OBSERVED,
    STATED,
    UNKNOWN,
    PosteriorSource,
    PriorFunction,
    Taken,
    UnknownPrior,
)
from probes.watching.slots import CODES, DISTRIBUTION, LOGITS, Slot, pick
from probes.watching.tensors import NoRows, NotReadable

BY_DRAWS = "its KL is estimated by Monte Carlo, from a random state of its own"
NO_PRIOR = "none is assumed for {family}"


AnyReader = FamilyReader | FullReader | SampleReader | CodeReader


@dataclass(frozen=True)
class FamilySource(PosteriorSource):
    """A `PosteriorSource` of another family than the diagonal Gaussian.

    reader: how what is kept becomes a batch. split: classes of each neuron, where their axis is not one of
    its own.
    """

    reader: AnyReader | None = None
    split: int | None = None

    @property
    def family(self) -> str:
        return "gaussian_full" if isinstance(self.reader, FullReader) else (self.reader or NOTHING).family

    @property
    def classes(self) -> int | None:
        return self.reader.classes if isinstance(self.reader, FamilyReader) else None

    @property
    def window(self) -> int | None:
        return (self.reader.window or WINDOW_STEPS) if isinstance(self.reader, CodeReader) else None

    @property
    def default_prior(self) -> str:
        if self.family == "gaussian_full":
            return "standard"
        return "uniform" if self.family in ASSUMES_UNIFORM else "none"

    def distribution(self, value: Any) -> Distribution:
        """The posterior. Raises NotReadable for what is none."""
        return distribution_at(value, self.slot, self.split)

    def tensors(self, value: Any) -> tuple[Tensor, ...]:
        if self.slot.form == CODES:
            return (self._indices(value),)
        if self.slot.form in LOGITS:
            return (pick(value, self.slot.mean),)
        return tuple(own_tensors(self.distribution(value)))

    def prior_tensor(self, value: Any, taken: Taken) -> Tensor | None:
        if not isinstance(self.prior, Slot):
            return None
        if self.prior.form in LOGITS:
            return pick(value, self.prior.mean)
        found = own_tensors(distribution_at(value, self.prior))
        return found[0].detach() if found else None

    def is_table(self, value: Any) -> bool:
        return False

    def computed(self, value: Any) -> tuple[Tensor, ...]:
        return tuple(one.detach() for one in self.tensors(value))

    def _indices(self, value: Any) -> Tensor:
        found = pick(value, self.slot.mean)
        if not isinstance(found, Tensor) or found.is_floating_point():
            raise NotReadable(f"the indices are {describe(found)}, not whole numbers")
        book: Any = self.slot.scale
        if book is None:
            return found
        return found.select(*book) if isinstance(book, tuple) else found[..., book]

    def take(self, value: Any, module: Any = None, output: Any = None) -> Taken:
        mask = None if self.mask is None else self.mask(module, output)
        if self.slot.form == CODES:
            return self._indices(value).detach(), mask
        read = self._read(value, module, output, mask)
        if read.reader != self.reader:
            raise NotReadable(f"it was {_said(self.reader)}, it is {_said(read.reader)}")
        return read.taken

    def _read(self, value: Any, module: Any, output: Any, mask: Tensor | None) -> Read:
        return read_any(self.distribution(value), self._prior_of(value, module, output), self.layout, mask)

    def _prior_of(self, value: Any, module: Any, output: Any) -> Any:
        if isinstance(self.prior, Slot):
            return distribution_at(value, self.prior, self.split)
        if isinstance(self.prior, PriorFunction):
            return self.prior.call(module, output)
        return UNKNOWN if isinstance(self.prior, UnknownPrior) else self.prior

    def without_prior(self, seen: str) -> PosteriorSource:
        found = super().without_prior(seen)
        if not isinstance(found, FamilySource) or not isinstance(found.reader, FamilyReader):
            return found
        return replace(found, reader=replace(found.reader, prior=None, assumed=False, fixed=False))

    def under(self, parameters: tuple[str, ...]) -> FamilySource | None:
        """The source with a prior of its own family, by the names of its parameters; None where its KL is no
        business of these.
        """
        if not isinstance(self.reader, FamilyReader) or self.family in DRAWN:
            return None
        return replace(self, reader=replace(self.reader, prior=parameters, assumed=False, fixed=False))

    def again(self, taken: Taken, prior: Taken) -> Taken:
        """What was kept without a prior, with the parameters of one."""
        assert isinstance(self.reader, FamilyReader)  # `under` has looked
        count = len(self.reader.parameters)
        return (*taken[:count], *prior, *taken[-2:])

    def observed(self, taken: Taken) -> Any:
        assert self.reader is not None  # settled
        return self.reader(taken)

    @property
    def apart(self) -> bool:
        return False

    def _prior(self) -> str:
        if self.prior is None and self.origins.get("prior") != "stated" and self.default_prior != "standard":
            return self.default_prior
        return super()._prior()


NOTHING = FamilyReader("generic", ())


def _said(reader: AnyReader | None) -> str:
    """A reader in words that tell it from others."""
    if not isinstance(reader, FamilyReader):
        return (reader or NOTHING).family if not isinstance(reader, FullReader) else "gaussian_full"
    classes = "" if reader.classes is None else f" of {reader.classes} classes"
    prior = "a prior" if reader.prior is not None else "no prior of its own"
    return f"{reader.family}{classes} by {', '.join(reader.parameters)}, {reader.layout}, under {prior}"


def is_gaussian_reader(read: Any) -> bool:
    """Whether what a reader gives is a diagonal Gaussian."""
    return not isinstance(read, AnyReader)


def observed_source(name: str, reading: Reading, observed: AnyObserved) -> PosteriorSource:
    """The source of a posterior that was handed over."""
    read: Any = reading.read.reader if isinstance(reading.read, UnderPrior) else reading.read
    kind: Any = FamilySource if isinstance(read, AnyReader) else PosteriorSource
    source: PosteriorSource = kind(
        name, name, "observe", Slot(), "handed over by probes.observe", RANK_OBSERVED,
        layout="sequences" if reading.layout == "sequences" else "neurons", origins=STATED,
        map=reading.map, stated_layout=reading.layout,
    )  # fmt: skip
    if isinstance(source, FamilySource):
        source = replace(source, reader=read, layout=getattr(read, "layout", "rows"))
    if observed.has_prior:
        return source.known(prior="stated")
    if reading.unknown_prior:
        return replace(source, prior=UnknownPrior("as stated", stated=True)).known(prior="absent")
    if source.family == "codes":
        return replace(source, origins={part: at for part, at in STATED.items() if part != "prior"})
    if source.default_prior == "none":
        return without_any_prior(source)
    return source


def without_any_prior(source: PosteriorSource) -> PosteriorSource:
    """A source of a family of which no prior is assumed."""
    label = FAMILIES[source.family].label
    called = "draws" if source.family == "samples" else f"a {label}"
    prior = UnknownPrior(NO_PRIOR.format(family=called), stated=True)
    return replace(source, prior=prior).known(prior="absent")


@dataclass(frozen=True)
class UnderPrior:
    """How what was handed over without a prior becomes a batch under one of its family, that `priors=`
    states.
    """

    reader: AnyReader
    prior: Any
    model: Any

    def __call__(self, taken: Taken) -> Any:
        """Raises NotReadable for a prior of another family."""
        observed = self.reader(taken)
        if not isinstance(observed, FamilyObserved) or observed.has_prior:
            return observed
        given = self.prior.call(self.model, None) if isinstance(self.prior, PriorFunction) else self.prior
        return _under(observed, given)


def _under(observed: FamilyObserved, given: Any) -> FamilyObserved:
    found = read_distribution(given) if isinstance(given, Distribution) else None
    if found is None or found.family != observed.family:
        raise NotReadable(
            f"priors= of a {observed.family} is a distribution of that family; hand any other over as"
            " probes.observe(name, q, prior=p)"
        )
    lead = next(iter(observed.parameters.values())).dim()
    one = {
        key: value.reshape((1,) * max(0, lead - value.dim()) + tuple(value.shape))
        for key, value in found.parameters.items()
    }
    return observed._replace(
        prior=one, by_row=any(len(value) > 1 for value in one.values()), fixed=is_fixed(given), has_prior=True
    )


def own_tensors(distribution: Distribution) -> list[Tensor]:
    """The tensors that a distribution is made of, but for single numbers."""
    return [value for value in tensors_of(distribution) if value.dim()]


def distribution_at(value: Any, slot: Slot, split: int | None = None) -> Distribution:
    """The distribution that stands at a place of an output. Raises NotReadable for anything else."""
    found = pick(value, slot.mean)
    if slot.form in LOGITS:
        if not isinstance(found, Tensor) or not found.is_floating_point() or found.dim() < 2:
            raise NotReadable(f"{slot.form} are {describe(found)}, not (..., N, C) numbers")
        numbers = found if split is None else found.reshape(*found.shape[:-1], -1, split)
        numbers = numbers.detach()
        return Logits(numbers) if slot.form == "logits" else Categorical(numbers, validate_args=False)
    if not isinstance(found, Distribution):
        raise NotReadable(f"it is {describe(found)}, not a distribution")
    return found


def read_any(q: Distribution, prior: Any, layout: Layout | None, mask: Tensor | None) -> Read:
    """`read_posterior`, of a Gaussian with correlated components too, and of one with a mask of its own."""
    q, mask = unmasked(q, mask)
    if is_full_gaussian(q):
        return Read(*read_full(q, prior, mask, layout), None)
    return read_posterior(q, prior, layout=layout, mask=mask)


def at_slot(source: PosteriorSource, value: Any) -> Any:
    """The distribution that a source reads; None where it reads something else."""
    return pick(value, source.slot.mean) if source.slot.form == DISTRIBUTION else None


def family_of_prior(found: Any) -> FamilyReading | None:
    """A prior that is no Gaussian; None for anything else. Raises NotReadable for what has no numbers of
    single neurons.
    """
    if not isinstance(found, Distribution) or not is_other_family(found):
        return None
    try:
        return read_distribution(found)
    except (ValueError, NotImplementedError) as error:
        raise NotReadable(str(error)) from error


def is_other(source: PosteriorSource, value: Any) -> bool:
    """Whether a source is to be settled as a `FamilySource`."""
    if source.function is not None:
        return isinstance(value, Distribution) and is_other_family(value)
    if source.slot.form != DISTRIBUTION:
        return source.slot.form in LOGITS
    prior = source.prior
    given = pick(value, prior.mean) if isinstance(prior, Slot) and prior.form == DISTRIBUTION else None
    q = pick(value, source.slot.mean)
    return isinstance(q, Distribution) and is_other_family(q, given)


def is_other_family(q: Distribution, prior: Any = None) -> bool:
    """Whether a distribution is read as another than the diagonal Gaussian: it is none, or its prior is
    none.
    """
    if not is_gaussian(q) or is_full_gaussian(q):
        return True
    if not isinstance(prior, Distribution) or type(unwrapped(q)) is not Normal:
        return False
    return not is_gaussian(prior) or map_of(prior) is not None


def settle(source: PosteriorSource, value: Any, split: int | None = None) -> PosteriorSource:
    """`source.settle(value)`, for posteriors of all families.

    Raises NotReadable where the distribution cannot be read.
    """
    if source.slot.form == CODES:
        if not source.tensors(value)[0].numel():
            raise NoRows("no codes were picked: no inputs")
        return source
    if not is_other(source, value):
        return source.settle(value)
    given = {one.name: getattr(source, one.name) for one in fields(PosteriorSource)}
    found = FamilySource(**given, split=split)
    if source.function is not None:
        found = replace(found, slot=Slot())
    q = found.distribution(value)
    first = own_tensors(q)[0] if own_tensors(q) else None
    if first is not None and first.dim() and not len(first):
        raise NoRows(f"the distribution is of {describe(first)}: no inputs")
    unreadable = isinstance(found.prior, UnknownPrior) and not found.prior.stated
    layout, said = _layout(source, q)
    found = replace(found, layout=layout)
    read = found._read(value, None, None, None)
    if isinstance(read.reader, SampleReader) and read.reader.shared and not source.by_hand:
        raise NotReadable(f"the {type(q).__name__} is the same for every input: a density, or a prior")
    if isinstance(read.reader, FamilyReader):
        if read.reader.single and read.reader.family not in DISCRETE and not source.by_hand:
            raise NotReadable(
                f"the {type(unwrapped(q)).__name__} of {describe(first)} is no batch of neurons"
            )
        found = replace(found, layout=read.reader.layout)
    if found.prior is not None and getattr(read.reader, "drawn", isinstance(read.reader, SampleReader)):
        said += f"; {BY_DRAWS}"
    if isinstance(read.reader, FullReader):
        said += "; its components are correlated, each neuron's numbers are of its marginals"
    of = found.of
    if found.of == "activations" and getattr(read.reader, "shared", False):
        of = "shared variables"
    found = replace(found, reader=read.reader, of=of, map=read.map, why=found.why + said)
    if unreadable and isinstance(found.prior, UnknownPrior):
        found = found.without_prior(found.prior.seen)  # type: ignore[assignment]
    return found.known(layout="assumed" if "ASSUMED that" in said else "named")


DISCRETE = ("categorical", "bernoulli", "dirichlet")
"""Families of which one variable an input is not unusual."""


def _layout(source: PosteriorSource, q: Distribution) -> tuple[Layout | None, str]:
    """Which axes are rows, and what is to be said of it."""
    if source.stated_layout is not None:
        return stated_layout(source.stated_layout), ""
    tensors = [one for one in own_tensors(q) if one.dim() > 2]
    lead = len(q.batch_shape) + len(q.event_shape)
    if source.slot.form in LOGITS or not tensors or lead < 3:
        return None, ""
    if lead > 3:
        return "positions", ""
    for one in tensors:
        axis = feature_axis(one)
        if axis is not None:
            return ("positions" if axis == 1 else "rows"), ""
    return "rows", "; ASSUMED that the last of its axes holds the neurons"


def stated_layout(layout: str) -> Layout:
    """A layout by its name; of families without latent dimensions positions are rows.

    Raises NotReadable for "bnk", whose last axis these families do not have.
    """
    if layout == "bnk":
        raise NotReadable('layout "bnk" is of Gaussians: here a neuron is one variable; "rows" or "bct"')
    found = LAYOUTS[layout]
    return "positions" if found == "channels" else found
