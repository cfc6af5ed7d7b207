"""What neurons under an autoregressive prior pay of their own accord: KL above its floor, over steps."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.diagnostics import kl_above_floor
from probes.figures import style
from probes.figures.builder import FigureBuilder

BANDS = ((5, 95, style.OUTER_BAND, "middle 90 %"), (25, 75, style.INNER_BAND, "middle half"))


def floor_gap(
    edges: ArrayLike,
    kl: ArrayLike,
    phi: ArrayLike,
    *,
    latent_dim: int = 1,
    color: str = palette.BLUE,
    step: int | None = None,
    axis: style.StepAxis = "linear",
) -> go.Figure:
    """KL above its floor, kl - K 1/2 ln(1 + phi^2), over steps, in nats.

    Parameters
    ----------
    edges : (T + 1,) array
        Steps at the columns' edges, as `Run.matrix` gives them.
    kl, phi : (N, T) array
        Of N neurons, as `Run.matrix` gives them; nats, and the prior's persistence.
    latent_dim : int
        K, dimensions of a neuron's latent variable.
    color : str
        "#rrggbb".
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.

    Returns
    -------
    go.Figure
        Line: the median over neurons. Shaded: the middle half and the middle 90 %.

    Notes
    -----
    Where a column is the mean of several steps and phi is learned, the floor is that of the mean phi.
    """
    gap = kl_above_floor(kl, phi, latent_dim)
    steps = style.along(axis, np.asarray(edges)[:-1])
    seen = np.isfinite(gap).any(axis=0)
    gap, steps = gap[:, seen], steps[seen]
    figure = FigureBuilder()
    for low, high, alpha, name in BANDS:
        bottom, top = np.nanpercentile(gap, (low, high), axis=0) if gap.size else np.zeros((2, 0))
        figure.band(steps, bottom, top, name, color=palette.translucent(color, alpha))
    median = np.nanmedian(gap, axis=0) if gap.size else np.zeros(0)
    hover = "median %{y:.4g} nats<extra></extra>"
    figure.line(steps, median, "median", color=color, hovertemplate=hover)
    figure.add_hline(0, {"color": style.AXIS, "width": 1.2, "dash": "dash"})
    figure.update_yaxes(title="KL above its floor (nats)")
    figure.step_axis(axis, step)
    return figure.finish(300, f"KL above its floor over steps: median and bands over {len(gap)} neurons")
