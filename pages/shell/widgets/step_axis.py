"""What all figures over steps share: the axis they lie on, the range of steps they show, how lines are
smoothed.

The range is set by a slider, or by dragging over any such figure; both write `from` and `to` in the URL.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.shell.data.step_clocks import recorded_steps, step_clocks
from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards
from probes.figures.clock import Clock, Measure
from probes.figures.style import StepAxis, StepScale

AXES = {"linear": "step", "log": "log", "epoch": "epoch", "time": "time"}
"""Values of `axis` in the URL -> labels."""
MEASURES: dict[Measure, str] = {
    "epoch": "its scalars carry no epochs, or only one",
    "time": "its scalars span no time",
}
"""Axes that a run may lack -> why."""
OFF = "off"
HALF_LIVES = ("3", "10", "30", "100", "300", "1000", "3000")
"""Half-lives of smoothing that are offered, steps: three a decade are as fine as can be seen."""


@dataclass(frozen=True)
class View:
    """What was chosen: `kind` of AXES; the steps `first` to `last`, of all there are from `ends[0]` to
    `ends[1]`, inclusive.
    """

    kind: str
    first: int
    last: int
    ends: tuple[int, int]
    clocks: Mapping[str, Clock | None]

    @property
    def span(self) -> tuple[int, int]:
        return self.first, self.last

    @property
    def scale(self) -> StepScale:
        """The scale of an axis of steps."""
        return "log" if self.kind == "log" else "linear"

    def axis(self, context: RunContext) -> StepAxis:
        """The horizontal axis for what a run did, in its own epochs or its own time."""
        return self.clocks.get(context.entry.name) or self.scale

    def within(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows within the range; `frame` has a column step."""
        return frame if self.span == self.ends else frame[frame["step"].between(*self.span)]

    def cursor(self, step: int) -> int | None:
        """The cursor where it lies within the range: a line outside would stretch the axis."""
        return step if self.first <= step <= self.last else None


def choose(contexts: Sequence[RunContext]) -> View:
    """Slider and axis, to be called in the sidebar, for figures of these runs. The first is the one that is
    shown.

    The range reaches out to recorded steps, so that it holds some. An axis is offered where all of the runs
    have it.
    """
    different = list({context.entry.name: context for context in contexts}.values())
    recorded = recorded_steps(different)
    ends = int(recorded[0]), int(recorded[-1])
    low, high = url.span(*ends)
    first = cache.recorded_step(recorded, low)
    last = int(recorded[min(int(np.searchsorted(recorded, high)), len(recorded) - 1)])
    found = {measure: step_clocks(different, measure) for measure in MEASURES}
    lacking = [measure for measure, clocks in found.items() if None in clocks]
    missing = [f"“{AXES[measure]}” is not offered: {MEASURES[measure]}." for measure in lacking]
    kind = url.choice(
        st.segmented_control, "Horizontal axis", [name for name in AXES if name not in lacking], "axis",
        "linear",
        format_func=AXES.__getitem__, required=True,
        help=" ".join(["Time is that of recording, from the run's start.", *missing]),
    )  # fmt: skip
    clocks = found.get(cast("Measure", kind), [None] * len(different))
    by_run = {context.entry.name: clock for context, clock in zip(different, clocks, strict=True)}
    return View(kind, first, last, ends, by_run)


def chart(figure: go.Figure, key: str, view: View, axes: Sequence[StepAxis]) -> None:
    """A figure over steps. Dragging over it sets the range of all figures.

    `axes`: those of its panels in order, or one for all panels.
    """
    cards.show(figure, key, on_select=partial(brushed, key, view.ends, axes), selection_mode="box")


def brushed(key: str, ends: tuple[int, int], axes: Sequence[StepAxis]) -> None:
    """A range was dragged over the figure `key`: its steps become `from` and `to`."""
    boxes = st.session_state[key]["selection"]["box"]
    if not boxes:
        return
    panel = int(boxes[0]["xref"].removeprefix("x") or 1) - 1
    axis = axes[panel] if len(axes) > 1 else axes[0]
    edges = np.sort(np.asarray(boxes[0]["x"], dtype=float))
    low, high = axis.step_of(edges) if isinstance(axis, Clock) else edges
    url.put_span(max(math.floor(low), ends[0]), min(math.ceil(high), ends[1]), ends)


def value_scale(usual: str, positive: bool) -> str:
    """A control for the vertical axis, "linear" or "log"; the choice waits while not all values are
    positive.
    """
    help_text = "Logarithmic where all values are positive"
    if not positive:
        st.segmented_control(
            "Value axis",
            ("linear",),
            default="linear",
            required=True,
            disabled=True,
            key="no_scale",
            help=help_text,
        )
        return "linear"
    return url.choice(
        st.segmented_control, "Value axis", ("linear", "log"), "scale", usual, required=True, help=help_text
    )


def smoothing() -> float | None:
    """A menu for the half-life of smoothed lines, in steps; None, the default, is off."""
    chosen = url.choice(
        st.selectbox, "Smoothing", (OFF, *HALF_LIVES), "smooth", OFF, width=190,
        format_func=lambda value: OFF if value == OFF else f"half-life {int(value):,} steps",
        help="Exponential moving average of what came before; what was recorded stays behind it, faint.",
    )  # fmt: skip
    return None if chosen == OFF else float(chosen)
