"""A module's output -> (mu, sigma, prior): how distributions are found in a foreign network, and how they are then read.

`ADAPTERS` are tried on what a module put out; each is a small function (module, output) -> [(name, Slot, prior, why)].
What two of them find in the same tensors is one posterior: the one higher up is kept. A `Reading` is one posterior found.

Shapes. (B, N): N neurons. (B, T, N): positions of a sequence are rows. (B, C, *S), from a convolution or with two or more
dimensions S: a channel is a neuron and its positions are its latent dimensions, so that KL and information are summed over
positions and the rest is averaged. (N,): the same for all inputs, one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from probes.watching.naming import FORMS, PRIOR_WORD, describe, find_pairs, not_latent, returned_names, speaks, words

Key = str | int | None
Layout = Literal["rows", "channels", "neurons", "weights"]
DISTRIBUTION = "distribution"
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class NotReadable(ValueError):
    """Something was found that is no Gaussian posterior; the message says why it is left out."""


class Observed(NamedTuple):
    """One batch of one posterior, detached: mu (B, N, K); sigma, log_sigma, prior_mu, prior_sigma broadcastable to it.

    previous (P, N, K): mu of the predecessors of the first P rows; mask (B,): rows that count.
    """

    mu: Tensor
    sigma: Tensor
    log_sigma: Tensor | None = None
    prior_mu: Tensor | None = None
    prior_sigma: Tensor | None = None
    previous: Tensor | None = None
    mask: Tensor | None = None


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
    """Where in an output a Gaussian stands: keys of mean and scale, and the form the scale is written in (`naming.FORMS`).

    form "distribution": the mean's key holds a torch distribution. halves: one tensor holds both, mean first, along the
    channels of a convolution or the last dimension.
    """

    mean: Key = None
    scale: Key = None
    form: str = DISTRIBUTION
    halves: bool = False

    def tensors(self, output: Any) -> tuple[Tensor, Tensor]:
        """Mean and scale as they stand. Raises NotReadable for what is no pair of tensors, or no Gaussian."""
        mean = pick(output, self.mean)
        if self.form == DISTRIBUTION:
            mean, scale = _gaussian(mean)
        elif self.halves:
            mean, scale = mean.chunk(2, dim=1 if mean.dim() > 3 else -1)
        else:
            scale = pick(output, self.scale)
        if not (_is_number(mean) and _is_number(scale)):
            raise NotReadable(f"{self} is {describe(mean)} and {describe(scale)}, not two tensors of numbers")
        return mean, scale

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


Prior = Slot | tuple[float, float] | None  # None: Normal(0, 1)


@dataclass(frozen=True)
class Reading:
    """One posterior of a network: where it is, how it is read, and why.

    name: the layer's name in the log. source: module whose output is read; two paths joined by " & " for a pair of layers.
    origin: what `slot` indexes: the "output", the pair of "layers", the module's "parameters", the "sites" that a Pyro guide
    sampled, or what "observe" handed over. rank: position in the order of trust, 0 first. of: what the posterior is of; "weights"
    and "shared variables" are the same for every input.
    """

    name: str
    source: str
    origin: Literal["output", "layers", "parameters", "sites", "observe"]
    slot: Slot
    why: str
    rank: int
    prior: Prior = None
    layout: Layout | None = None
    function: Callable[..., Any] | None = None
    by_hand: bool = False
    of: Literal["activations", "weights", "shared variables"] = "activations"

    def settle(self, output: Any) -> Reading:
        """The reading with what only values tell: the layout, and the form where the values refute the name.

        Raises NotReadable when shapes do not agree. Looks at values, so it synchronises the device: once a part.
        """
        if self.function is not None:
            gaussian = isinstance(output, Distribution)
            given = not gaussian and len(output) == 4
            slot, prior = Slot() if gaussian else Slot(0, 1, "sigma"), Slot(2, 3, "sigma") if given else self.prior
            self = replace(self, slot=slot, prior=prior)
        mean, scale = self.slot.tensors(output)
        if mean.dim() == 0 or mean.numel() == 0:
            raise NotReadable(f"the mean is {describe(mean)}: no neurons")
        try:
            same = torch.broadcast_shapes(mean.shape, scale.shape) == mean.shape
        except RuntimeError:
            same = False
        if not same or (mean.dim() == 1 and not self._is_one_row(output)):
            raise NotReadable(f"mean {describe(mean)} and scale {describe(scale)} are no posterior of a batch")
        slot, why = self.slot, self.why
        if slot.form == DISTRIBUTION and not _is_diagonal(pick(output, slot.mean)):
            raise NotReadable("a MultivariateNormal with correlated components: a neuron's own distribution is only its marginal")
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
        """The mean and, unless it is a parameter, which may serve several posteriors, the scale: what makes it this posterior."""
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
        """Mean and scale, a prior's too, as they are now. Raises NotReadable, or what indexing raises, for other outputs."""
        taken = self.slot.tensors(output) + (self.prior.tensors(output) if isinstance(self.prior, Slot) else ())
        return tuple(map(_kept, taken))

    def observed(self, taken: tuple[Tensor, ...]) -> Observed:
        """The posterior of what was taken, then or later. Raises RuntimeError where shapes do not agree."""
        mu, scale, *given = taken
        sigma, log_sigma = self.slot.sigmas(scale)
        prior_mu = prior_sigma = None
        if isinstance(self.prior, Slot):
            prior_mu, prior_sigma = given[0], self.prior.sigmas(given[1])[0]
        elif self.prior is not None:  # one constant prior: in its units, so that 0 and 1 mean the prior everywhere
            m, s = self.prior
            mu, sigma = (mu - m) / s, sigma / s
            log_sigma = None if log_sigma is None else log_sigma - math.log(s)

        def rows(value: Tensor | None) -> Tensor | None:
            return None if value is None else _rows(value.expand(mu.shape), self.layout or "rows")

        return Observed(_rows(mu, self.layout or "rows"), *map(rows, (sigma, log_sigma, prior_mu, prior_sigma)))  # type: ignore[arg-type]

    def _how(self) -> str:
        if self.function is not None:
            return getattr(self.function, "__qualname__", repr(self.function))
        return "as handed over" if self.origin == "observe" else str(self.slot)

    def describe(self) -> dict[str, str]:
        """What the manifest stores and the log says: name, source, how it is read, prior, shape rule, why."""
        prior = "Normal(0, 1)" if self.prior is None else self.prior
        if isinstance(prior, tuple):
            prior = f"Normal({prior[0]:g}, {prior[1]:g}²), whitened: all statistics are in its units"
        return {
            "name": self.name,
            "source": self.source or "(the model itself)",
            "read": self._how(),
            "of": self.of,
            "prior": f"the network's own: {prior}" if isinstance(prior, Slot) else prior,
            "layout": self.layout or "rows",
            "why": self.why,
        }


def _kept(value: Tensor) -> Tensor:
    """A tensor without its graph; a parameter, or a view of one, is copied, since the optimiser changes it in place."""
    whole = value if value._base is None else value._base
    return value.detach().clone() if whole.is_leaf else value.detach()


def _rows(value: Tensor, layout: Layout) -> Tensor:
    """A tensor as (B, N, K); see the module's text. Views: what is broadcast stays so."""
    if layout == "weights":
        return value.flatten(1)[None]
    if value.dim() == 1:
        return value[None, :, None]
    if layout == "rows":
        return value.reshape(-1, value.shape[-1], 1)
    return value[..., None] if value.dim() == 2 else value.flatten(2)


def fields(module: nn.Module, output: Any) -> dict[Key, str | None]:
    """Key -> name of the values in an output; None where a tuple's element has no name in the source of `forward`."""
    if isinstance(output, (Tensor, Distribution, nn.Module)) or output is None:
        return {}
    if isinstance(output, Mapping):
        return {key: key for key in output if isinstance(key, str)}
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return dict(zip(output._fields, output._fields, strict=True))
    if isinstance(output, (tuple, list)):
        names = returned_names(type(module).forward)
        return dict(enumerate(names if len(names) == len(output) else [None] * len(output)))
    return {name: name for name in getattr(output, "__dict__", {})}


Found = tuple[str, Slot, Prior, str]


def distributions(module: nn.Module, output: Any) -> list[Found]:
    """torch.distributions in an output: Normal, Independent of one, MultivariateNormal; a field named prior is their prior."""
    if isinstance(output, Distribution):
        return [("", Slot(None), None, f"returns the distribution {type(output).__name__}")]
    names = {key: name for key, name in fields(module, output).items() if isinstance(pick(output, key), Distribution)}
    priors = [key for key, name in names.items() if name is not None and PRIOR_WORD in words(name)]
    latent = [key for key, name in names.items() if name is None or not not_latent(name)]
    prior = Slot(priors[0]) if len(priors) == 1 == len(latent) else None
    several = len(latent) > 1
    return [((names[key] or str(key)) if several else "", Slot(key), prior, _returns(output, key)) for key in latent]


def named_pairs(module: nn.Module, output: Any) -> list[Found]:
    """Tensors in an output whose names read as mean and scale; prior_mu and prior_sigma beside them are their prior."""
    names = {name: key for key, name in fields(module, output).items() if name is not None and _is_number(pick(output, key))}
    found, priors = [], []
    for mean, scale, form, assumed in find_pairs(names):
        slot = Slot(names[mean], names[scale], form)
        if PRIOR_WORD in words(mean):
            priors.append(slot)
        elif not not_latent(mean):
            found.append((mean, slot, f"returns {mean} and {scale}" + _assumption(scale, form, assumed)))
    prior = priors[0] if len(priors) == 1 == len(found) else None
    return [(mean if len(found) > 1 else "", slot, prior, why) for mean, slot, why in found]


def unnamed_pair(module: nn.Module, output: Any) -> list[Found]:
    """Exactly two tensors of one shape (B, N) whose names do not contradict: the last resort, when nothing else was found."""
    if type(output) not in (tuple, list) or type(module).__module__.startswith("torch.nn"):
        return []
    names = [name for key, name in fields(module, output).items() if _is_number(output[key])]
    pair = [key for key in range(len(output)) if _is_number(output[key]) and output[key].dim() > 1]
    if len(pair) != 2 or output[pair[0]].shape != output[pair[1]].shape or any(n is not None and not speaks(n) for n in names):
        return []
    positive = bool((output[pair[1]] > 0).all())
    form = "sigma" if positive else "log_var"
    why = f"returns two tensors of one shape; ASSUMED the second is {FORMS[form]}, since it "
    return [("", Slot(pair[0], pair[1], form), None, why + ("is positive throughout" if positive else "takes negative values"))]


RANK_OBSERVED, RANK_DISTRIBUTION, RANK_NAMED, RANK_SIBLINGS, RANK_GUESS = range(5)
"""In order of trust. Pairs of sibling layers are known before anything runs."""

ADAPTERS: tuple[tuple[int, Callable[[nn.Module, Any], list[Found]]], ...] = (
    (RANK_DISTRIBUTION, distributions),
    (RANK_NAMED, named_pairs),
    (RANK_GUESS, unnamed_pair),
)


def find_in_output(path: str, module: nn.Module, output: Any) -> list[Reading]:
    """Readings of what a module put out, not settled yet; empty where its path speaks of a decoder or a prior."""
    if not_latent(path):
        return []
    return [
        Reading((join(path, suffix) if suffix else path) or type(module).__name__, path, "output", slot, why, rank, prior)
        for rank, adapter in ADAPTERS
        for suffix, slot, prior, why in adapter(module, output)
    ]


def sibling_layers(model: nn.Module) -> list[Reading]:
    """Pairs of layers, or a layer and a parameter, of one parent that are named as mean and scale."""
    found = []
    for path, parent in model.named_modules():
        layers = {name for name, child in parent.named_children() if not isinstance(child, (nn.ModuleList, nn.ModuleDict))}
        parameters = {name for name, _ in parent.named_parameters(recurse=False)}
        for mean, scale, form, assumed in find_pairs(sorted(layers | parameters)):
            of_parameter = scale in parameters
            if mean not in layers or (of_parameter and assumed) or not_latent(join(path, mean)):
                continue
            source = f"{join(path, mean)} & {join(path, scale)}"
            channels = isinstance(parent.get_submodule(mean), CONVOLUTIONS)
            why = f"sibling layers {mean} and {scale}" + _assumption(scale, form, assumed)
            slot = Slot(0, 1, form)
            layout: Layout | None = "channels" if channels else None
            found.append(Reading(join(path, mean), source, "layers", slot, why, RANK_SIBLINGS, layout=layout))
    return found


def weight_posteriors(model: nn.Module) -> list[Reading]:
    """Modules whose own weights are Gaussian (torchbnn, Blitz, bayesian-torch and their like): a neuron is an output row.

    Its latent dimensions are the row's weights; there is one row, so spread is 0 and KL is all mismatch. Biases are left out.
    """
    found = []
    for path, module in model.named_modules():
        own = {name: value for name, value in module.named_parameters(recurse=False) if value.dim() > 1}
        for mean, scale, form, assumed in find_pairs(own):
            if assumed or own[mean].shape != own[scale].shape or not_latent(join(path, mean)):
                continue
            why = f"parameters {mean} and {scale}: a posterior of WEIGHTS, the same for every input"
            slot, prior = Slot(mean, scale, form), _own_prior(module)
            found.append(Reading(f"{join(path, mean)} (weights)", path, "parameters", slot, why, RANK_NAMED, prior, of="weights"))
    return found


def _own_prior(module: nn.Module) -> tuple[float, float] | None:
    """Normal(m, s²) that a module names as its prior in plain numbers (prior_mu, prior_sigma), None when it does not."""
    numbers = {
        name: float(value) for name, value in vars(module).items() if isinstance(value, Real) and PRIOR_WORD in words(name)
    }
    for mean, scale, form, assumed in find_pairs(numbers):
        plain = "var" if assumed and form == "log_var" else form  # outside a network's outputs a variance is one
        sigma, _ = Slot(form=plain).sigmas(torch.tensor(numbers[scale], dtype=torch.float64))
        return numbers[mean], sigma.item()
    return None


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _assumption(scale: str, form: str, assumed: bool) -> str:
    return f"; ASSUMED {scale} is {FORMS[form]}" if assumed else f"; {scale} is {FORMS[form]}"


def _returns(output: Any, key: Key) -> str:
    return f"returns {key!r}, a {type(pick(output, key)).__name__}"


def _is_number(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 0


def _has_kl_of(output: Any, mean: Tensor) -> bool:
    """Whether a field `kl` of shape (B, N) stands beside a mean (B, N, K): then its last dimension is the neuron's own."""
    kl = output.get("kl") if isinstance(output, Mapping) else getattr(output, "kl", None)
    return isinstance(kl, Tensor) and kl.shape == mean.shape[:2]


def _is_diagonal(distribution: Any) -> bool:
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    if not isinstance(distribution, MultivariateNormal):
        return True
    return not bool(distribution.scale_tril.tril(-1).any())


def _gaussian(distribution: Any) -> tuple[Tensor, Tensor]:
    """loc and scale of a Gaussian with independent components. Raises NotReadable for any other distribution."""
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    if isinstance(distribution, MultivariateNormal):
        return distribution.loc, distribution.scale_tril.diagonal(dim1=-2, dim2=-1)
    if not isinstance(distribution, Normal):
        raise NotReadable(f"{type(distribution).__name__} is no Gaussian with independent components")
    return distribution.loc, distribution.scale
