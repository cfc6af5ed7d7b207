"""What becomes of a head of a network: the elementwise operations on it, repeated, put into words, solved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

Where = tuple[str, int | str | None]
"""A head: path of a module or parameter, and the place in its output; None is the output itself."""


@dataclass(frozen=True)
class Step:
    """An elementwise operation and its numbers; `numbers` None: one that cannot be repeated. A bound None is
    none; another number None is not known.
    """

    name: str
    numbers: tuple[float | None, ...] | None = ()

    @property
    def hidden(self) -> bool:
        """Whether its constant is not known: a sum's stands in no node of a graph."""
        return self.name in ("add", "mul") and self.numbers == (None,)

    @property
    def factor(self) -> float:
        """Of a product; of an unknown one 1."""
        return math.prod(number for number in self.numbers or () if number is not None)

    def __call__(self, x: Tensor) -> Tensor:
        """What it makes of a tensor; an unknown constant changes nothing."""
        return x if self.hidden else STEPS[self.name][0](x, *(self.numbers or ()))

    def of(self, text: str) -> str:
        """In words."""
        numbers = "a constant" if self.hidden else ""
        if self.name in ("add", "mul"):
            number = numbers or f"{(self.numbers or (math.nan,))[0]:.4g}"
            return f"({text} + {number})".replace("+ -", "- ") if self.name == "add" else f"{number} * {text}"
        given = dict(zip(STEPS.get(self.name, (None, ()))[1], self.numbers or (), strict=False))
        if self.name == "softplus" and self.numbers == SOFTPLUS or self.name == "elu":
            given = {}
        words = [
            f"{name.removesuffix('_val')}={number:.4g}"
            for name, number in given.items()
            if number is not None
        ]
        return f"{self.name}({', '.join([bare(text), *words])})"


def bare(text: str) -> str:
    """A text without brackets around all of it."""
    depth = 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and index < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


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

SOFTPLUS = (1.0, 20.0)
"""beta and threshold of a plain softplus."""
LONGEST = 12  # operations between a head and its sample; beyond, the way is a network of its own


ADDED = Step("add", (None,))
"""A constant that is not known is added."""
NOTHING = Step("add", (0.0,))


@dataclass(frozen=True)
class Chain:
    """What has become of one call of a head: the operations since. label: the head in words, if it is not its
    path. part: whether it is some of its neurons alone.
    """

    head: Where
    call: int
    steps: tuple[Step, ...] = ()
    label: str = ""
    part: bool = False

    def then(self, step: Step) -> Chain | Blend:
        steps = self.steps
        if step.name == "mul" and steps and steps[-1].name == "mul" and not (step.hidden or steps[-1].hidden):
            steps, step = steps[:-1], Step("mul", (steps[-1].factor * step.factor,))
        elif step.hidden and step in steps[-1:]:
            return self
        elif step == ADDED and len(steps) > 1 and steps[-1].name == "mul" and steps[-2] == ADDED:
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
    def has_own_factor(self) -> bool:
        """Whether a number multiplies that is none of those between forms of a scale: 1, 1/2, 2."""
        factors = [step.factor for step in self.steps if step.name == "mul" and not step.hidden]
        return any(abs(factor) not in (0.5, 1.0, 2.0) for factor in factors)

    @property
    def heads(self) -> frozenset[Where]:
        return frozenset({self.head})

    def __str__(self) -> str:
        path, place = self.head
        text = self.label or (path if place is None else f"{path or 'output'}[{place!r}]")
        for step in self.steps:
            text = step.of(text)
        return bare(text)


@dataclass(frozen=True)
class Blend:
    """Computed from heads together with other things; `by`: the operation that brought them together."""

    heads: frozenset[Where]
    by: str


@dataclass(frozen=True)
class Noisy:
    """A value times a tensor that takes no part in training: noise, or a mask, which is never negative."""

    value: Chain | Blend
    mask: bool


SEVERAL = -1  # calls of a head, put together


def then_all(chain: Chain, *steps: Step) -> Chain | Blend:
    """A chain with steps more."""
    value: Chain | Blend = chain
    for step in steps:
        value = value.then(step) if isinstance(value, Chain) else value
    return value


def plain(value: Chain | Blend) -> Chain:
    """A chain; a blend as one that cannot be repeated."""
    if isinstance(value, Chain):
        return value
    return Chain(min(value.heads, key=str), 0, (Step(value.by, None),))


def blend(values: Sequence[Chain | Blend | Noisy], by: str) -> Blend:
    """Values that one operation has brought together."""
    plain = [value.value if isinstance(value, Noisy) else value for value in values]
    first = next((value.by for value in plain if isinstance(value, Blend)), by)
    return Blend(frozenset().union(*(value.heads for value in plain)), first)


def together(values: list[Chain | Blend | Noisy], by: str) -> Value:
    """Several calls of one head, side by side, are read like one."""
    if not alike(values):
        return blend(values, by)
    first = values[0]
    return replace(first, call=SEVERAL) if isinstance(first, Chain) and len(values) > 1 else first


def alike(values: Sequence[Noted]) -> bool:
    """Whether all are the same operations on one head."""
    chains = [value for value in values if isinstance(value, Chain)]
    return len(chains) == len(values) and len({(chain.head, chain.steps) for chain in chains}) == 1


def next_step(above: Chain, value: Noted) -> Step | None:
    """The one step from a chain to what was made of it; None where it is something else."""
    if isinstance(value, Chain) and value.head == above.head and value.steps[:-1] == above.steps:
        return value.steps[-1]
    return None


@dataclass(frozen=True)
class Use:
    """How a pair of heads is sampled. checked: whether a sample that was seen is what the chains say; None:
    none was.
    """

    mean: Chain
    scale: Chain
    checked: bool | None = None

    @property
    def hidden(self) -> list[tuple[int, int]]:
        """Where constants are not known: side (0 the mean, 1 the scale) and step."""
        sides = self.mean, self.scale
        return [(s, i) for s, chain in enumerate(sides) for i, step in enumerate(chain.steps) if step.hidden]

    @property
    def opaque(self) -> tuple[str, Step] | None:
        """Side and step of the first operation that cannot be repeated."""
        sides = ("mean", self.mean), ("scale", self.scale)
        return next(((s, step) for s, c in sides for step in c.steps if step.numbers is None), None)

    def told(self, constants: Sequence[float]) -> Use:
        """With the constants that were hidden; a sum with 0 is left out."""
        steps = [list(self.mean.steps), list(self.scale.steps)]
        for (side, place), constant in zip(self.hidden, constants, strict=True):
            steps[side][place] = replace(steps[side][place], numbers=(constant,))
        mean, scale = (tuple(step for step in side if step != NOTHING) for side in steps)
        return replace(self, mean=replace(self.mean, steps=mean), scale=replace(self.scale, steps=scale))

    def __str__(self) -> str:
        return f"sampled with mean = {self.mean}, σ = {self.scale}"


@dataclass(frozen=True)
class Drawn:
    """A sample, or where `summed` that and something else.

    keys: the pairs that it is the first sample of. use: how it is drawn. outputs: what their heads have put
    out; None where that is not kept, or not all of `use` is known.
    """

    keys: tuple[tuple[str, int], ...]
    use: Use | None = None
    outputs: tuple[Tensor, Tensor] | None = None
    summed: bool = False

    def noise_of(self, z: Tensor) -> Tensor | None:
        """What z is less the mean and over the scale; None where that is not known, or of other shapes."""
        if self.use is None or self.outputs is None:
            return None
        mean, scale = (
            chain.apply(x) for chain, x in zip((self.use.mean, self.use.scale), self.outputs, strict=True)
        )
        return (z - mean) / scale if mean.shape == z.shape else None


Value = Chain | Blend | Noisy | None
Noted = Value | Drawn


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
    return ("rho", ()) if names == [("softplus", SOFTPLUS)] else ("sigma", steps)


def solve(use: Use, mean: Tensor, scale: Tensor, noise: Tensor, z: Tensor) -> Use:
    """A use with the constants that z = mean + sigma * noise tells, and whether z is that.

    Parameters
    ----------
    use
        Its steps can be repeated.
    mean, scale
        What the heads put out, broadcastable to z.
    noise, z
        (B, ...), of one shape.

    Raises
    ------
    RuntimeError
        Where shapes do not broadcast.

    Notes
    -----
    Gauss-Newton with halved steps from 0, all in float64.
    """
    rounding = max(torch.finfo(value.dtype).eps for value in (mean, scale, noise, z))
    stride = max(1, z.numel() // ENOUGH)
    mean, scale, noise, z = (
        value.detach().expand(z.shape).flatten()[::stride].cpu().double() for value in (mean, scale, noise, z)
    )

    def misses(constants: Tensor) -> Tensor:
        told = use.told(constants.tolist())
        return z - told.mean.apply(mean) - told.scale.apply(scale) * noise

    constants = z.new_zeros(len(use.hidden))
    left = misses(constants)
    for _ in range(ITERATIONS if len(constants) else 0):
        shifts = 1e-5 * torch.eye(len(constants), dtype=z.dtype, device=z.device)
        slopes = torch.stack([(misses(constants + s) - misses(constants - s)) / 2e-5 for s in shifts], 1)
        if not slopes.isfinite().all():
            break
        step = torch.linalg.lstsq(slopes, -left[:, None]).solution[:, 0]
        tries = (constants + step / 2**halving for halving in range(10))
        better = next((t for t in tries if misses(t).square().sum() < left.square().sum()), None)
        if better is None:
            break
        constants, left = better, misses(better)
    rounded = z.new_tensor([_round(constant) for constant in constants.tolist()])
    told = use.told(rounded.tolist())
    size = 1 + z.abs() + (told.scale.apply(scale) * noise).abs()
    checked = misses(rounded).abs() <= 1e3 * rounding * size
    right = bool(checked.all())
    return replace(told if right or not use.hidden else use, checked=right)


ITERATIONS = 30
ENOUGH = 10_000  # numbers to solve from


def _round(number: float) -> float:
    """To the fewest digits that are the same number, for what float32 can tell."""
    shorter = (0.0, *(float(f"{number:.{digits}g}") for digits in range(1, 7)))
    return next((short for short in shorter if abs(short - number) < 1e-6 * max(1, abs(number))), number)
