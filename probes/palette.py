"""Every colour of the project, by name: the one place in Python that spells colours out.

`OKABE_ITO` stays apart under colour blindness and on light and dark themes (Okabe and Ito, "Color Universal
Design", 2008; their yellow darkened). What a colour means has a name of its own here, so that it means the
same in every figure. No imports: the registry, the reports and the dashboard read colours from here.
"""

from __future__ import annotations

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
SKY_BLUE = "#56B4E9"
VERMILLION = "#D55E00"
DARK_YELLOW = "#B8A000"
GREY = "#7F7F7F"
OKABE_ITO = (BLUE, ORANGE, GREEN, PURPLE, SKY_BLUE, VERMILLION, DARK_YELLOW, GREY)
"""Line colours in the order in which figures use them up."""

BLACK, WHITE = "#000000", "#ffffff"
MINT = "#66C2A5"
LIGHT_GREY = "#B5B5B5"
SAND = "#C9B48C"
# for grids, axes and cursors: translucent, it is seen on light and on dark pages
SLATE = "#808C98"
PALE_SLATE = "#AEB7BF"  # a cell of a map in which there is nothing

LAYERS = ("#626AD8", "#816BDA", "#9E6BDA", "#BB69D9", "#D865D8")
"""Evenly spaced stops of the layers' hue, from the input to the head, each lighter than the one before: at
least 3 : 1 on the light page, 4 : 1 on the dark one, and apart from neurons and KL parts.
"""

ORDERED = ("#4762D1", "#2D7BB4", "#24908C", "#28A15A", "#74A82A", "#BDA52F")
"""Evenly spaced stops for lines and dots of ordered values, each lighter than the one before: Viridis begins
in a purple that is not seen on the dark page and ends in a yellow that is not on the light one.
"""

DIVERGING = (
    "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b",
)  # fmt: skip
"""Evenly spaced stops of the scale of signed numbers, 0 in the middle (RdBu of ColorBrewer, reversed)."""

LIVING = GREEN
PINNED = ORANGE  # what is pinned or chosen
ALERT = VERMILLION
TEAL, CLAY, ROSE, SAGE = "#00909C", "#9C6048", "#D81878", "#5E7A6C"
"""What stands on a page with neurons and layers and is neither: apart from both, and the first three from
each other under colour blindness too.
"""
PRIOR = TEAL  # the prior's own persistence, beside what was measured
INPUT = CLAY  # the input's own persistence
ALLOWED_BAND = TEAL  # where control keeps a neuron's mean energy
EARLIER = GREY  # a distribution at the earlier of two steps
CURVES = ("#1E93A0", "#A66A3F", "#6F7FB0", "#9A7B1F", "#9A6A8B")
"""Losses and scores over steps, apart from the regimes that stand beside them."""
LOSS_TERMS = CURVES[2:] + CURVES[:2]  # on a page with neurons and KL parts: first what is furthest from both
TOTAL = GREY  # a sum, beside its parts
TWIN = GREY  # the deterministic twin, beside the run
PREDICTED = BLUE
OBSERVED = VERMILLION  # what came, beside what was predicted; errors
RIGHT_ANSWERS = GREEN
WRONG_ANSWERS = VERMILLION
KL = SAGE
KL_PARTS = {"information": TEAL, "mismatch": CLAY, "past": ROSE}
RATE_PARTS = {"index_code_information": TEAL, "total_correlation": ROSE, "dimension_wise_kl": CLAY}
"""What a layer's rate is paid for: as the parts of a neuron's KL, on another page."""
VARIANCE_PARTS = {"observation": BLUE, "latent": ORANGE}
PERSISTENCE_FAULTS = {"": BLUE, "stuck": VERMILLION, "jittery": PURPLE}
"""Code of `probes.diagnostics.temporal_fault` -> colour; "" is a neuron without a fault."""
COVERAGE_LEVELS = {50: SKY_BLUE, 80: GREEN, 95: PURPLE}
"""Level of a central predictive interval in per cent -> colour."""


def translucent(color: str, alpha: float) -> str:
    """A colour with an opacity, as fills need it.

    Parameters
    ----------
    color : str
        "#rrggbb".
    alpha : float
        0 (invisible) to 1.

    Returns
    -------
    str
        "rgba(r, g, b, alpha)".
    """
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"
