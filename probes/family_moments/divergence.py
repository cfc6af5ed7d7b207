"""KL between two distributions, neuron by neuron: closed where torch knows it, else by draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence

_STATES: dict[str, Tensor] = {}
"""State of the generator that draws are from, by device: the training's own is never moved."""
SEED = 0x5EED


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
    from probes.family_moments.reading import unwrapped

    q, shape = unwrapped(posterior)
    p, _ = unwrapped(prior)
    with torch.no_grad():
        try:
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


@contextmanager
def draws(distribution: Any) -> Iterator[None]:
    """Within it torch draws from a generator of this module's own, on the distribution's device."""
    device = _device(distribution)
    cuda = device is not None and device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        _enter("cpu", None)
        if cuda:
            _enter(str(device), device)
        try:
            yield
        finally:
            _STATES["cpu"] = torch.get_rng_state()
            if cuda and device is not None:
                _STATES[str(device)] = torch.cuda.get_rng_state(device)


def _enter(name: str, device: torch.device | None) -> None:
    kept = _STATES.get(name)
    if device is None:
        torch.set_rng_state(torch.Generator().manual_seed(SEED).get_state() if kept is None else kept)
    elif kept is None:
        with torch.cuda.device(device):
            torch.cuda.manual_seed(SEED)
    else:
        torch.cuda.set_rng_state(kept, device)


def _device(distribution: Any) -> torch.device | None:
    for value in vars(distribution).values():
        if isinstance(value, Tensor):
            return value.device
        if isinstance(value, torch.distributions.Distribution):
            return _device(value)
    return None
