"""Priors that a network holds by itself: numbers, buffers and distributions of its modules, and what else
speaks of one.

Nothing here runs a module. What is found and can be read becomes a prior; what speaks of one and cannot be
read is a `Mention`, for which no other prior may be assumed.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from itertools import islice
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from probes.watching.evidence import shaped, sources
from probes.watching.gaussians import is_gaussian
from probes.watching.naming import (
    find_pairs,
    mean_stems,
    role,
    scale_forms,
    speaks_of_prior,
    subject,
    words,
)
from probes.watching.posterior_source import Prior, PriorFunction, UnknownPrior
from probes.watching.slots import Slot

FLOW_WORDS = (
    "flow",
    "flows",
    "nflow",
    "normalizing",
    "normalising",
    "realnvp",
    "iaf",
    "maf",
    "planar",
    "radial",
    "glow",
    "bijector",
    "bijectors",
    "bijection",
    "bijections",
)
DETERMINANT = re.compile(r"\w\s*,\s*(?:log_?(?:abs_?)?det\w*|s?ldj|log_?jac\w*)\s*(?:=(?!=)|$)", re.MULTILINE)
"""`z, log_det = step(z)` or `return z, log_det`: a change of variables."""
MADE_OF: dict[str, frozenset[tuple[str, ...]]] = {
    "sigma": frozenset(),
    "var": frozenset(),
    "log_sigma": frozenset((("exp",), ("times or through 2", "exp"))),
    "log_var": frozenset((("exp",), ("half", "exp"))),
    "rho": frozenset((("softplus",),)),
}
"""What code may do with a prior's scale, by its form, for it to be what it is called."""
STANDARD = re.compile(r"randn|Normal\(\s*0|zeros")
"""In the source of a method that is a prior's: a standard normal one."""
CONSTANT = re.compile("zeros|ones|eye")
DRAWING = ("sample", "generate", "decode", "draw", "plot", "named", "register")


DEEPEST, MOST = 3, 200  # settings in settings, and of each, that are looked at
SETTINGS = re.compile("config|cfg|args|param|namespace|setting|option")
OF_MODULES = dict.fromkeys(vars(nn.Module()), 0)


@dataclass(frozen=True)
class Mention:
    """Something of a network that speaks of a prior: its path, and what it is in words."""

    path: str
    said: str


@dataclass(frozen=True)
class Held:
    """A prior that a module holds: the path of what holds it, its name, and how it is read."""

    path: str
    name: str
    prior: Prior


def layer_prior(model: nn.Module, path: str, mean: str, weight: Tensor) -> Prior:
    """The prior of a layer's weights, by the conventions of the libraries; None where nothing speaks of one.

    bayesian-torch: buffers prior_weight_mu and prior_weight_sigma, the latter a standard deviation (filled
    with what is called prior_variance). Blitz: prior_sigma_1, prior_sigma_2, prior_pi, a scale mixture
    (Blundell et al. 2015), which is a Gaussian where prior_pi is 0 or 1; torch-uncertainty says the same on
    the layer that its sampler stands in. torchbnn: prior_mu, prior_sigma. fastbnns: a dictionary `priors`, by
    the names of the weights.
    """
    module = model.get_submodule(path)
    tensors = dict(module.named_buffers(recurse=False)) | dict(module.named_parameters(recurse=False))
    tensors = {name: value for name, value in tensors.items() if value is not None and speaks_of_prior(name)}
    pairs = [Slot(m, s, _plain(form, assumed)) for m, s, form, assumed in find_pairs(tensors)]
    fitting = [slot for slot in pairs if tensors[str(slot.mean)].shape == weight.shape]
    same = [slot for slot in fitting or pairs if subject(str(slot.mean)) == subject(mean)]
    if len(same) == 1:
        return same[0]
    if len(fitting) == 1:
        return fitting[0]
    attributes = {name: value for name, value in vars(module).items() if speaks_of_prior(name)}
    if (mixture := _mixture(attributes)) is not None:
        return mixture
    numbers = {name: float(value) for name, value in attributes.items() if isinstance(value, Real)}
    for m, s, form, assumed in find_pairs(numbers):
        # outside a network's outputs a variance is one
        sigma, _ = Slot(form=_plain(form, assumed)).sigmas(
            torch.tensor(numbers[s], dtype=torch.float64, device="cpu")
        )
        return numbers[m], sigma.item()
    above = path.rpartition(".")[0]
    for owner in (module, model.get_submodule(above)):
        if (called := _called_prior(owner, mean)) is not None:
            return called
    if path:  # of a sampler that stands in the layer
        own = vars(model.get_submodule(above))
        said_above = {name: value for name, value in own.items() if speaks_of_prior(name)}
        if (mixture := _mixture(said_above)) is not None:
            return mixture
    owners = {path: module} | ({above: model.get_submodule(above)} if path else {})
    said = [
        mention.said
        for where, owner in owners.items()
        for mention in _mentions_of(where, owner, weights=True)
    ]
    return UnknownPrior(said[0]) if said else None


def _called_prior(owner: nn.Module, mean: str) -> Prior:
    """Of a dictionary of priors, such as {"weight": Normal(0, 1)}, the one that is called as the weight is;
    None where there is none.
    """
    for name, value in (vars(owner) | owner._modules).items():
        if not speaks_of_prior(name) or not isinstance(value, (Mapping, nn.ModuleDict)):
            continue
        for key, one in value.items():
            if not isinstance(key, str) or subject(key) != subject(mean):
                continue
            given = one if isinstance(one, Distribution) else getattr(one, "distribution", None)
            if isinstance(given, Distribution) and is_gaussian(given) and given.mean.numel() == 1:
                return float(given.mean), float(given.stddev)
            return UnknownPrior(f"{name}[{key!r}], a {type(one).__name__}")
    return None


def _plain(form: str, assumed: bool) -> str:
    return "var" if assumed and form == "log_var" else form


def _mixture(attributes: dict[str, Any]) -> Prior:
    """Blitz's scale mixture pi Normal(0, sigma_1²) + (1 - pi) Normal(0, sigma_2²), or the distribution given
    instead.
    """
    one, two, pi = (attributes.get(name) for name in ("prior_sigma_1", "prior_sigma_2", "prior_pi"))
    given = attributes.get("prior_dist")
    if isinstance(given, Distribution) and one is not None:
        if not is_gaussian(given) or given.batch_shape.numel() != 1:
            return UnknownPrior(f"prior_dist, a {type(given).__name__}")
        return float(given.mean), float(given.stddev)
    if not all(isinstance(value, Real) for value in (one, two, pi)):
        return None
    if pi == 1 or one == two:
        return 0.0, float(one)  # type: ignore[arg-type]
    if pi == 0:
        return 0.0, float(two)  # type: ignore[arg-type]
    return UnknownPrior(f"a scale mixture, {pi:g} Normal(0, {one:g}²) + {1 - pi:g} Normal(0, {two:g}²)")  # type: ignore[operator]


def held_priors(model: nn.Module) -> list[Held]:
    """Priors that modules hold as attributes: a distribution, or a Gaussian's mean and scale that are tensors
    or numbers, and nothing else of a prior stands beside them. They are read anew each time.
    """
    found: list[Held] = []
    for path, module in model.named_modules():
        attributes = {
            name: value for name, value in vars(module).items() if not name.startswith("_") or _tensor(value)
        }
        for name, value in attributes.items():
            if isinstance(value, Distribution) and speaks_of_prior(name):
                said = f"the network's own: {name}, {type(value).__name__}"
                found.append(Held(_join(path, name), name, PriorFunction(_reader(module, name), said)))
        values = {name: value for name, value in attributes.items() if _number(value) or _tensor(value)}
        values |= dict(module.named_buffers(recurse=False)) | dict(module.named_parameters(recurse=False))
        values = {name: value for name, value in values.items() if speaks_of_prior(name)}
        pairs = find_pairs(values)
        paired = {name for mean, scale, *_ in pairs for name in (mean, scale)}
        if any(_tensor(values[name]) for name in values.keys() - paired):
            continue  # more than a mean and a scale: components, or the weights of a mixture
        for mean, scale, form, assumed in pairs:
            slot = Slot(form=_plain(form, assumed))
            kind: Any = type(module)
            if shaped(kind, mean) or not shaped(kind, scale) <= MADE_OF[slot.form]:
                continue  # the prior is made of them in a way that is not repeated
            said = f"the network's own: mu={mean}, {slot.form}={scale}"
            found.append(
                Held(_join(path, mean), mean, PriorFunction(_pair_reader(module, mean, scale, slot), said))
            )
    return found


def _tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _reader(module: nn.Module, name: str) -> Callable[[Any, Any], Any]:
    return lambda _, __: getattr(module, name)


def _pair_reader(module: nn.Module, mean: str, scale: str, slot: Slot) -> Callable[[Any, Any], Any]:
    def read(_: Any, __: Any) -> Any:
        sigma, _log = slot.sigmas(torch.as_tensor(getattr(module, scale), dtype=torch.float32).detach())
        return getattr(module, mean), sigma

    return read


def mentions(model: nn.Module) -> list[Mention]:
    """What of a network speaks of a prior, or of a flow, which may be one or change a posterior; the
    uppermost of several that stand in each other.
    """
    found: list[Mention] = []
    for path, module in model.named_modules():
        if any(path == one.path or path.startswith(f"{one.path}.") for one in found if one.path):
            continue
        found += _mentions_of(path, module)
    return found


def _mentions_of(path: str, module: nn.Module, weights: bool = False) -> Iterator[Mention]:
    name = path.rpartition(".")[2]
    kind: Any = type(module)
    if path and not weights and (speaks_of_prior(name) or _speaks(kind)) and _could_be(module):
        yield Mention(path, f"the module {path!r} ({kind.__name__}) speaks of one")
        return
    if path and not weights and _is_flow(name, kind):
        yield Mention(path, f"a flow, {path!r} ({kind.__name__}), may be it or change the posterior")
        return
    if not weights and _takes_determinants(kind):
        what = f"{path!r} ({kind.__name__})" if path else kind.__name__
        yield Mention(
            path, f"{what} takes a determinant, as a flow does, which may be it or change the posterior"
        )
    for attribute, value in vars(module).items():
        called = speaks_of_prior(attribute) and not attribute.startswith(
            "log_prior"
        )  # a density, as Blitz keeps
        # a number called p is a probability
        if called and (_tells(value) or (_number(value) and "prior" in attribute)):
            yield Mention(
                _join(path, attribute),
                f"the attribute {_join(path, attribute)!r} ({_describe(value)}) speaks of one",
            )
    for attribute, value in vars(module).items():
        for name in _configured(value, OF_MODULES.get(attribute, DEEPEST)):
            said = f"{_join(path, attribute)}.{name}"
            yield Mention(said, f"the setting {said!r} speaks of one")
    for children in (module._parameters, module._buffers) if not weights else ():
        for attribute in children:
            if speaks_of_prior(attribute):
                yield Mention(_join(path, attribute), f"the tensor {_join(path, attribute)!r} speaks of one")
    for attribute in _methods(kind) if not weights else ():
        yield Mention(_join(path, attribute), f"the method {kind.__name__}.{attribute} speaks of one")


def _tells(value: Any) -> bool:
    """Whether an attribute holds a prior's numbers: a tensor, a distribution, or several of either."""
    several = (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    )
    return any(isinstance(one, (Distribution, Tensor)) for one in (value, *several))


def _configured(settings: Any, depth: int) -> Iterator[str]:
    """Names of numbers of a prior that is no standard normal one, in a mapping, a dataclass or a namespace of
    settings, or in those that stand in it.
    """
    if isinstance(settings, (nn.Module, Tensor, type)) or not depth:
        return
    fields = settings if isinstance(settings, Mapping) else {}
    if is_dataclass(settings) or SETTINGS.search(type(settings).__name__.lower()):
        fields = getattr(settings, "__dict__", fields)
    for name, value in islice(fields.items(), MOST):
        if not isinstance(name, str):
            continue
        if not _number(value):
            yield from (f"{name}.{inner}" for inner in _configured(value, depth - 1))
        elif "prior" in name and speaks_of_prior(name):
            scale = scale_forms(name)
            usual = 0 if any(form.startswith("log_") and "log" in name for form in scale) else 1
            if value != (usual if scale else 0) and (scale or mean_stems(name)):
                yield name


def _methods(kind: type) -> Iterator[str]:
    for one in kind.__mro__:
        if one is nn.Module:
            return
        if one.__module__.split(".")[0] in (
            "torch",
            "lightning",
            "pytorch_lightning",
            "pyro",
            "gpytorch",
            "transformers",
        ):
            continue
        for name, value in vars(one).items():
            function: Any = value.fget if isinstance(value, property) else value
            called = inspect.isfunction(function) and speaks_of_prior(name)
            if called and not any(word in DRAWING for word in words(name)):
                try:
                    source = inspect.getsource(function)
                except (OSError, TypeError):
                    source = ""
                if not _is_standard(source):
                    yield name


def _is_standard(source: str) -> bool:
    """Whether the source of a prior's method speaks of a standard normal, and of no other."""
    if not STANDARD.search(source):
        return False
    try:
        tree = ast.parse(textwrap.dedent(source))
    except SyntaxError:
        return True
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    normal = [call for call in calls if _name_of(call.func).endswith("Normal")]
    return not any(
        _is_another(given)
        for call in normal
        for given in (*call.args, *(word.value for word in call.keywords))
    )


def _is_another(given: ast.expr) -> bool:
    """Whether what a Normal is made of is neither 0 nor 1, as far as the source tells."""
    if isinstance(given, ast.Call) and CONSTANT.search(_name_of(given.func)):
        return False
    if isinstance(given, ast.Call) and _name_of(given.func) == "tensor":
        return any(_is_another(one) for one in given.args)
    if isinstance(given, ast.Constant):
        return isinstance(given.value, (int, float)) and given.value not in (0, 1)
    return not isinstance(given, ast.Name)


def _name_of(function: ast.expr) -> str:
    """torch.distributions.Normal -> Normal."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _could_be(module: nn.Module) -> bool:
    """Whether a module may hold or compute a prior: it has numbers of its own, and no images as DenseNet's
    transitions.
    """
    parts = list(module.modules())
    if any(isinstance(part, (nn.BatchNorm2d, nn.AvgPool2d, nn.Dropout)) for part in parts) and len(parts) < 8:
        return "prior" in type(module).__name__.lower() or any(
            speaks_of_prior(word) and word != "transition" for word in type(module).__name__.lower().split()
        )
    return next(module.parameters(), next(module.buffers(), None)) is not None or _speaks(type(module))


def _speaks(kind: type) -> bool:
    return _says_prior(kind.__name__)


def _is_flow(name: str, kind: type) -> bool:
    return any(word in FLOW_WORDS for word in (*words(name), *words(kind.__name__)))


@lru_cache(maxsize=256)
def _takes_determinants(kind: Any) -> bool:
    """Whether the source of a class names what comes beside a value the logarithm of a determinant, as of a
    change of variables.
    """
    return any(DETERMINANT.search(source) is not None for source in sources(kind))


def flow_above(model: nn.Module, path: str) -> str | None:
    """Path of the flow that a module stands in or is, None where there is none."""
    parts = path.split(".") if path else []
    for size in range(len(parts) + 1):
        above = ".".join(parts[:size])
        if _is_flow(parts[size - 1] if size else "", type(model.get_submodule(above))):
            return above
    return None


def is_in_flow(model: nn.Module, path: str) -> bool:
    """Whether a module stands in a flow, or is one; a posterior's network that is called after a flow is
    none, and the model itself is what is watched.
    """
    parts = path.split(".") if path else []
    for size in range(1, len(parts) + 1):
        above, name = ".".join(parts[:size]), parts[size - 1]
        if role(name) != "posterior" and _is_flow(name, type(model.get_submodule(above))):
            return True
    return False


def prior_above(model: nn.Module, path: str) -> str | None:
    """Path of the uppermost module that is called a prior and that a module stands in; None where there is
    none. What such a module consists of is no posterior, whatever it is called.
    """
    parts = path.split(".") if path else []
    for size in range(1, len(parts)):
        above, name = ".".join(parts[:size]), parts[size - 1]
        if role(name) != "posterior" and is_prior(name, type(model.get_submodule(above))):
            return above
    return None


def is_prior(name: str, kind: type) -> bool:
    """Whether a module's name, or its class, says that it is a prior."""
    return _says_prior(name) or _speaks(kind)


def _says_prior(name: str) -> bool:
    return any(word.startswith("prior") and not word.startswith("priorit") for word in words(name))


def _describe(value: Any) -> str:
    return f"{value:g}" if isinstance(value, Real) else type(value).__name__


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
