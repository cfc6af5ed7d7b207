"""Distributions of half precision, in float32: their own logarithms have two or three digits."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

HALF = (torch.float16, torch.bfloat16)
KNOWN = ("torch.distributions.", "pyro.distributions.")
"""Where classes are of which nothing but tensors and distributions is of half precision."""


def widened(distribution: Any) -> Any:
    """A distribution of the same numbers whose formulas are evaluated in float32.

    Parameters
    ----------
    distribution
        Of torch or Pyro; others, which may hold networks, stay as they are.

    Returns
    -------
    Distribution
        The one that was given, where nothing of it is of half precision.
    """
    if not type(distribution).__module__.startswith(KNOWN):
        return distribution
    found = {}
    for name, value in vars(distribution).items():
        if isinstance(value, Tensor):
            if value.dtype in HALF:
                found[name] = value.detach().float()
        elif isinstance(value, Distribution) and (wide := widened(value)) is not value:
            found[name] = wide
    if not found:
        return distribution
    same = copy(distribution)
    vars(same).update(found)
    return same
