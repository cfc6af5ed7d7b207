"""What a statistic says of itself, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

Cost = Literal["S", "P", "D"]
COSTS: dict[str, str] = {
    "S": "streaming: from sums over the batch that the step has computed anyway",
    "P": "probe: needs the run's fixed probe batch",
    "D": "derived when the log is read",
}


@dataclass(frozen=True)
class Statistic:
    """What a per-neuron number is, said once.

    `stored` says that it is a column of `neurons/`; the others are derived, or have a table of their own
    (`FORCES`). `over_dimensions` is how K latent dimensions become one number a neuron; `neutral` is what an
    absent column means (None: absent means not measured); `nullable` says that a NaN means undefined or not
    taken, never broken; `good` is the direction of "good", where there is one.

    `absent`: why a neuron may have no value, in words.

    `derive` is the formula of a derived statistic: its parameters are named after the statistics that it
    needs (one with a default may be absent, which means that statistic's neutral value), `latent_dim` and
    `stride` are the layer's and the run's; arrays that broadcast in, an array out. `monotone` says how the
    result follows its first parameter, all else fixed, from `domain` on: quantiles over neurons and extremes
    over steps then follow from those of that parameter. `linear`: so does the mean. `instead`: where the
    first of these is there, the second takes the first parameter's place, not linearly.
    """

    name: str
    label: str
    symbol: str
    unit: str
    formula: str
    meaning: str
    cost: Cost
    source: str
    caveat: str = ""
    absent: str = ""
    stored: bool = True
    over_dimensions: Literal["sum", "mean"] = "mean"
    neutral: float | None = None
    nullable: bool = False
    colors: Literal["Cividis", "Viridis", "diverging"] = "Viridis"
    log: bool = False
    good: Literal["high", "low"] | None = None
    derive: Callable[..., Any] | None = None
    monotone: Literal["increasing", "decreasing"] | None = None
    domain: float = -np.inf
    linear: bool = False
    instead: tuple[str, str] | None = None

    @property
    def title(self) -> str:
        """Label with its unit, as axes and column heads show it."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def of_family(self, gaussian: bool) -> Statistic:
        """For neurons that are no Gaussians: what is in prior sds of a Gaussian is in their own unit, and a
        Gaussian's formula is no caveat.
        """
        if gaussian or not self.unit.startswith("prior sd"):
            return self
        return replace(self, unit="", caveat=OTHER_CAVEATS.get(self.name, self.caveat))


OTHER_CAVEATS = {"spread": "Alone it says little: it is to be held against the variance within an input."}
"""Statistic -> its caveat of families that are no Gaussian."""


STILL = "the mean does not move, or too few pairs carry the slope"
"""Why a slope, and what follows from it, may be absent."""
