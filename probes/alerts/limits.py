"""When a rule fires, and what a run's configuration says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True)
class Limits:
    """When a rule fires. Windows count recorded steps; shares are of a layer's neurons."""

    window: int = 64
    hold: int = 5
    memory: int = 256  # records that say at which level a layer lives and how much that moves by itself
    lost_share: float = 0.2
    lost_least: int = 3  # neurons
    lost_sds: float = 3.0  # of the difference of two binomial counts, and of the layer's own count
    picks: float = 10.0  # a code; unpicked by then: of even use 1 in 22,000, of use as 1 / rank 3 to 14 %
    least_living: float = 0.1
    kl_factor: float = 2.5
    kl_least: float = 0.02  # nats a neuron: smaller jumps are noise of a layer at its prior
    kl_window: int = 16
    beta_range: tuple[float, float] = (1e-4, 1.0)
    beta_tolerance: float = 0.01
    acts: int = 3
    patience: int = 10  # validations
    alpha: float = 0.025  # one-sided level of trends
    least_gain: float = 0.05  # of the range of the validation curve's levels


def warmup_of(config: Mapping[str, Any]) -> int | None:
    """First step after the warm-up that a config names: `warmup_steps`, or `warmup_share` of `steps`; None
    when it names none.
    """
    if isinstance(config.get("warmup_steps"), int):
        return int(config["warmup_steps"])
    if "warmup_share" in config and config.get("steps"):
        return round(float(config["warmup_share"]) * int(config["steps"]))
    return None


def limits_of(config: Mapping[str, Any]) -> Limits:
    """The limits, with those of beta where a config names both."""
    ends = config.get("beta_min"), config.get("beta_max")
    if all(isinstance(end, int | float) and end > 0 for end in ends):
        return Limits(beta_range=cast("tuple[float, float]", ends))
    return Limits()
