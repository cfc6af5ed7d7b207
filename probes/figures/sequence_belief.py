"""What one neuron believes along a sequence: mean and band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.families import FAMILIES
from probes.families.by_moments import central, standard_deviation
from probes.families.gaussian import Gaussian
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
    family: str = "gaussian",
    standard: bool = True,
) -> go.Figure:
    """A neuron's belief at each position of a sequence.

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
    family : str
        A name of `probes.families.FAMILIES` that has moments.
    standard : bool
        Whether the prior is Normal(0, 1), at each position by itself.

    Returns
    -------
    go.Figure
        Line: m. Bands: m ± sqrt V and ± 2 sqrt V; of a family that is no Gaussian the central 68 % of the
        member with these moments. Dashed, of a standard prior: ± 1 sd of it.
    """
    m, sd = np.asarray(mean, float), standard_deviation(family, variance)
    gaussian = isinstance(FAMILIES[family], Gaussian)
    standard = standard and gaussian
    along = np.arange(len(m))
    figure = FigureBuilder()
    low, high = m - 2 * sd, m + 2 * sd
    if gaussian:
        for width, alpha, said in ((2, style.OUTER_BAND, "± 2√V"), (1, style.INNER_BAND, "± √V")):
            shade = palette.translucent(color, alpha)
            figure.band(along, m - width * sd, m + width * sd, said, color=shade)
    else:
        low, high = central(family, m, variance)
        figure.band(along, low, high, "central 68 %", color=palette.translucent(color, style.INNER_BAND))
    hover = "t %{x} “%{customdata[1]}”: %{y:.3f} ± %{customdata[0]:.3f}<extra></extra>"
    shown = [style.text(label) for label in labels] or [""] * len(m)
    both = [[float(one), text] for one, text in zip(sd, shown, strict=True)]
    figure.line(along, m, "m", color=color, width=1.75, customdata=both, hovertemplate=hover)
    for level in (-1, 1) if standard else ():
        figure.add_hline(level, {"color": style.AXIS, "width": 1.25, "dash": "dash"})
    marked = np.flatnonzero(np.asarray(marks, bool))
    if len(marked):
        lowest, highest = float(np.nanmin([low, m])), float(np.nanmax([high, m]))
        bottom = min(lowest, -1.1) - 0.25 if standard else lowest - 0.06 * max(highest - lowest, 1e-6)
        figure.scatter(
            marked, np.full(len(marked), bottom), style.text(marks_are), mode="markers", hoverinfo="skip",
            marker={"symbol": "triangle-up", "size": 8, "color": palette.VERMILLION},
        )  # fmt: skip
    if t is not None:
        figure.add_vline(t, style.CURSOR_LINE)
    figure.update_xaxes(title="t", range=[-0.5, max(len(m) - 0.5, 0.5)])
    figure.update_yaxes(title="belief (prior sd)" if standard else "belief")
    return figure.finish(
        300, f"Belief of neuron {name} with its band at {len(m)} positions", hovermode="closest"
    )
