"""A series that the network continues on its own: what it expects along t, and how unsure it is."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.experiments.estimates import content_between
from probes.figures import style
from probes.figures.builder import FigureBuilder

BANDS = ((5, 95, style.OUTER_BAND, "middle 90 %"), (25, 75, style.INNER_BAND, "middle half"))


def rollout_forecast(
    forecasts: pd.DataFrame,
    start: int,
    *,
    t: int | None = None,
    unit: str = "",
    trajectories: int | None = None,
) -> go.Figure:
    """Continuation of one starting window along t: trajectories that were sampled, and what really came.

    Parameters
    ----------
    forecasts : DataFrame
        The experiment's table: columns start, t, q05 .. q95 and, where it is known, y.
    start : int
        The starting window.
    t : int, optional
        The cursor.
    unit : str
        Of the series.
    trajectories : int, optional
        How many there are: the legend says how much of what could come their bands hold.

    Returns
    -------
    go.Figure
        Line: the median. Shaded: the middle half and the middle 90 %, at each t for itself. Bands that
        trajectories are too few for are left out.

    Raises
    ------
    ValueError
        For a start that is not there.
    """
    part = forecasts[forecasts["start"] == start].sort_values("t")
    if part.empty:
        raise ValueError(
            f"there is no start {start}; they are {sorted(forecasts['start'].unique().tolist())}"
        )
    figure = FigureBuilder()
    x, color = part["t"].to_numpy(), palette.PREDICTED
    for low, high, alpha, name in BANDS:
        ends = part[f"q{low:02d}"], part[f"q{high:02d}"]
        if not ends[0].notna().any():
            continue
        if trajectories:
            held = content_between(trajectories, low / 100, high / 100)
            name += f" (of {trajectories}: holds {100 * held.low:.0f} to {100 * held.high:.0f} %)"
        figure.band(x, *ends, name, color=palette.translucent(color, alpha))
    figure.line(x, part["q50"], "median", color=color)
    if "y" in part:
        figure.line(x, part["y"], "what came", color=palette.OBSERVED, width=1.5)
    figure.update_yaxes(title=f"value ({style.text(unit)})" if unit else "value (training sd)")
    _along_t(figure, t)
    return figure.finish(
        320, f"Continuation of window {start} along t: median and bands of sampled trajectories"
    )


def rollout_uncertainty(uncertainty: pd.DataFrame, *, t: int | None = None) -> go.Figure:
    """Internal KL (nats), and latent and output variance (target²), along t.

    Parameters
    ----------
    uncertainty : DataFrame
        The experiment's table: columns start, t, internal_kl, latent, output.
    t : int, optional
        The cursor.

    Returns
    -------
    go.Figure
        Means over the starting windows.
    """
    mean = uncertainty.groupby("t")[["internal_kl", "latent", "output"]].mean()
    figure = FigureBuilder(1, 2, horizontal_spacing=0.1)
    for column, name, color, col in (
        ("internal_kl", "internal KL", palette.GREEN, 1),
        ("latent", "latent variance", palette.BLUE, 2),
        ("output", "output variance", palette.ORANGE, 2),
    ):
        figure.line(mean.index, mean[column], name, color=color, col=col)
    figure.update_yaxes(title="internal KL (nats)", col=1)
    figure.update_yaxes(title="variance (target²)", rangemode="tozero", col=2)
    _along_t(figure, t)
    return figure.finish(280, "Internal KL, latent and output variance along t of a rollout")


def _along_t(figure: FigureBuilder, t: int | None) -> None:
    figure.update_xaxes(title="t (positions after the window)")
    if t is not None:
        figure.add_vline(t, style.CURSOR_LINE)
