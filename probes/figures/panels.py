"""Small multiples: one panel a neuron, shared axes, the neuron's layer as a ghost behind it.

What the figures of chosen neurons have in common. A figure gets `NeuronSeries`s and draws each in its own
panel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from probes.figures import drawn, style
from probes.figures.clock import Clock
from probes.schema import STATISTICS, evaluate

ONE_ROW = 5
"""Up to so many panels stand in one row: more would leave a panel narrower than its ticks."""

TITLE, ROW, LEGEND = 30, 176, 58  # pixels: a panel's title, its axes, legend with horizontal axis
GAP, BETWEEN_ROWS = 0.03, 54  # between panels of a row, share of the width; between rows, pixels
TICKS = 4  # steps written under a panel, so that those of neighbours do not touch
MOST_MARKERS = 60  # marks of one kind in a panel; more would be a solid bar


@dataclass(frozen=True)
class NeuronSeries:
    """One neuron over steps.

    `rows`: columns step and statistics as `Run.history` gives them for this neuron (with KIND_min and
    KIND_max where a point stands for several recorded steps). `layer`: `Run.layer_summary()` of its layer
    alone, for the ghost; may be empty.
    `events`: `Run.events()` that concern it. `color`: "#rrggbb". `clock`: lays out this neuron's steps, by
    its own run; None: as steps.
    """

    name: str
    rows: pd.DataFrame
    layer: pd.DataFrame = field(default_factory=pd.DataFrame)
    events: pd.DataFrame = field(default_factory=pd.DataFrame)
    color: str = style.OKABE_ITO[0]
    latent_dim: int = 1
    stride: int = 1
    clock: Clock | None = None

    @property
    def steps(self) -> NDArray[np.int64]:
        return self.rows["step"].to_numpy()

    @property
    def x(self) -> NDArray[Any]:
        """Where its steps lie on the horizontal axis."""
        return self.along(self.steps)

    @property
    def layer_x(self) -> NDArray[Any]:
        """Where its layer's steps lie."""
        return self.along(self.layer["step"])

    def mark(self, step: int) -> float:
        """Where the cursor stands: at the neuron's last step if its run was over by then and has a clock of
        its own.
        """
        ended = self.clock is not None and len(self.steps) and self.steps[-1] < step
        return float(self.along(self.steps[-1] if ended else step))

    def along(self, steps: ArrayLike) -> NDArray[Any]:
        """Where any steps of its run lie."""
        return style.along(self.clock or "linear", steps)

    def values(self, name: str) -> NDArray[np.float64]:
        """A statistic over the steps, derived where it is not stored; its neutral value, or NaN, where the
        run does not have it.
        """
        return self._evaluated(name, self.rows, "", STATISTICS[name].neutral)

    def median(self, name: str) -> NDArray[np.float64]:
        """The layer's median of a statistic over the layer's steps; NaN where it was not recorded."""
        return self._evaluated(name, self.layer, "p50", None)

    def _evaluated(
        self, name: str, frame: pd.DataFrame, kind: str, absent: float | None
    ) -> NDArray[np.float64]:
        try:
            return evaluate(name, frame, kind, latent_dim=self.latent_dim, stride=self.stride)
        except KeyError:
            return np.full(len(frame), np.nan if absent is None else absent)


StepScale = Literal["linear", "log"]


def axis_of(courses: Sequence[NeuronSeries], axis: StepScale) -> style.StepAxis:
    """The axis that several courses share: that of their clocks, which have one title, else the steps."""
    return next((course.clock for course in courses if course.clock is not None), axis)


def across(count: int) -> int:
    """Panels in a row, at least 1: all of them in one row, else in two."""
    return max(count if count <= ONE_ROW else math.ceil(count / 2), 1)


def column(frame: pd.DataFrame, name: str, absent: float | None) -> NDArray[np.float64]:
    """A column as float64, `absent` (None: NaN) where there is none."""
    if name in frame:
        return frame[name].to_numpy(dtype=float, na_value=np.nan)
    return np.full(len(frame), np.nan if absent is None else absent)


class Panels:
    """A grid of panels with shared axes, filled trace by trace."""

    def __init__(self, names: Sequence[str], vertical: str, horizontal: str = "step") -> None:
        self.names = names
        self.columns = across(len(names))
        self.rows = max(math.ceil(len(names) / self.columns), 1)
        self.height = LEGEND + (TITLE + ROW) * self.rows
        self._titles = (horizontal, vertical)
        self._traces: list[dict[str, Any]] = []
        self._marks: list[dict[str, Any]] = []
        self._named: set[str] = set()

    def _axes(self, panel: int) -> dict[str, str]:
        place = "" if panel == 0 else str(panel + 1)
        return {"xaxis": f"x{place}", "yaxis": f"y{place}"}

    def line(
        self, panel: int, x: Any, y: Any, name: str | None, color: str, width: float = 2, **more: Any
    ) -> None:
        """A line (a dot, where there is one point); `name` None: neither in the legend nor in the hover."""
        settings = {
            "mode": "lines" if len(x) > 1 else "markers",
            "line": {"color": color, "width": width, **more.pop("line", {})},
        }
        self.trace(panel, x, y, name, **settings, marker={"color": color, "size": 7}, **more)

    def band(
        self, panel: int, x: Any, low: Any, high: Any, name: str | None, color: str, **more: Any
    ) -> None:
        """The area between two lines; bars where there is one point."""
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        if len(x) == 1:
            half = (np.asarray(high) - low) / 2
            bar = {
                "type": "data",
                "array": np.asarray(half, np.float32),
                "color": color,
                "thickness": 3,
                "width": 0,
            }
            self.trace(
                panel,
                x,
                low + half,
                name,
                mode="markers",
                marker={"size": 1, "color": color},
                error_y=bar,
                hoverinfo="skip",
            )
            return
        self.trace(panel, x, low, None, **edge)
        self.trace(panel, x, high, name, fill="tonexty", fillcolor=color, **edge, **more)

    def trace(self, panel: int, x: Any, y: Any, name: str | None, **settings: Any) -> None:
        """Any scatter trace; each name is once in the legend, which switches it in all panels."""
        first = name is not None and name not in self._named
        if name is None:
            settings = {"hoverinfo": "skip", **settings}
        else:
            self._named.add(name)
        self._traces.append(
            {
                "type": "scatter", "x": np.asarray(x), "y": np.asarray(y, np.float32), "name": name,
                "showlegend": first,
                "legendgroup": name, **self._axes(panel), **settings,
            }
        )  # fmt: skip

    def events(self, panel: int, course: NeuronSeries, at: float) -> None:
        """What the control did to this neuron, as ticks on a line `at` the axis' low end."""
        marks = course.events
        if len(marks) > MOST_MARKERS:
            marks = marks.iloc[np.unique(np.linspace(0, len(marks) - 1, MOST_MARKERS).round().astype(int))]
        for kind, part in marks.groupby("kind", sort=True):
            what = [f"{kind} {value:.3g}" for value in part["value"].to_numpy(dtype=float, na_value=np.nan)]
            self.trace(
                panel, course.along(part["step"]), np.full(len(part), at), "intervention", mode="markers",
                marker={"symbol": "triangle-up", "size": 8, "color": style.CURSOR},
                text=[style.text(t) for t in what],
                hovertemplate="%{text}<extra></extra>",
            )  # fmt: skip

    def over_steps(
        self,
        alt: str,
        courses: Sequence[NeuronSeries],
        step: int | None,
        axis: StepScale,
        vertical: Mapping[str, Any] | None = None,
    ) -> go.Figure:
        """The figure of one course a panel, each with a mark at the cursor's step."""
        shared = axis_of(courses, axis)
        self._titles = (style.steps_title(shared), self._titles[1])
        settings: dict[str, Any] = (
            {"type": "log", **style.LOG_STEPS} if shared == "log" else {"type": "linear", "nticks": TICKS}
        )
        settings |= {} if isinstance(shared, Clock) else {"tickformat": "~s"}
        if step is not None:
            for panel, course in enumerate(courses):
                axes, x = self._axes(panel), course.mark(step)
                ends = {
                    "x0": x,
                    "x1": x,
                    "y0": 0,
                    "y1": 1,
                    "xref": axes["xaxis"],
                    "yref": f"{axes['yaxis']} domain",
                }
                self._marks.append({"type": "line", "line": style.CURSOR_LINE, **ends})
        return self.finish(alt, settings, vertical)

    def finish(
        self,
        alt: str,
        horizontal: Mapping[str, Any] | None = None,
        vertical: Mapping[str, Any] | None = None,
    ) -> go.Figure:
        """The figure, with further settings of all horizontal and vertical axes.

        The layout is written out: building it by updates takes ten times as long.
        """
        layout = style.layout(self.height, alt)
        layout["margin"]["t"] = TITLE + 28
        layout["annotations"] = []
        layout |= {"shapes": self._marks} if self._marks else {}
        for panel, name in enumerate(self.names):
            axes = self._axes(panel)
            x, y = f"xaxis{axes['xaxis'][1:]}", f"yaxis{axes['yaxis'][1:]}"
            wide, high = self._domain(panel)
            below, first = panel // self.columns == self.rows - 1, panel % self.columns == 0
            layout[x] = style.HORIZONTAL | {"domain": wide, "anchor": axes["yaxis"], **(horizontal or {})}
            layout[y] = style.VERTICAL | {"domain": high, "anchor": axes["xaxis"], **(vertical or {})}
            layout[x] |= {"title": {"text": self._titles[0], "font": {"size": 12}}} if below else {}
            layout[x] |= {"matches": "x"} if panel else {}
            layout[x] |= {"showticklabels": below}
            layout[y] |= {"title": {"text": self._titles[1], "font": {"size": 12}}} if first else {}
            layout[y] |= {"matches": "y"} if panel else {}
            layout[y] |= {"showticklabels": first}
            layout["annotations"].append(
                {
                    "text": style.text(name), "showarrow": False, "xref": "paper", "yref": "paper",
                    "x": sum(wide) / 2,
                    "y": high[1], "xanchor": "center", "yanchor": "bottom", "font": {"size": 13},
                }
            )  # fmt: skip
        return drawn.build(self._traces, layout)

    def _domain(self, panel: int) -> tuple[list[float], list[float]]:
        """Where a panel stands, in shares of the plotting area: [left, right], [bottom, top]."""
        row, place = divmod(panel, self.columns)
        width = (1 - GAP * (self.columns - 1)) / self.columns
        gap = BETWEEN_ROWS / self.height if self.rows > 1 else 0.0
        height = (1 - gap * (self.rows - 1)) / self.rows
        left, top = place * (width + GAP), 1 - row * (height + gap)
        return [left, left + width], [top - height, top]


GHOST = "rgba(128, 140, 152, 0.75)"
GHOST_FILL = "rgba(128, 140, 152, 0.20)"
