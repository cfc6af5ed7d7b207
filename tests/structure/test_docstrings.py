"""Public callables say what each of their parameters is, in numpydoc sections that match their signatures."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterator
from itertools import pairwise
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

import pytest

import probes
from probes import analysis, experiments

MODULES = (
    "vdn.scores", "vdn.control.bands", "vdn.control.set_points", "vdn.priors", "vdn.neuron", "vdn.network",
    "vdn.objective", "vdn.evaluate", "vdn.pools", "vdn.baselines",
    "probes.arrays", "probes.control", "probes.diagnostics", "probes.regimes", "probes.moments",
    "probes.persistence", "probes.synthetic", "probes.families.densities", "probes.families.matching",
    *(f"probes.family_moments.{name}"
      for name in ("code_usage", "covariance", "divergence", "drawing", "pooling", "reading", "samples")),
    *(module.name
      for package in (analysis, experiments)
      for module in walk_packages(package.__path__, f"{package.__name__}.")),
)  # fmt: skip


def of_module(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Public functions and classes that a module defines, or a package exports of its own modules."""
    for name, value in vars(module).items():
        own = f"{getattr(value, '__module__', None)}.".startswith(f"{module.__name__}.")
        if own and not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value)):
            yield f"{module.__name__}.{name}", value


def of_package() -> Iterator[tuple[str, Any]]:
    """Functions and classes among the names that `probes` exports; its types for annotations are neither."""
    for name in probes.__all__:
        value = getattr(probes, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            yield f"probes.{name}", value


def fields(value: Any) -> list[str] | None:
    """What a NamedTuple, a TypedDict or a data class holds; None for anything else."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    if hasattr(value, "__required_keys__"):
        return list(value.__annotations__)
    return list(value._fields) if hasattr(value, "_fields") else None


def own_bases(value: type) -> list[type]:
    """A class and those that it inherits from, as far as they are of this repository and no protocols."""
    return [
        base
        for base in value.__mro__
        if base.__module__.partition(".")[0] in ("probes", "vdn") and not vars(base).get("_is_protocol")
    ]


def described() -> dict[str, Any]:
    """Name -> what has a docstring of its own: functions, classes, and the public methods of classes."""
    values = dict(of_package())
    for name in MODULES:
        values.update(of_module(importlib.import_module(name)))
    for name, value in list(values.items()):
        # a protocol's methods are described where they are implemented
        if not inspect.isclass(value) or getattr(value, "_is_protocol", False):
            continue
        for method in (method for base in own_bases(value) for method in vars(base)):
            if not method.startswith("_") and inspect.isroutine(getattr(value, method, None)):
                values[f"{name}.{method}"] = getattr(value, method)
    return values


def documented(docstring: str | None, section: str) -> list[str]:
    """Names of a section of a docstring, in order: of each unindented line the part before " : "."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    heads = [at for at in range(len(lines) - 1) if lines[at + 1] and set(lines[at + 1]) == {"-"}]
    names: list[str] = []
    for at, after in pairwise([*heads, len(lines)]):
        if lines[at] == section:
            entries = [line for line in lines[at + 2 : after] if line and not line.startswith(" ")]
            names += [name for entry in entries for name in entry.partition(" : ")[0].split(", ")]
    return names


def parameters(value: Callable[..., Any], follow: bool) -> list[str]:
    """Names of a callable's parameters, *args and **kwargs with their stars."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = inspect.signature(value, follow_wrapped=follow).parameters.values()
    return [stars.get(one.kind, "") + one.name for one in found if one.name not in ("self", "cls")]


DESCRIBED = described()


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_docstring_names_exactly_the_parameters(name):
    value = DESCRIBED[name]
    if inspect.isclass(value) and fields(value) is not None:
        assert documented(value.__doc__, "Attributes") == fields(value)
        return
    made = inspect.isclass(value) and any("__init__" in vars(base) for base in own_bases(value))
    if inspect.isclass(value) and (not made or getattr(value, "_is_protocol", False)):
        return  # made without arguments of its own, or never made
    # what passes everything on to another callable may say so instead of naming its parameters again
    accepted = [parameters(value, follow) for follow in (True, False)]
    assert value.__doc__
    assert documented(value.__doc__, "Parameters") in accepted


def test_a_section_is_read_as_it_is_written():
    text = """What it does.

    Parameters
    ----------
    a, b : array
        Text, with commas.
    **rest
        More.

    Returns
    -------
    Tensor
        That.
    """
    assert documented(text, "Parameters") == ["a", "b", "**rest"]
    assert documented(text, "Returns") == ["Tensor"]
    assert documented(None, "Parameters") == []
