"""A few steps of training somebody's model under `probes.watch`, and what was read."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.distributions import Distribution, Normal, kl_divergence

from probes.run import Run
from probes.watching.attaching import watch

STEPS = 3
PICTURES = [
    "torchvision",
    *(
        f"torchvision.{part}"
        for part in ("transforms", "utils", "models", "datasets", "ops", "io", "tv_tensors")
    ),
    *(f"torchvision.transforms.{part}" for part in ("functional", "v2", "v2.functional")),
    *(f"torchvision.datasets.{part}" for part in ("utils", "folder")),
    *(f"torchvision.models.{part}" for part in ("resnet", "vision_transformer", "_api")),
]


class Anything(type):
    """A class that has whatever it is asked for."""

    def __getattr__(cls, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


class Stub(nn.Module, metaclass=Anything):
    """Stands where a class of torchvision would, and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()


def _stub(of: str) -> type:
    if of.startswith("__"):
        raise AttributeError(of)
    return type(of, (Stub,), {})


def without_pictures(name: str) -> Any:
    """A library that asks for torchvision, of which nothing here needs anything; there is none for this
    torch. Skips where the library itself is not installed.
    """
    stubs = []
    if find_spec("torchvision") is None:
        for path in PICTURES:
            stub = ModuleType(path)
            stub.__spec__ = ModuleSpec(stub.__name__, None)
            stub.__path__ = []  # type: ignore[attr-defined]
            stub.__getattr__ = _stub  # type: ignore[method-assign]
            sys.modules[stub.__name__] = stub
            above, _, name_within = stub.__name__.rpartition(".")
            if above:
                setattr(sys.modules[above], name_within, stub)
            stubs.append(stub.__name__)
    try:
        return pytest.importorskip(name)
    finally:
        for stub in stubs:
            del sys.modules[stub]


def part_of(name: str, **attributes: Any) -> Any:
    """A module of a library whose packages ask for much that the module does not need: they are empty here,
    but for `attributes` of the uppermost. Skips where the library is not installed.
    """
    above = name.split(".")[:-1]
    if find_spec(above[0]) is None:
        pytest.skip(f"{above[0]} is not installed")
    for length in range(1, len(above) + 1):
        path = ".".join(above[:length])
        if path not in sys.modules:
            spec = find_spec(path)
            assert spec is not None, path
            package = ModuleType(path)
            package.__spec__, package.__path__ = spec, list(spec.submodule_search_locations or ())
            sys.modules[path] = package
    for attribute, value in attributes.items():
        setattr(sys.modules[above[0]], attribute, value)
    return without_pictures(name)


@dataclass
class Reading:
    """What was found, the last record of each layer, and what was said."""

    found: dict[str, Any]
    layers: dict[str, pd.DataFrame]
    said: str
    lost: int
    refused: list[str] = field(default_factory=list)

    @property
    def only(self) -> pd.DataFrame:
        """The record of the one layer."""
        [layer] = self.layers.values()
        return layer

    def kl(self, layer: str | None = None) -> float | None:
        """Nats an input of a layer, summed over its neurons; None where it is absent."""
        frame = self.only if layer is None else self.layers[layer]
        return float(frame["kl"].sum()) if "kl" in frame and frame["kl"].notna().all() else None

    def origin(self, part: str, layer: str | None = None) -> str:
        """Where a part of the reading comes from."""
        name = next(iter(self.found)) if layer is None else layer
        return self.found[name]["origins"][part]


class Said(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def train(model: nn.Module, folder: Path, loss: Callable[[], torch.Tensor], **options: Any) -> Reading:
    """Steps of gradient descent on what `loss()` gives."""
    optimiser = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=1e-3)
    handler, logger = Said(), logging.getLogger("probes.watch")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            watch(model.train(), folder, **options) as recording,
        ):
            warnings.simplefilter("always")
            for step in range(STEPS):
                optimiser.zero_grad()
                value = loss()
                value.backward()
                optimiser.step()
                recording.step(step, loss=value)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    said = "\n".join([*handler.lines, *(str(one.message) for one in caught)])
    run = Run(folder)
    layers = {one["name"]: run.at(STEPS - 1, place) for place, one in enumerate(run.layers)}
    found = {one["name"]: one for one in recording.found}
    return Reading(found, layers, said, recording.lost, run.config["watch"].get("refused", []))


def standard(mu: torch.Tensor, sigma: torch.Tensor) -> float:
    """KL of a Gaussian to Normal(0, 1), nats an input."""
    return between(Normal(mu, sigma), Normal(torch.zeros_like(mu), torch.ones_like(mu)))


def between(q: Distribution, p: Distribution) -> float:
    """KL of what was computed, nats an input: mean over rows, the last axis are neurons."""
    kl = kl_divergence(q, p).detach()
    return float(kl.reshape(-1, kl.shape[-1]).sum(1).mean())


def outputs(module: nn.Module) -> list[Any]:
    """What a module puts out, call by call; the list fills while it runs."""
    seen: list[Any] = []
    module.register_forward_hook(lambda _, __, output: seen.append(output))
    return seen


def close(value: float | None, expected: float) -> bool:
    return value is not None and bool(np.isclose(value, expected, rtol=1e-4, atol=1e-6))


def verdict(read: Reading, name: str, right: Sequence[float], assumed: Sequence[float] = ()) -> str:
    """What the log says of a layer's KL: one of the right numbers, one under a prior that it says is assumed,
    or nothing; anything else is wrong.
    """
    kl = read.kl(name)
    if kl is None:
        return "absent"
    if any(close(kl, one) for one in right):
        return "right"
    if read.origin("prior", name) == "assumed" and any(close(kl, one) for one in assumed):
        return "assumed"
    return f"wrong: {kl} for one of {list(right)}"


def nothing(read: Reading) -> bool:
    """Nothing was found, and it was said what to write."""
    return read.layers == {} and "probes.observe" in read.said
