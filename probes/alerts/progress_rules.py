"""Rules on the whole run: a loss that is no number, a validation score that stops getting better."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from probes import plateau
from probes.alerts.limits import Limits
from probes.alerts.parts import Part
from probes.schema import LIKELIHOODS

JUDGED_BY = (*LIKELIHOODS, "loss")  # the validation score that progress is judged by: the first that there is


def progress(scalars: pd.DataFrame, limits: Limits) -> Iterator[Part]:
    """The loss is no number, or the validation score has stopped getting better."""
    if not len(scalars):
        return
    loss = scalars[(scalars["name"] == "loss") & ~np.isfinite(scalars["value"].to_numpy(float))]
    if len(loss):
        step = int(loss["step"].min())
        yield Part(
            step,
            None,
            "non-finite loss",
            0,
            "the loss is NaN or infinite",
            "stop; lower the learning rate, clip gradients",
        )
    validation = scalars[scalars["split"] == "validation"]
    name = next((score for score in JUDGED_BY if (validation["name"] == score).any()), None)
    if name is None:
        return
    curve = validation[(validation["name"] == name) & np.isfinite(validation["value"].to_numpy(float))]
    curve = curve.drop_duplicates("step", keep="last").sort_values("step")
    steps, values = curve["step"].to_numpy(), curve["value"].to_numpy(float)
    for at in plateau.stalls(values, limits.patience, limits.alpha, limits.least_gain):
        last = values[: at + 1][-limits.patience :]
        text = f"validation {name} no longer falls: median {np.median(last):.4g} over {len(last)} validations"
        yield Part(
            int(steps[at]),
            None,
            "no progress",
            0,
            text,
            "stop, or lower the learning rate; keep the best checkpoint",
        )
