"""Validation against training over steps: where a network begins to learn its training data by heart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.figures.smoothing import smooth
from probes.schema import LIKELIHOODS

JUDGED_BY = (*LIKELIHOODS, "loss")
"""Scores of the validation split, lower is better: the first that a run has is drawn."""
OF_BATCHES = {"nll_joint": "nll"}
"""What training batches log in the place of a score that is of a split."""
SMOOTHED = 0.02
"""Half-life of the average over training batches, as a share of the run."""
LATE = 0.8
"""Share of the steps shown from which on the best validation's step is written to its left, where there is
room; in the first 1 - LATE of them to its right.
"""


class Scores(NamedTuple):
    """A validation score and its like in training, over steps.

    Attributes
    ----------
    name
        Of the validation score.
    validation, training
        Columns step and value, in order of steps.
    batches
        Whether training is what batches logged, whose draws may be fewer, not the same score of as many
        training examples.
    """

    name: str
    validation: pd.DataFrame
    training: pd.DataFrame
    batches: bool

    @property
    def best(self) -> tuple[int, float]:
        """Step and value of the best validation."""
        row = self.validation.iloc[int(self.validation["value"].argmin())]
        return int(row["step"]), float(row["value"])


def scores_of(scalars: pd.DataFrame) -> Scores | None:
    """What can be drawn of a run.

    Parameters
    ----------
    scalars : DataFrame
        `Run.scalars()`: columns step, split, name, value.

    Returns
    -------
    Scores or None
        None where validation or training has no score that the other has.
    """
    for name in JUDGED_BY:
        validation = _curve(scalars, "validation", name)
        for own in (name, OF_BATCHES.get(name)):
            training = _curve(scalars, "train", own)
            if len(validation) and len(training):
                # a score of the same examples is taken when validation is
                batches = own != name or len(training) > 2 * len(validation)
                return Scores(name, validation, training, batches)
    return None


def overfitting(
    scores: Scores,
    *,
    other: Scores | None = None,
    label: str = "twin",
    step: int | None = None,
    axis: style.StepAxis = "linear",
    other_axis: style.StepAxis | None = None,
) -> go.Figure:
    """A score in validation and in training over steps, the best validation marked.

    Parameters
    ----------
    scores : Scores
        Of the run.
    other : Scores, optional
        Of a second run, such as the twin.
    label : str
        What the second run is called.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.
    other_axis : {"linear", "log"} or Clock, optional
        Of the second run's steps; by default `axis`.

    Returns
    -------
    go.Figure
        Solid: validation; dotted: training, of batches a causal average. The vertical axis is of what has
        been reached from the first validation on.
    """
    figure = FigureBuilder()
    runs = [(scores, "this run", palette.BLUE, axis)]
    if other is not None:
        runs.append((other, style.text(label), palette.TWIN, other_axis or axis))
    last_step = max(int(one.training["step"].iloc[-1]) for one, *_ in runs)
    seen = []
    for one, name, color, own_axis in runs:
        steps, values = one.training["step"].to_numpy(), one.training["value"].to_numpy(float)
        if one.batches:
            values = smooth(steps, values, max(SMOOTHED * float(steps[-1] - steps[0]), 1.0))
        later = steps >= one.validation["step"].iloc[0]
        seen += [one.validation["value"].to_numpy(float), values[later]]
        at_steps = style.along(own_axis, steps)
        figure.line(at_steps, values, f"{name}, training", color=color, width=1.75, dash="dot")
        validated = style.along(own_axis, one.validation["step"])
        figure.line(validated, one.validation["value"], f"{name}, validation", color=color, width=1.75)
        at, value = one.best
        along = (at - steps[0]) / max(float(last_step - steps[0]), 1.0)
        side = "left" if along > LATE else "right" if along < 1 - LATE else "center"
        figure.scatter(
            style.along(own_axis, [at]), [value], f"{name}, best validation", mode="markers+text",
            marker={"symbol": "diamond", "size": 10, "color": color}, text=[f"step {at:,}"],
            textposition=f"bottom {side}", showlegend=False,
        )  # fmt: skip
    reached = np.concatenate(seen)
    reached = reached[np.isfinite(reached)]
    if len(reached):
        low, high = float(reached.min()), float(reached.max())
        room = 0.22 * (high - low) or 0.1  # for the step under the mark
        figure.update_yaxes(range=[low - room, high + room / 6])
    figure.update_yaxes(title=title_of(scores))
    figure.step_axis(axis, step)
    return figure.finish(
        280, f"{title_of(scores)} of validation and training over steps, best validation marked"
    )


def title_of(scores: Scores) -> str:
    """The score with its unit, as the vertical axis has it."""
    return "loss" if scores.name == "loss" else "NLL (nats per prediction)"


def in_words(scores: Scores, name: str) -> str:
    """Where a run was best, what it has lost since, and how far validation is from training.

    Parameters
    ----------
    scores : Scores
        Of the run.
    name : str
        What it is called.

    Returns
    -------
    str
        Such as "this run: best at step 499, +0.034 nats since; at the end validation is 0.120 nats above
        training".
    """
    at, best = scores.best
    last = scores.validation.iloc[-1]
    lost = float(last["value"]) - best
    training = scores.training
    values = training["value"].to_numpy(float)
    if scores.batches:
        steps = training["step"].to_numpy()
        values = smooth(steps, values, max(SMOOTHED * float(steps[-1] - steps[0]), 1.0))
    gap = float(last["value"]) - float(values[-1])
    unit = "" if scores.name == "loss" else " nats"
    since = "the last validation" if at == int(last["step"]) else f"{lost:+.3f}{unit} since"
    side = "above" if gap >= 0 else "below"
    return (
        f"{name}: best at step {at:,}, {since}; at the end validation is {abs(gap):.3f}{unit} {side} training"
    )


def _curve(scalars: pd.DataFrame, split: str, name: str | None) -> pd.DataFrame:
    part = scalars[(scalars["split"] == split) & (scalars["name"] == name) & np.isfinite(scalars["value"])]
    return part[["step", "value"]].sort_values("step", kind="stable", ignore_index=True)
