"""A Gaussian posterior in a network's output: where its mean and scale stand, and how they become mu and
sigma.

A `Slot` is a place in an output, a `PosteriorSource` one posterior of a network: its slot, prior and layout,
and why it is taken for one.

Shapes. (B, N): N neurons. (B, T, N): positions of a sequence are rows. (B, C, *S), from a convolution or with
two or more
dimensions S: a channel is a neuron and its positions are its latent dimensions, so that KL and information
are summed over positions and the rest is averaged. (N,): the same for all inputs, one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from probes.watching.naming import FORMS, describe

Key = str | int | None
Layout = Literal["rows", "channels", "neurons", "weights"]
DISTRIBUTION = "distribution"


class NotReadable(ValueError):
    """Something was found that is no Gaussian posterior; the message says why it is left out."""


class NoRows(NotReadable):
    """A batch without inputs: it says nothing about what is read, and the next one may."""


class Observed(NamedTuple):
    """One batch of one posterior, detached: mu (B, N, K); sigma, log_sigma, prior_mu, prior_sigma
    broadcastable to it.

    previous (P, N, K): mu of the predecessors of the first P rows; mask (B,): rows that count. log_variance,
    of mu's shape, stands for sigma where there is nothing else: that spares two passes over the rows.
    """

    mu: Tensor
    sigma: Tensor | None
    log_sigma: Tensor | None = None
    prior_mu: Tensor | None = None
    prior_sigma: Tensor | None = None
    previous: Tensor | None = None
    mask: Tensor | None = None
    log_variance: Tensor | None = None


def pick(output: Any, key: Key) -> Any:
    """Element of an output: by index, by key or by attribute; None is the output itself."""
    if key is None:
        return output
    if isinstance(output, Tensor):
        raise NotReadable(f"the output is one {describe(output)}: there is no {key!r} in it")
    if isinstance(key, int) or isinstance(output, Mapping):
        return output[key]
    return getattr(output, key)


@dataclass(frozen=True)
class Slot:
    """Where in an output a Gaussian stands: keys of mean and scale, and the form the scale is written in
    (`naming.FORMS`).

    form "distribution": the mean's key holds a torch distribution. halves: one tensor holds both, mean first,
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
            mean, scale = _gaussian(mean)
        elif self.halves:
            mean, scale = mean.chunk(2, dim=1 if mean.dim() > 3 else -1)
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

    def __str__(self) -> str:
        if self.form == DISTRIBUTION:
            return DISTRIBUTION if self.mean is None else f"{DISTRIBUTION}={self.mean}"
        if self.halves:
            return f"mu | {self.form}"
        return f"mu={self.mean}, {self.form}={self.scale}"


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
        Normal(0, 1), given, or the network's own.
    layout
        Which axes are rows, neurons and dimensions.
    why
        The reason; it says ASSUMED where something was.
    """

    name: str
    source: str
    read: str
    of: str
    prior: str
    layout: str
    why: str


Prior = Slot | tuple[float, float] | None  # None: Normal(0, 1)


@dataclass(frozen=True)
class PosteriorSource:
    """One posterior of a network: where it is, how it is read, and why.

    name: the layer's name in the log. path: module whose output is read; two paths joined by " & " for a
    pair of layers ("source" in the log).
    origin: what `slot` indexes: the "output", the pair of "layers", the module's "parameters", the "sites"
    that a Pyro guide sampled, or what "observe" handed over. rank: position in the order of trust, 0 first.
    of: what the posterior is of; "weights" and "shared variables" are the same for every input.
    after: what the network does with mean and scale before it uses them (`after_head`).
    """

    name: str
    path: str
    origin: Literal["output", "layers", "parameters", "sites", "observe"]
    slot: Slot
    why: str
    rank: int
    prior: Prior = None
    layout: Layout | None = None
    function: Callable[..., Any] | None = None
    by_hand: bool = False
    of: Literal["activations", "weights", "shared variables"] = "activations"
    after: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None

    def settle(self, output: Any) -> PosteriorSource:
        """The source with what only values tell: the layout, and the form where the values refute the name.

        Raises NotReadable when shapes do not agree. Looks at values, so it synchronises the device: once a
        part.
        """
        if self.function is not None:
            gaussian = isinstance(output, Distribution)
            given = not gaussian and len(output) == 4
            slot, prior = (
                Slot() if gaussian else Slot(0, 1, "sigma"),
                Slot(2, 3, "sigma") if given else self.prior,
            )
            self = replace(self, slot=slot, prior=prior)
        mean, scale = self.slot.tensors(output)
        if mean.dim() > 1 and len(mean) == 0:
            raise NoRows(f"the mean is {describe(mean)}: no inputs")
        if mean.numel() == 0:
            raise NotReadable(f"the mean is {describe(mean)}: no neurons")
        try:
            same = torch.broadcast_shapes(mean.shape, scale.shape) == mean.shape
        except RuntimeError:
            same = False
        if not same or (mean.dim() == 1 and not self._is_one_row(output)):
            raise NotReadable(
                f"mean {describe(mean)} and scale {describe(scale)} are no posterior of a batch"
            )
        slot, why = self.slot, self.why
        if slot.form == DISTRIBUTION and not _is_diagonal(pick(output, slot.mean)):
            raise NotReadable(
                "a MultivariateNormal with correlated components: a neuron's own distribution is only its"
                " marginal"
            )
        if not self.by_hand and slot.form in ("sigma", "var") and bool((scale < 0).any()):
            slot = replace(slot, form="log_" + slot.form)
            why += f"; it holds negative values, so it is taken as {FORMS[slot.form]}"
        if self.origin == "sites" and self.prior is None:
            why += "; its prior is the model's, ASSUMED Normal(0, 1): say it with priors={name: (mean, sd)}"
        return replace(self, slot=slot, why=why, layout=self.layout or self._layout(mean, output))

    def _is_one_row(self, output: Any) -> bool:
        """Whether a mean (N,) is N neurons, the same for all inputs, and not N inputs of one."""
        if self.slot.form == DISTRIBUTION:
            return len(pick(output, self.slot.mean).event_shape) > 0
        return self.by_hand

    def computed(self, output: Any) -> tuple[Tensor, ...]:
        """The mean and, unless it is a parameter, which may serve several posteriors, the scale: what makes
        it this posterior.
        """
        mean, scale = (value.detach() for value in self.slot.tensors(output))
        fixed = self.origin == "layers" and isinstance(pick(output, self.slot.scale), nn.Parameter)
        return (mean,) if fixed else (mean, scale)

    def _layout(self, mean: Tensor, output: Any) -> Layout:
        if self.origin == "parameters":
            return "weights"
        if mean.dim() == 3 and (self.function is not None or _has_kl_of(output, mean)):
            return "neurons"
        return "channels" if mean.dim() > 3 else "rows"

    def take(self, output: Any) -> tuple[Tensor, ...]:
        """Mean and scale, a prior's too, as they are now. Raises NotReadable, or what indexing raises, for
        other outputs.
        """
        taken = self.slot.tensors(output) + (
            self.prior.tensors(output) if isinstance(self.prior, Slot) else ()
        )
        return tuple(map(_kept, taken))

    def observed(self, taken: tuple[Tensor, ...]) -> Observed:
        """The posterior of what was taken, then or later. Raises RuntimeError where shapes do not agree."""
        mu, scale, *given = taken
        if self.after is not None:
            mu, scale = self.after(mu, scale)
        layout = self.layout or "rows"
        if self.prior is None and self.slot.form == "log_var" and scale.shape == mu.shape:
            return Observed(as_rows(mu, layout), None, log_variance=as_rows(scale, layout))
        sigma, log_sigma = self.slot.sigmas(scale)
        prior_mu = prior_sigma = None
        if isinstance(self.prior, Slot):
            prior_mu, prior_sigma = given[0], self.prior.sigmas(given[1])[0]
        # one constant prior: in its units, so that 0 and 1 mean the prior everywhere
        elif self.prior is not None:
            m, s = self.prior
            mu, sigma = (mu.float() - m) / s, sigma.float() / s  # 16 bits would round what the log keeps
            log_sigma = None if log_sigma is None else log_sigma - math.log(s)

        def rows(value: Tensor | None) -> Tensor | None:
            return None if value is None else as_rows(value.expand(mu.shape), layout)

        others = map(rows, (sigma, log_sigma, prior_mu, prior_sigma))
        return Observed(as_rows(mu, layout), *others)

    def _how(self) -> str:
        if self.function is not None:
            return getattr(self.function, "__qualname__", repr(self.function))
        return "as handed over" if self.origin == "observe" else str(self.slot)

    def describe(self) -> FoundLayer:
        """What the manifest stores and the log says."""
        prior = "Normal(0, 1)" if self.prior is None else self.prior
        if isinstance(prior, tuple):
            prior = f"Normal({prior[0]:g}, {prior[1]:g}²), whitened: all statistics are in its units"
        return {
            "name": self.name,
            "source": self.path or "(the model itself)",
            "read": self._how(),
            "of": self.of,
            "prior": f"the network's own: {prior}" if isinstance(prior, Slot) else prior,
            "layout": self.layout or "rows",
            "why": self.why,
        }


def _kept(value: Tensor) -> Tensor:
    """A tensor without its graph; a parameter, or a view of one, is copied, since the optimiser changes it in
    place.
    """
    whole = value if value._base is None else value._base
    return value.detach().clone() if whole.is_leaf else value.detach()


def as_rows(value: Tensor, layout: Layout) -> Tensor:
    """A tensor as (B, N, K); see the module's text. Views: what is broadcast stays so."""
    if layout == "weights":
        return value.flatten(1)[None]
    if value.dim() == 1:
        return value[None, :, None]
    if layout == "rows":
        return value.reshape(-1, value.shape[-1], 1)
    return value[..., None] if value.dim() == 2 else value.flatten(2)


def plain(value: Tensor) -> Tensor:
    """A tensor as rows lie in memory: sequences of different lengths one after the other, positions are rows;
    what is sparse with its zeros. Raises NotReadable for complex numbers and tensors without values.
    """
    if value.is_complex() or value.is_meta or value.is_quantized:
        kind = "complex" if value.is_complex() else "quantized" if value.is_quantized else "without values"
        raise NotReadable(f"a {describe(value)} of {value.dtype} is {kind}: it holds no real numbers")
    if value.is_nested:
        return torch.cat(value.unbind())
    return value if value.layout == torch.strided else value.to_dense()


def is_simple(value: Any) -> bool:
    """Whether a value is a number that is `plain` as it stands."""
    return (
        isinstance(value, Tensor)
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


def _is_diagonal(distribution: Any) -> bool:
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    if not isinstance(distribution, MultivariateNormal):
        return True
    return not bool(distribution.scale_tril.tril(-1).any())


def _gaussian(distribution: Any) -> tuple[Tensor, Tensor]:
    """loc and scale of a Gaussian with independent components. Raises NotReadable for any other
    distribution.
    """
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    if isinstance(distribution, MultivariateNormal):
        return distribution.loc, distribution.scale_tril.diagonal(dim1=-2, dim2=-1)
    if not isinstance(distribution, Normal):
        raise NotReadable(f"{type(distribution).__name__} is no Gaussian with independent components")
    return distribution.loc, distribution.scale
