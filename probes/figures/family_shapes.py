"""Distributions of neurons of any family, each on its own axis: densities, steps of counts, bars by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.figures.neuron_panels import panel_columns
from probes.figures.overlay import HEIGHT as OVERLAY_HEIGHT

TITLE, ROW, AXIS = 30, 170, 58  # pixels: a panel's name, its area, what stands under it
LEGEND = 34
LOW_ROW = 96  # where several panels stand over each other
TALLEST = 12.0  # times the prior's peak: taller ones are cut, or one narrow neuron would flatten all others
NAMED = 4  # neurons in a legend; of more the names appear where the pointer is
Floats = NDArray[np.float64]


def _none() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True)
class FamilyShape:
    """One neuron's distribution at one step, on its own axis.

    Parameters
    ----------
    step : int
        That it is of.
    axis : str
        Title of its axis; neurons with the same one are drawn together.
    ends : (float, float)
        Of the axis.
    z, height : (P,) array
        Its density; of counts their probabilities. Empty for classes, and where nothing is known.
    outline : (P,) array
        Density of the aggregate over inputs; empty where it is not known.
    classes : sequence of str
        Names of classes; of several families empty.
    shares : (C,) array
        Of the classes.
    prior : (P,) or (C,) array
        Of the prior; empty where it is not known.
    counts : bool
        Whether `height` are probabilities of whole numbers.
    """

    step: int
    axis: str
    ends: tuple[float, float]
    z: Floats = field(default_factory=_none)
    height: Floats = field(default_factory=_none)
    outline: Floats = field(default_factory=_none)
    classes: Sequence[str] = ()
    shares: Floats = field(default_factory=_none)
    prior: Floats = field(default_factory=_none)
    counts: bool = False

    @property
    def is_known(self) -> bool:
        """Whether there is anything to draw."""
        return bool(np.isfinite(self.shares if self.classes else self.height).any())


def family_panels(
    names: Sequence[str], before: Sequence[FamilyShape], after: Sequence[FamilyShape], colors: Sequence[str]
) -> go.Figure:
    """Distributions of neurons at two steps, one panel a neuron, each with the axis of its family.

    Parameters
    ----------
    names : sequence of str
        Of the neurons.
    before, after : sequence of FamilyShape
        The neurons at the earlier step (grey) and at the cursor (in the neuron's colour).
    colors : sequence of str
        "#rrggbb" of each neuron.

    Returns
    -------
    go.Figure
        Filled: the mean posterior, or shares of classes. Line: the aggregate. Dashed: the prior.
    """
    columns = panel_columns(len(names))
    rows = max(math.ceil(len(names) / columns), 1)
    height = LEGEND + (TITLE + ROW + AXIS) * rows
    figure = FigureBuilder(
        rows, columns, panels=len(names), titles=[style.text(name) for name in names], shared_legend=True,
        horizontal_spacing=0.05, vertical_spacing=min((AXIS + TITLE) / height, 0.5 / rows),
    )  # fmt: skip
    for panel, (first, last, color) in enumerate(zip(before, after, colors, strict=True)):
        row, col = figure.cell(panel)
        for shape, shade, when in ((first, palette.EARLIER, "earlier"), (last, color, "at the cursor")):
            _draw(figure, shape, when, shade, alpha=0.35, row=row, col=col)
        _prior(figure, last if last.is_known else first, row=row, col=col)
        _finish_axis(figure, [first, last], first_column=col == 1, row=row, col=col)
    alt = f"Distributions of {', '.join(names)} at two steps" if names else "No neuron"
    return figure.finish(height, alt, margin={"t": TITLE + 28}, barmode="overlay", hovermode="closest")


def family_axes(
    names: Sequence[str],
    shapes: Sequence[FamilyShape],
    colors: Sequence[str],
    dashed: Sequence[bool] | None = None,
) -> go.Figure:
    """Distributions of neurons at one step: one panel a kind of axis, the neurons that share it in one.

    Parameters
    ----------
    names, shapes, colors
        One each.
    dashed : sequence of bool, optional
        Whose outline is dashed; by default none.

    Returns
    -------
    go.Figure
        Areas and bars as in `family_panels`, without the aggregate.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place, shape in enumerate(shapes):
        groups.setdefault((shape.axis, tuple(shape.classes)), []).append(place)
    rows = max(len(groups), 1)
    height = LEGEND + ((ROW if rows < 3 else LOW_ROW) + AXIS) * rows
    if rows == 1:
        height = OVERLAY_HEIGHT
    figure = FigureBuilder(rows, 1, vertical_spacing=min(AXIS / height, 0.5 / rows), shared_legend=True)
    for row, places in enumerate(groups.values(), start=1):
        for place in places:
            dash = "dash" if dashed and dashed[place] else None
            _draw(
                figure, shapes[place], style.text(names[place]), colors[place], alpha=0.16, dash=dash,
                outlined=False, row=row, col=1, apart=(places.index(place), len(places)),
            )  # fmt: skip
        _prior(figure, shapes[places[0]], row=row, col=1)
        _finish_axis(figure, [shapes[place] for place in places], first_column=True, row=row, col=1)
    alt = f"Distributions of {', '.join(names)}, each on the axis of its family"
    return figure.finish(height, alt, showlegend=len(names) <= NAMED, hovermode="closest", barmode="overlay")


def _draw(
    figure: FigureBuilder,
    shape: FamilyShape,
    name: str,
    color: str,
    *,
    alpha: float,
    dash: str | None = None,
    outlined: bool = True,
    apart: tuple[int, int] = (0, 1),
    row: int,
    col: int,
) -> None:
    if not shape.is_known:
        return
    fill = palette.translucent(color, alpha)
    if shape.classes:
        place, count = apart
        width = 0.84 / count
        x = np.arange(len(shape.classes)) + (place - (count - 1) / 2) * width
        figure.add_trace(
            {
                "type": "bar", "x": x, "y": np.asarray(shape.shares, np.float32), "width": width,
                "name": name,
                "marker": {"color": fill, "line": {"color": color, "width": 1.2}},
                "customdata": list(shape.classes), "hovertemplate": "%{customdata}: %{y:.1%}",
            },
            row, col,
        )  # fmt: skip
        return
    look: dict[str, Any] = {"row": row, "col": col, "hovertemplate": "%{y:.3g}"}
    if shape.counts:
        look["line"] = {"color": color, "width": 1.4, "shape": "hvh", **({"dash": dash} if dash else {})}
    figure.line(
        shape.z, shape.height, name, color=color, width=1.4, dash=dash, fill="tozeroy", fillcolor=fill, **look
    )
    if outlined and len(shape.outline):
        figure.line(
            shape.z,
            shape.outline,
            f"{name}, aggregate",
            color=color,
            row=row,
            col=col,
            hovertemplate="%{y:.3g}",
        )


def _prior(figure: FigureBuilder, shape: FamilyShape, *, row: int, col: int) -> None:
    if not len(shape.prior):
        return
    x: Any = np.arange(len(shape.classes)) if shape.classes else shape.z
    kind = "hvh" if shape.counts else "hvh" if shape.classes else "linear"
    line = {"color": style.CURSOR, "width": 1.4, "dash": "dash", "shape": kind}
    figure.line(x, shape.prior, "prior", color=style.CURSOR, line=line, row=row, col=col, hoverinfo="skip")


def _finish_axis(
    figure: FigureBuilder, shapes: Sequence[FamilyShape], *, first_column: bool, row: int, col: int
) -> None:
    first = next((shape for shape in shapes if shape.is_known), shapes[0])
    place: dict[str, Any] = {"row": row, "col": col}
    if not first.is_known:
        figure.update_xaxes(title=f"{first.axis}: not stored at these steps", showticklabels=False, **place)
        figure.update_yaxes(showticklabels=False, **place)
        return
    figure.update_xaxes(title=first.axis, **place)
    if first.classes:
        every = max(len(first.classes) // 10, 1)
        at = list(range(0, len(first.classes), every))
        figure.update_xaxes(tickvals=at, ticktext=[first.classes[one] for one in at], **place)
        figure.update_xaxes(range=[-0.6, len(first.classes) - 0.4], **place)
        figure.update_yaxes(title="share" if first_column else "", rangemode="tozero", **place)
        return
    figure.update_xaxes(range=list(first.ends), **place)
    if first.axis == ANGLE:
        figure.update_xaxes(tickvals=[-math.pi, 0, math.pi], ticktext=["−π", "0", "π"], **place)
    tops = [float(np.nanmax(shape.height[np.isfinite(shape.height)])) for shape in shapes if shape.is_known]
    top = max(tops)
    prior = float(np.nanmax(first.prior)) if len(first.prior) and np.isfinite(first.prior).any() else top
    figure.update_yaxes(range=[0, 1.08 * min(top, TALLEST * prior) if top > prior else 1.08 * prior], **place)
    title = "probability" if first.counts else "density"
    title += ", peaks cut" if top > TALLEST * prior else ""
    figure.update_yaxes(title=title if first_column else "", **place)


ANGLE = "angle z"
"""Title of the axis of an angle."""
