"""Risk-coverage: if the network may decline the inputs it is least sure of, how much better does it get on
the rest?
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes.experiments.estimates import (
    area_under_risk,
    bootstrap,
    clustered_mean,
    degrees_of_freedom,
    interval_of_few,
    risk_curve,
)
from probes.experiments.store import Progress, silent
from probes.experiments.subject import Score, Subject
from probes.experiments.uncertainty import REFERENCE, of_inputs
from probes.spacing import evenly_spaced

INPUTS_AT_ONCE = 256
POINTS = 100  # coverages that a curve is stored at
ORACLE = "oracle"
"""Inputs dropped in the order of their error itself: what no uncertainty can beat."""


@torch.no_grad()
def measure(
    subject: Subject,
    x: Tensor,
    y: Tensor,
    errors: Mapping[str, Score],
    draws: int = 16,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Errors and uncertainties of every input.

    Parameters
    ----------
    subject
        The network.
    x, y
        (B, ...) inputs and targets.
    errors
        Name -> function of draws that gives one number an example.
    draws
        S, draws an example.
    seed
        Of the noise.
    progress
        Called with (done, total) as it goes on.

    Returns
    -------
    tuple of dict
        Errors and uncertainties (`uncertainty.NAMES`), name -> (B,).
    """
    found_errors: dict[str, list[np.ndarray]] = {name: [] for name in errors}
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(x), INPUTS_AT_ONCE):
        chosen = slice(start, start + INPUTS_AT_ONCE)
        response = subject.respond(x[chosen], draws, seed + start)
        for name, score in errors.items():
            found_errors[name].append(score(*response.forecast, y[chosen]).double().cpu().numpy())
        for name, values in of_inputs(response).items():
            found.setdefault(name, []).append(values)
        progress(min(start + INPUTS_AT_ONCE, len(x)), len(x))
    return _joined(found_errors), _joined(found)


def _joined(parts: dict[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate(values) for name, values in parts.items()}


def risk_coverage(
    errors: Mapping[str, np.ndarray],
    uncertainties: Mapping[str, np.ndarray],
    groups: np.ndarray | None = None,
    repeats: int = 300,
) -> dict[str, pd.DataFrame]:
    """Curves of risk against coverage, and the areas below them.

    Parameters
    ----------
    errors, uncertainties
        Name -> (B,), as `measure` returns them.
    groups
        (B,): blocks for the intervals.
    repeats
        Resamples of the blocks.

    Returns
    -------
    dict of DataFrame
        "curves": error, uncertainty, coverage, risk (mean error of the share kept), with the oracle's among
        them; "areas": error, uncertainty, value (AURC), low, high; `mean` (what dropping at random gives, for
        every coverage); gain, gain_low, gain_high: how much lower the AURC is than that of the output
        variance, resampled together. 95 % intervals by resampling blocks (`interval_of_few`), of the AURC's
        logarithm where no error is below 0; null with too few blocks.
    """
    curves, areas = [], []
    for error, losses in errors.items():
        orders = {**uncertainties, ORACLE: losses}
        freedom, positive = degrees_of_freedom(len(losses), groups), bool((losses >= 0).all())

        def areas_of(
            index: np.ndarray, losses: np.ndarray = losses, orders: dict[str, np.ndarray] = orders
        ) -> list[float]:
            return [area_under_risk(losses[index], order[index]) for order in orders.values()]

        resampled = dict(zip(orders, bootstrap(areas_of, len(losses), groups, repeats).T, strict=True))
        whole = dict(zip(orders, areas_of(np.arange(len(losses))), strict=True))
        for name, order in orders.items():
            coverage, risk = risk_curve(losses, order)
            kept = evenly_spaced(len(coverage), POINTS)
            curves.append(
                pd.DataFrame(
                    {"error": error, "uncertainty": name, "coverage": coverage[kept], "risk": risk[kept]}
                )
            )
            better = resampled[REFERENCE] - resampled[name]
            gain = interval_of_few(whole[REFERENCE] - whole[name], better, freedom)
            area = interval_of_few(whole[name], resampled[name], freedom, positive)
            mean = float(clustered_mean(losses)[0])
            areas.append((error, name, *area, mean, *gain))
    columns = ["error", "uncertainty", "value", "low", "high", "mean", "gain", "gain_low", "gain_high"]
    return {"curves": pd.concat(curves, ignore_index=True), "areas": pd.DataFrame(areas, columns=columns)}
