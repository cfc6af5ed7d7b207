"""KL between two distributions, neuron by neuron: closed where torch knows it, else by draws."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import TransformedDistribution, kl_divergence
from torch.distributions.kl import _KL_REGISTRY

from probes.family_moments.drawing import draws
from probes.family_moments.reading import unwrapped
from probes.family_moments.widening import widened


def posterior_kl(posterior: Any, prior: Any) -> tuple[Tensor, bool]:
    """KL of each input and neuron, and whether it is an estimate from one draw.

    Parameters
    ----------
    posterior, prior
        Torch distributions over the same values, whose components are independent.

    Returns
    -------
    kl : Tensor
        (B, N), nats.
    estimated : bool
        True: ln q(z) − ln p(z) of one draw, whose average over rows is the estimate.

    Raises
    ------
    ValueError
        Where neither a closed form nor densities of single neurons are known.
    """
    q, shape = unwrapped(posterior)
    p, _ = unwrapped(prior)
    q, p = widened(q), widened(p)
    with torch.no_grad():
        try:
            if not _closed_form_holds(q, p):
                raise NotImplementedError
            return kl_divergence(_expanded(q, shape), _expanded(p, shape)), False
        except NotImplementedError:
            pass
        if q.event_shape or p.event_shape:
            raise ValueError(
                f"KL of a {type(q).__name__} from a {type(p).__name__} is one number for all neurons: hand"
                " draws and both log densities to probes.observe_samples"
            )
        try:
            with draws(q):
                z = q.sample()
            return q.log_prob(z) - p.log_prob(z), True
        except NotImplementedError as error:
            raise ValueError(
                f"of a {type(q).__name__} and a {type(p).__name__} neither a closed KL is known nor"
                ' both log densities (`log_prob`): prior="unknown" leaves KL out'
            ) from error


def _expanded(distribution: Any, shape: torch.Size) -> Any:
    """At the shape that all components have, since some closed forms do not broadcast; of a class without
    `expand` as it is.
    """
    if distribution.batch_shape == shape:
        return distribution
    try:
        return distribution.expand(shape)
    except NotImplementedError:
        return distribution


def _closed_form_holds(*distributions: Any) -> bool:
    """Whether torch's closed form is of these: it takes a subclass with another density for its parent, and a
    map that is none to one for one that leaves the KL as it is.
    """
    kinds = tuple(map(type, distributions))
    if kinds in _KL_REGISTRY and kinds != (TransformedDistribution, TransformedDistribution):
        return True
    if any(
        isinstance(one, TransformedDistribution) and not all(step.bijective for step in one.transforms)
        for one in distributions
    ):
        return False
    for one in distributions:
        parent = next(kind for kind in type(one).__mro__ if kind.__module__.startswith("torch."))
        if type(one).log_prob is not parent.log_prob:  # type: ignore[attr-defined]
            return type(one).__module__.startswith("pyro.")
    return True
