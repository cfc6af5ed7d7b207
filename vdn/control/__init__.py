"""Control laws that keep neurons alive: `bands` of E[mu^2], sigma and the AR penalty; `set_points` of what a
neuron tells and remembers. `vdn.controller` applies them.
"""

from vdn.control.bands import (
    ArShareController,
    BandMode,
    Homeostat,
    band_penalty,
    guard_sigma,
    homeostat_scale,
    mean_square,
    moved,
    mu2_band,
    project_to_band,
    rescale,
)
from vdn.control.set_points import BetaThermostat, PersistenceMultiplier, slope_sums

__all__ = [
    "ArShareController",
    "BandMode",
    "BetaThermostat",
    "Homeostat",
    "PersistenceMultiplier",
    "band_penalty",
    "guard_sigma",
    "homeostat_scale",
    "mean_square",
    "moved",
    "mu2_band",
    "project_to_band",
    "rescale",
    "slope_sums",
]
