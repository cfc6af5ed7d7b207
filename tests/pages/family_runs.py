"""Small runs whose layers are of every family, with posteriors that leave their prior: for the pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from probes import Recorder
from probes.families.by_moments import moments_of

INPUTS, NEURONS, CLASSES, CODES, STEPS = 24, 5, 6, 48, 24
Arrays = dict[str, np.ndarray]
PRIORS: dict[str, dict[str, float]] = {
    "beta": {"concentration1": 1.0, "concentration0": 1.0},
    "gamma": {"concentration": 2.0, "rate": 2.0},
    "inverse_gamma": {"concentration": 4.0, "rate": 3.0},
    "exponential": {"rate": 1.0},
    "poisson": {"rate": 3.0},
    "von_mises": {"loc": 0.0, "concentration": 1e-3},
    "laplace": {"loc": 0.0, "scale": 1.0},
    "dirichlet": {"concentration": 1.0},
}
RUNS: dict[str, tuple[str, ...]] = {
    "mixed": ("gaussian", "categorical", "codes", "beta", "samples"),
    "densities": ("gamma", "inverse_gamma", "exponential", "poisson", "von_mises", "laplace"),
    "others": ("dirichlet", "bernoulli", "student_t", "generic", "gaussian_full"),
    "book": ("codes",),
    "classes": ("categorical",),
}
"""Run -> the families of its layers, which are called as their family."""


def layer(family: str) -> dict[str, Any]:
    """Of the manifest."""
    more: dict[str, Any] = {"neurons": CODES if family == "codes" else NEURONS}
    if family in ("categorical", "dirichlet"):
        more["classes"] = 40 if family == "categorical" else CLASSES
    if family == "codes":
        more["window"] = 16
    if family in ("samples", "codes"):
        more["prior"] = "unknown"
    if family in PRIORS:
        more["prior_parameters"] = PRIORS[family]
    return {"name": family, "family": family, **more}


def write_family_runs(folder: Path) -> Path:
    """One run each of RUNS."""
    for name, families in RUNS.items():
        draw = np.random.default_rng(0)
        with Recorder(folder / name, [layer(one) for one in families], {"beta": 1.0}) as run:
            for step in range(STEPS):
                for family in families:
                    _record(run, step, family, draw)
                if step == 0 and name not in ("book", "classes"):
                    run.inputs(step, [("text", f"sentence {number}") for number in range(INPUTS)])
                run.scalar(step, "loss", 1 / (1 + step), split="train")
    return folder


def _record(run: Recorder, step: int, family: str, draw: np.random.Generator) -> None:
    share = 1 / (1 + math.exp(-(step - STEPS / 3) / 2))
    if family == "codes":
        run.record(step, family, **_codes(step))
        return
    strength = np.linspace(2.5, 0.0, NEURONS) * share
    h = draw.standard_normal((INPUTS, NEURONS)) * strength
    if family in ("gaussian", "gaussian_full"):
        sigma = np.exp(-strength) + 0 * h
        run.record(step, family, **_gaussian(h, sigma, family))
        if step % 6 == 0:
            run.probe(step, family, h, sigma)
        return
    parameters = PARAMETERS[family](h, strength, draw)
    run.record(step, family, **_statistics(family, parameters, strength))
    if step % 6 == 0:
        run.parameters(step, family, **parameters)
        if family == "categorical":
            run.classes(step, family, parameters["probability"].mean(axis=0))


def _codes(step: int) -> dict[str, Any]:
    weight = np.r_[np.linspace(3, 1, CODES // 2), np.zeros(CODES // 2)]
    weight[0] = 0.0 if 8 <= step < 16 else 3.0  # dies and is picked again
    usage = weight / weight.sum()
    information = special.entr(usage)
    return {
        "usage": usage, "information": information, "perplexity": float(np.exp(information.sum())),
        "dead_codes": float((usage == 0).sum()), "window": 16.0,
    }  # fmt: skip


def _gaussian(mu: np.ndarray, sigma: np.ndarray, family: str) -> dict[str, Any]:
    kl = (0.5 * (mu**2 + sigma**2 - 1) - np.log(sigma)).mean(axis=0)
    variance, spread = (sigma**2).mean(axis=0), mu.var(axis=0)
    found = {
        "mean": mu.mean(axis=0), "variance": variance, "spread": spread, "kl": kl,
        "information": 0.5 * np.log1p(spread / variance), "mu2": (mu**2).mean(axis=0),
    }  # fmt: skip
    if family == "gaussian_full":
        found |= {"joint_kl": float(1.2 * kl.sum()), "coupling": float(0.2 * kl.sum())}
    return found


def _softmax(h: np.ndarray, count: int) -> np.ndarray:
    return special.softmax(h[..., None] * np.cos(np.arange(count)), axis=-1)


def _draws(h: np.ndarray, strength: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    return h[..., None] + np.exp(-strength)[:, None] * draw.standard_normal((*h.shape, 8))


PARAMETERS: Mapping[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Arrays]] = {
    "beta": lambda h, s, _: {
        "concentration1": special.expit(h) * (2 + 20 * s), "concentration0": special.expit(-h) * (2 + 20 * s)
    },
    "gamma": lambda h, s, _: {"concentration": 2 + 10 * s + 0 * h, "rate": (2 + 10 * s) * np.exp(-h / 3)},
    "inverse_gamma": lambda h, s, _: {
        "concentration": 4 + 10 * s + 0 * h, "rate": (3 + 10 * s) * np.exp(h / 3)
    },
    "exponential": lambda h, s, _: {"rate": np.exp(h / 3)},
    "poisson": lambda h, s, _: {"rate": 3 * np.exp(h / 3)},
    "von_mises": lambda h, s, _: {"loc": np.arctan(h), "concentration": 1e-3 + 8 * s + 0 * h},
    "laplace": lambda h, s, _: {"loc": h, "scale": np.exp(-s) + 0 * h},
    "student_t": lambda h, s, _: {"df": 3 + 0 * h, "loc": h, "scale": np.exp(-s) + 0 * h},
    "categorical": lambda h, s, _: {"probability": _softmax(h, 40)},
    "bernoulli": lambda h, s, _: {"probability": special.expit(h)},
    "dirichlet": lambda h, s, _: {"concentration": CLASSES * _softmax(h, CLASSES) * (1 + 5 * s[:, None])},
    "samples": lambda h, s, draw: {"sample": _draws(h, s, draw)},
    "generic": lambda h, s, draw: {"sample": _draws(h, s, draw)},
}  # fmt: skip


def _statistics(family: str, p: Arrays, strength: np.ndarray) -> Arrays:
    """Statistics as far as the family has them; kl and information are of no measured law."""
    told = {"kl": 1.5 * strength, "information": strength}
    if family == "samples":
        told = {}
    if family in ("beta", "gamma", "inverse_gamma", "exponential", "poisson", "von_mises", "dirichlet"):
        told["mismatch"] = 0.5 * strength
    if family in ("student_t", "generic"):
        told = {"kl": 1.5 * strength, "kl_error": 0.1 + 0 * strength}
    if family in ("categorical", "bernoulli"):
        classes = p["probability"] if family == "categorical" else np.stack(
            [1 - p["probability"], p["probability"]], -1)  # fmt: skip
        told |= {
            "entropy": special.entr(classes).sum(axis=-1).mean(axis=0),
            "prior_entropy": np.full(NEURONS, math.log(classes.shape[-1])),
            "perplexity": np.exp(special.entr(classes.mean(axis=0)).sum(axis=-1)),
        }
        return told if family == "categorical" else told | {"mean": p["probability"].mean(axis=0)}
    if "sample" in p:
        within = p["sample"].var(axis=-1, ddof=1).mean(axis=0)
        return told | {
            "mean": p["sample"].mean(axis=(0, 2)), "variance": within,
            "spread": p["sample"].mean(axis=2).var(axis=0),
        }  # fmt: skip
    if family == "dirichlet":
        total = p["concentration"].sum(axis=-1, keepdims=True)
        mean = p["concentration"] / total
        variance = mean * (1 - mean) / (total + 1)
        return told | {
            "mean": mean.mean(axis=(0, 2)), "variance": variance.mean(axis=(0, 2)),
            "spread": mean.var(axis=0).mean(-1),
        }  # fmt: skip
    mean, variance = moments_of(family, p)
    found = told | {"mean": mean.mean(axis=0), "variance": variance.mean(axis=0), "spread": mean.var(axis=0)}
    if family in PRIORS:
        found["prior_variance"] = np.full(NEURONS, float(moments_of(family, PRIORS[family])[1]))
    return found
