"""Small multiples of chosen neurons: one panel a neuron, shared axes, its layer's median behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import TICKS, FigureBuilder
from probes.figures.clock import Clock
from probes.figures.neuron_series import NeuronSeries, shared_axis
from probes.spacing import evenly_spaced

ONE_ROW = 5
"""Up to so many panels stand in one row: more would leave a panel narrower than its ticks."""

TITLE, ROW, LEGEND = 30, 176, 58  # pixels: a panel's title, its axes, legend with horizontal axis
GAP, BETWEEN_ROWS = 0.05, 54  # between panels of a row, share of the width; between rows, pixels
MOST_MARKERS = 60  # marks of one kind in a panel; more would be a solid bar
LAYER_MEDIAN = palette.translucent(palette.SLATE, 0.75)
LAYER_MEDIAN_FILL = palette.translucent(palette.SLATE, 0.2)


class NeuronPanels(FigureBuilder):
    """A figure with one panel a neuron.

    Parameters
    ----------
    names : sequence of str
        One panel each, with the name over it.
    vertical, horizontal : str
        Titles of the axes, with their units.
    shared : bool
        Whether all panels have one vertical range: not where each neuron has a unit of its own.
    """

    def __init__(
        self, names: Sequence[str], vertical: str, horizontal: str = "step", *, shared: bool = True
    ) -> None:
        columns = panel_columns(len(names))
        rows = max(math.ceil(len(names) / columns), 1)
        self.height = LEGEND + (TITLE + ROW) * rows
        super().__init__(
            rows, columns, panels=len(names), titles=[style.text(name) for name in names],
            shared_xaxes="all", shared_yaxes="all" if shared else None, shared_legend=True,
            horizontal_spacing=GAP, vertical_spacing=BETWEEN_ROWS / self.height,
        )  # fmt: skip
        self.update_xaxes(title=horizontal, row=rows)
        self.update_yaxes(title=vertical, col=1)

    def layer_median(
        self, panel: int, series: NeuronSeries, values: np.ndarray, name: str = "layer median", **more: Any
    ) -> None:
        """A dotted line of the neuron's layer, if there is one. values: over the layer's steps."""
        if len(series.layer):
            row, col = self.cell(panel)
            look: dict[str, Any] = {"color": LAYER_MEDIAN, "width": 1.5, "dash": "dot"}
            self.line(series.layer_x, values, name, row=row, col=col, **look, **more)

    def interventions(self, panel: int, series: NeuronSeries, height: float) -> None:
        """What the control did to the neuron, as triangles at one height of the panel."""
        row, col = self.cell(panel)
        events = series.events
        if len(events) > MOST_MARKERS:
            events = events.iloc[evenly_spaced(len(events), MOST_MARKERS)]
        for kind, part in events.groupby("kind", sort=True):
            what = [f"{kind} {value:.3g}" for value in part["value"].to_numpy(dtype=float, na_value=np.nan)]
            self.scatter(
                series.along(part["step"]), np.full(len(part), height), "intervention", mode="markers",
                marker={"symbol": "triangle-up", "size": 8, "color": style.CURSOR},
                text=[style.text(words) for words in what], hovertemplate="%{text}<extra></extra>",
                row=row, col=col,
            )  # fmt: skip

    def finish_over_steps(
        self,
        alt: str,
        neurons: Sequence[NeuronSeries],
        step: int | None,
        axis: style.StepScale,
    ) -> go.Figure:
        """The figure over steps, one neuron a panel, each with a line at the cursor's step."""
        shared = shared_axis(neurons, axis)
        self.step_axis(shared)
        if not isinstance(shared, Clock):
            self.update_xaxes(tickformat="~s")
        if shared != "log":
            self.update_xaxes(nticks=TICKS)
        if step is not None:
            for panel, series in enumerate(neurons):
                row, col = self.cell(panel)
                self.add_vline(series.cursor_x(step), style.CURSOR_LINE, row=row, col=col)
        return self.finish_panels(alt)

    def finish_panels(self, alt: str) -> go.Figure:
        """The figure, at the height that its rows need."""
        return self.finish(self.height, alt, margin={"t": TITLE + 28})


def panel_columns(count: int) -> int:
    """Panels in a row, at least 1: all of them in one row, else in two."""
    return max(count if count <= ONE_ROW else math.ceil(count / 2), 1)
