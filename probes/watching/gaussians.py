"""Which distributions are Gaussians, behind a map or not, and their means and scales."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)

from probes.family_moments import FamilyReading, read_distribution
from probes.watching.naming import describe
from probes.watching.tensors import NotReadable


def unwrapped(distribution: Any) -> Any:
    """What Independent stands around."""
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    return distribution


def unmasked(distribution: Any, mask: Tensor | None = None) -> tuple[Any, Tensor | None]:
    """What a distribution with a mask of its own, such as Pyro's `.mask`, stands around, and the rows that
    count; anything else as it is.

    mask: of rows, as it was handed over; it goes before the distribution's own.

    Raises NotReadable for a mask that leaves single neurons out.
    """
    inner, own = _apart(distribution)
    if own is None or mask is not None:
        return inner, mask
    lead = len(inner.batch_shape) + len(inner.event_shape)
    if own.dim() == lead > 1:
        if bool((own != own[..., :1]).any()):
            raise NotReadable(
                f"the mask of a {type(unwrapped(inner)).__name__} leaves single neurons out, not rows: hand"
                " over what it stands around, and mask= of rows"
            )
        own = own[..., 0]
    return inner, own


def _apart(distribution: Any) -> tuple[Any, Tensor | None]:
    if isinstance(distribution, Independent):
        inner, mask = _apart(distribution.base_dist)
        if inner is distribution.base_dist:
            return distribution, None
        return Independent(inner, distribution.reinterpreted_batch_ndims, validate_args=False), mask
    if type(distribution).__name__ != "MaskedDistribution":
        return distribution, None
    inner, mask = _apart(distribution.base_dist)
    own = torch.as_tensor(distribution._mask)
    if not own.dim() and bool(own):
        return inner, mask
    own = own.expand(torch.broadcast_shapes(own.shape, distribution.batch_shape[: max(1, own.dim())]))
    return inner, own if mask is None else mask & own


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


def _is_diagonal(distribution: Any) -> bool:
    covariance = distribution.covariance_matrix
    return not bool((covariance - torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))).any())


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
