"""How one statistic is distributed over the neurons of several runs, on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.figures.run_curves import LEGEND, PANEL, run_color
from probes.schema import STATISTICS
from probes.spacing import evenly_spaced

MOST = 1000  # points of a line; of more neurons they are taken evenly in rank


def distribution(values: Mapping[str, ArrayLike], statistic: str, runs: Sequence[str]) -> go.Figure:
    """Share of neurons whose statistic is at most what the axis says, one line a run.

    Parameters
    ----------
    values : mapping of str to array
        Name of a run -> (N,) values of its neurons; those that are not finite are left out.
    statistic : str
        A key of `schema.STATISTICS`.
    runs : sequence of str
        Names in the order of their colours.

    Returns
    -------
    go.Figure
        Empirical distribution functions: exact, without bins or smoothing.

    Raises
    ------
    KeyError
        For a statistic that is not in the registry.
    """
    entry = STATISTICS[statistic]
    figure = FigureBuilder()
    for place, run in enumerate(runs):
        if run not in values:
            continue
        numbers = np.asarray(values[run], np.float64)
        numbers = np.sort(numbers[np.isfinite(numbers)])
        if not len(numbers):
            continue
        shares = np.arange(1, len(numbers) + 1) / len(numbers)
        if len(numbers) > MOST:
            kept = evenly_spaced(len(numbers), MOST)
            numbers, shares = numbers[kept], shares[kept]
        figure.line(
            np.concatenate([numbers[:1], numbers]), np.concatenate([[0], shares]),
            f"{style.text(run)}", color=run_color(place), width=2,
            line={"color": run_color(place), "width": 2, "shape": "hv"},
            hovertemplate=f"%{{y:.0%}} at most %{{x:.3g}} {entry.unit}",
        )  # fmt: skip
    figure.update_xaxes(title=entry.title)
    figure.update_yaxes(title="share of neurons", range=[0, 1.02], tickformat=".0%")
    alt = f"Distribution of {entry.label.lower()} over neurons of {', '.join(runs)}"
    return figure.finish(PANEL + LEGEND, alt, hovermode="closest", margin={"t": LEGEND})
