"""KL between two distributions, neuron by neuron: closed where torch knows it, else by draws."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.distributions.kl import _KL_REGISTRY

from probes.family_moments.drawing import draws
from probes.family_moments.reading import unwrapped


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
    with torch.no_grad():
        try:
            if not _closed_form_holds(q, p):
                raise NotImplementedError
            q, p = q.expand(shape), p.expand(shape)  # some closed forms do not broadcast
            return kl_divergence(q, p), False
        except NotImplementedError:
            pass
        if q.event_shape or p.event_shape:
            raise ValueError(
                f"KL of a {type(q).__name__} from a {type(p).__name__} is one number for all neurons: hand"
                " draws and both log densities to probes.observe_samples"
            )
        with draws(q):
            z = q.sample()
        return q.log_prob(z) - p.log_prob(z), True


def _closed_form_holds(*distributions: Any) -> bool:
    """Whether torch's closed form is of these: it takes a subclass with another density for its parent."""
    if tuple(map(type, distributions)) in _KL_REGISTRY:
        return True
    for one in distributions:
        parent = next(kind for kind in type(one).__mro__ if kind.__module__.startswith("torch."))
        if type(one).log_prob is not parent.log_prob:  # type: ignore[attr-defined]
            return type(one).__module__.startswith("pyro.")
    return True
