"""A run of planted posteriors that are no Gaussian: classes, shares, a code book, draws, with their truth.

Every neuron starts at rest, where it is its prior, and goes at its onset to the law that it is planted with:

- categorical, C classes alike under the prior: an input picks a class and has 1/C + a (1 − 1/C) of it;
  "frozen" and "offset" pick class 0 whatever the input, for sure or hardly
- Beta under Beta(1, 1): an input's mean is uniform in [0.1, 0.9], of a weight w = concentration1 +
  concentration0; "frozen" has 0.8 whatever the input
- code book: an input picks one of the codes that are in use, all alike; some never are, some die at their
  step, some of these come back at another
- draws: Normal(row's mean, variance), row means of the variance `spread`, without a prior

Statistics are those that `probes.family_moments` computes of a batch of such posteriors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from probes.family_moments import CodeUsage, FamilyMoments, SampleMoments
from probes.recorder import Recorder
from probes.schema import LAYER_STATISTICS

CLASSES = 8
CODES = 64
WINDOW = 16
"""Steps that usage of the code book is over."""
DRAWS = 8
PROBED = 32
"""Inputs of the probe batch."""
LAYERS: list[dict[str, Any]] = [
    {"name": "classes", "neurons": 16, "family": "categorical", "classes": CLASSES, "prior": "given"},
    {"name": "shares", "neurons": 16, "family": "beta", "prior": "given"},
    {"name": "book", "neurons": CODES, "family": "codes", "window": WINDOW, "prior": "unknown"},
    {"name": "draws", "neurons": 8, "family": "samples", "prior": "unknown"},
]
"""Layers of the run, as its manifest has them."""
_PLANTED = (0, 4, 5, 6)
_CONFIDENCE = {0: (0.5, 0.9), 4: (0.0, 0.0), 5: (0.08, 0.1), 6: (0.6, 0.9)}
"""Regime -> range of a, of a categorical neuron."""
_WEIGHT = {0: (10.0, 40.0), 4: (2.0, 2.0), 6: (10.0, 40.0), 7: (5000.0, 9000.0)}
"""Regime -> range of the weight of a Beta neuron."""
Array = NDArray[Any]


class _Neurons(NamedTuple):
    """What the neurons of a layer are planted with, (N,)."""

    regime: Array
    onset: Array
    strength: Array


def families_run(
    path: str | Path, steps: int = 200, batch: int = 256, seed: int = 0, **recorder: Any
) -> pd.DataFrame:
    """Write a run of `LAYERS` at every step, and what is planted there.

    Parameters
    ----------
    path
        Folder of the run.
    steps
        Length of the run, at least 100.
    batch
        Inputs a step.
    seed
        Of the plan and of the noise.
    **recorder
        As of `Recorder`.

    Returns
    -------
    DataFrame
        One row a neuron: layer, neuron, family, regime (that it ends in), onset (step; of draws and of codes
        that are in use from the start 0), information (nats, in expectation over inputs; NaN of draws), died
        and revived (steps at which the window holds no pick of a code any more, and one again; NaN: never),
        variance and spread (of draws; else NaN).

    Raises
    ------
    ValueError
        For fewer than 100 steps.
    RunError
        When the folder holds a run already.
    """
    if steps < 100:
        raise ValueError(f"steps is {steps}: deaths and revivals need at least 100")
    draw = np.random.default_rng(seed)
    torch_draw = torch.Generator().manual_seed(seed)
    neurons = {
        "classes": _plant(draw, LAYERS[0]["neurons"], _CONFIDENCE, steps),
        "shares": _plant(draw, LAYERS[1]["neurons"], _WEIGHT, steps),
    }
    codes = _plant_codes(draw, steps)
    draws = draw.uniform(0.05, 0.5, (2, LAYERS[3]["neurons"]))  # variance and spread
    book = CodeUsage(CODES, WINDOW)
    config = {"synthetic": True, "steps": steps, "batch": batch, "seed": seed, "warmup_steps": steps // 20}
    with Recorder(path, LAYERS, config, **recorder) as run:
        for step in range(steps):
            probability = _classes(neurons["classes"], step, batch, torch_draw)
            concentration = _shares(neurons["shares"], step, batch, torch_draw)
            run.record(step, "classes", **_statistics("categorical", probability, _UNIFORM))
            run.record(step, "shares", **_statistics("beta", concentration, _FLAT))
            in_use = np.flatnonzero([_in_use(code, step) for code in codes])
            picks = draw.choice(in_use, batch)
            found = book.update(torch.from_numpy(picks)).statistics()
            whole = {name: float(value) for name, value in found.items() if name in LAYER_STATISTICS}
            run.record(step, "book", usage=found["usage"], information=found["information"], **whole)
            z = torch.from_numpy(_draws(draw, draws, batch))
            run.record(step, "draws", **_arrays(SampleMoments().update(z).statistics()))
            if step % (steps // 10) == 0 or step == steps - 1:
                run.classes(step, "classes", probability["probability"].mean(0))
                run.parameters(step, "classes", probability=probability["probability"][:PROBED])
                run.parameters(step, "shares", **{n: value[:PROBED] for n, value in concentration.items()})
                run.parameters(step, "draws", sample=z[:, :PROBED].permute(1, 2, 0))
    return _truth(neurons, codes, draws, batch)


_UNIFORM = {"probability": torch.full((CLASSES,), 1 / CLASSES)}
_FLAT = {"concentration1": torch.tensor(1.0), "concentration0": torch.tensor(1.0)}


def _plant(
    draw: np.random.Generator, count: int, strengths: Mapping[int, tuple[float, float]], steps: int
) -> _Neurons:
    regime = np.resize(list(strengths), count)
    low, high = np.array([strengths[int(code)] for code in regime]).T
    onset = np.where(regime == 4, 0, draw.integers(steps // 10, steps // 2, count))
    return _Neurons(regime, onset, draw.uniform(low, high))


class _Code(NamedTuple):
    """Steps at which a code is in use: before `dies`, and from `back` on; inf: never."""

    dies: float
    back: float


def _plant_codes(draw: np.random.Generator, steps: int) -> list[_Code]:
    """An eighth is never in use, half of the others die together, half of these come back together."""
    never, dying = CODES // 8, CODES * 7 // 16
    dies, back = int(0.4 * steps), int(0.7 * steps)
    plan = [_Code(0, np.inf)] * never
    plan += [_Code(dies, back if place % 2 else np.inf) for place in range(dying)]
    plan += [_Code(np.inf, np.inf)] * (CODES - len(plan))
    return [plan[place] for place in draw.permutation(CODES)]


def _in_use(code: _Code, step: int) -> bool:
    return step < code.dies or step >= code.back


def _classes(neurons: _Neurons, step: int, batch: int, draw: torch.Generator) -> dict[str, Tensor]:
    """probability (B, N, C)."""
    count = len(neurons.regime)
    picked = torch.randint(CLASSES, (batch, count), generator=draw)
    picked[:, torch.from_numpy(neurons.regime != 0)] = 0
    a = torch.from_numpy(np.where(step >= neurons.onset, neurons.strength, 0.0))[:, None]
    points = torch.nn.functional.one_hot(picked, CLASSES).double()
    return {"probability": ((1 - a) / CLASSES + a * points).float()}


def _shares(neurons: _Neurons, step: int, batch: int, draw: torch.Generator) -> dict[str, Tensor]:
    """concentration1, concentration0 (B, N)."""
    count = len(neurons.regime)
    mean = 0.1 + 0.8 * torch.rand(batch, count, generator=draw, dtype=torch.float64)
    mean[:, torch.from_numpy(neurons.regime == 6)] = 0.8
    started = torch.from_numpy((step >= neurons.onset) & (neurons.regime != 4))
    mean = torch.where(started, mean, 0.5)
    weight = torch.where(started, torch.from_numpy(neurons.strength), 2.0)
    return {"concentration1": (mean * weight).float(), "concentration0": ((1 - mean) * weight).float()}


def _draws(draw: np.random.Generator, planted: Array, batch: int) -> Array:
    """(S, B, N)."""
    variance, spread = planted
    rows = draw.normal(size=(batch, len(spread))) * np.sqrt(spread)
    noise = draw.normal(size=(DRAWS, batch, len(spread))) * np.sqrt(variance)
    return (rows + noise).astype(np.float32)


def _statistics(family: str, parameters: dict[str, Tensor], prior: dict[str, Tensor]) -> dict[str, Array]:
    return _arrays(FamilyMoments(family).update(parameters, prior).result())


def _arrays(found: Mapping[str, Tensor]) -> dict[str, Array]:
    return {name: value.numpy() for name, value in found.items()}


def _truth(neurons: Mapping[str, _Neurons], codes: list[_Code], draws: Array, batch: int) -> pd.DataFrame:
    parts = []
    for layer, (name, planted) in enumerate(neurons.items()):
        parts.append(
            pd.DataFrame({"layer": layer, "regime": planted.regime, "onset": planted.onset}).assign(
                information=_information(name, planted)
            )
        )
    dies, back = np.array(codes).T
    late = (dies > 0) & np.isfinite(dies)
    gone = np.where(np.isfinite(back), False, np.isfinite(dies))
    left = int((~gone).sum())
    parts.append(
        pd.DataFrame(
            {
                "layer": 2,
                "regime": np.where(gone, 4, 0),
                "onset": 0,
                "information": np.where(gone, 0.0, np.log(left) / left),
                "died": np.where(late, dies + WINDOW - 1, np.nan),
                "revived": np.where(np.isfinite(back), back, np.nan),
            }
        )
    )
    variance, spread = draws
    parts.append(pd.DataFrame({"layer": 3, "regime": 11, "onset": 0, "variance": variance, "spread": spread}))
    truth = pd.concat(parts, ignore_index=True)
    truth.insert(1, "neuron", truth.groupby("layer").cumcount())
    truth.insert(2, "family", [LAYERS[layer]["family"] for layer in truth["layer"]])
    return truth


def _information(name: str, planted: _Neurons) -> Array:
    """Of each neuron's law, nats: of classes in closed form, of shares over many means."""
    told = np.isin(planted.regime, (0, 7))
    if name == "classes":
        of_class = planted.strength + (1 - planted.strength) / CLASSES
        others = 1 - of_class
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -of_class * np.log(of_class) - others * np.log(others / (CLASSES - 1))
        return np.where(told, np.log(CLASSES) - entropy, 0.0)
    mean = torch.linspace(0.1, 0.9, 4001, dtype=torch.float64)[:, None]
    weight = torch.from_numpy(planted.strength)
    law = {"concentration1": mean * weight, "concentration0": (1 - mean) * weight}
    return np.where(told, FamilyMoments("beta").update(law, _FLAT).result()["information"].numpy(), 0.0)
