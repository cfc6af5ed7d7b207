"""Posteriors that are no diagonal Gaussian: from a distribution to the tensors that are kept of it, and from
these to one batch that a pool takes.

What is kept are a distribution's own numbers and its prior's. A KL that has no closed form is one draw a row,
made where the distribution is seen, from a random state of its own: that of the training stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from probes.families import FAMILIES
from probes.family_moments import (
    FamilyReading,
    default_prior,
    full_covariance,
    posterior_kl,
    prior_parameters,
    read_distribution,
)
from probes.family_moments.drawing import draws
from probes.family_moments.reading import generic, is_one_variable
from probes.watching.gaussians import is_full_gaussian, unwrapped
from probes.watching.hooks import drawing
from probes.watching.layouts import Layout, Observed, mask_rows, positions_of
from probes.watching.made import tensors_of
from probes.watching.posterior_source import UNKNOWN, Taken
from probes.watching.tensors import NotReadable, plain

CLASSED = ("categorical", "dirichlet")
"""Families whose parameters have an axis of classes or components behind that of the neurons."""
ASSUMES_UNIFORM = ("categorical", "bernoulli")
DRAWN = ("student_t", "generic")
"""Families whose own sums hold no KL."""
SAMPLES_OF_A_FLOW = 4
"""Draws a row of a posterior whose components share one density."""


class FamilyObserved(NamedTuple):
    """One batch of a posterior that is no diagonal Gaussian, detached.

    parameters: name -> (B, N) or, with C classes, (B, N, C); of codes "index" (B,); of samples "sample" (S,
    B, N) and, where they are known, "log_q" and "log_prior", (S, B, N) or, of all neurons together, (S, B).
    prior: the same of the prior, broadcastable, None where there is none; by_row: whether it varies from row
    to row; fixed: whether training leaves it as it is. kl (B, N): where the family has no closed form for
    this prior; drawn: whether it is one draw a row. mask (B,): rows that count. size: neurons of a code book,
    or classes. window: steps that the usage of a code book is over. has_prior: whether it came with one.
    positions: as of `Observed`.
    """

    family: str
    parameters: Mapping[str, Tensor]
    prior: Mapping[str, Tensor] | None = None
    by_row: bool = False
    fixed: bool = False
    kl: Tensor | None = None
    drawn: bool = False
    mask: Tensor | None = None
    size: int | None = None
    window: int | None = None
    has_prior: bool = False
    positions: int | None = None

    def check(self) -> None:
        """Look at values, which synchronises the device. Raises ValueError for picks beyond the code book."""
        index = self.parameters.get("index")
        if index is not None and self.size is not None and bool((index >= self.size).any()):
            raise ValueError(
                f"observe_codes: an index is {int(index.max())}, beyond a code book of {self.size} codes"
            )

    @property
    def rows(self) -> int:
        """Inputs, or positions of them."""
        first = next(iter(self.parameters.values()))
        return first.shape[1] if self.family == "samples" else len(first)

    @property
    def neurons(self) -> tuple[int, int]:
        """Neurons, and latent dimensions of each, which is 1."""
        if self.family == "codes":
            return self.size or 0, 1
        first = next(iter(self.parameters.values()))
        return first.shape[2 if self.family == "samples" else 1], 1

    def prior_parameters(self) -> dict[str, float] | None:
        """The prior by its parameters, where it is one for all rows, neurons and steps."""
        if self.prior is None or self.by_row or not self.fixed:
            return None
        found = {}
        for name in FAMILIES[self.family].parameters:
            value = self.prior[name]
            if not value.numel() or bool((value != value.flatten()[0]).any()):
                return None
            found[name] = float(value.flatten()[0])
        return found if all(map(math.isfinite, found.values())) else None

    @property
    def of(self) -> tuple[object, ...]:
        """What all batches of a layer have in common."""
        return self.family, self.neurons, self.size, tuple(self.parameters), self.by_row, self.kl is not None


class FullObserved(NamedTuple):
    """One batch of a Gaussian with correlated components: its marginals, and the KL of the whole, (B,)."""

    marginals: Observed
    joint_kl: Tensor | None

    @property
    def has_prior(self) -> bool:
        """Whether it came with its prior."""
        return self.marginals.has_prior

    @property
    def rows(self) -> int:
        """Inputs."""
        return len(self.marginals.mu)

    @property
    def neurons(self) -> tuple[int, int]:
        """Neurons and latent dimensions of each."""
        return self.marginals.neurons


AnyObserved = Observed | FamilyObserved | FullObserved


@dataclass(frozen=True)
class FamilyReader:
    """How tensors that were kept of a posterior become a batch: parameters, those of the prior, KL, mask.

    family, parameters, classes, map: as `probes.family_moments.read_distribution` says. shared: whether it is
    the same for all inputs. single: its batch has one variable an input, and no axis of neurons. prior: names
    of the prior's parameters; None: none of its own, for `assumed` the family's default. fixed: whether
    training leaves the prior as it is.
    """

    family: str
    parameters: tuple[str, ...]
    layout: Layout = "rows"
    classes: int | None = None
    shared: bool = False
    single: bool = False
    prior: tuple[str, ...] | None = None
    assumed: bool = False
    drawn: bool = False
    fixed: bool = field(default=False, compare=False)  # forward passes without gradients do not tell

    def __call__(self, taken: Taken) -> FamilyObserved:
        """Raises RuntimeError or ValueError where shapes do not belong together."""
        count = len(self.parameters)
        first = taken[0]
        assert first is not None  # a family has a parameter at least
        lead = first.shape[: first.dim() - self.trailing]
        found = {
            name: self._rows(value.expand(first.shape), lead)
            for name, value in zip(self.parameters, taken[:count], strict=True)
            if value is not None
        }
        *given, kl, mask = taken[count:]
        prior, by_row = None, False
        if self.prior is not None:
            parts = dict(zip(self.prior, given, strict=True))
            by_row = any(value is not None and self._varies(value, lead) for value in parts.values())
            prior = {
                name: self._rows(value.expand(first.shape), lead) if by_row else self._one_row(value, lead)
                for name, value in parts.items()
                if value is not None
            }
        elif self.assumed:
            prior = default_prior(self.family, found)
        counted = None if mask is None else mask_rows(mask, self._axes(lead), self.layout)
        rows = None if kl is None else self._rows(kl.expand(lead), lead, trailing=0)
        own = self.prior is not None or kl is not None
        return FamilyObserved(
            self.family,
            found,
            prior,
            by_row,
            self.fixed,
            rows,
            self.drawn,
            counted,
            self.classes,
            has_prior=own,
            positions=None if self.single else positions_of(lead, self.layout),
        )

    @property
    def trailing(self) -> int:
        """Axes of a parameter behind that of the neurons."""
        return int(self.family in CLASSED)

    def _axes(self, lead: torch.Size) -> torch.Size:
        return torch.Size((*lead, 1)) if self.single else lead

    def _rows(self, value: Tensor, lead: torch.Size, trailing: int | None = None) -> Tensor:
        """(lead, C) as (B, N, C), or (lead) as (B, N)."""
        behind = value.shape[len(lead) :] if trailing is None else ()
        if self.single:
            return value.unsqueeze(len(lead)).reshape(-1, 1, *behind)
        if len(lead) == 1:
            return value[None]
        if self.layout == "positions":
            value = value.movedim(1, len(lead) - 1)
        return value.reshape(-1, value.shape[len(lead) - 1], *behind)

    def _one_row(self, value: Tensor, lead: torch.Size) -> Tensor:
        """A prior that is the same for all rows, as one row."""
        behind = value.shape[value.dim() - self.trailing :] if self.trailing else ()
        if self.single:
            return value.reshape(-1, *behind)[:1].reshape(1, 1, *behind)
        axes = value.dim() - len(behind)
        if self.layout == "positions":
            value = (
                value[(slice(None, 1), slice(None), *(slice(None, 1),) * (axes - 2))] if axes > 1 else value
            )
            return value.reshape(1, -1, *behind)
        while axes > 1:
            value, axes = value[0], axes - 1
        return value.reshape(1, -1, *behind)

    def _varies(self, value: Tensor, lead: torch.Size) -> bool:
        """Whether a prior varies over the axes that are rows, as far as shapes and strides tell."""
        axes = value.dim() - self.trailing
        rows = range(axes if self.single and axes == len(lead) else axes - 1)
        return any(value.shape[axis] > 1 and value.stride(axis) != 0 for axis in rows)


# ---- distributions


class Read(NamedTuple):
    """A distribution as it was read: how, and the tensors that are kept."""

    reader: FamilyReader | FullReader | SampleReader
    taken: Taken
    map: str | None = None


def read_posterior(
    q: Distribution, prior: Any = None, *, layout: Layout | None = None, mask: Tensor | None = None
) -> Read:
    """A posterior that is no Gaussian, with its prior.

    Parameters
    ----------
    q
        Any distribution of torch's kind; what Independent counts as events are neurons.
    prior
        A distribution, "unknown", or None: uniform for categorical and Bernoulli, none for others.
    layout
        Which axes are rows; None: the last is the neurons', of more than three axes the second.
    mask
        As of `probes.observe`.

    Raises
    ------
    NotReadable
        For one whose numbers cannot be had, or a prior that is no distribution.
    """
    base = unwrapped(q)
    if is_joint(q):
        return _read_joint(q, prior, mask, layout)
    try:
        found = _as_generic(base) if _is_normal(base) else read_distribution(q)
        if found.family == "gaussian":  # of a class that has a density of its own
            found = generic(base)
    except (ValueError, NotImplementedError) as error:
        raise NotReadable(str(error)) from error
    if found.family == "generic" and isinstance(prior, Distribution) and unwrapped(prior).event_shape:
        return _read_joint(q, prior, mask, layout)
    family, parameters = found.family, dict(found.parameters)
    first = next(iter(parameters.values()))
    lead = first.dim() - int(family in CLASSED)
    if layout is None:
        layout = "rows" if lead <= 3 else "positions"
    names: tuple[str, ...] | None = None
    given: list[Tensor | None] = []
    kl: Tensor | None = None
    drawn = False
    if isinstance(prior, Distribution):
        theirs = None if family == "generic" else prior_parameters(family, prior)
        if theirs is not None:
            fixed = not _is_trained(prior)
            names, given = tuple(theirs), [one if fixed else one.clone() for one in theirs.values()]
        if theirs is None or family in DRAWN:
            try:
                kl, drawn = posterior_kl(q, prior)
            except (ValueError, RuntimeError) as error:
                raise NotReadable(str(error)) from error
    elif prior is not None and prior != UNKNOWN:
        raise NotReadable(
            f"the prior of a {type(base).__name__} is a distribution, or {UNKNOWN!r}: not {prior!r}"
        )
    events = len(q.event_shape) - len(base.event_shape)
    reader = FamilyReader(
        family,
        tuple(parameters),
        layout,
        found.classes,
        shared=lead == events > 0,
        single=lead == 0 or (lead == 1 and events == 0),
        prior=names,
        assumed=prior is None and family in ASSUMES_UNIFORM,
        drawn=drawn,
        fixed=isinstance(prior, Distribution) and is_fixed(prior),
    )
    own = parameters.values() if not _is_trained(q) else [value.clone() for value in parameters.values()]
    return Read(reader, (*map(plain, own), *given, kl, mask), found.map)


def _is_trained(distribution: Any) -> bool:
    """Whether a distribution is made of parameters themselves, which the optimiser changes in place."""
    whole = (value if value._base is None else value._base for value in tensors_of(distribution))
    return any(value.is_leaf and value.requires_grad for value in whole)


def is_fixed(prior: Distribution) -> bool:
    """Whether nothing that a prior is made of is trained."""
    return not any(value.requires_grad for value in tensors_of(prior))


def is_joint(found: Any) -> bool:
    """Whether something is a distribution over vectors of neurons that share one density."""
    base = unwrapped(found)
    several = isinstance(base, Distribution) and bool(base.event_shape)
    return several and not is_one_variable(base) and not is_full_gaussian(base)


def _is_normal(base: Distribution) -> bool:
    return type(base).log_prob is Normal.log_prob


def _as_generic(base: Any) -> FamilyReading:
    """A Gaussian under a prior that is none: its own moments, and a KL of its own."""
    with torch.no_grad(), draws(base):
        z = base.sample()
        return FamilyReading(
            "generic",
            {"sample": z, "mean": base.mean, "variance": base.variance, "entropy": base.entropy()},
        )


@dataclass(frozen=True)
class SampleReader:
    """How draws that were kept become a batch: draws (S, B, N), their log densities, mask."""

    family: str = "samples"
    shared: bool = False

    def __call__(self, taken: Taken) -> FamilyObserved:
        """Raises ValueError where shapes do not belong together."""
        sample, log_q, log_prior, mask = taken
        assert sample is not None  # what there is
        found = {"sample": sample, "log_q": log_q, "log_prior": log_prior}
        there = {name: value for name, value in found.items() if value is not None}
        counted = None if mask is None else mask_rows(mask, sample.shape[1:], "rows")
        return FamilyObserved("samples", there, mask=counted, has_prior=log_prior is not None)


@dataclass(frozen=True)
class CodeReader:
    """How picks that were kept become a batch: indices, mask.

    size: of the code book. window: steps that its usage is over; None: as many as by default.
    """

    size: int
    window: int | None = None
    family: str = "codes"
    shared: bool = False

    def __call__(self, taken: Taken) -> FamilyObserved:
        """Raises RuntimeError for a mask that does not fit."""
        index, mask = taken
        assert index is not None  # what there is
        counted = None if mask is None else (mask != 0).expand(index.shape).reshape(-1)
        return FamilyObserved(
            "codes", {"index": index.reshape(-1)}, mask=counted, size=self.size, window=self.window
        )


def _read_joint(q: Distribution, prior: Any, mask: Tensor | None, layout: Layout | None) -> Read:
    """A distribution whose components share one density, such as a flow: by draws of it."""
    if layout == "sequences":
        raise NotReadable(
            f"the {type(q).__name__} is recorded by draws, which have no layout 'sequences': leave it"
            " out, and positions count as independent inputs"
        )
    base = unwrapped(q)
    if len(base.event_shape) > 1:  # none: components of their own, under a prior of all of them
        raise NotReadable(
            f"a {type(base).__name__} is of values {tuple(base.event_shape)} together, no vector of neurons:"
            " hand draws of it, (S, B, N), to probes.observe_samples"
        )
    with torch.no_grad(), draws(q), drawing():
        try:
            z = q.sample((SAMPLES_OF_A_FLOW,))
        except NotImplementedError as error:
            raise NotReadable(
                f"a {type(base).__name__} has no `sample`: give it one, or hand draws of it to"
                " probes.observe_samples"
            ) from error
        if z.dim() not in (2, 3):
            raise NotReadable(f"draws of the {type(q).__name__} are {tuple(z.shape[1:])}, not (B, N)")
        log_q = log_prior = None
        if isinstance(prior, Distribution):
            try:
                log_q, log_prior = (_of_all(one.log_prob(z), z) for one in (q, prior))
            except NotImplementedError as error:
                raise NotReadable(
                    f"the {type(q).__name__} or its prior, a {type(prior).__name__}, has no log density"
                    ' (`log_prob`) of draws: prior="unknown" leaves KL out'
                ) from error
    shared = z.dim() == 2
    if shared:
        z = z[:, None]
        log_q, log_prior = (None if one is None else one[:, None] for one in (log_q, log_prior))
    return Read(SampleReader(shared=shared), (z, log_q, log_prior, mask), None)


def _of_all(density: Tensor, z: Tensor) -> Tensor:
    """Log densities of components, added up, where they are not yet."""
    return density if density.dim() < z.dim() else density.sum(-1)


def _kept(value: Tensor) -> Tensor:
    """Without its graph; a parameter, which the optimiser changes in place, is copied."""
    value = plain(value)
    whole = value if value._base is None else value._base
    return value.detach().clone() if whole.is_leaf and whole.requires_grad else value.detach()


# ---- Gaussians with correlated components


@dataclass(frozen=True)
class FullReader:
    """How a full covariance becomes a batch: mean and sd of marginals, joint KL, the prior's, mask.

    layout: "rows" or "sequences".
    """

    layout: Layout = "rows"

    def __call__(self, taken: Taken) -> FullObserved:
        """Raises RuntimeError where shapes do not belong together."""
        mu, sigma, joint, prior_mu, prior_sigma, mask = taken
        assert mu is not None  # `read_full` has seen to both
        assert sigma is not None
        width = mu.shape[-1]

        def rows(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.expand(mu.shape).reshape(-1, width, 1)

        counted = None if mask is None else mask_rows(mask, mu.shape, self.layout)
        marginals = Observed(
            mu.reshape(-1, width, 1),
            rows(sigma),
            None,
            rows(prior_mu),
            rows(prior_sigma),
            None,
            counted,
            positions=positions_of(mu.shape, self.layout),
        )
        return FullObserved(marginals, None if joint is None else joint.reshape(-1))


def read_full(
    q: Any, prior: Any = None, mask: Tensor | None = None, layout: Layout | None = None
) -> tuple[FullReader, Taken]:
    """A Gaussian with correlated components: its marginals, and the KL of the whole from its prior.

    Parameters
    ----------
    q
        A MultivariateNormal or LowRankMultivariateNormal.
    prior
        A Gaussian; None: Normal(0, 1) for each component; "unknown".
    mask
        As of `probes.observe`.
    layout
        "sequences", or another: the last axis are the neurons.

    Raises
    ------
    NotReadable
        For a prior that is no Gaussian.
    """
    with torch.no_grad():
        whole = unwrapped(q)
        given = None if prior is None or prior == UNKNOWN else prior
        if isinstance(given, (tuple, list)):
            mean, sd = (torch.as_tensor(one, dtype=whole.loc.dtype, device=whole.loc.device) for one in given)
            given = torch.distributions.Normal(mean, sd)
        mu, sigma, joint = full_covariance(whole, given)
        m = s = None
        if given is not None:
            base = unwrapped(given)
            m, s = base.loc, base.stddev
    kept = None if isinstance(prior, str) else joint
    reader = FullReader("sequences" if layout == "sequences" else "rows")
    return reader, (_kept(mu), _kept(sigma), kept, m, s, mask)


__all__ = [
    "AnyObserved", "CodeReader", "FamilyObserved", "FamilyReader", "FullObserved", "FullReader", "Read",
    "SampleReader", "is_joint", "read_full", "read_posterior",
]  # fmt: skip
