"""Which tensors of a network hold real numbers that can be read, and those numbers as they lie in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from probes.watching.naming import describe

CHANGED_IN_PLACE = "a tensor was changed in place after the forward pass had put it out"


class NotReadable(ValueError):
    """Something was found that is no Gaussian posterior; the message says why it is left out."""


class NoRows(NotReadable):
    """A batch without inputs: it says nothing about what is read, and the next one may."""


def plain(value: Tensor) -> Tensor:
    """A tensor as rows lie in memory: sequences of different lengths one after the other, positions are rows;
    what is sparse with its zeros. Raises NotReadable for complex numbers and tensors without values.
    """
    if value.is_complex() or value.is_meta or value.is_quantized:
        kind = "complex" if value.is_complex() else "quantized" if value.is_quantized else "without values"
        raise NotReadable(f"a {describe(value)} of {value.dtype} is {kind}: it holds no real numbers")
    if hasattr(value, "placements"):  # a DTensor, which has its own kinds of tensors' functions
        value = value.to_local()  # type: ignore[attr-defined]
    if value.is_nested:
        return torch.cat(value.unbind())
    return value if value.layout == torch.strided else value.to_dense()


def is_simple(value: Any) -> bool:
    """Whether a value is a number that is `plain` as it stands."""
    return (
        type(value) in (Tensor, nn.Parameter)  # others, such as DTensor, have functions of their own
        and value.layout is torch.strided
        and value.is_floating_point()
        and value.dim() > 0
        and not (value.is_nested or value.is_meta or value.is_quantized)
    )


def is_number(value: Any) -> bool:
    """Whether a value is a tensor of floating-point numbers, and not a single one."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 0
