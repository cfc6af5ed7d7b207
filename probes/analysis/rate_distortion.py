"""A run in the plane of rate and distortion: what it logs of its objective, in nats an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.spacing import log_spaced_steps

Floats = NDArray[np.float64]
DISTORTIONS = ("distortion", "reconstruction", "reconstruction_loss", "recon_loss")
"""Names that a training loop may log its distortion under; the first that a run has is taken, as logged."""
WEIGHTS = ("beta", "kl_weight", "kld_weight")
"""Names that a training loop may log the weight of its KL under."""
SEQUENCE_KEY = "head"
"""A configuration with a value for it is of sequences, whose nll and rate are of a position."""
FREE_BITS = "free_bits"
"""Name that the KL that costs nothing may be logged under, nats."""
POINTS = 60  # of a path
REMEDY = "log it, such as `recording.step(step, loss=loss, distortion=distortion, beta=beta)`"


class Objective(NamedTuple):
    """What a run says of its objective over steps.

    Attributes
    ----------
    distortion
        By step, in `unit`; empty where it was not logged.
    rate
        By step, nats, all neurons, of an example or a position as the distortion is.
    weight
        By step: columns mean, low and high over neurons (the 5th and the 95th percentile; of one weight all
        the same); empty where it was not logged.
    free_bits
        By step, nats, as logged; empty where it was not.
    unit
        Of the distortion: "nats an example", "nats a position" of sequences, "as logged" where it is not
        known.
    said
        Where distortion and weight come from, in words.
    """

    distortion: pd.Series
    rate: pd.Series
    weight: pd.DataFrame
    free_bits: pd.Series
    unit: str
    said: str


def objective(
    scalars: pd.DataFrame, config: Mapping[str, Any], summary: pd.DataFrame, neurons: pd.Series
) -> Objective:
    """Distortion, rate and weight of the KL as a run has recorded them.

    Parameters
    ----------
    scalars
        `Run.scalars()`.
    config
        `Run.config`.
    summary
        `Run.layer_summary()`: beta_mean, beta_p05, beta_p95 of layers whose neurons have weights of their
        own.
    neurons
        Rate by step as the neurons have it, nats (`network_curves`): where no scalar `rate` was logged.

    Returns
    -------
    Objective
        Of the training split.

    Notes
    -----
    The scalar nll of a forecaster is of one predicted number: times the horizon it is of an example, as the
    rate is; of classes and of positions of a sequence it is so already.
    """
    train = scalars[scalars["split"] == "train"]
    named = {str(name): part for name, part in train.groupby("name")}
    distortion, unit, words = pd.Series(dtype=float), "as logged", []
    name = next((one for one in DISTORTIONS if one in named), None)
    if name is not None:
        distortion = _by_step(named[name])
        words.append(f"distortion as logged ({name})")
    elif "nll" in named and (factor := predicted_numbers(config, set(named) | _of_answers(scalars))):
        distortion = factor * _by_step(named["nll"])
        of = "a position" if config.get(SEQUENCE_KEY) else "an example"
        unit = f"nats {of}"
        words.append(f"distortion: negative log likelihood of {of}'s targets")
    rate = _by_step(named["rate"]) if "rate" in named else neurons.dropna()
    weight, said = _weight(named, config, summary, rate)
    free = _by_step(named[FREE_BITS]) if FREE_BITS in named else pd.Series(dtype=float)
    return Objective(distortion, rate, weight, free, unit, ", ".join([*words, *said]))


def predicted_numbers(config: Mapping[str, Any], names: set[str]) -> int | None:
    """How many numbers an example predicts, by which a logged nll is divided.

    Parameters
    ----------
    config
        `Run.config`.
    names
        Of the run's scalars: one with an accuracy is of classes.

    Returns
    -------
    int or None
        The horizon of a forecaster, 1 of classes and of sequences; None of another program's run.
    """
    horizon = config.get("horizon")
    if "watch" in config or not isinstance(horizon, int) or "beta" not in config:
        return None
    return 1 if "accuracy" in names else horizon


def _of_answers(scalars: pd.DataFrame) -> set[str]:
    return set(scalars.loc[scalars["name"] == "accuracy", "name"])


def _by_step(rows: pd.DataFrame) -> pd.Series:
    """Finite values by step, the last of a step."""
    values = pd.Series(rows["value"].to_numpy(float), rows["step"].to_numpy(np.int64))
    values = values[np.isfinite(values)]
    return values[~values.index.duplicated(keep="last")].sort_index()


def _weight(
    named: Mapping[str, pd.DataFrame], config: Mapping[str, Any], summary: pd.DataFrame, rate: pd.Series
) -> tuple[pd.DataFrame, list[str]]:
    if "beta_mean" in summary and summary["beta_mean"].notna().any():
        by_step = summary.groupby("step")
        found = pd.DataFrame(
            {
                "mean": by_step["beta_mean"].mean(),
                "low": by_step["beta_p05"].min(),
                "high": by_step["beta_p95"].max(),
            }
        ).dropna()
        return found, ["β as recorded of each neuron"]
    name = next((one for one in WEIGHTS if one in named), None)
    if name is not None:
        values = _by_step(named[name])
        return pd.DataFrame(dict.fromkeys(("mean", "low", "high"), values)), [f"β as logged ({name})"]
    beta, steps = config.get("beta"), config.get("steps")
    if "watch" in config or isinstance(beta, bool) or not isinstance(beta, int | float) or rate.empty:
        return pd.DataFrame(columns=["mean", "low", "high"]), []
    values = pd.Series(float(beta), rate.index)
    share = config.get("beta_ramp")
    if isinstance(share, int | float) and share > 0 and isinstance(steps, int):
        values *= np.minimum(rate.index.to_numpy() / max(round(share * steps), 1), 1.0)
    return pd.DataFrame(dict.fromkeys(("mean", "low", "high"), values)), ["β as configured"]


def path(found: Objective, points: int = POINTS) -> pd.DataFrame:
    """A run's way through the plane.

    Parameters
    ----------
    found
        Of the run.
    points
        At most, log-spaced in the step.

    Returns
    -------
    DataFrame
        step (the last of those that a point is the mean of), records (how many), rate, distortion; in order
        of step. Empty where either was not logged. A single record is a minibatch and jumps.
    """
    both = pd.DataFrame({"rate": found.rate, "distortion": found.distortion}).dropna()
    if both.empty:
        return pd.DataFrame(columns=["step", "records", "rate", "distortion"])
    steps = both.index.to_numpy(np.int64)
    ends = log_spaced_steps(steps, points)
    place = np.searchsorted(ends, np.arange(len(steps)))  # each record belongs to the next point
    grouped = both.groupby(place)
    means = grouped.mean()
    return pd.DataFrame(
        {
            "step": steps[ends], "records": grouped.size().to_numpy(),
            "rate": means["rate"].to_numpy(), "distortion": means["distortion"].to_numpy(),
        }
    )  # fmt: skip


def one_weight(found: Objective) -> float | None:
    """The weight of the KL at the end.

    Parameters
    ----------
    found
        Of the run.

    Returns
    -------
    float or None
        None where none was logged, or neurons have different ones: the objective's lines are no lines then.
    """
    if found.weight.empty:
        return None
    last = found.weight.iloc[-1]
    same = last["high"] - last["low"] <= 1e-3 * max(abs(last["mean"]), 1e-12)
    return float(last["mean"]) if same else None


def kind_of_distortion(scores: Mapping[str, Any]) -> str | None:
    """Under which name a run logs its distortion.

    Parameters
    ----------
    scores
        As of `end_point`.

    Returns
    -------
    str or None
        One of DISTORTIONS, or nll; None where it logs none. Of two names values do not compare.
    """
    return next((one for one in (*DISTORTIONS, "nll") if f"train/{one}" in scores), None)


def end_point(scores: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, float] | None:
    """Where a run has ended, by its manifest alone.

    Parameters
    ----------
    scores
        "split/name" -> {"step", "value"}, as in `probes.catalog`.
    config
        Of the run.

    Returns
    -------
    dict or None
        rate, distortion, and weight (NaN where it is not known) of the last record; None where rate or
        distortion was not logged.
    """
    last = {name: entry["value"] for name, entry in scores.items() if entry.get("value") is not None}
    rate = last.get("train/rate")
    name = next((one for one in DISTORTIONS if f"train/{one}" in last), None)
    if name is not None:
        distortion = last[f"train/{name}"]
    else:
        factor = predicted_numbers(config, {key.rpartition("/")[2] for key in last})
        if factor is None or "train/nll" not in last:
            return None
        distortion = factor * last["train/nll"]
    if rate is None or not np.isfinite([rate, distortion]).all():
        return None
    weight = next((last[f"train/{one}"] for one in WEIGHTS if f"train/{one}" in last), None)
    if weight is None and "watch" not in config and not config.get("thermostat"):
        weight = config.get("beta")
    known = isinstance(weight, int | float) and not isinstance(weight, bool)
    return {
        "rate": float(rate), "distortion": float(distortion),
        "weight": float(weight) if known else float("nan"),  # type: ignore[arg-type]
    }  # fmt: skip
