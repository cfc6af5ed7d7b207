"""What neurons under an autoregressive prior pay of their own accord: KL above its floor, over steps."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes.diagnostics import kl_above_floor
from probes.figures import style
from probes.figures.sketch import Sketch

BANDS = ((5, 95, style.OUTER_BAND, "middle 90 %"), (25, 75, style.INNER_BAND, "middle half"))


def floor_gap(
    edges: ArrayLike,
    kl: ArrayLike,
    phi: ArrayLike,
    *,
    latent_dim: int = 1,
    color: str = style.OKABE_ITO[0],
    step: int | None = None,
    axis: style.StepAxis = "linear",
) -> go.Figure:
    """Median and bands over neurons of kl - K 1/2 ln(1 + phi^2), nats.

    kl, phi (N, T), edges (T + 1,): as `Run.matrix` gives them. Where a column is the mean of several steps
    and phi is learned, the floor is that of the mean phi.
    """
    gap = kl_above_floor(kl, phi, latent_dim)
    steps = style.along(axis, np.asarray(edges)[:-1])
    seen = np.isfinite(gap).any(axis=0)
    gap, steps = gap[:, seen], steps[seen]
    figure = Sketch()
    for low, high, alpha, name in BANDS:
        ends = np.nanpercentile(gap, (low, high), axis=0).astype(np.float32) if gap.size else np.zeros((2, 0))
        edge = {"type": "scatter", "x": steps, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_trace({**edge, "y": ends[0], "showlegend": False})
        fill = {"name": name, "fill": "tonexty", "fillcolor": style.translucent(color, alpha)}
        figure.add_trace({**edge, **fill, "y": ends[1]})
    median = np.nanmedian(gap, axis=0).astype(np.float32) if gap.size else np.zeros(0)
    mode = "lines" if len(steps) > 1 else "markers"
    hover = "median %{y:.4g} nats<extra></extra>"
    line = {"color": color, "width": 2}
    figure.add_trace(
        dict(type="scatter", x=steps, y=median, name="median", mode=mode, line=line, hovertemplate=hover)
    )
    figure.add_hline(0, {"color": style.AXIS, "width": 1.2, "dash": "dash"})
    figure.update_xaxes(title=style.steps_title(axis))
    figure.update_yaxes(title="KL above its floor (nats)")
    style.scale_steps(figure, axis)
    style.mark_step(figure, step, axis)
    return figure.finish(300, f"KL above its floor over steps: median and bands over {len(gap)} neurons")
