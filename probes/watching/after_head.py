"""What stands between a named head and the sample that is drawn with it: a clamp, a softplus, a batch norm.

Before the layers of a run are settled the graph that autograd has built anyway is walked from what modules
get and return back to the heads. Where mean + scale * noise stands in it, the operations between each head
and that sum are known by the names of the graph's nodes, so that the posterior can be read as it is sampled:
sigma = softplus(fc_sigma) + 1e-4. A constant that is added stands in no node; it is solved from a sample that
a module got. Nothing is computed in the model's place, and no node is kept: what is known of one is a note in
its own metadata, which goes with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from probes.watching.hooks import hook_input
from probes.watching.posterior_source import DISTRIBUTION, NotReadable, PosteriorSource, pick

NODES = 100_000  # of a graph that are looked at before the layers are settled
HELD_BYTES = 16e6  # of heads' outputs that are kept until it is seen what becomes of them
LONGEST = 12  # operations between a head and its sample; beyond, the way is a network of its own
NOTE = "probes.after_head"

Key = tuple[str, int]
"""Name and rank of a candidate."""
Where = tuple[str, int | str | None]
"""A head: path of a module or parameter, and the place in its output; None is the output itself."""


@dataclass(frozen=True)
class Step:
    """An elementwise operation and its numbers; `numbers` None: one that cannot be repeated. A number None is
    not known.
    """

    name: str
    numbers: tuple[float | None, ...] | None = ()

    @property
    def hidden(self) -> bool:
        """Whether a constant was added that the graph does not hold."""
        return self.name == "add" and self.numbers == (None,)

    @property
    def factor(self) -> float:
        """Of a product."""
        return math.prod(number for number in self.numbers or () if number is not None)

    def __call__(self, x: Tensor) -> Tensor:
        return x if self.hidden else STEPS[self.name][0](x, *(self.numbers or ()))

    def inverse(self, y: Tensor) -> Tensor:
        """Raises KeyError for what has none."""
        return INVERSES[self.name](y, *(self.numbers or ()))

    def of(self, text: str) -> str:
        """In words."""
        plain = self.name == "softplus" and self.numbers == (1.0, 20.0)
        given = () if plain or self.numbers is None else self.numbers
        numbers = ["?" if number is None else f"{number:.4g}" for number in given]
        if self.name == "mul":
            return f"{numbers[0]} * {text}"
        if self.name == "add":
            return f"({text} + {'a constant' if self.hidden else numbers[0]})"
        return f"{self.name}({', '.join([text, *numbers])})"


def _clamp(x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    return x if low is None and high is None else x.clamp(low, high)


def _elu(x: Tensor, alpha: float, scale: float, input_scale: float) -> Tensor:
    return scale * torch.where(x > 0, x, alpha * (input_scale * x).expm1())


STEPS: dict[str, tuple[Callable[..., Tensor], tuple[str, ...]]] = {
    "exp": (torch.exp, ()),
    "exp2": (torch.exp2, ()),
    "expm1": (torch.expm1, ()),
    "log": (torch.log, ()),
    "log1p": (torch.log1p, ()),
    "sqrt": (torch.sqrt, ()),
    "rsqrt": (torch.rsqrt, ()),
    "reciprocal": (torch.reciprocal, ()),
    "tanh": (torch.tanh, ()),
    "sigmoid": (torch.sigmoid, ()),
    "logsigmoid": (F.logsigmoid, ()),
    "relu": (torch.relu, ()),
    "silu": (F.silu, ()),
    "abs": (torch.abs, ()),
    "neg": (torch.neg, ()),
    "hardsigmoid": (F.hardsigmoid, ()),
    "softplus": (lambda x, beta=1.0, threshold=20.0: F.softplus(x, beta, threshold), ("beta", "threshold")),
    "clamp": (_clamp, ("min", "max")),
    "hardtanh": (_clamp, ("min_val", "max_val")),
    "leakyrelu": (lambda x, slope: F.leaky_relu(x, slope), ("negative_slope",)),
    "elu": (_elu, ("alpha", "scale", "input_scale")),
    "pow": (lambda x, exponent: x**exponent, ("exponent",)),
    "mul": (lambda x, factor: x * factor, ()),
    "add": (lambda x, constant: x + constant, ()),
}
"""Operation -> how it is repeated, and where its numbers stand in a node of the graph."""

INVERSES: dict[str, Callable[..., Tensor]] = {
    "exp": torch.log,
    "sqrt": torch.square,
    "neg": torch.neg,
    "mul": lambda y, factor: y / factor,
    "add": lambda y, constant: y - constant,
    "tanh": torch.atanh,
    "sigmoid": torch.logit,
    "reciprocal": torch.reciprocal,
    "softplus": lambda y, beta=1.0, threshold=20.0: y + torch.log(-torch.expm1(-beta * y)) / beta,
}
"""What takes a step back, where a constant before it is solved."""

SAME = [
    "Alias",
    "AsStrided",
    "Clone",
    "Contiguous",
    "Copy",
    "Expand",
    "Permute",
    "Reshape",
    "ReshapeAlias",
    "Select",
    "Slice",
    "Split",
    "SplitWithSizes",
    "Squeeze",
    "T",
    "ToCopy",
    "Transpose",
    "UnsafeSplit",
    "UnsafeView",
    "Unbind",
    "Unsqueeze",
    "View",
]
"""Nodes behind which the numbers are the same."""


SUMS = ("Add", "Sub", "Addcmul", "Normal")
"""Nodes that mean + scale * noise may end in."""


@dataclass(frozen=True)
class Chain:
    """What has become of one call of a head: the operations since."""

    head: Where
    call: int
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> Chain | Blend:
        steps = self.steps
        if step.name == "mul" and steps and steps[-1].name == "mul":
            steps, step = steps[:-1], Step("mul", (steps[-1].factor * step.factor,))
        elif step.hidden and steps and steps[-1].hidden:
            return self
        elif step.hidden and len(steps) > 1 and steps[-1].name == "mul" and steps[-2].hidden:
            # (x + a) * k + b is k * x + c
            steps = (*steps[:-2], steps[-1])
        if len(steps) >= LONGEST:
            return Blend(frozenset({self.head}), step.name)
        return replace(self, steps=(*steps, step))

    def apply(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x

    @property
    def heads(self) -> frozenset[Where]:
        return frozenset({self.head})

    @property
    def opaque(self) -> Step | None:
        """The first operation that cannot be repeated."""
        return next((step for step in self.steps if step.numbers is None), None)

    @property
    def hidden(self) -> list[int]:
        """Where constants are added that are not known."""
        return [index for index, step in enumerate(self.steps) if step.hidden]

    def __str__(self) -> str:
        path, place = self.head
        text = path if place is None else f"{path}[{place!r}]"
        for step in self.steps:
            text = step.of(text)
        return text.removeprefix("(").removesuffix(")") if text.startswith("(") else text


@dataclass(frozen=True)
class Blend:
    """Computed from heads together with other things; `by`: the operation that brought them together."""

    heads: frozenset[Where]
    by: str


@dataclass(frozen=True)
class Noisy:
    """A value times a tensor that takes no part in training: noise, or a mask."""

    value: Chain | Blend


Value = Chain | Blend | Noisy | None


@dataclass(frozen=True)
class Use:
    """How a pair of heads is sampled. checked: whether a sample that was seen is what the chains say."""

    mean: Chain
    scale: Chain
    checked: bool | None = None

    def __str__(self) -> str:
        return f"sampled with mean {self.mean} and σ = {self.scale}"


@dataclass(frozen=True)
class Repeated:
    """The operations after two heads, on what the heads have put out: (mean, scale) -> (mean, scale)."""

    mean: tuple[Step, ...]
    scale: tuple[Step, ...]

    def __call__(self, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        for step in self.mean:
            mean = step(mean)
        for step in self.scale:
            scale = step(scale)
        return mean, scale


def form_of(steps: tuple[Step, ...]) -> tuple[str, tuple[Step, ...]]:
    """The form (`naming.FORMS`) of a scale whose sigma is `steps` of it, and the steps before that form."""
    names = [(step.name, step.numbers) for step in steps]
    if names[-2:] == [("mul", (0.5,)), ("exp", ())]:
        return "log_var", steps[:-2]
    if names[-2:] in ([("exp", ()), ("sqrt", ())], [("exp", ()), ("pow", (0.5,))]):
        return "log_var", steps[:-2]
    if names[-1:] == [("exp", ())]:
        return "log_sigma", steps[:-1]
    if names[-1:] in ([("sqrt", ())], [("pow", (0.5,))]):
        return "var", steps[:-1]
    return ("rho", ()) if names == [("softplus", (1.0, 20.0))] else ("sigma", steps)


def as_sampled(source: PosteriorSource, use: Use) -> PosteriorSource:
    """A pair of heads, read as it is sampled. Raises NotReadable, which says what stands between, for what
    cannot be repeated.
    """
    for side, chain in (("mean", use.mean), ("scale", use.scale)):
        if chain.opaque is not None:
            raise NotReadable(BETWEEN.format(source=source.path, by=chain.opaque.name, side=side))
    form, before = form_of(use.scale.steps)
    changed = bool(use.mean.steps or before)
    why = f"{source.why.split(';')[0]}; {use}"
    if use.mean.hidden or use.scale.hidden:
        why += "; ASSUMED the constant, which was not seen, is 0"
    if use.checked is False:
        why += "; ASSUMED, since a sample that was seen is another"
    path = source.path
    if source.origin == "layers":
        path = f"{use.mean.head[0]} & {use.scale.head[0]}"
    after = Repeated(use.mean.steps, before) if changed else None
    return replace(source, path=path, slot=replace(source.slot, form=form), after=after, why=why)


BETWEEN = (
    "{by} stands between the {side} of {source} and the sample that is drawn with it, and cannot be repeated"
    " from here: call probes.observe(name, mu, sigma) in the forward pass, or say what is done with"
    ' parts={{"{source}": probes.Part("mu, log_var", then=function)}}, where function(mu, sigma) returns'
    " the mean and sigma that are used"
)


class AfterHeads:
    """Looks, until layers are settled, for what stands between heads and their samples.

    Parameters
    ----------
    modules
        Path -> module, of those whose inputs are looked at; what they return is handed over by `passed`.
    pairs
        Pairs of sibling layers.
    listens
        Whether a forward pass that runs now counts.
    found
        Called with a candidate's key and its `Use`, once a candidate.
    parameters
        Of the model, by path.

    Attributes
    ----------
    inside
        Pair of sibling layers -> the candidate that is computed from it.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        pairs: Iterable[PosteriorSource],
        listens: Callable[[], bool],
        found: Callable[[Key, Use], None],
        parameters: Mapping[str, Tensor],
    ) -> None:
        self.inside: dict[Key, Key] = {}
        self._listens, self._found = listens, found
        self._keys: dict[tuple[Where, Where], Key] = {}
        self._seen: set[Key] = set()
        self._layers: set[str] = set()  # heads that are modules
        self._variables: dict[int, tuple[Where, Tensor]] = {}  # heads that are parameters, by id
        self._held: dict[Where, dict[int, Tensor]] = {}  # by call
        self._calls, self._room, self._budget = 0, HELD_BYTES, NODES
        self._roots: dict[Where, Where] = {}  # a module's output -> the head that it is computed from
        self._exits: dict[str, Where | None] = {}
        self._shared: set[str] = set()  # modules that serve others than one head too
        for source in pairs:
            if source.origin == "layers":
                sides = source.path.split(" & ")
                mean, scale = ((sides[int(str(key))], None) for key in (source.slot.mean, source.slot.scale))
                self._keys[mean, scale] = source.name, source.rank
                for side in sides:
                    if side in parameters:
                        self._variables[id(parameters[side])] = (side, None), parameters[side]
                    else:
                        self._layers.add(side)
        self.handles = [hook_input(module, partial(self._entered, path)) for path, module in modules.items()]

    def close(self) -> None:
        """Remove our hooks and forget all."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        self._held.clear()
        self._variables.clear()
        self._budget = 0

    # ---- what is seen

    def returned(self, source: PosteriorSource, output: Any) -> None:
        """A candidate in a module's output: its tensors are heads, too."""
        if self._budget > 0 and source.origin == "output" and source.function is None:
            with self._safely():
                self._returned(source, output)

    def _returned(self, source: PosteriorSource, output: Any) -> None:
        slot, key = source.slot, (source.name, source.rank)
        if slot.form == DISTRIBUTION:
            distribution = pick(output, slot.mean)
            while hasattr(distribution, "base_dist"):
                distribution = distribution.base_dist
            tensors = [distribution.loc, getattr(distribution, "scale", None)]
        else:
            tensors = [pick(output, slot.mean), pick(output, slot.scale)]
        places = [(source.path, f"{slot.mean}.loc"), (source.path, f"{slot.mean}.scale")]
        if slot.form != DISTRIBUTION:
            places = [(source.path, slot.mean), (source.path, slot.scale)]  # type: ignore[list-item]
        roots: set[Where] = set()
        for where, tensor in zip(places, tensors, strict=True):
            if isinstance(tensor, Tensor):
                if isinstance(value := self._walk(tensor), Chain):
                    roots |= self._rooted(value)
                self._begin(where, tensor)
        if slot.form != DISTRIBUTION:
            self._keys[places[0], places[1]] = key
        for (mean, scale), other in self._keys.items():
            sibling = mean[1] is None and scale[1] is None
            if sibling and mean in roots and (scale in roots or scale[0] not in self._layers):
                self.inside.setdefault(other, key)

    def passed(self, path: str, output: Any) -> None:
        """What a module has put out."""
        if self._budget > 0 and self._keys:
            with self._safely():
                self._passed(path, output)

    def _entered(self, path: str, args: Any) -> None:
        if self._budget > 0 and self._listens():
            if not path:
                self._held.clear()
                self._room = HELD_BYTES
            with self._safely():
                self._walk_all(args)

    def _walk_all(self, values: Any) -> list[Value]:
        waits = self._calls and not self._seen.issuperset(self._keys.values())
        return [self._walk(tensor) for tensor in _tensors(values)] if waits else []

    @contextmanager
    def _safely(self) -> Iterator[None]:
        """Whatever goes wrong, their training goes on, and nothing more is looked at."""
        try:
            yield
        except Exception:  # noqa: BLE001
            self._budget = 0

    def _passed(self, path: str, output: Any) -> None:
        if path in self._layers and isinstance(output, Tensor):
            self._begin((path, None), output)
            return
        values = self._walk_all(output)
        whole = values[0] if values and isinstance(output, Tensor) else None
        root = self._roots.get(whole.head, whole.head) if isinstance(whole, Chain) else None
        if self._exits.setdefault(path, root) != root:
            self._shared.add(path)
        if not isinstance(whole, Chain) or root is None or root[0] not in self._layers or not path:
            return
        if whole.opaque is not None or whole.hidden:
            self._roots[path, None] = root
            self._begin((path, None), output)

    def _begin(self, where: Where, tensor: Tensor) -> None:
        if tensor.grad_fn is None or tensor.layout != torch.strided or tensor.is_nested:
            return
        self._calls += 1
        node: Any = tensor.grad_fn
        node.metadata.setdefault(NOTE, {})[tensor.output_nr] = Chain(where, self._calls)
        self._room -= tensor.nbytes
        if self._room > 0 and not self._seen.issuperset(self._keys.values()):
            self._held.setdefault(where, {})[self._calls] = tensor.detach().clone()

    def _rooted(self, value: Chain | Blend | Noisy) -> frozenset[Where]:
        value = value.value if isinstance(value, Noisy) else value
        return frozenset(self._roots.get(head, head) for head in value.heads)

    # ---- the graph

    def _walk(self, tensor: Tensor) -> Value:
        """What a tensor is, in terms of the heads; everything above it is noted on the way."""
        top: Any = tensor.grad_fn
        if top is None:
            return None
        stack = [(top, False)]
        while stack and self._budget > 0:
            node, ready = stack.pop()
            if NOTE in node.metadata:
                continue
            if not ready:
                stack.append((node, True))
                stack += [(above, False) for above, _ in node.next_functions if above is not None]
                continue
            self._budget -= 1
            sample = tensor if node is top else None
            node.metadata[NOTE] = {None: self._value(node, sample)}
        return self._noted(top, tensor.output_nr)

    def _noted(self, node: Any, place: int) -> Value:
        if node is None:
            return None
        variable = getattr(node, "variable", None)
        if variable is not None:
            known = self._variables.get(id(variable))
            return None if known is None else Chain(known[0], 0)
        note: Mapping[int | None, Value] = node.metadata.get(NOTE, {})
        return note.get(place, note.get(None))

    def _value(self, node: Any, sample: Tensor | None) -> Value:
        values = [self._noted(*edge) for edge in node.next_functions]
        known = [value for value in values if value is not None]
        if not known:
            return None
        name = _name(node)
        if len(known) > 1 and name in SUMS and self._is_sample(node, name, values, sample):
            return None
        if len(known) > 1 or name in ("Stack", "Cat"):
            return _together(known, name) if name in ("Stack", "Cat") else _blend(known, name)
        return self._alone(node, name, values.index(known[0]), known[0])

    def _alone(self, node: Any, name: str, place: int, value: Chain | Blend | Noisy) -> Value:
        """One value that depends on heads, by itself or with others that do not."""
        if name in SAME:
            return value
        if isinstance(value, Noisy):
            return _blend([value], name)
        others = [edge for index, (edge, _) in enumerate(node.next_functions) if index != place]
        if name in ("Mul", "Div") and others == [None]:
            other = self._operand(node, place)
            if other is None:
                return _blend([value], name)
            if other.numel() > 1:
                return Noisy(value) if name == "Mul" else _blend([value], name)
            number = float(other)
            if not isinstance(value, Chain) or number == 0:
                return value
            if name == "Mul":
                return value.then(Step("mul", (number,)))
            if place == 0:
                return value.then(Step("mul", (1 / number,)))
            turned = value.then(Step("reciprocal"))
            return turned.then(Step("mul", (number,))) if isinstance(turned, Chain) else turned
        if not isinstance(value, Chain):
            return value
        if name in ("Add", "Sub", "Rsub") and others in ([None], []):
            negative = name == "Rsub" or (name == "Sub" and place == 1)
            turned = value.then(Step("mul", (-1.0,))) if negative else value
            return turned.then(Step("add", (None,))) if isinstance(turned, Chain) else turned
        return value.then(_step(node, name.lower())) if not any(others) else self._with_others(value, name)

    def _with_others(self, value: Chain, name: str) -> Value:
        # a layer of its own, such as a batch norm with weights, or a sum with something else
        return value.then(Step(name, None))

    def _operand(self, node: Any, place: int) -> Tensor | None:
        """The factor that takes no part in training; None where to look would run somebody's hooks."""
        if _saving_is_hooked():
            self._budget = 0
            return None
        other = getattr(node, "_saved_other" if place == 0 else "_saved_self", None)
        return other.detach() if isinstance(other, Tensor) else None

    # ---- samples

    def _is_sample(self, node: Any, name: str, values: list[Value], sample: Tensor | None) -> bool:
        """Whether a sum is mean + scale * noise of a pair of heads."""
        noise: Tensor | None = None
        if name == "Normal":
            mean, scale = values
        elif name == "Addcmul":
            mean = values[0]
            place = 1 if values[1] is not None else 2
            scale = values[place]
            noise = getattr(node, "_saved_tensor2" if place == 1 else "_saved_tensor1", None)
        else:
            places = [place for place, value in enumerate(values) if isinstance(value, Noisy)]
            if len(places) != 1:
                return False
            noisy = values[places[0]]
            mean, scale = values[1 - places[0]], noisy.value if isinstance(noisy, Noisy) else None
            noise = self._noise(node.next_functions[places[0]][0])
            if noise is not None and name == "Sub":
                noise = -noise if places[0] == 1 else None
        if mean is None or scale is None or isinstance(mean, Noisy) or isinstance(scale, Noisy):
            return False
        if noise is not None and not bool((noise < 0).any() & (noise > 0).any()):
            return False
        roots = self._rooted(mean), self._rooted(scale)
        for pair, key in self._keys.items():
            if pair[0] in roots[0] and pair[1] in roots[1]:
                self._sampled(key, mean, scale, noise, sample)
                return True
        return False

    def _noise(self, node: Any) -> Tensor | None:
        while node is not None and _name(node) in SAME:
            node = node.next_functions[0][0]
        if node is None or _saving_is_hooked():
            return None
        places = [place for place, edge in enumerate(node.next_functions) if self._noted(*edge) is not None]
        return self._operand(node, places[0]) if len(places) == 1 else None

    def _sampled(
        self, key: Key, mean: Chain | Blend, scale: Chain | Blend, noise: Tensor | None, sample: Tensor | None
    ) -> None:
        if key in self._seen:
            return
        use = Use(_plain(mean), _plain(scale))
        if noise is not None and sample is not None:
            use = self._solve(use, noise, sample.detach())
        self._seen.add(key)
        self._found(key, use)
        for chain in (use.mean, use.scale):
            self._held.pop(chain.head, None)

    def outputs(self, use: Use) -> list[tuple[Tensor, Tensor]]:
        """What the heads of a use have put out, call by call, as far as it is kept."""
        means, scales = (self._outputs(chain.head) for chain in (use.mean, use.scale))
        return list(zip(means, scales * len(means) if len(scales) == 1 else scales, strict=False))

    def _outputs(self, head: Where) -> list[Tensor]:
        fixed = [value.detach() for where, value in self._variables.values() if where == head]
        return fixed or [value for _, value in sorted(self._held.get(head, {}).items())]

    def _solve(self, use: Use, noise: Tensor, z: Tensor) -> Use:
        """With the constants that a sample z = mean + sigma * noise tells, and whether it is one."""
        try:
            mean, scale = (
                self._held[chain.head][chain.call] if chain.call else self._outputs(chain.head)[0]
                for chain in (use.mean, use.scale)
            )
            if use.mean.opaque or use.scale.opaque or z.shape != noise.shape:
                return use
            rounding = max(torch.finfo(value.dtype).eps for value in (mean, scale, noise, z))
            return _solved(use, mean.double(), scale.double(), noise.double(), z.double(), 1e3 * rounding)
        except (KeyError, IndexError, RuntimeError):
            return use


def _solved(use: Use, mean: Tensor, scale: Tensor, noise: Tensor, z: Tensor, tolerance: float) -> Use:
    hidden = use.mean.hidden, use.scale.hidden
    if len(hidden[0]) + len(hidden[1]) == 1:
        if hidden[1]:
            far = noise.abs() > 0.1
            target = ((z - use.mean.apply(mean)) / noise)[far]
            constant = _constant(use.scale, scale.expand_as(z)[far], target)
            use = replace(use, scale=_with(use.scale, constant))
        else:
            target = z - use.scale.apply(scale) * noise
            use = replace(use, mean=_with(use.mean, _constant(use.mean, mean.expand_as(z), target)))
    says = use.mean.apply(mean) + use.scale.apply(scale) * noise
    size = z.abs() + (use.scale.apply(scale) * noise).abs()
    return replace(use, checked=bool(((says - z).abs() <= tolerance * (1 + size)).all()))


def _constant(chain: Chain, head: Tensor, target: Tensor) -> float:
    """The number that is added at the chain's one hidden place, so that it becomes `target`."""
    (place,) = chain.hidden
    for step in reversed(chain.steps[place + 1 :]):
        target = step.inverse(target)
    for step in chain.steps[:place]:
        head = step(head)
    rough = float((target - head).nanmedian())
    for digits in range(1, 7):
        if abs(float(f"{rough:.{digits}g}") - rough) < 1e-6:
            return float(f"{rough:.{digits}g}")
    return rough


def _with(chain: Chain, constant: float) -> Chain:
    (place,) = chain.hidden
    step = () if abs(constant) < 1e-6 else (Step("add", (constant,)),)
    return replace(chain, steps=(*chain.steps[:place], *step, *chain.steps[place + 1 :]))


def _plain(value: Chain | Blend) -> Chain:
    """A chain; a blend as one that cannot be repeated."""
    if isinstance(value, Chain):
        return value
    return Chain(min(value.heads, key=str), 0, (Step(value.by, None),))


def _blend(values: Sequence[Chain | Blend | Noisy], by: str) -> Blend:
    plain = [value.value if isinstance(value, Noisy) else value for value in values]
    first = next((value.by for value in plain if isinstance(value, Blend)), by)
    return Blend(frozenset().union(*(value.heads for value in plain)), first)


def _together(values: list[Chain | Blend | Noisy], by: str) -> Value:
    """Several calls of one head, side by side, are read like one."""
    alike = {(value.head, value.steps) for value in values if isinstance(value, Chain)}
    if len(alike) == 1 and all(isinstance(value, Chain) for value in values):
        return values[0]
    return _blend(values, by)


def _step(node: Any, name: str) -> Step:
    if name not in STEPS or name in ("mul", "add"):
        return Step(name, None)
    numbers = tuple(getattr(node, f"_saved_{number}", None) for number in STEPS[name][1])
    if any(isinstance(number, Tensor) for number in numbers):
        return Step(name, None)
    return Step(name, tuple(None if number is None else float(number) for number in numbers))


def _name(node: Any) -> str:
    """ClampBackward1 -> Clamp."""
    return str(node.name()).rstrip("0123456789").removesuffix("Backward")


def _saving_is_hooked() -> bool:
    """Whether to look at a tensor that autograd saved would run somebody's hooks: those of activation
    checkpointing repeat a forward pass.
    """
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top is None or top(True) is not None


def _tensors(values: Any, depth: int = 3) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif depth and isinstance(values, Mapping):
        for value in values.values():
            yield from _tensors(value, depth - 1)
    elif depth and isinstance(values, (tuple, list)):
        for value in values:
            yield from _tensors(value, depth - 1)
    elif depth and hasattr(values, "__dict__") and not isinstance(values, nn.Module):
        for value in vars(values).values():
            yield from _tensors(value, depth - 1)
