"""One posterior of a network: where it stands, how its mean and scale become mu and sigma, under which prior,
and why it is taken for one.

Where each part of a reading comes from is its `Origin`; a prior that the network speaks of and that was not
used is an `UnknownPrior`, and what needs a prior is then absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NotRequired, TypedDict

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from probes.families import FAMILIES
from probes.watching.evidence import feature_axis
from probes.watching.gaussians import is_gaussian, map_of, prior_tensors, unwrapped
from probes.watching.layouts import (
    LAYOUTS,
    Layout,
    Observed,
    as_rows,
    check_layout,
    mask_rows,
    neuron_axis,
    positions_of,
)
from probes.watching.naming import FORMS, describe
from probes.watching.slots import DISTRIBUTION, Slot, pick
from probes.watching.tensors import NoRows, NotReadable

Origin = Literal["stated", "named", "assumed", "absent"]
"""stated: the user, `observe` or a distribution's own numbers say so. named: names, the source or the module
that made it do. assumed: nothing does. absent: there is one, and it is not known."""
RANK_OBSERVED, RANK_DISTRIBUTION, RANK_MADE, RANK_NAMED, RANK_SIBLINGS, RANK_GUESS = range(6)
"""In order of trust. Pairs of sibling layers are known before anything runs."""
UNKNOWN = "unknown"
"""What a user says of a prior that cannot be said."""
SAY = (
    "KL and its parts are left out. Say the prior: priors={{{name!r}: (mean, sd)}}, or a function"
    " (module, output) -> (mu, sigma) instead, or probes.observe({name!r}, q, prior=p) in the forward pass;"
    " (0, 1) if it is none of it"
)

FEATURES_FIRST = "transpose it, or call probes.observe(name, mu.T, sigma.T) in the forward pass"


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
    component, that the Gaussian stands behind. doubts: what else is assumed, in a few words each.
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
    doubts: tuple[str, ...] = ()

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

    def doubted(self, said: str, because: str = "") -> PosteriorSource:
        """The source with something more that is assumed of it, in a few words; because: what speaks against
        it.
        """
        if said in self.doubts:
            return self
        why = f"{self.why}; ASSUMED {said}" + (f", though {because}" if because else "")
        return replace(self, why=why, doubts=(*self.doubts, said))

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
            check_layout(self.stated_layout, mean)
        layout, origin = self._layout(mean, value)
        if origin == "assumed":
            why += "; ASSUMED that the last of its three axes holds the neurons"
        return replace(self.known(layout=origin), slot=slot, why=why, layout=layout)

    def _is_one_row(self, value: Any) -> bool:
        """Whether a mean (N,) is N neurons, the same for all inputs, and not N inputs of one."""
        if self.slot.form == DISTRIBUTION:
            return len(pick(value, self.slot.mean).event_shape) > 0
        return self.by_hand

    def _event_axes(self, value: Any) -> int:
        return len(pick(value, self.slot.mean).event_shape) if self.slot.form == DISTRIBUTION else 0

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
            if feature_axis(mean) == 0 and mean.dim() == 2:
                raise NotReadable(f"the mean is {describe(mean)}, and its rows are neurons: {FEATURES_FIRST}")
            return "rows", "stated"
        if mean.dim() == 3 and _has_kl_of(value, mean):
            return "neurons", "named"
        axis = neuron_axis(mean)
        if axis is not None:
            of_one_event = mean.dim() == 3 and self._event_axes(value) > 1  # of one input, as it says itself
            return ("rows" if axis == mean.dim() - 1 else "channels"), "assumed" if of_one_event else "named"
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
            + ([f"that the rows of its {self.repeated} calls are independent"] if self.repeated else [])
            + list(self.doubts),
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


def _kept(value: Tensor) -> Tensor:
    """A tensor without its graph; a parameter, or a view of one, is copied, since the optimiser changes it in
    place.
    """
    whole = value if value._base is None else value._base
    return value.detach().clone() if whole.is_leaf and whole.requires_grad else value.detach()


def _has_kl_of(output: Any, mean: Tensor) -> bool:
    """Whether a field `kl` of shape (B, N) stands beside a mean (B, N, K): then its last dimension is the
    neuron's own.
    """
    kl = output.get("kl") if isinstance(output, Mapping) else getattr(output, "kl", None)
    return isinstance(kl, Tensor) and kl.shape == mean.shape[:2]
