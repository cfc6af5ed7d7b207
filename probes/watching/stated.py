"""Parts of a network named by hand: `parts={path pattern: how to read it}` -> posterior sources.

    "mu, log_var"                          the elements of a returned tuple, in order; "_" is an element to
    pass over "mu=embedding, log_var=log_covariance" fields of a returned mapping or object
    "mu | log_var"                         one tensor whose halves are mean and scale
    "distribution", "distribution=q"       a torch distribution, or the field that holds it
    a function (module, output)            returns (mu, sigma), (mu, sigma, prior_mu, prior_sigma) or a
    distribution

A scale is written as one of `naming.FORMS`. A key is a module's path with wildcards (`encoder.*.head`), or
two paths of layers or parameters joined by " & ": {"encoder.a & encoder.b": "mu, sigma"}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from probes.watching.adapters import RANK_OBSERVED
from probes.watching.naming import FORMS
from probes.watching.posterior_source import DISTRIBUTION, Key, PosteriorSource, Slot

PartSpec = str | Callable[[Any, Any], Distribution | tuple[Tensor, ...]]
"""How a part is read: a text of the grammar above, or a function (module, output) of the user's."""
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
    for pattern, spec in parts.items():
        if " & " in pattern:
            sources.append(_pair(model, pattern, spec))
            continue
        matches = [path for path in paths if fnmatchcase(path, pattern)]
        if not matches:
            near = get_close_matches(pattern, paths, n=5, cutoff=0.3) or paths[:5]
            raise PartError(f"parts: no module's path matches {pattern!r}; near it are {near}")
        slot, function = (Slot(0, 1, "sigma"), spec) if callable(spec) else (parse_spec(spec), None)
        for path in matches:
            name = path or type(model).__name__
            sources.append(
                PosteriorSource(
                    name,
                    path,
                    "output",
                    slot,
                    "named by hand",
                    RANK_OBSERVED,
                    function=function,
                    by_hand=True,
                )
            )
    return sources


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


def _pair(model: nn.Module, pattern: str, spec: PartSpec) -> PosteriorSource:
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
    return PosteriorSource(name, pattern, "layers", slot, "named by hand", RANK_OBSERVED, by_hand=True)


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
        name, path, "parameters", parameters, why, RANK_OBSERVED, by_hand=True, of="weights"
    )


def _key(text: str) -> Key:
    text = text.strip()
    return int(text) if text.isdecimal() else text
