"""How unsure a network was along a sequence, and how surprised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder


def surprise(
    nll: ArrayLike,
    *,
    entropy: ArrayLike | None = None,
    total_kl: ArrayLike | None = None,
    labels: Sequence[str] = (),
    t: int | None = None,
    other: ArrayLike | None = None,
    label: str = "other run",
) -> go.Figure:
    """Surprise at what came next, beside how unsure the prediction was, along a sequence.

    Parameters
    ----------
    nll : (T,) array
        -ln p of what came, nats.
    entropy : (T,) array, optional
        Of the prediction, nats.
    total_kl : (T,) array, optional
        KL of all neurons, nats, in a panel below.
    labels : sequence of str
        T texts: what stands at the positions.
    t : int, optional
        The position that is looked at.
    other : (T,) array, optional
        The surprise of a second run at the same positions.
    label : str
        What the second run is called.

    Returns
    -------
    go.Figure
        Points carry t as their `customdata`.
    """
    values = np.asarray(nll, float)
    along = np.arange(len(values))
    rows = 1 if total_kl is None else 2
    figure = FigureBuilder(rows, 1, shared_xaxes="all", vertical_spacing=0.1)
    shown = [style.text(one) for one in labels] or [""] * len(values)
    if entropy is not None:
        figure.line(along, entropy, "entropy", color=palette.CURVES[0], width=1.25)
    if other is not None:
        figure.line(along, other, f"surprise, {style.text(label)}", color=palette.TWIN, width=1, dash="dot")
    data = [[int(place), text] for place, text in zip(along, shown, strict=True)]
    figure.line(
        along, values, "surprise", color=palette.OBSERVED, width=1.25, mode="lines+markers",
        marker={"size": 4, "color": palette.OBSERVED}, customdata=data,
        hovertemplate="surprise %{y:.3f} after “%{customdata[1]}”<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(title="nats", row=1, rangemode="tozero")
    if total_kl is not None:
        figure.line(along, total_kl, "KL of all neurons", color=palette.KL, width=1.25, row=2)
        figure.update_yaxes(title="KL (nats)", row=2, rangemode="tozero")
    if t is not None:
        figure.add_vline(t, style.CURSOR_LINE)
    figure.update_xaxes(range=[-0.5, max(len(values) - 0.5, 0.5)])
    figure.update_xaxes(title="t", row=rows)
    words = f"Surprise at each of {len(values)} positions" + (
        "" if entropy is None else ", with the prediction's entropy"
    )
    return figure.finish(220 + 110 * (rows - 1), words)
