"""What one neuron believes along a sequence: mean and band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder


def sequence_belief(
    mean: ArrayLike,
    variance: ArrayLike,
    *,
    name: str,
    labels: Sequence[str] = (),
    marks: ArrayLike = (),
    marks_are: str = "",
    t: int | None = None,
    color: str = palette.BLUE,
) -> go.Figure:
    """A neuron's belief at each position of a sequence, in prior sds.

    Parameters
    ----------
    mean, variance : (T,) array
        m and V.
    name : str
        Of the neuron.
    labels : sequence of str
        T texts: what stands at the positions.
    marks : (T,) array of bool, optional
        Positions that are marked at the bottom, such as those at which a feature is there.
    marks_are : str
        What the marks are.
    t : int, optional
        The position that is looked at.
    color : str
        "#rrggbb".

    Returns
    -------
    go.Figure
        Line: m. Bands: m ± sqrt V and ± 2 sqrt V. Dashed: ± 1 sd of the stationary prior.
    """
    m, sd = np.asarray(mean, float), np.sqrt(np.asarray(variance, float))
    along = np.arange(len(m))
    figure = FigureBuilder()
    for width, alpha, said in ((2, style.OUTER_BAND, "± 2√V"), (1, style.INNER_BAND, "± √V")):
        shade = palette.translucent(color, alpha)
        figure.band(along, m - width * sd, m + width * sd, said, color=shade)
    hover = "t %{x} “%{customdata[1]}”: %{y:.3f} ± %{customdata[0]:.3f}<extra></extra>"
    shown = [style.text(label) for label in labels] or [""] * len(m)
    both = [[float(one), text] for one, text in zip(sd, shown, strict=True)]
    figure.line(along, m, "m", color=color, width=1.75, customdata=both, hovertemplate=hover)
    for level in (-1, 1):
        figure.add_hline(level, {"color": style.AXIS, "width": 1.25, "dash": "dash"})
    marked = np.flatnonzero(np.asarray(marks, bool))
    if len(marked):
        bottom = float(min((m - 2 * sd).min(), -1.1)) - 0.25
        figure.scatter(
            marked, np.full(len(marked), bottom), style.text(marks_are), mode="markers", hoverinfo="skip",
            marker={"symbol": "triangle-up", "size": 8, "color": palette.VERMILLION},
        )  # fmt: skip
    if t is not None:
        figure.add_vline(t, style.CURSOR_LINE)
    figure.update_xaxes(title="t", range=[-0.5, max(len(m) - 0.5, 0.5)])
    figure.update_yaxes(title="belief (prior sd)")
    return figure.finish(
        300, f"Belief of neuron {name} with its band at {len(m)} positions", hovermode="closest"
    )
