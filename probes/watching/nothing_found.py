"""What is said where no posterior was found: everything that was looked at, the most likely first."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from probes.watching.stated import GRAMMAR

HALVES = "could be mu | log_var"
LIKELY = re.compile(r"post|quant|enc|latent|(^|_)z(_|$|[0-9])|z_|_z")
TENSOR = re.compile(r"Tensor \(([0-9, ]+)\)")  # as `naming.describe` writes it
LISTED = 30  # modules that the error for "nothing found" lists


def nothing_found(model: nn.Module, looked_at: Mapping[str, str], passed_over: Mapping[str, int]) -> str:
    """The text of the error.

    Parameters
    ----------
    model
        The watched one.
    looked_at
        Path of a module, or a part of one -> what was seen there.
    passed_over
        Why forward passes were not looked at -> how many.
    """
    looked = sorted(looked_at.items(), key=lambda one: (not _is_likely(*one), _two_alike(one[1]) is None))
    likely = sum(_is_likely(*one) for one in looked)
    lines = [f"  {path or '(the model itself)'}: {seen}" for path, seen in looked]
    first, rest = lines[:likely][:LISTED], lines[likely:][:LISTED]
    more = len(lines) - len(first) - len(rest)
    example = next(
        (f', such as {{"{path}": "{how}"}}' for path, seen in looked if path and (how := _how(seen))), ""
    )
    if first:
        first = ["Most likely:", *first]
    return "\n".join(
        [
            f"no posterior was found in {type(model).__name__} before the first step.",
            *first,
            "Looked at:" if not first else "Looked at besides:",
            *rest,
            *([f"  and {more} more"] if more else []),
            *(f"  {count} calls {why}" for why, count in passed_over.items()),
            (
                f"Name it by hand: parts={{path pattern: {GRAMMAR}}}{example}; for a pair of layers the"
                " pattern is 'path & path'."
            ),
            "Or call probes.observe(name, mu, sigma) in the forward pass.",
        ]
    )


def _is_likely(path: str, seen: str) -> bool:
    """Whether what was looked at may be a posterior all the same: an output of two halves, a name that
    speaks of one, a distribution that is not read.
    """
    name = path.split(" as ")[0].rpartition(".")[2]
    return bool(_two_alike(seen) or HALVES in seen or "no Gaussian" in seen or LIKELY.search(name.lower()))


def _how(seen: str) -> str | None:
    """How an output would be named as a part, by its shapes alone."""
    return _two_alike(seen) or ("mu | log_var" if HALVES in seen else None)


def _two_alike(seen: str) -> str | None:
    """The part that a returned tuple would be whose elements are tensors, two of which have one shape."""
    if "returned tuple of Tensor" not in seen or seen.count("tuple of") > 1:
        return None
    shapes = TENSOR.findall(seen)
    alike = [shape for shape in shapes if shapes.count(shape) == 2]
    if len(set(alike)) != 1:
        return None
    names = iter(("mu", "log_var"))
    named = [next(names) if shape in alike else "_" for shape in shapes]
    return ", ".join(named)
