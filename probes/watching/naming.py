"""What people call the two halves of a posterior: names of layers, fields and variables -> mean, or a form of
its scale.

Nothing here looks at a tensor's values. A name is cut into words (`fc_logVar2` -> fc, log, var, 2); words
that say what it is are
its role, the rest is its stem. A mean and a scale belong together when their stems are equal: fc_mu and
fc_var.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal

from torch import Tensor

FORMS: dict[str, str] = {
    "sigma": "σ",
    "log_sigma": "ln σ",
    "var": "σ²",
    "log_var": "ln σ²",
    "rho": "softplus⁻¹ σ",
}
"""How a scale may be written; the first is the plainest."""

MEAN_WORDS = ("mu", "mean", "means", "loc")
SCALE_WORDS: dict[tuple[str, ...], str] = {
    ("log", "sigma", "2"): "log_var",
    ("logsigma", "2"): "log_var",
    ("log", "sigma", "sq"): "log_var",
    ("log", "var"): "log_var",
    ("logvar",): "log_var",
    ("logv",): "log_var",
    ("lv",): "log_var",
    ("log", "variance"): "log_var",
    ("logvariance",): "log_var",
    ("log", "covariance"): "log_var",
    ("log", "sigma"): "log_sigma",
    ("logsigma",): "log_sigma",
    ("log", "std"): "log_sigma",
    ("logstd",): "log_sigma",
    ("log", "stddev"): "log_sigma",
    ("logstddev",): "log_sigma",
    ("log", "sd"): "log_sigma",
    ("log", "scale"): "log_sigma",
    ("logscale",): "log_sigma",
    ("rho",): "rho",
    ("sigma",): "sigma",
    ("std",): "sigma",
    ("stddev",): "sigma",
    ("sd",): "sigma",
    ("scale",): "sigma",
    ("var",): "log_var",
    ("variance",): "log_var",
}
"""Words that name a scale, the most explicit first, and the form they stand for. `var` is nearly always the
log variance.
"""

ASSUMED = {("var",), ("variance",), ("sigma",), ("std",), ("stddev",), ("sd",), ("scale",)}
"""Words that leave open in which form the number is; what is taken is an assumption and is said."""

CONVENTIONS: dict[tuple[str, str], str] = {
    ("embedding", "log_covariance"): "log_var",  # pythae's outputs
    ("embedding", "log_var"): "log_var",  # pythae's layers
    ("fc21", "fc22"): "log_var",  # PyTorch's own example
    ("m", "lv"): "log_var",
    ("m", "logvar"): "log_var",
    ("m", "log_var"): "log_var",
}
"""Pairs that are known by name though their words say nothing."""

PRIOR_WORDS = ("p", "pz", "transition", "vamp")
NOT_LATENT = ("decod", "likelihood", "recon", "observ", "generator")
"""Beginnings of words that mark a distribution of data: a network's latent posterior is elsewhere."""
NOT_LATENT_WORDS = ("dec", "px", "py")
LATENT = ("encod", "latent", "poster", "infer", "recogn", "guide")
LATENT_WORDS = ("enc", "post", "q", "qz")
OF_DATA = ("x", "y", "data", "obs", "recon")
"""What follows p in the name of a likelihood."""

Role = Literal["posterior", "prior", "data"]

FILLERS = (
    "fc",
    "net",
    "network",
    "layer",
    "linear",
    "lin",
    "head",
    "model",
    "module",
    "mlp",
    "dist",
    "z",
    "out",
    "hidden",
    "h",
    "to",
)
"""Words that tell nothing of whose distribution something is."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_HALF = "mu|mean|loc|logvar|logv|sigma|logsigma|std|logstd|var|scale"
_ROLE_JOINED = re.compile(f"(?:([qp])({_HALF})|({_HALF})([qp]))")
PLURALS = {
    **{
        f"{one}s": one
        for one in (
            "mu",
            "mean",
            "loc",
            "logvar",
            "var",
            "variance",
            "logvariance",
            "sigma",
            "std",
            "scale",
            "prior",
            "posterior",
            "transition",
        )
    },
    "qs": "q",
    "ps": "p",
}
Stem = tuple[str, ...]


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """fc_logVar2 -> ("fc", "log", "var", "2"); qmu -> ("q", "mu"); several of a thing are named as one."""
    found: list[str] = []
    for word in _WORD.findall(name):
        word = PLURALS.get(word.lower(), word.lower())
        joined = _ROLE_JOINED.fullmatch(word)
        found += [part for part in joined.groups() if part is not None] if joined else [word]
    return tuple(found)


@lru_cache(maxsize=4096)
def role(path: str) -> Role | None:
    """Of what a path or name speaks: a posterior, a prior, a distribution of data, or none of these.

    The last part of the path that says anything decides; in it a prior goes before the network that computes
    it (prior_encoder), else the last word.
    """
    for part in reversed(path.split(".")):
        parts = words(part)
        if any(word.startswith("prior") and not word.startswith("priorit") for word in parts):
            return "prior"
        for place in reversed(range(len(parts))):
            word = parts[place]
            if word.startswith(LATENT) or word in LATENT_WORDS:
                return "posterior"
            if word == "p" and place + 1 < len(parts) and parts[place + 1] in OF_DATA:
                return "data"
            if word in PRIOR_WORDS:
                return "prior"
            if word.startswith(NOT_LATENT) or word in NOT_LATENT_WORDS:
                return "data"
    return None


def not_latent(path: str) -> bool:
    """Whether a path or name speaks of a decoder, a likelihood or a prior; the last word that says anything
    decides.
    """
    return role(path) in ("prior", "data")


def speaks_of_prior(name: str) -> bool:
    """Whether a name, alone, is that of a prior."""
    return role(name) == "prior"


@lru_cache(maxsize=4096)
def subject(name: str) -> frozenset[str]:
    """What a posterior or a prior is of: the words of its name that tell neither its role nor mean or
    scale."""
    said = {word for pattern in SCALE_WORDS for word in pattern} | set(MEAN_WORDS)
    return frozenset(
        word
        for word in words(name)
        if word not in said
        and not word.startswith((*LATENT, "prior"))
        and word not in (*LATENT_WORDS, *PRIOR_WORDS, *FILLERS)
    )


def _stem(name: str, pattern: tuple[str, ...]) -> Stem | None:
    """The name's words with `pattern` cut out and marked, None where it does not occur."""
    parts, size = words(name), len(pattern)
    for start in range(len(parts) - size + 1):
        if parts[start : start + size] == pattern:
            return (*parts[:start], "*", *parts[start + size :])
    return None


def mean_stems(name: str) -> list[Stem]:
    """Stems under which the name reads as a mean; empty when it does not."""
    return [stem for word in MEAN_WORDS if (stem := _stem(name, (word,))) is not None]


def find_pairs(names: Iterable[str]) -> list[tuple[str, str, str, bool]]:
    """(mean, scale, form, assumed) of every mean among `names` that has a scale beside it; the most explicit
    scale wins.
    """
    names = list(names)
    pairs = []
    for mean in names:
        found = next(
            (
                (scale, form, False)
                for (m, scale), form in CONVENTIONS.items()
                if m == mean and scale in names
            ),
            None,
        )
        for stem in mean_stems(mean):
            for pattern, form in SCALE_WORDS.items():
                scale = next((name for name in names if name != mean and _stem(name, pattern) == stem), None)
                if found is None and scale is not None:
                    found = scale, form, pattern in ASSUMED
        if found is not None:
            pairs.append((mean, *found))
    return pairs


def speaks(name: str) -> bool:
    """Whether a name reads as a mean or as a scale at all."""
    return bool(mean_stems(name)) or any(_stem(name, pattern) is not None for pattern in SCALE_WORDS)


def scale_forms(name: str) -> set[str]:
    """How a scale of that name may be written."""
    return {form for pattern, form in SCALE_WORDS.items() if _stem(name, pattern) is not None}


Tree = str | tuple[Any, ...] | None
"""The name of a returned value, those of the elements of a nested tuple, or None."""


class Each(tuple[Any, ...]):
    """Names of the elements of each tuple that is appended to a list."""


@lru_cache(maxsize=1024)
def returned_tree(function: Callable[..., Any], kind: type | None = None) -> tuple[Tree, ...]:
    """What the last `return a, (self.b(h), c.d)` of a function calls its values: ("a", ("b", "d")); None for
    other expressions. A variable that a method of its class, `kind`, has put a tuple in is named as there.

    Empty when it returns no such tuple or has no source (typed into an interpreter, compiled). The source is
    parsed, not run.
    """
    returned, tree = _returned(function), _parsed(function)
    if returned is None or tree is None:
        return ()
    appended: dict[str, Each] = {}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "append"
            and isinstance(node.func.value, ast.Name)
            and len(node.args) == 1
            and isinstance(node.args[0], ast.Tuple)
        ):
            appended[node.func.value.id] = Each(map(_called, node.args[0].elts))
    if isinstance(returned, ast.Name):
        return appended.get(returned.id, ())
    named = map(_called, returned.elts)
    given = _given_by_methods(function, kind, tree)
    return tuple(
        appended.get(name, given.get(name, name)) if isinstance(name, str) else name for name in named
    )


def _given_by_methods(function: Callable[..., Any], kind: type | None, tree: ast.Module) -> dict[str, Tree]:
    """Variable -> names within the tuple that `a, variable = self.method(...)` has put there."""
    found: dict[str, Tree] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(call := node.value, ast.Call):
            continue
        target, called = node.targets[0], call.func
        own = isinstance(called, ast.Attribute) and getattr(called.value, "id", None) == "self"
        method = getattr(kind, called.attr, None) if isinstance(called, ast.Attribute) and own else None
        if not inspect.isfunction(method) or method is function or not isinstance(target, ast.Tuple):
            continue
        inner = returned_tree(method)
        if len(inner) == len(target.elts):
            for one, names in zip(target.elts, inner, strict=True):
                if isinstance(one, ast.Name) and isinstance(names, tuple):
                    found[one.id] = names
    return found


def returned_names(function: Callable[..., Any]) -> tuple[str | None, ...]:
    """As `returned_tree`, of the outermost tuple alone."""
    return tuple(name if isinstance(name, str) else None for name in returned_tree(function))


@lru_cache(maxsize=1024)
def returned_roots(function: Callable[..., Any]) -> tuple[frozenset[str], ...]:
    """Names of all that each returned value is computed from, in the source of a function: variables, layers,
    arguments. Empty as `returned_tree`.
    """
    returned = _returned(function)
    if returned is None or isinstance(returned, ast.Name):
        return ()
    tree = _parsed(function)
    assigned: dict[str, set[str]] = {}
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = [one.id for one in ast.walk(target) if isinstance(one, ast.Name)]
                for name in names:
                    assigned.setdefault(name, set()).update(_identifiers(node.value))
    return tuple(frozenset(_reached(_identifiers(element), assigned)) for element in returned.elts)


def _reached(names: set[str], assigned: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += assigned.get(name, ())
    return seen


def _identifiers(node: ast.AST) -> set[str]:
    found = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return found | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


def _parsed(function: Callable[..., Any]) -> ast.Module | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):
        return None


def _returned(function: Callable[..., Any]) -> ast.Tuple | ast.List | ast.Name | None:
    """The last tuple or list that a function returns, or the name of the last value if there is none."""
    tree = _parsed(function)
    values = [
        node.value for node in (ast.walk(tree) if tree is not None else ()) if isinstance(node, ast.Return)
    ]
    tuples = [value for value in values if isinstance(value, (ast.Tuple, ast.List))]
    names = [value for value in values if isinstance(value, ast.Name)]
    return tuples[-1] if tuples else names[-1] if names else None


def _called(node: ast.expr) -> Tree:
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(map(_called, node.elts))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
    ):
        return node.func.attr if node.func.value.id == "self" else None
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def describe(value: Any) -> str:
    """A value in a few words: its type, and a tensor's shape."""
    if isinstance(value, Tensor):
        return f"Tensor {tuple(value.shape)}"
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return f"{type(value).__name__} of {', '.join(describe(item) for item in value[:6])}"
    return type(value).__name__
