"""What a distribution of torch, or of a library built on it, is: its family and its parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.distributions as td
from torch import Tensor
from torch.distributions import transforms as tt

from probes.families import FAMILIES
from probes.family_moments.drawing import draws
from probes.family_moments.widening import widened

Parameters = dict[str, Tensor]

_MAPS: dict[type, str] = {
    tt.ExpTransform: "exp",
    tt.SigmoidTransform: "sigmoid",
    tt.TanhTransform: "tanh",
    tt.SoftplusTransform: "softplus",
    tt.StickBreakingTransform: "stick-breaking",
}
"""Bijections without parameters: KL is the same on either side of them."""


@dataclass(frozen=True)
class FamilyReading:
    """A posterior or prior as its family's numbers.

    Attributes
    ----------
    family
        A name of `families.FAMILIES`.
    parameters
        What `FamilyMoments.update` takes, of the distribution's batch shape, with the components of a neuron
        last where there are several: (B, N) or (B, N, C).
    classes
        C of categorical and Dirichlet, 2 of Bernoulli.
    map
        What the underlying variable goes through: "exp" of a log-normal.
    """

    family: str
    parameters: Parameters
    classes: int | None = None
    map: str | None = None

    @property
    def stored(self) -> Parameters:
        """Those parameters that `parameters/` has names for."""
        names = FAMILIES[self.family].parameters
        return {name: value for name, value in self.parameters.items() if name in names}


def unwrapped(distribution: Any) -> tuple[Any, torch.Size]:
    """What Independent, expanded and masked distributions stand around, and its batch shape.

    Parameters
    ----------
    distribution
        A torch distribution.
    """
    shape = distribution.batch_shape + distribution.event_shape
    while isinstance(distribution, td.Independent) or type(distribution).__name__ in (
        "ExpandedDistribution",
        "MaskedDistribution",
    ):
        distribution = distribution.base_dist
    return distribution, shape[: len(shape) - len(distribution.event_shape)]


def read_distribution(distribution: Any) -> FamilyReading:
    """Family and parameters of a distribution.

    Parameters
    ----------
    distribution
        Of `torch.distributions`, or a subclass.

    Returns
    -------
    FamilyReading
        Of a Gaussian through fixed bijections that of the underlying Gaussian, with their names.

    Raises
    ------
    ValueError
        For what has no numbers of single neurons; the message says what to hand over instead.
    """
    if not isinstance(distribution, td.Distribution):
        raise ValueError(f"a {type(distribution).__name__} is no torch distribution")
    given, shape = unwrapped(distribution)
    base = widened(given)
    for kinds, read in _READERS:
        if _is(base, kinds):
            found: FamilyReading = read(base)
            return _expanded(found if base is given else _normalised(found), shape)
    if isinstance(base, td.TransformedDistribution) and (through := _gaussian_through(base)) is not None:
        return through
    return _expanded(generic(base), shape)


def default_prior(family: str, parameters: Mapping[str, Tensor]) -> Parameters | None:
    """The prior that is assumed of a family where none is known.

    Parameters
    ----------
    family
        A name of `families.FAMILIES`.
    parameters
        Of the posterior.

    Returns
    -------
    dict or None
        Uniform for categorical and Bernoulli; None for others: their KL is null.
    """
    if family == "categorical":
        probability = parameters["probability"]
        return {"probability": probability.new_full(probability.shape[-1:], 1 / probability.shape[-1])}
    if family == "bernoulli":
        return {"probability": parameters["probability"].new_full((), 0.5)}
    return None


def prior_parameters(family: str, prior: Any) -> Parameters | None:
    """Parameters of a prior as a member of the posterior's family.

    Parameters
    ----------
    family
        The posterior's.
    prior
        A torch distribution.

    Returns
    -------
    dict or None
        None where the prior is of another family: `posterior_kl` then gives the KL, and there is no mismatch.
    """
    base, shape = unwrapped(prior)
    if _is(base, (td.Uniform,)) and family == "beta":
        low, high = base.low.expand(shape), base.high.expand(shape)
        one = torch.ones_like(low)
        same = bool(((low == 0) & (high == 1)).all())
        return {"concentration1": one, "concentration0": one} if same else None
    if _is(base, (td.Uniform,)) and family == "von_mises":
        width = base.high.expand(shape) - base.low.expand(shape)
        zero = torch.zeros_like(width)
        circle = bool(((width - 2 * torch.pi).abs() < 1e-4).all())
        return {"loc": zero, "concentration": zero} if circle else None
    if _is(base, (td.Exponential,)) and family == "gamma":
        rate = base.rate.expand(shape)
        return {"concentration": torch.ones_like(rate), "rate": rate}
    try:
        reading = read_distribution(prior)
    except ValueError:
        return None
    return reading.parameters if reading.family == family else None


def is_one_variable(base: Any) -> bool:
    """Whether a distribution over vectors is of one variable: a class, or a composition.

    Parameters
    ----------
    base
        A distribution that nothing stands around.
    """
    return _is(base, (td.OneHotCategorical, td.RelaxedOneHotCategorical, td.Dirichlet))


def _is(base: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a distribution is one of these, and no subclass that has another density; of classes only
    `probs` is asked for, which any subclass has.
    """
    for kind in kinds:
        if isinstance(base, kind):
            same = type(base).log_prob is kind.log_prob  # type: ignore[attr-defined]
            return same or kind in _CLASSES or type(base).__module__.startswith("pyro.")
    return False


_CLASSES: tuple[type, ...] = (
    td.Categorical,
    td.OneHotCategorical,
    td.RelaxedOneHotCategorical,
    td.Bernoulli,
    td.RelaxedBernoulli,
)


def _read_gaussian(base: Any) -> FamilyReading:
    return FamilyReading("gaussian", {"mu": base.loc, "sigma": base.scale})


def _read_full(base: Any) -> FamilyReading:
    return FamilyReading("gaussian_full", {"mu": base.loc, "sigma": base.variance.sqrt()})


def _read_categorical(base: Any) -> FamilyReading:
    found = {"probability": base.probs}
    made = getattr(base, "_categorical", base)
    if "logits" in vars(made) and _is_librarys(base, "probs"):
        found["logits"] = made.logits
    return FamilyReading("categorical", found, classes=int(base.probs.shape[-1]))


def _read_bernoulli(base: Any) -> FamilyReading:
    found = {"probability": base.probs}
    if "logits" in vars(base) and _is_librarys(base, "probs"):
        found["logits"] = base.logits
    return FamilyReading("bernoulli", found, classes=2)


def _is_librarys(base: Any, name: str) -> bool:
    """Whether a class has a number from torch or Pyro, not one of its own."""
    owner = next(kind for kind in type(base).__mro__ if name in vars(kind))
    return owner.__module__.startswith(LIBRARIES)


LIBRARIES = ("torch.distributions.", "pyro.distributions.")


def _normalised(reading: FamilyReading) -> FamilyReading:
    """Classes whose probabilities were rounded to half precision, so that they add up to 1."""
    if reading.family != "categorical":
        return reading
    found = dict(reading.parameters)
    if "logits" in found:
        found["logits"] = found["logits"].log_softmax(-1)
        found["probability"] = found["logits"].exp()
    else:
        found["probability"] = found["probability"] / found["probability"].sum(-1, keepdim=True)
    return FamilyReading(reading.family, found, reading.classes, reading.map)


def _read_relaxed(base: Any) -> FamilyReading:
    bernoulli = isinstance(base, td.RelaxedBernoulli)
    probability = base.probs
    if bernoulli:
        return FamilyReading("bernoulli", {"probability": probability}, classes=2)
    return FamilyReading("categorical", {"probability": probability}, classes=int(probability.shape[-1]))


def _read_dirichlet(base: Any) -> FamilyReading:
    concentration = base.concentration
    return FamilyReading("dirichlet", {"concentration": concentration}, classes=int(concentration.shape[-1]))


def _read_inverse_gamma(base: Any) -> FamilyReading:
    return FamilyReading("inverse_gamma", {"concentration": base.concentration, "rate": base.rate})


def _reader(family: str) -> Callable[[Any], FamilyReading]:
    """Of a family whose parameters have the names that torch gives them."""

    def read(base: Any) -> FamilyReading:
        return FamilyReading(family, {name: getattr(base, name) for name in FAMILIES[family].parameters})

    return read


_READERS: tuple[tuple[tuple[type, ...], Callable[[Any], FamilyReading]], ...] = (
    ((td.Normal,), _read_gaussian),
    ((td.MultivariateNormal, td.LowRankMultivariateNormal), _read_full),
    ((td.RelaxedOneHotCategorical, td.RelaxedBernoulli), _read_relaxed),
    ((td.Categorical, td.OneHotCategorical), _read_categorical),
    ((td.Bernoulli,), _read_bernoulli),
    ((td.Dirichlet,), _read_dirichlet),
    ((td.Beta,), _reader("beta")),
    ((td.InverseGamma,), _read_inverse_gamma),
    ((td.Gamma,), _reader("gamma")),
    ((td.Exponential,), _reader("exponential")),
    ((td.Poisson,), _reader("poisson")),
    ((td.VonMises,), _reader("von_mises")),
    ((td.Laplace,), _reader("laplace")),
    ((td.StudentT,), _reader("student_t")),
)


def _gaussian_through(base: td.TransformedDistribution) -> FamilyReading | None:
    """The Gaussian that goes through fixed bijections; affine maps before the first of them are its own.
    None for other distributions.
    """
    inner, shape = unwrapped(base.base_dist)
    if not _is(inner, (td.Normal,)) or not _has_density_of_its_maps(base):
        return None
    mu, sigma = inner.loc.expand(shape), inner.scale.expand(shape)
    names: list[str] = []
    for step in _steps(base.transforms):
        if isinstance(step, tt.AffineTransform) and not names:
            mu = step.loc + step.scale * mu
            sigma = torch.as_tensor(step.scale, device=sigma.device).abs() * sigma
        elif isinstance(step, tt.AffineTransform) and not (
            isinstance(step.loc, Tensor) or isinstance(step.scale, Tensor)
        ):
            names.append("affine")
        elif (name := _MAPS.get(type(step))) is not None:
            names.append(name)
        else:
            return None
    return FamilyReading(
        "gaussian", {"mu": mu.detach(), "sigma": sigma.detach()}, map=", ".join(names) or None
    )


_HAS_ITS_MAPS: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def _has_density_of_its_maps(base: td.TransformedDistribution) -> bool:
    """Whether a class's own density, where it has one, is that of the maps: many are written anew for the
    sake of rounding, some are of another distribution. Looked at once a class, at one draw a component: half
    of them tell, since densities at the edge of a support are clamped.
    """
    kind = type(base)
    if _is_librarys(base, "log_prob"):
        return True
    if kind not in _HAS_ITS_MAPS:
        _HAS_ITS_MAPS[kind] = False
        with torch.no_grad(), contextlib.suppress(Exception), draws(base):
            z = td.TransformedDistribution.sample(base)
            maps, own = td.TransformedDistribution.log_prob(base, z), base.log_prob(z)
            while maps.dim() > own.dim():
                maps = maps.sum(-1)
            near = (own - maps).abs() <= 1e-3 * (1 + maps.abs())
            _HAS_ITS_MAPS[kind] = bool(near.float().mean() >= 0.5)
    return _HAS_ITS_MAPS[kind]


def _steps(transforms: Any) -> list[Any]:
    found = []
    for step in transforms:
        while isinstance(step, tt.IndependentTransform):
            step = step.base_transform
        found += _steps(step.parts) if isinstance(step, tt.ComposeTransform) else [step]
    return found


def generic(base: Any) -> FamilyReading:
    """Anything whose components have densities of their own: a draw, and moments where it knows them.

    Parameters
    ----------
    base
        A distribution that nothing stands around.

    Returns
    -------
    FamilyReading
        sample and, where known, mean, variance and entropy, each of its batch shape.

    Raises
    ------
    ValueError
        For one over vectors, or that cannot be drawn from.
    """
    if base.event_shape:
        raise ValueError(
            f"a {type(base).__name__} has one density for {tuple(base.event_shape)} values together, no"
            " numbers of single neurons: hand draws of it to probes.observe_samples"
        )
    with torch.no_grad():
        try:
            with draws(base):
                found = {"sample": base.sample()}
        except NotImplementedError as error:
            raise ValueError(
                f"a {type(base).__name__} has no `sample`: give it one, or hand draws of it to"
                " probes.observe_samples"
            ) from error
        if found["sample"].shape != base.batch_shape:
            raise ValueError(
                f"a {type(base).__name__} draws {tuple(found['sample'].shape)} values, though its shape is"
                f" {tuple(base.batch_shape)}: hand draws of it to probes.observe_samples"
            )
        for name in ("mean", "variance"):
            if not _is_newer(type(base), name):
                continue
            try:
                value = getattr(base, name)
            except (NotImplementedError, AttributeError):
                continue
            found[name] = value.expand(found["sample"].shape)
        if _is_newer(type(base), "entropy"):
            with contextlib.suppress(NotImplementedError, AttributeError):
                found["entropy"] = base.entropy()
    return FamilyReading("generic", found)


def _is_newer(kind: type, name: str) -> bool:
    """Whether a class defines a number where it defines its density, or below: one that is inherited from
    above is that of another distribution.
    """
    order = kind.__mro__
    places = [
        next((at for at, one in enumerate(order) if what in vars(one)), len(order))
        for what in (name, "log_prob")
    ]
    return places[0] <= places[1]


def _expanded(reading: FamilyReading, shape: torch.Size) -> FamilyReading:
    """Parameters at the shape that the distribution stands for."""
    several = reading.family in ("categorical", "dirichlet")
    parameters = {
        name: value.detach().expand(
            (*shape, value.shape[-1]) if several else shape if value.dim() <= len(shape) else value.shape
        )
        for name, value in reading.parameters.items()
    }
    return FamilyReading(reading.family, parameters, reading.classes, reading.map)
