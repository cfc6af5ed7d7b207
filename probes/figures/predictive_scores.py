"""Predictive scores over steps: likelihood, CRPS and coverage of the validation split, the twin's beside
them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.schema import LIKELIHOODS

COVERAGE = palette.COVERAGE_LEVELS
PANELS = (
    ("NLL (nats per prediction)", LIKELIHOODS),
    ("CRPS (target's unit)", ("crps",)),
    ("accuracy", ("accuracy",)),
    ("Brier score (0 to 2)", ("brier",)),
    ("ECE", ("ece", "ece_null", "ece_null_95")),
    ("coverage", tuple(f"coverage_{level}" for level in COVERAGE)),
)
"""Axis title, names that a score goes by in logs. Of NLL and CRPS the first that is there is drawn, of
coverage and ECE all.
"""
ALL_DRAWN = ("coverage", "ECE")
SHARES = ("coverage", "accuracy")
"""Panels whose axis ends at 100 %: a range of plotly's own leads beyond it."""
ROOM = 0.04  # below and above the values of a share, as a share
NULLS = {"ece_null": ("if calibrated, mean", "dot"), "ece_null_95": ("if calibrated, 95 % below", "dash")}
"""What a score is of a calibrated classifier: in words, and how it is drawn."""


def score_panels(scalars: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """The panels that the scalars of a split can fill: axis title, names of the scalars in it."""
    there = set(scalars["name"])
    found = []
    for title, names in PANELS:
        present = [name for name in names if name in there]
        if present:
            found.append((title, present if title in ALL_DRAWN else present[:1]))
    return found


def predictive_scores(
    scalars: pd.DataFrame,
    *,
    twin: pd.DataFrame | None = None,
    step: int | None = None,
    axis: style.StepAxis = "linear",
    twin_axis: style.StepAxis | None = None,
    label: str = "twin",
    without: Sequence[str] = (),
) -> go.Figure:
    """Predictive scores over steps, one panel a score.

    Parameters
    ----------
    scalars : DataFrame
        Columns step, name, value of one split.
    twin : DataFrame, optional
        The same of the deterministic twin, drawn in grey.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.
    twin_axis : {"linear", "log"} or Clock, optional
        Of the twin's steps; by default `axis`.
    label : str
        What the twin, or another second run, is called.
    without : sequence of str
        Titles of panels that are left out, such as "ECE" beside a figure of its own.

    Returns
    -------
    go.Figure
        Dotted: the nominal coverage. Panels without a scalar are left out; of nothing the figure is empty.
    """
    panels = [panel for panel in score_panels(scalars) if panel[0] not in without]
    figure = FigureBuilder(1, max(len(panels), 1), shared_legend=True, horizontal_spacing=0.09)
    for column, (title, names) in enumerate(panels, start=1):
        for name in names:
            if name in NULLS:
                _line(figure, scalars, name, column, palette.GREY, *NULLS[name], axis)
                continue
            level = int(name.removeprefix("coverage_")) if title == "coverage" else None
            color = COVERAGE[level] if level is not None else palette.BLUE
            if twin is not None:
                _line(figure, twin, name, column, palette.TWIN, style.text(label), "dash", twin_axis or axis)
            own = f"{level} %" if level is not None else "this run"
            _line(figure, scalars, name, column, color, own, None, axis)
            if level is not None:
                line = {"color": color, "width": 1, "dash": "dot"}
                figure.add_hline(level / 100, line, col=column)
        figure.update_yaxes(title=title, col=column)
        if title in SHARES:
            drawn = scalars if twin is None else pd.concat([scalars, twin])
            least = float(drawn.loc[drawn["name"].isin(names), "value"].min())
            figure.update_yaxes(tickformat=".0%", range=[max(least - ROOM, 0), 1 + ROOM / 4], col=column)
    figure.step_axis(axis, step)
    return figure.finish(
        270, f"{', '.join(title for title, _ in panels)} over steps, with the twin's where there is one"
    )


def _line(
    figure: FigureBuilder,
    scalars: pd.DataFrame,
    name: str,
    column: int,
    color: str,
    label: str,
    dash: str | None,
    axis: style.StepAxis,
) -> None:
    part = scalars[scalars["name"] == name].sort_values("step")
    if len(part):
        figure.line(
            style.along(axis, part["step"]), part["value"], label, color=color, width=1.8, dash=dash,
            hovertemplate=f"{label}: %{{y:.4g}}<extra></extra>", col=column,
            legendrank=1001 if dash else 1000,  # the second run, drawn behind, is named after the first
        )  # fmt: skip
