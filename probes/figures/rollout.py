"""A series that the network continues on its own: what it expects along t, and how unsure it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from probes.figures import style

BANDS = (("q05", "q95", style.OUTER_BAND, "middle 90 %"), ("q25", "q75", style.INNER_BAND, "middle half"))


def rollout_forecast(
    forecasts: pd.DataFrame, start: int, *, t: int | None = None, unit: str = ""
) -> go.Figure:
    """Median and bands of the trajectories from one starting window along t, what really came, and the cursor
    t.

    forecasts: as the experiment's table; unit: of the series. Raises ValueError for a start that is not
    there.
    """
    part = forecasts[forecasts["start"] == start].sort_values("t")
    if part.empty:
        raise ValueError(
            f"there is no start {start}; they are {sorted(forecasts['start'].unique().tolist())}"
        )
    figure = go.Figure()
    x, color = part["t"].to_numpy(), style.OKABE_ITO[0]
    for low, high, alpha, name in BANDS:
        edge = {"x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(y=part[low].to_numpy(np.float32), showlegend=False, **edge))
        fill = {"fill": "tonexty", "fillcolor": style.translucent(color, alpha)}
        figure.add_trace(go.Scatter(y=part[high].to_numpy(np.float32), name=name, **edge, **fill))
    figure.add_trace(
        go.Scatter(
            x=x, y=part["q50"].to_numpy(np.float32), name="median", mode="lines", line={"color": color}
        )
    )
    if "y" in part:
        line = {"color": style.OKABE_ITO[5], "width": 1.5}
        figure.add_trace(
            go.Scatter(x=x, y=part["y"].to_numpy(np.float32), name="what came", mode="lines", line=line)
        )
    figure.update_xaxes(title_text="t (positions after the window)")
    figure.update_yaxes(title_text=f"value ({style.text(unit)})" if unit else "value (training sd)")
    style.mark_step(figure, t)
    return style.finish(
        figure, 320, f"Continuation of window {start} along t: median and bands of sampled trajectories"
    )


def rollout_uncertainty(uncertainty: pd.DataFrame, *, t: int | None = None) -> go.Figure:
    """Internal KL, and latent and output variance, along t: means over the starting windows."""
    mean = uncertainty.groupby("t")[["internal_kl", "latent", "output"]].mean()
    figure = make_subplots(1, 2, horizontal_spacing=0.1)
    x = mean.index.to_numpy()
    parts = (
        ("internal_kl", "internal KL", 2, 1),
        ("latent", "latent variance", 0, 2),
        ("output", "output variance", 1, 2),
    )
    for column, name, color, place in parts:
        line = {"color": style.OKABE_ITO[color], "width": 2}
        figure.add_trace(
            go.Scatter(x=x, y=mean[column].to_numpy(np.float32), name=name, mode="lines", line=line), 1, place
        )
    figure.update_xaxes(title_text="t (positions after the window)")
    figure.update_yaxes(title_text="internal KL (nats)", col=1)
    figure.update_yaxes(title_text="variance (target²)", rangemode="tozero", col=2)
    style.mark_step(figure, t)
    return style.finish(figure, 280, "Internal KL, latent and output variance along t of a rollout")
