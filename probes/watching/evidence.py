"""What made a tensor, and what becomes of one: told by the graph of autograd and by the source of the
modules.

Neither is run: the graph is walked, the source parsed. Where they tell nothing, the answer is None.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from torch import Tensor

STEPS = 48  # of a graph that are looked at
CHANNELS_SECOND = ("Convolution", "MkldnnConvolution", "CudnnConvolution", "MpsConvolution", "SlowConv")
FEATURES_LAST = ("Addmm", "Mm", "Linear", "NativeLayerNorm", "Embedding", "Matmul", "FusedRmsNorm")


def feature_axis(tensor: Tensor) -> int | None:
    """The axis along which the last convolution or linear layer put its features; None where the graph does
    not tell.
    """
    waiting: list[tuple[Any, list[Any], bool]] = [(tensor.grad_fn, [], False)]
    for _ in range(STEPS):
        if not waiting:
            return None
        node, moves, viewed = waiting.pop(0)
        if node is None:
            continue
        kind = re.sub(r"Backward\d*$", "", type(node).__name__)
        axis = None
        if kind.startswith(CHANNELS_SECOND) and not viewed:
            axis = 1
        elif kind in FEATURES_LAST:
            axis = tensor.dim() - 1
        if axis is not None:
            for move in reversed(moves):
                axis = _moved(axis, move, tensor.dim())
            return axis
        if kind.startswith(CHANNELS_SECOND):
            continue
        if kind in ("Permute", "Transpose"):
            moves = [*moves, node]
        # a linear layer of more than two axes is a view of one of two; other views lose the axes
        viewed = viewed or kind in ("View", "UnsafeView", "ReshapeAlias", "Unsqueeze", "Squeeze", "Select")
        waiting += [(following, moves, viewed) for following, _ in node.next_functions]
    return None


def _moved(axis: int, node: Any, dimensions: int) -> int:
    if "Permute" in type(node).__name__:
        order = [_plain(one, dimensions) for one in node._saved_dims]
        return order.index(axis) if axis in order else axis
    one, other = (_plain(value, dimensions) for value in (node._saved_dim0, node._saved_dim1))
    return other if axis == one else one if axis == other else axis


def _plain(axis: int, dimensions: int) -> int:
    """An axis from 0; autograd stores negative ones as unsigned numbers."""
    axis = axis - 2**64 if axis >= 2**63 else axis
    return axis % dimensions


# ---- families

NOTE = "probes.candidates"  # in the metadata of a node: the posteriors whose mean it computed
NEAR = 24  # nodes between a mean and the distribution that it is a parameter of
MIXING = re.compile(
    "Addmm|Mm|Bmm|Baddbmm|Convolution|Linear|Embedding|Rnn|Lstm|Gru|LayerNorm|BatchNorm|Attention"
)
"""Nodes behind which numbers are others': a decoder's likelihood is not the posterior's family."""
FAMILIES = (
    "Laplace", "LogNormal", "StudentT", "Cauchy", "Gumbel", "VonMises", "HalfNormal", "HalfCauchy",
    "Logistic", "LogitNormal", "LogisticNormal", "Kumaraswamy", "TanhNormal", "SquashedNormal",
    "TransformedDistribution", "TruncatedNormal", "PowerSpherical", "VonMisesFisher",
)  # fmt: skip
_OTHER = re.compile(rf"\b(?:{'|'.join(FAMILIES)})\(")
_GAUSSIAN = re.compile(
    r"\b(?:Normal|MultivariateNormal|LowRankMultivariateNormal)\(|randn|normal_|gauss|observe\("
)


def note(mean: Tensor, key: tuple[str, int]) -> None:
    """Leave word in the graph of whose mean a tensor is."""
    node: Any = mean.grad_fn  # typed as if its metadata were a method
    if node is not None:
        node.metadata.setdefault(NOTE, []).append(key)


def posteriors_of(tensors: Iterable[Tensor]) -> set[tuple[str, int]]:
    """Whose means (`note`) tensors are, or are elementwise functions of."""
    waiting = [tensor.grad_fn for tensor in tensors]
    found: set[tuple[str, int]] = set()
    for _ in range(NEAR):
        if not waiting:
            break
        node: Any = waiting.pop(0)
        if node is None:
            continue
        found.update(node.metadata.get(NOTE, ()))
        if not MIXING.search(type(node).__name__):
            waiting += [following for following, _ in node.next_functions]
    return found


@lru_cache(maxsize=256)
def other_family(kind: Any) -> str | None:
    """The family that the source of a class draws from, where that is no Gaussian and no Gaussian is in
    it."""
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):
        return None
    found = _OTHER.search(source)
    return None if found is None or draws_gaussian(kind) else found.group()[:-1]


@lru_cache(maxsize=256)
def draws_gaussian(kind: Any) -> bool:
    """Whether the source of a class draws Gaussian numbers."""
    try:
        return _GAUSSIAN.search(inspect.getsource(kind)) is not None
    except (OSError, TypeError):
        return False
