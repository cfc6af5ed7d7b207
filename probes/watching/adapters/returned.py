"""What a module returns -> (mu, sigma, prior): how distributions are found in an output.

`ADAPTERS` are tried on what a module put out; each is a small function (module, output) -> [(name, Slot,
prior, why, origins)].
What two of them find in the same tensors is one posterior: the one higher up is kept. How it is then read:
`probes.watching.posterior_source`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from probes.watching.adapters.pairs import assumption, join, pair_origins
from probes.watching.gaussians import is_gaussian, unwrapped
from probes.watching.made import tensors_of
from probes.watching.naming import (
    FORMS,
    Each,
    Role,
    Tree,
    find_pairs,
    returned_roots,
    returned_tree,
    role,
    speaks,
    subject,
    words,
)
from probes.watching.posterior_source import (
    NAMED,
    RANK_DISTRIBUTION,
    RANK_GUESS,
    RANK_NAMED,
    STATED,
    Origin,
    PosteriorSource,
    Prior,
    UnknownPrior,
)
from probes.watching.predictions import may_be_predicted, says_latent
from probes.watching.slots import DISTRIBUTION, Key, Slot, pick
from probes.watching.tensors import is_number

DEEPEST = 3  # of what is nested in an output
LONGEST = 32  # of a list whose elements are looked at


def fields(module: nn.Module, output: Any) -> dict[Key, str | None]:
    """Key -> name of the values in an output, those of nested ones joined by "_"; None where a tuple's
    element has no name in the source of `forward`.
    """
    kind: Any = type(module)
    tree = returned_tree(kind.forward, kind) if isinstance(output, (tuple, list)) else ()
    return _fields(output, tree, DEEPEST)


def _fields(output: Any, tree: Tree, depth: int) -> dict[Key, str | None]:
    if isinstance(output, (Tensor, Distribution, nn.Module, str, int, float)) or output is None:
        return {}
    named: dict[Any, Tree]
    if isinstance(output, Mapping):
        named = {key: key for key in output if isinstance(key, str)}
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        named = dict(zip(output._fields, output._fields, strict=True))
    elif isinstance(output, (tuple, list)):
        names: Sequence[Tree] = [None] * len(output)
        if isinstance(tree, Each) and isinstance(output, list):
            names = [tuple(tree)] * len(output)  # of each the same
        elif isinstance(tree, tuple) and len(tree) == len(output):
            names = tree
        named = dict(enumerate(names))
    else:
        declared = [field.name for field in dataclasses.fields(output)] if is_dataclass(output) else []
        # slots have no __dict__
        named = {name: name for name in (*declared, *getattr(output, "__dict__", {}))}
    found: dict[Key, str | None] = {}
    for key, name in named.items():
        value = pick(output, key)
        inner = {}
        if depth > 1 and isinstance(value, (tuple, list, Mapping)) and len(value) <= LONGEST:
            inner = _fields(value, name if isinstance(name, tuple) else (), depth - 1)
        prefix = name if isinstance(name, str) else None
        for place, called in inner.items():
            if called is None and prefix is not None:
                called = f"{prefix}_{place if not isinstance(place, tuple) else place[0]}"
            elif prefix is not None:
                called = f"{prefix}_{called}"
            elif called is not None and isinstance(tree, Each):
                called = f"{called}_{key}"
            found[(key, *(place if isinstance(place, tuple) else (place,)))] = called
        if not inner:
            found[key] = prefix
    return found


Found = tuple[str, Slot, Prior, str, Mapping[str, Origin]]
"""Suffix of the name, where it stands, its prior, why, origins of its parts."""


def distributions(module: nn.Module, output: Any) -> list[Found]:
    """torch.distributions in an output; one whose name, or the source of `forward`, says that it is a prior
    is the prior of the one beside it.
    """
    if isinstance(output, Distribution):
        return [("", Slot(None), None, f"returns the distribution {type(output).__name__}", STATED)]
    names = {
        key: name
        for key, name in fields(module, output).items()
        if isinstance(pick(output, key), Distribution)
    }
    roles = {key: _role(module, output, key, name) for key, name in names.items()}
    latent = [key for key in names if roles[key] not in ("prior", "data")]
    priors = {key: Slot(key) for key in names if roles[key] == "prior"}
    matched = _matched({key: names[key] or "" for key in latent}, {key: names[key] or "" for key in priors})
    several = len(latent) > 1
    found: list[Found] = []
    for key in latent:
        prior: Prior = priors[matched[key]] if key in matched else None
        untold = [other for other in latent if roles[other] is None]
        if prior is None and priors:
            prior = UnknownPrior(
                f"a returned value, {', '.join(map(repr, map(_called, priors)))}, speaks of one"
            )
        elif prior is None and several and untold == latent and _alike([pick(output, one) for one in latent]):
            prior = UnknownPrior(
                "it returns several distributions, and none is named: one may be the prior of another"
            )
        named = ("named" if matched.get(key) is not None else "absent") if prior is not None else "assumed"
        origins: dict[str, Origin] = {**STATED, "prior": named}  # type: ignore[dict-item]
        found.append(
            (
                (names[key] or _called(key)) if several else "",
                Slot(key),
                prior,
                _returns(output, key),
                origins,
            )
        )
    return found


def other_distributions(module: nn.Module, output: Any) -> dict[Key, tuple[str, list[Tensor]]]:
    """Key of each distribution in an output that is no Gaussian -> its name, the tensors it is made of."""
    values: dict[Key, Any] = {None: output}
    if not isinstance(output, Distribution):
        values = {key: pick(output, key) for key in fields(module, output)}
    return {
        key: (type(unwrapped(value)).__name__, tensors_of(value))
        for key, value in values.items()
        if isinstance(value, Distribution) and not is_gaussian(value)
    }


def _alike(values: list[Any]) -> bool:
    shapes = {(value.batch_shape, value.event_shape) for value in values}
    return len(shapes) == 1


def _role(module: nn.Module, output: Any, key: Key, name: str | None) -> str | None:
    """The role of a value in an output, by its name or by what it is computed from."""
    if name is not None and role(name) is not None:
        return role(name)
    if not isinstance(output, (tuple, list)):
        return None
    roots = returned_roots(type(module).forward)
    place = key[0] if isinstance(key, tuple) else key
    if len(roots) != len(output) or not isinstance(place, int):
        return None
    # what others are computed from too tells nothing
    own = roots[place]
    said = {role(one) for one in own} & {"posterior", "prior"}
    return said.pop() if len(said) == 1 else None


def _matched(posteriors: Mapping[Any, str], priors: Mapping[Any, str]) -> dict[Any, Any]:
    """Key of each posterior -> that of its prior: of one subject, or the only ones."""
    found: dict[Any, Any] = {}
    for key, name in posteriors.items():
        same = [prior for prior, other in priors.items() if subject(other) == subject(name)]
        rivals = [other for other, called in posteriors.items() if subject(called) == subject(name)]
        if len(same) == 1 == len(rivals):
            found[key] = same[0]
    left = [key for key in posteriors if key not in found]
    free = [prior for prior in priors if prior not in found.values()]
    if len(left) == 1 == len(free) == len(posteriors):
        found[left[0]] = free[0]
    return found


def named_pairs(module: nn.Module, output: Any) -> list[Found]:
    """Tensors in an output whose names read as mean and scale; those beside them whose names, or the source
    of `forward`, say that they are a prior are their prior.
    """
    names = {
        name: key
        for key, name in fields(module, output).items()
        if name is not None and is_number(pick(output, key))
    }
    pairs = {mean: (scale, form, assumed) for mean, scale, form, assumed in find_pairs(names)}
    roles = {mean: _role(module, output, names[mean], mean) for mean in pairs}
    priors = {mean: mean for mean in pairs if roles[mean] == "prior"}
    latent = {mean: mean for mean in pairs if roles[mean] not in ("prior", "data")}
    matched = _matched(latent, priors)
    found: list[Found] = []
    for mean in latent:
        scale, form, assumed = pairs[mean]
        prior: Prior = None
        origin: Origin = "assumed"
        assumed_prior = ""
        if mean in matched:
            scale_p, form_p, assumed_p = pairs[matched[mean]]
            held = pick(output, names[scale_p]).grad_fn is None
            if assumed_p and held and form_p == "log_var":
                form_p, assumed_p = "var", False  # no head's output: a variance is one
            prior, origin = Slot(names[matched[mean]], names[scale_p], form_p), "named"
            assumed_prior = assumption(scale_p, form_p, True) if assumed_p else ""
        elif priors:
            prior = UnknownPrior(f"returned values, {', '.join(map(repr, priors))}, speak of one")
            origin = "absent"
        why = f"returns {mean} and {scale}" + assumption(scale, form, assumed) + assumed_prior
        suffix = mean if len(latent) > 1 else ""
        origins = pair_origins(mean, assumed, origin)
        if assumed_prior:
            origins["scale"] = "assumed"
        found.append((suffix, Slot(names[mean], names[scale], form), prior, why, origins))
    return found


def named_priors(module: nn.Module, output: Any) -> list[Found]:
    """As `distributions` and `named_pairs`, of a module that is a prior itself."""
    if isinstance(output, Distribution):
        return [("", Slot(None), None, "", STATED)]
    values = fields(module, output)
    several = [key for key in values if isinstance(pick(output, key), Distribution)]
    found: list[Found] = [(_called(key), Slot(key), None, "", STATED) for key in several]
    names = {name: key for key, name in values.items() if name is not None and is_number(pick(output, key))}
    for mean, scale, form, assumed in find_pairs(names):
        found.append(
            (mean, Slot(names[mean], names[scale], form), None, "", pair_origins(mean, assumed, "assumed"))
        )
    if not found and (pair := unnamed_pair(module, output)):
        found = pair
    return found


def returned_priors(module: nn.Module, output: Any) -> list[Found]:
    """As `named_priors`, of a module that returns a prior among other things: what is called one."""
    values = fields(module, output)
    return [
        found
        for found in named_priors(module, output)
        if (name := values.get(found[1].mean)) is not None and role(name) == "prior"
    ]


def named_logits(module: nn.Module, output: Any) -> list[Found]:
    """Logits or probabilities (B, ..., N, C) in an output whose names say that they are of a latent variable;
    those whose names say that they are a prior are their prior.
    """
    names = {
        key: name
        for key, name in fields(module, output).items()
        if name is not None and is_number(pick(output, key)) and pick(output, key).dim() > 2 and _form(name)
    }
    roles = {key: _role(module, output, key, name) for key, name in names.items()}
    latent = {key: name for key, name in names.items() if roles[key] == "posterior" or says_latent(name)}
    latent = {key: name for key, name in latent.items() if roles[key] not in ("prior", "data")}
    priors = {key: name for key, name in names.items() if roles[key] == "prior"}
    matched = _matched(latent, priors)
    found: list[Found] = []
    for key, name in latent.items():
        prior: Prior = None
        origin: Origin = "assumed"
        if key in matched:
            prior, origin = Slot(matched[key], None, str(_form(priors[matched[key]]))), "named"
        elif priors:
            prior = UnknownPrior(f"returned values, {', '.join(priors.values())}, speak of one")
            origin = "absent"
        why = f"returns {name}, whose last axis are classes"
        suffix = name if len(latent) > 1 else ""
        found.append((suffix, Slot(key, None, str(_form(name))), prior, why, {**NAMED, "prior": origin}))
    return found


def _form(name: str) -> str | None:
    said = set(words(name))
    if said & {"logit", "logits"}:
        return "logits"
    return "probs" if said & {"prob", "probs", "probabilities"} else None


def unnamed_pair(module: nn.Module, output: Any) -> list[Found]:
    """Exactly two tensors of one shape (B, N) whose names do not contradict: the last resort, when nothing
    else was found.
    """
    if type(output) not in (tuple, list) or type(module).__module__.startswith("torch.nn"):
        return []
    names = [name for key, name in fields(module, output).items() if is_number(pick(output, key))]
    pair = [key for key in range(len(output)) if is_number(output[key]) and output[key].dim() > 1]
    if (
        len(pair) != 2
        or output[pair[0]].shape != output[pair[1]].shape
        or not output[pair[0]].numel()
        or any(n is not None and not speaks(n) for n in names)
    ):
        return []
    positive = bool((output[pair[1]] > 0).all())
    form = "sigma" if positive else "log_var"
    why = f"returns two tensors of one shape; ASSUMED the second is {FORMS[form]}, since it "
    why += "is positive throughout" if positive else "takes negative values"
    origins: dict[str, Origin] = {**NAMED, "mean": "assumed", "scale": "assumed", "family": "assumed"}
    return [("", Slot(pair[0], pair[1], form), None, why, origins)]


ADAPTERS: tuple[tuple[int, Callable[[nn.Module, Any], list[Found]]], ...] = (
    (RANK_DISTRIBUTION, distributions),
    (RANK_NAMED, named_pairs),
    (RANK_NAMED, named_logits),
    (RANK_GUESS, unnamed_pair),
)


def find_in_output(path: str, module: nn.Module, output: Any, of: Role | None) -> list[PosteriorSource]:
    """Posteriors in what a module put out, not settled yet; priors where it is `of` a prior, or where it
    returns those alone; none where it is a decoder, or may be what the model predicts.
    """
    if of == "data":
        return []
    if of == "prior":
        return _sources(path, module, output, ((RANK_NAMED, named_priors),), True)
    return [
        source
        for source in _found_in_output(path, module, output)
        if source.is_prior or source.prior is not None or not _is_predicted(source, module, output)
    ]


def predictions(path: str, module: nn.Module, output: Any) -> list[str]:
    """Kinds of the distributions in an output that may be what the model predicts."""
    return [
        type(unwrapped(pick(output, source.slot.mean))).__name__
        for source in _sources(path, module, output, ((RANK_DISTRIBUTION, distributions),), False)
        if source.prior is None and _is_predicted(source, module, output)
    ]


def _is_predicted(source: PosteriorSource, module: nn.Module, output: Any) -> bool:
    named = fields(module, output).get(source.slot.mean) if source.slot.mean is not None else None
    own = source.path or type(module).__name__
    return source.slot.form == DISTRIBUTION and may_be_predicted(pick(output, source.slot.mean), named, own)


def _found_in_output(path: str, module: nn.Module, output: Any) -> list[PosteriorSource]:
    return _sources(path, module, output, ADAPTERS, False) or _sources(
        path, module, output, ((RANK_NAMED, returned_priors),), True
    )


Adapter = Callable[[nn.Module, Any], "list[Found]"]


def _sources(
    path: str, module: nn.Module, output: Any, adapters: Sequence[tuple[int, Adapter]], is_prior: bool
) -> list[PosteriorSource]:
    return [
        PosteriorSource(
            (join(path, suffix) if suffix else path) or type(module).__name__,
            path,
            "output",
            slot,
            why,
            rank,
            prior,
            origins=origins,
            is_prior=is_prior,
        )
        for rank, adapter in adapters
        for suffix, slot, prior, why, origins in adapter(module, output)
    ]


def _returns(output: Any, key: Key) -> str:
    return f"returns {key!r}, a {type(pick(output, key)).__name__}"


def _called(key: Key) -> str:
    return ".".join(map(str, key)) if isinstance(key, tuple) else str(key)
