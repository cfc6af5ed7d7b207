"""Rules on what controls a layer: a beta at its limit, a band that is chased in vain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.alerts.limits import Limits
from probes.alerts.parts import Part, layer_width, run_lengths

ACTING = ("homeostasis", "projection")  # kinds of events that push E[μ²] towards its band


def saturated(index: int, layer: pd.DataFrame, limits: Limits) -> Iterator[Part]:
    """A controlled beta sat at one of its limits for a whole window; a beta that never moved is no
    control.
    """
    if "beta_p50" not in layer:
        return
    layer = layer[layer["beta_p50"].notna()]
    if layer.empty:
        return
    steps, beta = layer["step"].to_numpy(), layer["beta_p50"].to_numpy(float)
    moved = np.maximum.accumulate(np.abs(beta - beta[0]) > 0)
    for limit, end, advice in zip(
        limits.beta_range,
        ("lowest", "highest"),
        (
            "the layer carries less than its target even so: homeostasis, or a lower target",
            "raise the target, or the limit",
        ),
        strict=True,
    ):
        length = run_lengths((np.abs(beta / limit - 1) <= limits.beta_tolerance) & moved)
        for i in np.flatnonzero(length == limits.window).tolist():
            text = f"half of the betas have been at their {end} value, {limit:g}, for {limits.window} records"
            yield Part(
                int(steps[i]), index, "control saturated", layer_width(layer, i) // 2, text, advice, end
            )  # fmt: skip


def chasing(index: int, layer: pd.DataFrame, events: pd.DataFrame, limits: Limits) -> Iterator[Part]:
    """The control acts again and again, and E[μ²] stays outside its band on one side for a whole window,
    without coming nearer.
    """
    if not {"mu2_p50", "band_low_p50", "band_high_p50"} <= set(layer.columns) or not len(events):
        return
    layer = layer[layer["mu2_p50"].notna()]
    steps, window = layer["step"].to_numpy(), limits.window
    acts = np.unique(events.loc[events["kind"].isin(ACTING), "step"].to_numpy())
    sides = {
        "below": layer["band_low_p50"] - layer["mu2_p50"],
        "above": layer["mu2_p50"] - layer["band_high_p50"],
    }
    for side, outside in sides.items():
        gap = outside.to_numpy(float)
        length = run_lengths(gap > 0)
        fired = False
        for i in np.flatnonzero((length >= window) & (length % (window // 2) == 0)).tolist():
            fired = fired and length[i] > window
            since = steps[i - window + 1]
            count = int(((acts >= since) & (acts <= steps[i])).sum())
            if fired or count < limits.acts or _nears(gap[i - window + 1 : i + 1]):
                continue
            fired = True
            text = f"{count} interventions since step {since}, and the median E[μ²] is still {side} its band"
            advice = "the loss pulls the other way: move the band, or change the KL's weight"
            yield Part(
                int(steps[i]), index, "chases its band", layer_width(layer, i) // 2, text, advice, side
            )  # fmt: skip


def _nears(gap: NDArray[np.float64]) -> bool:
    """Whether a gap is narrower in the last quarter of a window than in its first."""
    part = len(gap) // 4
    return bool(gap[-part:].mean() < gap[:part].mean())
