"""What uses a tensor or a parameter, told by the graph of what a model returns: it is walked, and not run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from probes.watching.evidence import MIXING, NOTE, CandidateKey
from probes.watching.graph_nodes import NODES, SAME, axis_of, kind_of

OF_CLASSES = ("Softmax", "LogSoftmax", "Logsumexp")
"""What logits of classes go through."""
OF_BITS = ("Sigmoid", "LogSigmoid", "Softplus", "BinaryCrossEntropyWithLogits")
"""What logits of independent bits go through."""
ADDING = ("Add", "Addcmul", "Normal")
"""What mean + scale * noise ends in."""
BETWEEN = (*SAME, "Add", "Sub", "Mul", "Div", "Clamp", "Where")
"""What may stand before: noise, a temperature."""
DEEPEST = 8  # nodes between an output and the parameters of the layer that made it


def uses_of_candidates(tensors: Iterable[Tensor]) -> dict[CandidateKey, set[str]]:
    """Candidates (`evidence.note`) -> the kinds of nodes that their tensors go through, the first on each way
    that is none of `BETWEEN`.
    """
    users: dict[Any, list[Any]] = {}
    noted: list[Any] = []
    for node, below in _edges(tensors):
        users.setdefault(below, []).append(node)
        if NOTE in below.metadata and below not in noted:
            noted.append(below)
    found: dict[CandidateKey, set[str]] = {}
    for start in noted:
        kinds, waiting, seen = set(), [start], {start}
        while waiting:
            for node in users.get(waiting.pop(), ()):
                if kind_of(node) not in BETWEEN:
                    kinds.add(kind_of(node) + _axis_of(node))
                elif node not in seen:
                    seen.add(node)
                    waiting.append(node)
        for key in start.metadata[NOTE]:
            found.setdefault(key, set()).update(kinds)
    return found


def _axis_of(node: Any) -> str:
    """Of a softmax along another axis than the last one by its number, "@axis"."""
    axis = axis_of(node) if kind_of(node) in OF_CLASSES else None
    return "" if axis in (None, -1) else f"@{axis}"


def summed(tensors: Iterable[Tensor]) -> set[CandidateKey]:
    """Candidates whose means something is added to, as noise is to what is sampled with."""
    found: set[CandidateKey] = set()
    for node, below in _edges(tensors):
        if kind_of(node) in ADDING:
            while NOTE not in below.metadata and kind_of(below) in SAME and below.next_functions[0][0]:
                below = below.next_functions[0][0]
            found |= set(below.metadata.get(NOTE, ()))
    return found


def halved(tensors: Iterable[Tensor], parameters: Collection[int]) -> set[int]:
    """Of parameters, by `id`, those of whose half an exponential is taken, or the root of whose exponential:
    log variances. To ask runs the hooks of who saves what autograd keeps elsewhere.
    """
    found: set[int] = set()
    for node, below in _edges(tensors):
        below = _behind_views(below)
        kind, under = kind_of(node), kind_of(below)
        half = kind == "Exp" and under in ("Mul", "Div") and _number(below) == (0.5 if under == "Mul" else 2)
        root = under == "Exp" and (kind == "Sqrt" or kind == "Pow" and _exponent(node) == 0.5)
        if half or root:
            found |= {id(one) for one in _variables(below)} & set(parameters)
    return found


def scaled_by(tensors: Iterable[Tensor], parameters: Collection[int]) -> dict[int, str]:
    """Of parameters, by `id`, what those are by their use that a softplus is taken of, or that a product is
    made with the exponential of: "rho", "log_sigma".
    """
    users: dict[Any, list[Any]] = {}
    for node, below in _edges(tensors):
        users.setdefault(below, []).append(node)
    found: dict[int, str] = {}
    for below in users:
        own = id(getattr(below, "variable", None))
        if own not in parameters:
            continue
        used = _used_by(users, below)
        behind = [{kind_of(node) for node in _used_by(users, one)} for one in used if kind_of(one) == "Exp"]
        if any(kind_of(node) == "Softplus" for node in used):
            found[own] = "rho"
        elif any(
            kinds & {"Mul", "Addcmul", "Normal", "Pow"} and not kinds & {"Add", "Log1P"} for kinds in behind
        ):
            found[own] = "log_sigma"
    return found


def _used_by(users: Mapping[Any, list[Any]], node: Any) -> list[Any]:
    """Nodes that use what a node makes, behind what leaves its numbers the same."""
    found: list[Any] = []
    waiting = [node]
    while waiting:
        for user in users.get(waiting.pop(), ()):
            (waiting if kind_of(user) in SAME else found).append(user)
    return found


def made_with(tensor: Tensor) -> frozenset[int]:
    """The parameters, by `id`, of the layers that made a tensor: the first ones that mix numbers."""
    found: set[int] = set()
    waiting, seen = [(tensor.grad_fn, DEEPEST, False)], set()
    while waiting:
        node, left, mixed = waiting.pop()
        if node is None or node in seen or not left:
            continue
        seen.add(node)
        if (variable := getattr(node, "variable", None)) is not None:
            found.add(id(variable))
        mixes = MIXING.search(kind_of(node)) is not None
        if mixes and mixed:
            continue
        inputs = [edge for edge, _ in node.next_functions]
        if mixes:  # all but what the layer got
            del inputs[1 if kind_of(node) == "Addmm" else 0]
        waiting += [(below, left - 1, mixed or mixes) for below in inputs]
    return frozenset(found)


def _edges(tensors: Iterable[Tensor]) -> Iterator[tuple[Any, Any]]:
    """Each node of a graph with each that it was made of."""
    waiting: list[Any] = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
    seen = set(waiting)
    while waiting and len(seen) < NODES:
        node = waiting.pop()
        for below, _ in node.next_functions:
            if below is None:
                continue
            yield node, below
            if below not in seen:
                seen.add(below)
                waiting.append(below)


def _behind_views(node: Any) -> Any:
    while kind_of(node) in SAME and node.next_functions[0][0] is not None:
        node = node.next_functions[0][0]
    return node


def _variables(node: Any) -> Iterator[Any]:
    for below, _ in node.next_functions:
        if below is not None and (found := getattr(_behind_views(below), "variable", None)) is not None:
            yield found


def _number(node: Any) -> float | None:
    other = getattr(node, "_saved_other", None)
    return float(other) if isinstance(other, Tensor) and other.numel() == 1 else None


def _exponent(node: Any) -> float | None:
    return getattr(node, "_saved_exponent", None)
