"""What made a tensor, and what becomes of one: told by the graph of autograd and by the source of the
modules.

Neither is run: the graph is walked, the source parsed. Where they tell nothing, the answer is None.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from torch import Tensor

CandidateKey = tuple[str, int]
"""Name and rank of a candidate."""

STEPS = 48  # of a graph that are looked at
CHANNELS_SECOND = ("Convolution", "MkldnnConvolution", "CudnnConvolution", "MpsConvolution", "SlowConv")
VIEWS = ("View", "UnsafeView", "ReshapeAlias")
FEATURES_LAST = ("Addmm", "Mm", "Linear", "NativeLayerNorm", "Embedding", "Matmul", "FusedRmsNorm")


def feature_axis(tensor: Tensor) -> int | None:
    """The axis along which the last convolution or linear layer put its features; None where the graph does
    not tell.
    """
    # last: how long the last axis is, None where that is not followed
    waiting: list[tuple[Any, list[Any], bool, int | None]] = [
        (tensor.grad_fn, [], False, tensor.shape[-1] if tensor.dim() else None)
    ]
    for _ in range(STEPS):
        if not waiting:
            return None
        node, moves, viewed, last = waiting.pop(0)
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
            moves, last = [*moves, node], None
        sizes = getattr(node, "_saved_self_sym_sizes", None) if kind in VIEWS else None
        if sizes:
            if last is not None and int(sizes[-1]) != last:
                continue  # the features were cut up: groups of them, or positions
            last = int(sizes[-1])
        # a linear layer of more than two axes is a view of one of two; other views lose the axes
        viewed = viewed or kind in (*VIEWS, "Unsqueeze", "Squeeze", "Select")
        waiting += [(following, moves, viewed, last) for following, _ in node.next_functions]
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


def placements(tensor: Tensor) -> list[Any]:
    """How a tensor lies on a mesh of devices, as far as DTensor knows it: what `DTensor.to_local` leaves in
    the graph of what it is an elementwise function of, or its own. The nearest first; none is usual.
    """
    found = [own] if (own := getattr(tensor, "_spec", None)) is not None else []
    waiting: list[Any] = [tensor.grad_fn]
    for _ in range(NEAR):
        if not waiting:
            break
        node = waiting.pop(0)
        if node is None:
            continue
        if (spec := getattr(node, "dtensor_spec", None)) is not None:
            found.append(spec)
        if not MIXING.search(type(node).__name__):
            waiting += [following for following, _ in node.next_functions]
    return found


# ---- families

NOTE = "probes.candidates"  # in the metadata of a node: the posteriors whose mean it computed
NEAR = 24  # nodes between a mean and the distribution that it is a parameter of
MIXING = re.compile(
    "Addmm|Mm|Bmm|Baddbmm|Convolution|Linear|Embedding|Rnn|Lstm|Gru|LayerNorm|BatchNorm|Attention"
)
"""Nodes behind which numbers are others': a decoder's likelihood is not the posterior's family."""
NORM = re.compile("BatchNorm|LayerNorm")
FAMILIES = (
    "Laplace", "LogNormal", "StudentT", "Cauchy", "Gumbel", "VonMises", "HalfNormal", "HalfCauchy",
    "Logistic", "LogitNormal", "LogisticNormal", "Kumaraswamy", "TanhNormal", "SquashedNormal",
    "TransformedDistribution", "TruncatedNormal", "PowerSpherical", "VonMisesFisher",
)  # fmt: skip
_OTHER = re.compile(rf"\b(?:{'|'.join(FAMILIES)})\(")
_UNIFORM = re.compile(r"\brand(?:_like)?\(|\bUniform\(|\b(?:uniform|exponential|cauchy)_\(")
OF_UNIFORM_NOISE = "distribution made of uniform noise"
_GAUSSIAN = re.compile(
    r"\b(?:Normal|MultivariateNormal|LowRankMultivariateNormal)\(|randn|normal_|gauss|observe\("
)


def note(mean: Tensor, key: CandidateKey) -> None:
    """Leave word in the graph of whose mean a tensor is."""
    node: Any = mean.grad_fn  # typed as if its metadata were a method
    if node is not None:
        node.metadata.setdefault(NOTE, []).append(key)


def posteriors_of(tensors: Iterable[Tensor]) -> set[CandidateKey]:
    """Whose means (`note`) tensors are, or are elementwise functions of."""
    return {key for node in near(tensors) for key in node.metadata.get(NOTE, ())}


def near(tensors: Iterable[Tensor]) -> Iterator[Any]:
    """Nodes of the graph that tensors are elementwise functions of, up to those that mix numbers."""
    waiting = [tensor.grad_fn for tensor in tensors]
    seen: set[Any] = {None}
    while waiting and len(seen) <= NEAR:
        node: Any = waiting.pop(0)
        if node in seen:
            continue
        seen.add(node)
        yield node
        if not MIXING.search(type(node).__name__):
            waiting += [following for following, _ in node.next_functions]


def normalised(tensor: Tensor) -> set[CandidateKey]:
    """Whose means (`note`) a tensor is a batch or layer norm of, and nothing else."""
    node: Any = tensor.grad_fn
    if node is None or not NORM.search(type(node).__name__) or not node.next_functions:
        return set()
    before: Any = node.next_functions[0][0]
    return set(before.metadata.get(NOTE, ())) if before is not None else set()


def sources(kind: Any) -> Iterator[str]:
    """The sources of a class and of those that it inherits from, up to torch's."""
    for one in kind.__mro__:
        if one.__module__.split(".")[0] in ("torch", "builtins"):
            return
        try:
            yield textwrap.dedent(inspect.getsource(one))
        except (OSError, TypeError):
            continue


@lru_cache(maxsize=256)
def other_family(kind: Any) -> str | None:
    """The family that the source of a class draws from, where no Gaussian is in it."""
    source = "\n".join(sources(kind))
    if draws_gaussian(kind):
        return None
    if (found := _OTHER.search(source)) is not None:
        return found.group()[:-1]
    return OF_UNIFORM_NOISE if _UNIFORM.search(source) else None


@lru_cache(maxsize=256)
def draws_gaussian(kind: Any) -> bool:
    """Whether the source of a class draws Gaussian numbers."""
    return _GAUSSIAN.search("\n".join(sources(kind))) is not None


# ---- what code does with the output of a layer

SHAPING = (
    "softplus",
    "exp",
    "sigmoid",
    "clamp",
    "clamp_min",
    "clip",
    "elu",
    "relu",
    "abs",
    "tanh",
    "softmax",
)
SMALL = 1e-3  # added to a scale against 0


@lru_cache(maxsize=256)
def applied(kind: Any, name: str) -> tuple[str, ...] | None:
    """Operations that the source of a class applies to what `self.name(...)` puts out, in order, one
    statement after the other; None where there is no source, no such call, or where they differ from place
    to place.

    Logarithms and powers are no part of it: they stand in a KL. "half" is a product with one half.
    """
    chains = set()
    for function in _methods(kind):
        parents = {child: parent for parent in ast.walk(function) for child in ast.iter_child_nodes(parent)}
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
                chains.add(_followed(function, parents, node))
    return chains.pop() if len(chains) == 1 else None


@lru_cache(maxsize=256)
def shaped(kind: Any, name: str) -> frozenset[tuple[str, ...]]:
    """Operations that the source of a class applies to what it holds as `self.name`, as `applied` has them:
    one chain for each place where there are some.
    """
    chains = set()
    for function in _methods(kind):
        parents = {child: parent for parent in ast.walk(function) for child in ast.iter_child_nodes(parent)}
        for node in ast.walk(function):
            if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
                continue
            if node.attr == name and getattr(node.value, "id", None) == "self":
                chains.add(_followed(function, parents, node))
    return frozenset(chain for chain in chains if chain)


@lru_cache(maxsize=256)
def _methods(kind: Any) -> tuple[ast.FunctionDef, ...]:
    """The methods of a class, parsed, each as the class itself has it."""
    found: dict[str, ast.FunctionDef] = {}
    for source in sources(kind):
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, node)
    return tuple(found.values())


Place = tuple[int, int]
"""Line and column."""


def _place(node: ast.AST) -> Place:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _followed(function: ast.FunctionDef, parents: dict[ast.AST, ast.AST], node: ast.AST) -> tuple[str, ...]:
    """Operations around a value, and around the variable that it is assigned to, the most of those."""
    chain, target, place = _around(parents, node)
    for _ in range(4):  # reassigned
        if target is None:
            break
        later = [
            _around(parents, one)
            for one in ast.walk(function)
            if isinstance(one, ast.Name)
            and one.id == target
            and isinstance(one.ctx, ast.Load)
            and _place(one) > place
        ]
        own = [one for one in later if one[1] == target and one[0]]
        if own:
            chain, place = chain + own[0][0], own[0][2]
            continue
        used = {one[0] for one in later if one[0]}
        return chain + (max(used, key=len) if used else ())
    return chain


def _around(parents: dict[ast.AST, ast.AST], node: ast.AST) -> tuple[tuple[str, ...], str | None, Place]:
    """Operations around a node within its statement, the one name that the result is assigned to, the
    line."""
    chain: list[str] = []
    place = _place(node)

    def used() -> tuple[tuple[str, ...], None, Place]:
        shaping = [at for at, one in enumerate(chain) if one.partition("(")[0] in SHAPING]
        return tuple(chain[: shaping[-1] + 1] if shaping else ()), None, place  # the rest stands in a formula

    while (parent := parents.get(node)) is not None:
        if isinstance(parent, ast.Call):
            called = (
                parent.func.attr if isinstance(parent.func, ast.Attribute) else getattr(parent.func, "id", "")
            )
            own = parent.func is node or node in parent.args
            if not own or called not in (*SHAPING, "mul", "div"):
                return used()
            others = [ast.unparse(one) for one in (*parent.args, *parent.keywords) if one is not node]
            said = f"{called}({', '.join(others)})" if others else called
            chain += [said] if called in SHAPING else _halved(called, parent.args)
        elif isinstance(parent, ast.BinOp):
            if isinstance(parent.op, ast.Pow):
                return used()
            chain += _arithmetic(node, parent)
            if not isinstance(parent.right, ast.Constant) and not isinstance(parent.left, ast.Constant):
                return used()
        elif isinstance(parent, ast.Assign):
            return tuple(chain), _target(parent, node), place
        elif isinstance(parent, ast.Tuple) and isinstance(above := parents.get(parent), ast.Assign):
            return tuple(chain), _target(above, node), place
        elif not isinstance(parent, ast.Attribute):
            return used()
        node = parent
    return used()


def _halved(called: str, args: list[ast.expr]) -> list[str]:
    number = args[0].value if args and isinstance(args[0], ast.Constant) else None
    halves = number == (0.5 if called == "mul" else 2)
    return ["half"] if halves else [f"{called} {number!r}"]


def _arithmetic(node: ast.AST, parent: ast.BinOp) -> list[str]:
    other = parent.right if parent.left is node else parent.left
    number = other.value if isinstance(other, ast.Constant) else None
    if not isinstance(number, (int, float)):
        return []
    if isinstance(parent.op, (ast.Mult, ast.Div)):
        halves = number == (0.5 if isinstance(parent.op, ast.Mult) else 2)
        return ["half"] if halves else [f"times or through {number}"]
    if isinstance(parent.op, (ast.Add, ast.Sub)):
        return [] if abs(number) <= SMALL else [f"plus {number}"]
    return []


def _target(assign: ast.Assign, node: ast.AST) -> str | None:
    """The name that a value is assigned to."""
    target = assign.targets[0]
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Tuple) and isinstance(assign.value, ast.Tuple) and node in assign.value.elts:
        one = (
            target.elts[assign.value.elts.index(node)] if len(target.elts) == len(assign.value.elts) else None
        )
        return one.id if isinstance(one, ast.Name) else None
    return None
