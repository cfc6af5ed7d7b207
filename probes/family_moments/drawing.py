"""Draws of distributions that leave the training's own random numbers where they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

_STATES: dict[str, Tensor] = {}
"""State of the generator that draws are from, by device."""
SEED = 0x5EED


@contextmanager
def draws(distribution: Any) -> Iterator[None]:
    """Within it torch draws from a generator of this module's own.

    Parameters
    ----------
    distribution
        Whose device is meant: the CPU, or a CUDA device beside it.
    """
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
