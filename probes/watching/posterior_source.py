"""A Gaussian posterior in a network's output: where its mean and scale stand, and how they become mu and
sigma.

A `Slot` is a place in an output, a `PosteriorSource` one posterior of a network: its slot, prior and layout,
and why it is taken for one.

Shapes. (B, N): N neurons. (B, T, N): positions of a sequence are rows. (B, C, *S), from a convolution or with
two or more
dimensions S: a channel is a neuron and its positions are its latent dimensions, so that KL and information
are summed over positions and the rest is averaged. (N,): the same for all inputs, one row. `LAYOUTS` are the
names by which a user says which it is.

Where each part of a reading comes from is its `Origin`; a prior that the network speaks of and that was not
used is an `UnknownPrior`, and what needs a prior is then absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)

from probes.families import FAMILIES
from probes.family_moments import FamilyReading, read_distribution
from probes.watching.evidence import feature_axis
from probes.watching.naming import FORMS, describe

Key = str | int | None | tuple[Any, ...]
"""Index, key or attribute; None is the output itself, a tuple several, one after the other."""
Layout = Literal[
    "rows", "sequences", "channels", "neurons", "positions", "weights", "weights_across"
]  # fmt: skip
Origin = Literal["stated", "named", "assumed", "absent"]
"""stated: the user, `observe` or a distribution's own numbers say so. named: names, the source or the module
that made it do. assumed: nothing does. absent: there is one, and it is not known."""
RANK_OBSERVED, RANK_DISTRIBUTION, RANK_MADE, RANK_NAMED, RANK_SIBLINGS, RANK_GUESS = range(6)
"""In order of trust. Pairs of sibling layers are known before anything runs."""
DISTRIBUTION = "distribution"
UNKNOWN = "unknown"
"""What a user says of a prior that cannot be said."""
LAYOUTS: dict[str, Layout] = {
    "bn": "rows",
    "btn": "rows",
    "rows": "rows",
    "sequences": "sequences",
    "bcx": "channels",
    "bnk": "channels",
    "bct": "positions",
}
"""Layouts by the names that users give them.

"bn": (B, N), a row an input. "btn": (B, T, N) or (T, B, N), a row a position. "rows": (..., N), all before
the last axis are rows. "sequences": (B, T, N), a row a position, and the T positions of a sequence depend on
each other: they are worth fewer inputs (`probes.effective_rows`); or (B, N) of one call a position: the calls
of a step that have as many rows are positions of the same B sequences, one after the other. "bcx": (B, C,
*X), a channel is a neuron and its positions are its latent dimensions. "bnk": (B, N, K), K latent dimensions
a neuron. "bct": (B, C, *T), a channel is a neuron and a position a row.
"""
DIMENSIONS = {
    "bn": (1, 2), "btn": (3, 3), "bcx": (3, 9), "bnk": (3, 3), "bct": (3, 9), "rows": (1, 9),
    "sequences": (2, 3),
}  # fmt: skip
"""Fewest and most axes that a tensor of each layout has."""


SAY = (
    "KL and its parts are left out. Say the prior: priors={{{name!r}: (mean, sd)}}, or a function"
    " (module, output) -> (mu, sigma) instead, or probes.observe({name!r}, q, prior=p) in the forward pass;"
    " (0, 1) if it is none of it"
)


SHARDED = (
    "its neurons are sharded over devices, and here is a part of them: gather them first (full_tensor(), or"
    " an output layout of Replicate()), or watch before the model is parallelised"
)


TABLE = (
    "a table of parameters, which no input makes: the components of a prior, or a row for each item; name it"
    " by hand if it is a posterior of the rows at hand"
)


class NotReadable(ValueError):
    """Something was found that is no Gaussian posterior; the message says why it is left out."""


class NoRows(NotReadable):
    """A batch without inputs: it says nothing about what is read, and the next one may."""


class Observed(NamedTuple):
    """One batch of one posterior, detached: mu (B, N, K); sigma, log_sigma, prior_mu, prior_sigma
    broadcastable to it.

    previous (P, N, K): mu of the predecessors of the first P rows; mask (B,): rows that count. log_variance,
    of mu's shape, stands for sigma where there is nothing else: that spares two passes over the rows.
    positions: T, where rows are B sequences of T positions each; 1: of one call a position, the next of B
    sequences; None: rows are independent.
    """

    mu: Tensor
    sigma: Tensor | None
    log_sigma: Tensor | None = None
    prior_mu: Tensor | None = None
    prior_sigma: Tensor | None = None
    previous: Tensor | None = None
    mask: Tensor | None = None
    log_variance: Tensor | None = None
    positions: int | None = None

    @property
    def rows(self) -> int:
        """Inputs, or positions of them."""
        return len(self.mu)

    @property
    def neurons(self) -> tuple[int, int]:
        """Neurons and latent dimensions of each. Raises ValueError for a mean that is not (B, N, K)."""
        _, neurons, dimensions = self.mu.shape
        return neurons, dimensions

    @property
    def has_prior(self) -> bool:
        """Whether it came with its prior."""
        return self.prior_mu is not None

    @property
    def sd(self) -> Tensor:
        """sigma, however it was given."""
        if self.sigma is not None:
            return self.sigma
        assert self.log_variance is not None  # one of both is there
        return (0.5 * self.log_variance.float()).exp()


def pick(output: Any, key: Key) -> Any:
    """Element of an output: by index, by key or by attribute; None is the output itself."""
    if key is None:
        return output
    if isinstance(key, tuple):
        for one in key:
            output = pick(output, one)
        return output
    if isinstance(output, Tensor):
        raise NotReadable(f"the output is one {describe(output)}: there is no {key!r} in it")
    if isinstance(key, int) or isinstance(output, Mapping):
        return output[key]
    return getattr(output, key)


LOGITS = ("logits", "probs")
"""Forms of a slot that holds a categorical distribution's numbers, classes last."""
CODES = "codes"
SINGLE = (*LOGITS, CODES)
"""Forms that one tensor holds."""


@dataclass(frozen=True)
class Slot:
    """Where in an output a Gaussian stands: keys of mean and scale, and the form the scale is written in
    (`naming.FORMS`).

    form "distribution": the mean's key holds a torch distribution. "codes": the scale is the place of the
    code book on the last axis of the indices, or (axis, place). halves: one tensor holds both, mean first,
    along the channels of a convolution or the last dimension.
    """

    mean: Key = None
    scale: Key = None
    form: str = DISTRIBUTION
    halves: bool = False

    def tensors(self, output: Any) -> tuple[Tensor, Tensor]:
        """Mean and scale as they stand. Raises NotReadable for what is no pair of tensors, or no Gaussian."""
        if type(output) is tuple and type(self.mean) is type(self.scale) is int:
            mean, scale = output[self.mean], output[self.scale]
            if is_simple(mean) and is_simple(scale):
                return mean, scale  # as below in fewer calls: this runs all training long
        mean = pick(output, self.mean)
        if self.form == DISTRIBUTION:
            mean, scale = gaussian(mean)
        elif self.halves:
            mean, scale = mean.chunk(2, dim=1 if _feature_axis(mean) == 1 else -1)
        else:
            scale = pick(output, self.scale)
        if not (is_number(mean) and is_number(scale)):
            raise NotReadable(f"{self} is {describe(mean)} and {describe(scale)}, not two tensors of numbers")
        return plain(mean), plain(scale)

    def sigmas(self, scale: Tensor) -> tuple[Tensor, Tensor | None]:
        """sigma and, where the scale is a logarithm, ln sigma."""
        if self.form in ("log_sigma", "log_var"):
            log_sigma = scale.float() if self.form == "log_sigma" else 0.5 * scale.float()
            return log_sigma.exp(), log_sigma
        if self.form == "var":
            return scale.float().sqrt(), None
        return F.softplus(scale.float()) if self.form == "rho" else scale, None

    def under(self, key: Any) -> Slot:
        """The same place in an output that stands at `key` of another."""
        alone = self.form in (DISTRIBUTION, *SINGLE) or self.halves
        scale = self.scale if alone else nested(key, self.scale)
        return replace(self, mean=nested(key, self.mean), scale=scale)

    def __str__(self) -> str:
        if self.form in SINGLE:
            place = "" if self.mean is None else f"={_said(self.mean)}"
            return f"{self.form}{place}{_said_of_book(self.scale)}"
        if self.form == DISTRIBUTION:
            return DISTRIBUTION if self.mean is None else f"{DISTRIBUTION}={_said(self.mean)}"
        if self.halves:
            return f"mu | {self.form}"
        return f"mu={_said(self.mean)}, {self.form}={_said(self.scale)}"


def nested(key: Any, inner: Key) -> Key:
    """The key of what stands at `inner` of what stands at `key`."""
    return key if inner is None else (key, *(inner if isinstance(inner, tuple) else (inner,)))


class FoundLayer(TypedDict):
    """A posterior of a watched model in words: what it was taken for and why.

    Attributes
    ----------
    name
        The layer's in the log.
    source
        Module whose output is read.
    read
        How mean and scale are written there.
    of
        "activations", "weights" or "shared variables".
    prior
        Normal(0, 1), uniform, given, or the network's own; what was seen of one that is not known.
    layout
        Which axes are rows, neurons and dimensions.
    why
        The reason; it says ASSUMED where something was.
    family
        Name of the distribution's family (`probes.families`).
    origins
        Part (mean, scale, prior, layout, family) -> "stated", "named", "assumed" or, of a prior that the
        network speaks of and that is not known, "absent".
    assumed
        What was assumed, each in a few words.
    processes
        Of several processes: whose rows and which neurons each of them has (origin "processes").
    """

    name: str
    source: str
    read: str
    of: str
    prior: str
    layout: str
    why: str
    family: str
    origins: dict[str, Origin]
    assumed: list[str]
    processes: NotRequired[str]


@dataclass(frozen=True)
class PriorFunction:
    """A prior that is computed anew at each forward pass.

    call: (module, output) of the posterior's source -> (mu, sigma) broadcastable to the mean, or a Gaussian
    distribution. said: what it is, in words.
    """

    call: Callable[[Any, Any], Any]
    said: str


@dataclass(frozen=True)
class UnknownPrior:
    """A prior that the network has and that is not known: what needs one is absent from the log.

    seen: what speaks of it. stated: whether the user says so.
    """

    seen: str
    stated: bool = False


Prior = Slot | tuple[float, float] | PriorFunction | UnknownPrior | None
"""None: nothing speaks of one, Normal(0, 1) is assumed. A tuple: mean and sd."""

NAMED: Mapping[str, Origin] = MappingProxyType(
    dict.fromkeys(("mean", "scale", "layout", "family"), "named") | {"prior": "assumed"}  # type: ignore[arg-type]
)
STATED: Mapping[str, Origin] = MappingProxyType(
    dict.fromkeys(("mean", "scale", "layout", "family"), "stated") | {"prior": "assumed"}  # type: ignore[arg-type]
)
Taken = tuple[Tensor | None, ...]
"""Mean, scale, the prior's mean and sd, mask."""


@dataclass(frozen=True)
class PosteriorSource:
    """One posterior of a network: where it is, how it is read, and why.

    name: the layer's name in the log. path: module whose output is read; paths joined by " & " for layers
    whose outputs are read together ("source" in the log).
    origin: what `slot` indexes: the "output", the outputs of several "layers", the module's "parameters", the
    "sites" that a Pyro guide sampled, the distributions that it "made" in its forward pass, or what "observe"
    handed over. rank: position in the order of trust, 0
    first. of: what the posterior is of; "weights" and "shared variables" are the same for every input.
    origins: where each part comes from. after: what the network does with mean and scale before it uses them
    (`after_head`). then: the user's, applied to (mu, sigma). mask: (module, output) -> rows that count.
    stated_layout: as the user wrote it. is_prior: the prior of a posterior that stands elsewhere.
    prior_said: path of the modules that compute the prior. prior_like: its scale is made of what is read as
    the posterior's is. pooled: terms of the loss that are not kept apart. padded: argument that may say which
    positions count, and was not used. repeated: calls of a step that may be positions. map: of each
    component, that the Gaussian stands behind.
    """

    name: str
    path: str
    origin: Literal["output", "layers", "parameters", "sites", "made", "observe"]
    slot: Slot
    why: str
    rank: int
    prior: Prior = None
    layout: Layout | None = None
    function: Callable[..., Any] | None = None
    by_hand: bool = False
    of: Literal["activations", "weights", "shared variables"] = "activations"
    origins: Mapping[str, Origin] = field(default_factory=lambda: NAMED)
    after: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    then: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    mask: Callable[[Any, Any], Tensor | None] | None = None
    stated_layout: str | None = None
    is_prior: bool = False
    prior_said: str | None = None
    prior_like: bool = False
    pooled: str | None = None
    padded: str | None = None
    repeated: int | None = None
    map: str | None = None

    @property
    def family(self) -> str:
        """Of the posteriors, as the manifest names it."""
        return "gaussian"

    @property
    def classes(self) -> int | None:
        """Of a discrete posterior, or components of a Dirichlet."""
        return None

    @property
    def default_prior(self) -> str:
        """What the manifest calls the prior where none is stated or found."""
        return "standard"

    @property
    def window(self) -> int | None:
        """Steps that the usage of a code book is over."""
        return None

    def tensors(self, value: Any) -> tuple[Tensor, ...]:
        """What the posterior is made of, mean or what stands for it first."""
        return self.slot.tensors(value)

    def prior_tensor(self, value: Any, taken: Taken) -> Tensor | None:
        """What tells the prior, of what was taken, from another posterior."""
        return taken[2] if len(taken) > 2 else None

    def without_prior(self, seen: str) -> PosteriorSource:
        """The source with a prior that is not known, and the sentence that says it."""
        why = f"{self.why}; the prior is not known: {seen}. {SAY.format(name=self.name)}"
        return replace(self, prior=UnknownPrior(seen), why=why).known(prior="absent")

    def known(self, **origins: Origin) -> PosteriorSource:
        """The source with other origins of some parts."""
        return replace(self, origins={**self.origins, **origins})

    def value(self, module: Any, output: Any) -> Any:
        """What `slot` indexes, of a forward pass of `module` that put out `output`."""
        if self.function is not None:
            return self.function(module, output)
        return module if self.origin == "parameters" else output

    def settle(self, value: Any) -> PosteriorSource:
        """The source with what only values tell: the layout, and the form where the values refute the name.

        Raises NotReadable when shapes do not agree. Looks at values, so it synchronises the device: once a
        part.
        """
        if self.function is not None:
            is_distribution = isinstance(value, Distribution)
            given = not is_distribution and len(value) == 4
            slot = Slot() if is_distribution else Slot(0, 1, "sigma")
            self = replace(self, slot=slot)
            if given:
                self = replace(self, prior=Slot(2, 3, "sigma")).known(prior="stated")
        mean, scale = self.slot.tensors(value)
        if mean.dim() > 1 and len(mean) == 0:
            raise NoRows(f"the mean is {describe(mean)}: no inputs")
        if mean.numel() == 0:
            raise NotReadable(f"the mean is {describe(mean)}: no neurons")
        try:
            same = torch.broadcast_shapes(mean.shape, scale.shape) == mean.shape
        except RuntimeError:
            same = False
        if not same or (mean.dim() == 1 and not self._is_one_row(value)):
            raise NotReadable(
                f"mean {describe(mean)} and scale {describe(scale)} are no posterior of a batch"
            )
        if isinstance(self.prior, UnknownPrior) and not self.prior.stated:
            self = self.without_prior(self.prior.seen)
        slot, why = self.slot, self.why
        if slot.form == DISTRIBUTION and (found := map_of(pick(value, slot.mean))) is not None:
            self = replace(self, map=found)
            why += f"; of the Gaussian before the map {found}"
        if isinstance(self.prior, Slot) and self.prior.form == DISTRIBUTION:
            given = pick(value, self.prior.mean)
            if not is_gaussian(given) or map_of(given) != self.map:
                self = self.without_prior(f"it is a {type(unwrapped(given)).__name__}")
                why = self.why
        if not self.by_hand and slot.form in ("sigma", "var") and bool((scale < 0).any()):
            like = isinstance(self.prior, Slot) and self.prior.form == slot.form
            self = replace(self, prior_like=like)
            slot = replace(slot, form="log_" + slot.form)
            why += f"; ASSUMED: it holds negative values, so it is taken as {FORMS[slot.form]}"
            self = self.known(scale="assumed")
        if self.origin == "sites" and self.prior is None:
            why += "; its prior is the model's, ASSUMED Normal(0, 1): say it with priors={name: (mean, sd)}"
        if self.stated_layout is not None:
            _check_layout(self.stated_layout, mean)
        layout, origin = self._layout(mean, value)
        if origin == "assumed":
            why += "; ASSUMED that the last of its three axes holds the neurons"
        return replace(self.known(layout=origin), slot=slot, why=why, layout=layout)

    def _is_one_row(self, value: Any) -> bool:
        """Whether a mean (N,) is N neurons, the same for all inputs, and not N inputs of one."""
        if self.slot.form == DISTRIBUTION:
            return len(pick(value, self.slot.mean).event_shape) > 0
        return self.by_hand

    def is_table(self, value: Any) -> bool:
        """Whether the mean is a parameter of several rows that a module returns as it is."""
        mean, _ = self.slot.tensors(value)
        ours = self.origin == "output" and not self.by_hand and self.slot.form != DISTRIBUTION
        return ours and mean.is_leaf and mean.requires_grad and mean.dim() > 1 and len(mean) > 1

    def computed(self, value: Any) -> tuple[Tensor, ...]:
        """The mean and, unless it is a parameter, which may serve several posteriors, the scale: what makes
        it this posterior.
        """
        mean, scale = (one.detach() for one in self.slot.tensors(value))
        fixed = self.origin == "layers" and isinstance(pick(value, self.slot.scale), nn.Parameter)
        return (mean,) if fixed else (mean, scale)

    def _layout(self, mean: Tensor, value: Any) -> tuple[Layout, Origin]:
        if self.stated_layout is not None:
            return LAYOUTS[self.stated_layout], "stated"
        if self.layout is not None:
            return self.layout, "stated" if self.origin in ("observe", "parameters") else "named"
        if self.origin == "parameters":
            return "weights", "stated"
        if mean.dim() < 3:
            return "rows", "stated"
        if mean.dim() == 3 and _has_kl_of(value, mean):
            return "neurons", "named"
        axis = _feature_axis(mean)
        if axis is not None:
            return ("rows" if axis == mean.dim() - 1 else "channels"), "named"
        return ("channels", "named") if mean.dim() > 3 else ("rows", "assumed")

    def take(self, value: Any, module: Any = None, output: Any = None) -> Taken:
        """Mean and scale, a prior's mean and sd and the mask too, as they are now.

        value: what `value(module, output)` gave. Raises NotReadable, or what indexing raises, for other
        outputs.
        """
        mean, scale = self.slot.tensors(value)
        taken: Taken = (mean, scale)
        if isinstance(self.prior, Slot):
            m, s = self.prior.tensors(value)
            taken += (m, self.prior_sigma(m, s))
        elif isinstance(self.prior, PriorFunction):
            taken += prior_tensors(self.prior.call(module, output), mean, self.map)
        elif self.mask is not None:
            taken += (None, None)
        if self.mask is not None:
            taken += (self.mask(module, output),)
        return tuple([None if one is None else _kept(one) for one in taken])

    def observed(self, taken: Taken) -> Observed:
        """The posterior of what was taken, then or later. Raises RuntimeError where shapes do not agree."""
        mu, scale, *given = taken
        assert mu is not None  # `take` has seen to both
        assert scale is not None
        if self.after is not None:
            mu, scale = self.after(mu, scale)
        layout = self.layout or "rows"
        plain_log_variance = self.slot.form == "log_var" and not given and self.then is None
        if plain_log_variance and not isinstance(self.prior, tuple) and scale.shape == mu.shape:
            log_variance = as_rows(scale, layout)
            return Observed(
                as_rows(mu, layout), None, log_variance=log_variance, positions=positions_of(mu.shape, layout)
            )
        sigma, log_sigma = self.slot.sigmas(scale)
        if self.then is not None:
            (mu, sigma), log_sigma = self.then(mu, sigma), None
        # one constant prior: in its units, so that 0 and 1 mean the prior everywhere
        if isinstance(self.prior, tuple):
            m, s = self.prior
            mu, sigma = (mu.float() - m) / s, sigma.float() / s  # 16 bits would round what the log keeps
            log_sigma = None if log_sigma is None else log_sigma - math.log(s)
        shape = mu.shape

        def rows(value: Tensor | None) -> Tensor | None:
            return None if value is None else as_rows(value.expand(shape), layout)

        prior_mu, prior_sigma, mask = (*given, None, None, None)[:3]
        counted = None if mask is None else mask_rows(mask, shape, layout)
        return Observed(
            as_rows(mu, layout),
            rows(sigma),
            rows(log_sigma),
            rows(prior_mu),
            rows(prior_sigma),
            None,
            counted,
            positions=positions_of(shape, layout),
        )

    def prior_sigma(self, mean: Tensor, scale: Tensor) -> Tensor:
        """The sd of a prior of the network's own, of what is read of it."""
        assert isinstance(self.prior, Slot)  # the caller has looked
        if not self.prior_like:
            return self.prior.sigmas(scale)[0]
        with torch.no_grad():
            return self.slot.sigmas(scale if self.after is None else self.after(mean, scale)[1])[0]

    @property
    def apart(self) -> bool:
        """Whether rows are read each for itself, and have no mask."""
        return self.of == "activations" and self.then is None and self.mask is None

    def _how(self) -> str:
        if self.function is not None:
            return getattr(self.function, "__qualname__", repr(self.function))
        return "as handed over" if self.origin == "observe" else str(self.slot)

    def describe(self) -> FoundLayer:
        """What the manifest stores and the log says."""
        prior = self._prior()
        family = f"the family, {FAMILIES[self.family].label}"
        origins = self._origins_of_parts()
        said = {part: f"the {part} ({self._how()})" for part in origins}
        said |= {"prior": f"the prior {prior}", "layout": f"the layout, {self.layout}", "family": family}
        return {
            "name": self.name,
            "source": self.path or "(the model itself)",
            "read": self._how(),
            "of": self.of,
            "prior": prior + (", ASSUMED" if self.origins.get("prior") == "assumed" else ""),
            "layout": self.layout or "rows",
            "why": self.why,
            "family": self.family,
            "origins": origins,
            "assumed": [said[part] for part, origin in origins.items() if origin == "assumed"]
            + ([f"one term of the loss ({self.pooled})"] if self.pooled else [])
            + ([f"that every position counts ({self.padded} not used)"] if self.padded else [])
            + ([f"that the rows of its {self.repeated} calls are independent"] if self.repeated else []),
        }

    def _origins_of_parts(self) -> dict[str, Origin]:
        """Where each part comes from, by the names that the family has for what it is made of."""
        if self.family.startswith("gaussian"):
            return dict(self.origins)
        read = [self.origins[part] for part in ("mean", "scale") if part in self.origins]
        own = FAMILIES[self.family].parameters or ("indices",)
        origin: Origin = "assumed" if "assumed" in read else read[0]
        rest = {part: at for part, at in self.origins.items() if part not in ("mean", "scale")}
        return {**dict.fromkeys(own, origin), **rest}

    def _prior(self) -> str:
        if self.prior is None:
            return "Normal(0, 1)" if self.origins.get("prior") != "stated" else "given to observe"
        if isinstance(self.prior, UnknownPrior):
            return f"not known: {self.prior.seen}"
        if isinstance(self.prior, Slot):
            read = replace(self.prior, form=self.slot.form) if self.prior_like else self.prior
            return f"the network's own: {self.prior_said or read}"
        if isinstance(self.prior, PriorFunction):
            return self.prior.said
        return f"Normal({self.prior[0]:g}, {self.prior[1]:g}²), whitened: all statistics are in its units"


def _said_of_book(place: Key) -> str:
    """As an index of the picks: [..., 1], or [:, 1] where another axis is the code books'."""
    if place is None:
        return ""
    return (
        f"[{', '.join([':'] * int(place[0]) + [str(place[1])])}]"
        if isinstance(place, tuple)
        else f"[..., {place}]"
    )


def _said(key: Key) -> str:
    return ".".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _kept(value: Tensor) -> Tensor:
    """A tensor without its graph; a parameter, or a view of one, is copied, since the optimiser changes it in
    place.
    """
    whole = value if value._base is None else value._base
    return value.detach().clone() if whole.is_leaf and whole.requires_grad else value.detach()


def as_rows(value: Tensor, layout: Layout) -> Tensor:
    """A tensor as (B, N, K); see the module's text. Views: what is broadcast stays so."""
    if layout == "weights":
        return value.flatten(1)[None]
    if layout == "weights_across":
        return value.T[None]
    if value.dim() == 1:
        return value[None, :, None]
    if layout == "positions":
        value = value.movedim(1, -1)
    if layout in ("rows", "sequences", "positions"):
        return value.reshape(-1, value.shape[-1], 1)
    return value[..., None] if value.dim() == 2 else value.flatten(2)


def positions_of(shape: torch.Size, layout: Layout) -> int | None:
    """T of a mean of `shape` whose rows are positions of B sequences, (B, T, N), or T = 1, (B, N), of which
    the others come in other calls; None of independent rows.
    """
    if layout != "sequences" or len(shape) < 2:
        return None
    return shape[1] if len(shape) == 3 else 1


def mask_rows(mask: Tensor, shape: torch.Size, layout: Layout) -> Tensor:
    """A mask as one boolean a row of a mean of `shape`; nonzero counts.

    It may have the batch's axis alone, or all that are rows. Raises RuntimeError where it fits neither.
    """
    axes = (
        shape[:-1]
        if layout in ("rows", "sequences")
        else (shape[0], *shape[2:])
        if layout == "positions"
        else shape[:1]
    )
    mask = mask.to_dense() if mask.layout != torch.strided else mask
    if mask.dim() == len(axes) + 1 and 1 in mask.shape[1:]:  # (B, T, 1), (B, 1, T)
        mask = mask.squeeze(-1 if mask.shape[-1] == 1 else 1)
    mask = mask.reshape(*mask.shape, *(1,) * (len(axes) - mask.dim()))
    return (mask != 0).expand(axes).reshape(-1)


def _check_layout(layout: str, mean: Tensor) -> None:
    fewest, most = DIMENSIONS[layout]
    if not fewest <= mean.dim() <= most:
        raise NotReadable(f"the mean is {describe(mean)}, which is no {layout!r} (layout=)")


def check_layout_name(layout: str | None) -> None:
    """Raises ValueError for a layout that is not in `LAYOUTS`; the message lists those that are."""
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; it must be one of {', '.join(map(repr, LAYOUTS))}")


def prior_tensors(prior: Any, like: Tensor, behind: str | None = None) -> tuple[Tensor, Tensor]:
    """Mean and sd of a prior that is a Gaussian distribution or (mu, sigma), on the device of `like`.

    behind: the map that the posterior's Gaussian stands behind, and so its prior's.

    Raises NotReadable for another distribution, TypeError for what is neither.
    """
    if isinstance(prior, Distribution):
        base = unwrapped(prior)
        if not is_gaussian(base):
            raise NotReadable(f'a {type(base).__name__} is no Gaussian: prior="unknown" leaves KL out')
        if map_of(base) != behind:
            raise NotReadable(
                f"the prior, a {type(base).__name__}, is not of the posterior's map ({behind or 'none'}):"
                ' prior="unknown" leaves KL out'
            )
        if is_full_gaussian(base) and not _is_diagonal(base):
            raise NotReadable(
                f"a prior that is a {type(base).__name__} with correlated components is not its marginals:"
                ' prior="unknown" leaves KL out'
            )
        return gaussian(prior)
    if not isinstance(prior, (tuple, list)) or len(prior) != 2:
        raise TypeError(f"a prior is a Gaussian distribution or (mean, sd), not {describe(prior)}")
    mean, sd = (torch.as_tensor(value, dtype=torch.float32, device=like.device) for value in prior)
    return mean, sd


def plain(value: Tensor) -> Tensor:
    """A tensor as rows lie in memory: sequences of different lengths one after the other, positions are rows;
    what is sparse with its zeros. Raises NotReadable for complex numbers and tensors without values.
    """
    if value.is_complex() or value.is_meta or value.is_quantized:
        kind = "complex" if value.is_complex() else "quantized" if value.is_quantized else "without values"
        raise NotReadable(f"a {describe(value)} of {value.dtype} is {kind}: it holds no real numbers")
    if hasattr(value, "placements"):  # a DTensor, which has its own kinds of tensors' functions
        value = value.to_local()  # type: ignore[attr-defined]
    if value.is_nested:
        return torch.cat(value.unbind())
    return value if value.layout == torch.strided else value.to_dense()


def is_simple(value: Any) -> bool:
    """Whether a value is a number that is `plain` as it stands."""
    return (
        type(value) in (Tensor, nn.Parameter)  # others, such as DTensor, have functions of their own
        and value.layout is torch.strided
        and value.is_floating_point()
        and value.dim() > 0
        and not (value.is_nested or value.is_meta or value.is_quantized)
    )


def is_number(value: Any) -> bool:
    """Whether a value is a tensor of floating-point numbers, and not a single one."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 0


def _has_kl_of(output: Any, mean: Tensor) -> bool:
    """Whether a field `kl` of shape (B, N) stands beside a mean (B, N, K): then its last dimension is the
    neuron's own.
    """
    kl = output.get("kl") if isinstance(output, Mapping) else getattr(output, "kl", None)
    return isinstance(kl, Tensor) and kl.shape == mean.shape[:2]


def _feature_axis(mean: Tensor) -> int | None:
    """Which axis holds the neurons, by the module that made the tensor; None where that is not told."""
    axis = feature_axis(mean)
    return axis if axis in (1, mean.dim() - 1) else None


def unwrapped(distribution: Any) -> Any:
    """What Independent stands around."""
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    return distribution


def _is_diagonal(distribution: Any) -> bool:
    covariance = distribution.covariance_matrix
    return not bool((covariance - torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))).any())


def is_gaussian(distribution: Any) -> bool:
    """Whether a distribution is a Gaussian with independent components, itself or behind a fixed map of each,
    or one with correlated components; and no subclass that is another distribution.
    """
    base = unwrapped(distribution)
    if is_full_gaussian(base) or _is_own(base, Normal):
        return True
    return mapped_gaussian(base) is not None


def is_full_gaussian(distribution: Any) -> bool:
    """Whether a distribution is a Gaussian with correlated components."""
    base = unwrapped(distribution)
    return any(_is_own(base, kind) for kind in (MultivariateNormal, LowRankMultivariateNormal))


def _is_own(base: Any, kind: type) -> bool:
    return isinstance(base, kind) and all(
        getattr(type(base), name) is getattr(kind, name) for name in ("log_prob", "rsample")
    )


def mapped_gaussian(distribution: Any) -> FamilyReading | None:
    """The Gaussian behind a distribution that is a fixed map of each of its components, such as a LogNormal;
    None for any other.
    """
    base = unwrapped(distribution)
    if not isinstance(base, TransformedDistribution):
        return None
    try:
        found = read_distribution(base)
    except (ValueError, NotImplementedError):
        return None
    return found if found.family == "gaussian" else None


def map_of(distribution: Any) -> str | None:
    """The map that a Gaussian stands behind; None for none."""
    found = mapped_gaussian(distribution)
    return None if found is None else found.map


def gaussian(distribution: Any) -> tuple[Tensor, Tensor]:
    """loc and scale of a Gaussian's components, of a full covariance the marginals', of a mapped one those
    before the map. Raises NotReadable for any other distribution, by its name.
    """
    base = unwrapped(distribution)
    if (mapped := mapped_gaussian(base)) is not None:
        loc, scale = mapped.parameters.values()
        return loc, scale
    if not is_gaussian(base):
        raise NotReadable(f"{type(base).__name__} is no Gaussian")
    return base.loc, base.scale if isinstance(base, Normal) else base.variance.sqrt()
