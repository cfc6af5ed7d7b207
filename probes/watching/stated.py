"""Parts of a network named by hand: `parts={path pattern: how to read it}` -> posterior sources.

    "mu, log_var"                          the elements of a returned tuple, in order; "_" is an element to
    pass over "mu=embedding, log_var=log_covariance" fields of a returned mapping or object
    "mu | log_var"                         one tensor whose halves are mean and scale
    "distribution", "distribution=q"       a torch distribution, or the field that holds it
    a function (module, output)            returns (mu, sigma), (mu, sigma, prior_mu, prior_sigma) or a
    distribution

A scale is written as one of `naming.FORMS`. A key is a module's path with wildcards (`encoder.*.head`), or
two paths of layers or parameters joined by " & ": {"encoder.a & encoder.b": "mu, sigma"}. A `Part` says more
of one: its prior, layout, mask, and what is done with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from probes.watching.hooks import Argument
from probes.watching.layouts import check_layout_name
from probes.watching.naming import FORMS
from probes.watching.posterior_source import (
    RANK_OBSERVED,
    STATED,
    UNKNOWN,
    PosteriorSource,
    Prior,
    PriorFunction,
    UnknownPrior,
)
from probes.watching.slots import DISTRIBUTION, Key, Slot

Read = str | Callable[[Any, Any], Distribution | tuple[Tensor, ...]]
"""How a part is read: a text of the grammar above, or a function (module, output) of the user's."""
PriorSpec = (
    tuple[float | Tensor, float | Tensor] | Distribution | Callable[[Any, Any], Any] | Literal["unknown"]
)
"""Mean and sd of a prior, numbers or (N,); a Gaussian distribution; a function (module, output) -> (mu,
sigma) or a Gaussian distribution, called at each forward pass; or "unknown", which leaves KL out.
"""


@dataclass(frozen=True)
class Part:
    """A part of a network that is named by hand: a value of `parts=`.

    Attributes
    ----------
    read
        Where mean and scale are (`probes.watching.stated`).
    prior
        (mean, sd); a Gaussian distribution; a function (module, output) -> (mu, sigma), or a Gaussian
        distribution, for one that varies from row to row; "unknown" leaves KL out. None: Normal(0, 1) is
        assumed, unless the model speaks of a prior of its own.
    layout
        "bn" (B, N); "btn" (B, T, N) or (T, B, N), positions are rows; "sequences" (B, T, N), so are they, and
        depend on each other, or (B, N) of one call a position, where the calls of a step are positions of the
        same B sequences; "rows" (..., N), so are all axes but the last; "bnk" (B, N, K) and "bcx" (B, C,
        ``*X``), what follows the neurons are their dimensions; "bct" (B, C, ``*T``), a channel is a neuron, a
        position a row. None: as the module that made the tensor says.
    then
        (mu, sigma) -> (mu, sigma): what the network does with them before it draws its sample.
    mask
        Name of an argument of the module's `forward`, or of the model's, such as "attention_mask", or a
        function (module, output) -> mask: (B,), or of all axes that are rows. What is 0 there is left out.

    Raises
    ------
    PartError
        For a layout or prior that is none of these.
    """

    read: Read
    prior: PriorSpec | None = None
    layout: str | None = None
    then: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    mask: str | Callable[[Any, Any], Tensor | None] | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.read, str) or callable(self.read)):
            raise PartError(f"parts: {self.read!r} does not say where mean and scale are; write {GRAMMAR}")
        try:
            check_layout_name(self.layout)
            stated_prior("Part", self.prior)
        except (ValueError, TypeError) as error:
            raise PartError(f"parts: {error}") from error


PartSpec = Read | Part
"""How a part is read, or a `Part`, which says more."""
GRAMMAR = (
    '"mu, log_var" (a tuple), "mu=a, log_var=b" (fields), "mu | log_var" (halves of one tensor),'
    ' "distribution", '
    f"or a function (module, output) -> (mu, sigma); a scale is one of {', '.join(FORMS)}"
)


class PartError(ValueError):
    """A part named by hand that is not there, or cannot be understood; the message says what is."""


def parse_parts(model: nn.Module, parts: Mapping[str, PartSpec]) -> list[PosteriorSource]:
    """Sources of the parts named by hand. Raises PartError for a pattern without a match or a text that says
    nothing.
    """
    paths = [path for path, _ in model.named_modules()]
    sources = []
    for pattern, given in parts.items():
        part = given if isinstance(given, Part) else Part(given)
        spec = part.read
        if " & " in pattern:
            sources.append(_with(_pair(model, pattern, spec), part, model))
            continue
        matches = [path for path in paths if fnmatchcase(path, pattern)]
        if not matches:
            near = get_close_matches(pattern, paths, n=5, cutoff=0.3) or paths[:5]
            raise PartError(f"parts: no module's path matches {pattern!r}; near it are {near}")
        slot, function = (Slot(0, 1, "sigma"), spec) if callable(spec) else (parse_spec(spec), None)
        for path in matches:
            name = path or type(model).__name__
            source = PosteriorSource(
                name,
                path,
                "output",
                slot,
                "named by hand",
                RANK_OBSERVED,
                function=function,
                by_hand=True,
                origins=STATED,
            )
            sources.append(_with(source, part, model))
    return sources


def _with(source: PosteriorSource, part: Part, model: nn.Module) -> PosteriorSource:
    """A source with what else its part says."""
    mask = part.mask
    if isinstance(mask, str):
        paths = [source.path.split(" & ")[0].rpartition(".")[0] if " & " in source.path else source.path, ""]
        known = {path: inspect.signature(model.get_submodule(path).forward).parameters for path in paths}
        path = next((path for path in paths if mask in known[path]), None)
        if path is None:
            raise PartError(
                f"parts: mask={mask!r} is no argument of the forward of {source.path!r}"
                f" ({', '.join(known[paths[0]])}) or of the model ({', '.join(known[''])})"
            )
        mask = Argument(path, mask)
    source = replace(source, mask=mask, then=part.then, stated_layout=part.layout)
    return source if part.prior is None else with_prior(source, stated_prior(source.name, part.prior))


def stated_prior(name: str, prior: PriorSpec | None) -> Prior:
    """A prior as a user says it. Raises ValueError for an sd that is not above 0, a text but "unknown", and
    what is no pair.
    """
    if prior is None:
        return None
    if isinstance(prior, str):
        if prior != UNKNOWN:
            raise ValueError(f"the prior of {name!r} is {prior!r}; a text can only be {UNKNOWN!r}")
        return UnknownPrior("as stated", stated=True)
    if isinstance(prior, Distribution):
        return PriorFunction(lambda _, __: prior, f"given: {type(prior).__name__}")
    if callable(prior):
        return PriorFunction(prior, f"given: {getattr(prior, '__qualname__', repr(prior))}")
    try:
        given_mean, given_sd = prior
        if any(isinstance(side, Tensor) and side.numel() != 1 for side in prior):
            read: Prior = PriorFunction(lambda _, __: (given_mean, given_sd), "given: one a neuron")
        else:
            read = (float(given_mean), float(given_sd))
        smallest = float(torch.as_tensor(given_sd).min())
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the prior of {name!r} is {prior!r}; it is (mean, sd), numbers or a tensor of one a neuron, a"
            f" distribution, a function (module, output), or {UNKNOWN!r}"
        ) from error
    if not smallest > 0:
        raise ValueError(f"the prior of {name!r} has the sd {smallest:g}; it must be above 0")
    return read


def with_prior(source: PosteriorSource, prior: Prior) -> PosteriorSource:
    """A source with a prior that the user has stated."""
    return replace(source, prior=prior).known(prior="absent" if isinstance(prior, UnknownPrior) else "stated")


def parse_spec(spec: str) -> Slot:
    """The slot that a text describes. Raises PartError."""
    role, _, key = spec.partition("=")
    if role.strip() == DISTRIBUTION:
        return Slot(_key(key) if key else None)
    halves = "|" in spec
    keys: dict[str, Key] = {}
    for index, item in enumerate(spec.split("|" if halves else ",")):
        role, _, key = item.partition("=")
        keys[role.strip()] = _key(key) if key else index
    keys.pop("_", None)
    mean, scales = keys.pop("mu", None), list(keys)
    if mean is None or len(scales) != 1 or scales[0] not in FORMS or (halves and mean != 0):
        raise PartError(f"parts: {spec!r} does not say where mean and scale are; write {GRAMMAR}")
    return Slot(None, None, scales[0], True) if halves else Slot(mean, keys[scales[0]], scales[0])


def _pair(model: nn.Module, pattern: str, spec: Read) -> PosteriorSource:
    slot = parse_spec(spec) if isinstance(spec, str) else None
    if slot is None or {slot.mean, slot.scale} != {0, 1}:
        raise PartError(
            f'parts: {pattern!r} is a pair of paths; say in order what they are: "mu, log_var" or "sigma, mu"'
        )
    sides = pattern.split(" & ")
    known = dict(model.named_modules()) | dict(model.named_parameters())
    unknown = [side for side in sides if side not in known]
    if unknown or len(sides) != 2:
        near = get_close_matches((unknown or sides)[0], known, n=5, cutoff=0.3)
        raise PartError(
            f"parts: {pattern!r} must name two layers or parameters; not there: {unknown}, near it: {near}"
        )
    name = sides[int(slot.mean == 1)]
    if all(isinstance(known[side], nn.Parameter) for side in sides):
        return _weights(name, sides, slot)
    if isinstance(known[name], nn.Parameter):
        raise PartError(
            f"parts: {pattern!r}: the mean is a parameter and the scale a layer; observe them with"
            " probes.observe"
        )
    return PosteriorSource(
        name, pattern, "layers", slot, "named by hand", RANK_OBSERVED, by_hand=True, origins=STATED
    )


def _weights(name: str, sides: list[str], slot: Slot) -> PosteriorSource:
    owners = {side.rpartition(".")[0] for side in sides}
    if len(owners) != 1:
        raise PartError(
            f"parts: the parameters {sides} belong to two modules; observe them with probes.observe"
        )
    mean, scale = (sides[key].rpartition(".")[2] for key in (slot.mean, slot.scale) if isinstance(key, int))
    parameters = Slot(mean, scale, slot.form)
    name, path, why = f"{name} (weights)", owners.pop(), "named by hand"
    return PosteriorSource(
        name, path, "parameters", parameters, why, RANK_OBSERVED, by_hand=True, of="weights", origins=STATED
    )


def _key(text: str) -> Key:
    text = text.strip()
    return int(text) if text.isdecimal() else text
