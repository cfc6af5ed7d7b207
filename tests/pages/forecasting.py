"""Runs with forecasts of known calibration and neurons of known persistence, for the pages' tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from probes import Recorder

STEPS = (1, 4, 16, 60)
INPUTS, HORIZON, SERIES_STRIDE = 12, 6, 8
CONFIG: dict[str, Any] = {"data": "made", "stride": SERIES_STRIDE, "beta": 0.01, "seed": 0, "twin": False}


def forecasts(step: int, latent: float, seed: int = 0) -> pd.DataFrame:
    """Gaussian forecasts that are calibrated: the truth is drawn from them."""
    random = np.random.default_rng(seed)
    sd = np.linspace(0.3, 1.2, INPUTS)[:, None] * np.ones(HORIZON)
    mean = random.standard_normal((INPUTS, HORIZON))
    y = mean + sd * random.standard_normal(mean.shape)
    index, horizon = np.indices(mean.shape)
    columns = {
        "input": index, "horizon": horizon, "y": y, "mean": mean, "latent_variance": latent * sd**2,
        "observation_variance": (1 - latent) * sd**2, "pit": norm.cdf((y - mean) / sd),
    }  # fmt: skip
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()})


def write_forecasting(
    folder: Path,
    *,
    twin: bool = False,
    phi: float | None = None,
    neurons: int = 10,
    layers: int = 2,
    interval: bool = True,
) -> Path:
    """A run with forecasts at four steps; under `phi` its first neuron is stuck and its second jittery."""
    random = np.random.default_rng(1)
    parts = [{"name": f"layer {i + 1}", "neurons": neurons} for i in range(layers)]
    steps = np.arange(1, STEPS[-1] + 1)
    with Recorder(folder, parts, config={**CONFIG, "twin": twin}) as recorder:
        if not twin:
            for layer in range(layers):
                recorder.record_block(steps, layer, _statistics(random, steps, neurons, phi, interval))
        for step in STEPS:
            for layer in range(0 if twin else layers):
                shape = (INPUTS, neurons)
                recorder.probe(step, layer, mu=random.standard_normal(shape), sigma=np.full(shape, 0.5))
            recorder.predictions(step, forecasts(step, 0.0 if twin else 0.25))
            for name, value in {
                "nll_joint": 1 / step,
                "crps": 0.5,
                "coverage_50": 0.5,
                "coverage_80": 0.8,
                "coverage_95": 0.9,
            }.items():
                recorder.scalar(step, name, value, split="validation")
        for split, value in (("test", 0.4), ("test last_value", 0.7)):
            recorder.scalar(int(steps[-1]), "crps", value, split=split)
    return folder


def _statistics(
    random: np.random.Generator, steps: np.ndarray, neurons: int, phi: float | None, interval: bool
) -> dict:
    shape = (len(steps), neurons)
    slope = np.full(shape, 0.5 if phi is None else phi) + 0.02 * random.standard_normal(shape)
    if phi is not None:
        slope[:, 0], slope[:, 1] = 0.98, 0.0
    variance = np.full(shape, 0.5)
    spread = np.full(shape, 0.4)
    columns = {
        "mean": np.zeros(shape), "variance": variance, "kl": np.full(shape, 0.6),
        "information": np.full(shape, 0.3),
        "spread": spread, "persistence": slope,
    }  # fmt: skip
    if interval:
        columns |= {"persistence_low": slope - 0.1, "persistence_high": slope + 0.1}
    if phi is not None:
        columns |= {"phi": np.full(shape, phi), "past": np.full(shape, 0.1)}
    return columns
