"""Figures of a run: pure functions from frames and arrays to plotly figures, one kind of figure a module.

They need no dashboard: call one in a notebook and it shows. Every label, unit and colour comes from
`probes.schema`. Backgrounds are transparent and text colours are left to the page, so that one figure serves
a light and a dark theme.
"""

from probes.figures.curves import scalar_curves
from probes.figures.depth import depth_profile
from probes.figures.layer_bands import layer_bands
from probes.figures.regime_counts import regime_counts

__all__ = ["depth_profile", "layer_bands", "regime_counts", "scalar_curves"]
