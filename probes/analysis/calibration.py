"""Can the uncertainty be trusted: PIT, coverage and sharpness of the probe batch's forecasts over steps.

Frames are `Run.predictions()`: step, input, horizon, y, mean, latent_variance, observation_variance, pit. An
input's horizons share their fate, so that errors and bands count inputs, not numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from probes.experiments.estimates import NORMAL_95, clustered_mean, risk_curve

LEVELS = (0.5, 0.8, 0.95)


def pit_histogram(predictions: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
    """How often the target falls into each of equal parts of its predictive distribution, per step.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()`.
    bins
        How many parts.

    Returns
    -------
    DataFrame
        step, bin, left, right, density (1 everywhere when calibrated), low, high: where a calibrated
        forecast's density lies in 95 % of probe batches, if inputs are independent and an input's horizons
        are one.

    Notes
    -----
    Gneiting, Balabdaoui & Raftery 2007.
    """
    edges = np.linspace(0, 1, bins + 1)
    rows = []
    for step, part in predictions.groupby("step", sort=True):
        values = part["pit"].to_numpy(np.float64)
        density = np.histogram(values, edges)[0] * bins / max(len(values), 1)
        half = NORMAL_95 * np.sqrt((bins - 1) / part["input"].nunique())
        frame = pd.DataFrame(
            {"bin": np.arange(bins), "left": edges[:-1], "right": edges[1:], "density": density}
        )
        rows.append(frame.assign(step=step, low=max(0.0, 1 - half), high=1 + half))
    names = ["step", "bin", "left", "right", "density", "low", "high"]
    return pd.concat(rows, ignore_index=True)[names] if rows else pd.DataFrame(columns=names)


def coverage_over_steps(predictions: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """Share of targets inside the central interval of each level, per step.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()`.
    levels
        Probabilities of the intervals.

    Returns
    -------
    DataFrame
        step, level, coverage, standard_error.

    Notes
    -----
    Exact from the PIT: (1 - level)/2 <= F(y) <= (1 + level)/2.
    """
    rows = []
    for step, part in predictions.groupby("step", sort=True):
        distance = np.abs(part["pit"].to_numpy(np.float64) - 0.5)
        for level in levels:
            share, error = clustered_mean(distance <= level / 2, part["input"])
            rows.append((step, level, float(share), float(error)))
    return pd.DataFrame(rows, columns=["step", "level", "coverage", "standard_error"])


def sharpness_over_steps(predictions: pd.DataFrame) -> pd.DataFrame:
    """Parts of the predictive variance, per step.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()`.

    Returns
    -------
    DataFrame
        step, latent, observation (batch means), sd (mean root of their sum).
    """
    rows = []
    for step, part in predictions.groupby("step", sort=True):
        latent = part["latent_variance"].to_numpy(np.float64)
        observation = part["observation_variance"].to_numpy(np.float64)
        rows.append((step, latent.mean(), observation.mean(), np.sqrt(latent + observation).mean()))
    return pd.DataFrame(rows, columns=["step", "latent", "observation", "sd"])


def risk_coverage_over_steps(predictions: pd.DataFrame) -> pd.DataFrame:
    """Squared error of the probe inputs kept, as the most uncertain are dropped, per step.

    Parameters
    ----------
    predictions
        Rows of `Run.predictions()`.

    Returns
    -------
    DataFrame
        step, uncertainty ("latent variance" or "output variance", that of the observation, each averaged over
        an input's horizons), coverage, risk.
    """
    rows = []
    for step, part in predictions.groupby("step", sort=True):
        squared = (part["y"] - part["mean"]) ** 2
        of_input = (
            part.assign(error=squared)
            .groupby("input")[["error", "latent_variance", "observation_variance"]]
            .mean()
        )
        for name, column in (
            ("latent variance", "latent_variance"),
            ("output variance", "observation_variance"),
        ):
            coverage, risk = risk_curve(of_input["error"], of_input[column])
            rows.append(pd.DataFrame({"step": step, "uncertainty": name, "coverage": coverage, "risk": risk}))
    return (
        pd.concat(rows, ignore_index=True)
        if rows
        else pd.DataFrame(columns=["step", "uncertainty", "coverage", "risk"])
    )
