"""Nodes of the graph that autograd has built: what they do, what passes numbers on, what may be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from probes.watching.chains import STEPS, Step

NODES = 100_000  # of a graph that are looked at before the layers are settled

_SAME = """
    Alias AsStrided Clone Contiguous Copy Expand IndexSelect Permute Repeat Reshape ReshapeAlias Select Slice
    Split SplitWithSizes Squeeze T ToCopy Transpose UnsafeSplit UnsafeView Unbind Unsqueeze View
"""
SAME = frozenset(_SAME.split())
"""Nodes behind which the numbers are the same."""

PARTS = ("Select", "Slice", "Split", "SplitWithSizes", "UnsafeSplit")
"""Nodes of those that may pass some of the numbers on."""


def kind_of(node: Any) -> str:
    """ClampBackward1 -> Clamp."""
    return str(node.name()).rstrip("0123456789").removesuffix("Backward")


def step_of(node: Any, name: str) -> Step:
    """The operation of a node, by its name in STEPS, with its numbers; without them where it cannot be
    repeated.
    """
    if name not in STEPS or name in ("mul", "add"):
        return Step(name, None)
    numbers = tuple(getattr(node, f"_saved_{number}", None) for number in STEPS[name][1])
    if any(isinstance(number, Tensor) for number in numbers):
        return Step(name, None)
    return Step(name, tuple(None if number is None else float(number) for number in numbers))


def axis_of(node: Any) -> int | None:
    """The one axis that a node works along; None of others."""
    axis = getattr(node, "_saved_dim", None)
    if not isinstance(axis, int):
        return None
    return axis - 2**64 if axis >= 2**63 else axis  # autograd stores negative ones as unsigned numbers


def takes_a_part(node: Any, name: str) -> bool:
    """Whether a node passes some of the last axis on, or of an image's channels, and not all."""
    sizes, axis = getattr(node, "_saved_self_sym_sizes", ()), axis_of(node)
    if name not in PARTS or not sizes or axis is None:
        return False
    axis %= len(sizes)
    if axis != len(sizes) - 1 and not (len(sizes) > 3 and axis == 1):
        return False
    start, end = getattr(node, "_saved_start", 0), getattr(node, "_saved_end", 0)
    return not (name == "Slice" and start == 0 and end >= sizes[axis])


def is_closed(node: Any) -> bool:
    """Whether a node hides what it does: a compiled function, a reentrant checkpoint, somebody's own."""
    return isinstance(node, torch.autograd.function.BackwardCFunction)


def saving_is_hooked() -> bool:
    """Whether to look at a tensor that autograd saved would run somebody's hooks: those of activation
    checkpointing repeat a forward pass.
    """
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top is None or top(True) is not None


def tensors_in(values: Any, depth: int = 3) -> Iterator[Tensor]:
    """The tensors of what a module gets or returns."""
    if isinstance(values, Tensor):
        yield values
    elif depth and isinstance(values, Mapping):
        for value in values.values():
            yield from tensors_in(value, depth - 1)
    elif depth and isinstance(values, (tuple, list)):
        for value in values:
            yield from tensors_in(value, depth - 1)
    elif depth and hasattr(values, "__dict__") and not isinstance(values, nn.Module):
        for value in vars(values).values():
            yield from tensors_in(value, depth - 1)
