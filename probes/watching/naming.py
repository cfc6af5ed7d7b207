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
from typing import Any

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
    ("log", "variance"): "log_var",
    ("logvariance",): "log_var",
    ("log", "covariance"): "log_var",
    ("log", "sigma"): "log_sigma",
    ("logsigma",): "log_sigma",
    ("log", "std"): "log_sigma",
    ("logstd",): "log_sigma",
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
}
"""Pairs that are known by name though their words say nothing."""

PRIOR_WORD = "prior"
NOT_LATENT = ("decod", "likelihood", "recon", "observ", "generator", PRIOR_WORD)
"""Beginnings of words that mark a distribution of data, or a prior: a network's latent posterior is
elsewhere.
"""
NOT_LATENT_WORDS = ("dec", "px")
LATENT = ("encod", "latent", "poster", "infer", "recogn", "guide")
LATENT_WORDS = ("enc", "q", "qz")

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
Stem = tuple[str, ...]


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """fc_logVar2 -> ("fc", "log", "var", "2")."""
    return tuple(word.lower() for word in _WORD.findall(name))


def not_latent(path: str) -> bool:
    """Whether a path or name speaks of a decoder, a likelihood or a prior; the last word that says anything
    decides.
    """
    for word in reversed(words(path)):
        if word.startswith(LATENT) or word in LATENT_WORDS:
            return False
        if word.startswith(NOT_LATENT) or word in NOT_LATENT_WORDS:
            return True
    return False


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


@lru_cache(maxsize=1024)
def returned_names(function: Callable[..., Any]) -> tuple[str | None, ...]:
    """What the last `return a, self.b(h), c.d` of a function calls its values: ("a", "b", "d"); None for
    other expressions.

    Empty when it returns no such tuple or has no source (typed into an interpreter, compiled). The source is
    parsed, not run.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):
        return ()
    tuples = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple)
    ]
    return tuple(_called(element) for element in tuples[-1].elts) if tuples else ()


def _called(node: ast.expr) -> str | None:
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
