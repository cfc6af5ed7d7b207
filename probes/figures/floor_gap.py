"""What neurons under an autoregressive prior pay of their own accord: KL above its floor, over steps."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes.diagnostics import kl_above_floor
from probes.figures import style

BANDS = ((5, 95, 0.16, "middle 90 %"), (25, 75, 0.30, "middle half"))


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

    kl, phi (N, T), edges (T + 1,): as `Run.matrix` gives them. Where a column is the mean of several steps and phi is learned,
    the floor is that of the mean phi.
    """
    gap = kl_above_floor(kl, phi, latent_dim)
    steps = style.along(axis, np.asarray(edges)[:-1])
    seen = np.isfinite(gap).any(axis=0)
    gap, steps = gap[:, seen], steps[seen]
    figure = go.Figure()
    for low, high, alpha, name in BANDS:
        ends = np.nanpercentile(gap, (low, high), axis=0).astype(np.float32) if gap.size else np.zeros((2, 0))
        edge = {"x": steps, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(y=ends[0], showlegend=False, **edge))
        figure.add_trace(go.Scatter(y=ends[1], name=name, fill="tonexty", fillcolor=style.translucent(color, alpha), **edge))
    median = np.nanmedian(gap, axis=0).astype(np.float32) if gap.size else np.zeros(0)
    mode = "lines" if len(steps) > 1 else "markers"
    hover = "median %{y:.4g} nats<extra></extra>"
    line = {"color": color, "width": 2}
    figure.add_trace(go.Scatter(x=steps, y=median, name="median", mode=mode, line=line, hovertemplate=hover))
    figure.add_hline(y=0, line={"color": style.AXIS, "width": 1.2, "dash": "dash"})
    figure.update_xaxes(title_text=style.steps_title(axis))
    figure.update_yaxes(title_text="KL above its floor (nats)")
    style.scale_steps(figure, axis)
    style.mark_step(figure, step, axis)
    return style.finish(figure, 300, f"KL above its floor over steps: median and bands over {len(gap)} neurons")
