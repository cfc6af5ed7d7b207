"""Rate, distortion and the weight of the KL: over steps, and the run's way through the plane."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from pages.shell.data import rate_distortion as data
from pages.shell.session import url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards, step_axis
from probes.analysis.rate_distortion import REMEDY, Objective, one_weight
from probes.figures.rate_path import objective_parts, rate_path


def show(context: RunContext, view: step_axis.View, step: int, other: RunContext | None = None) -> None:
    """Both figures, as far as the run has logged what they need; nothing for a run that logs neither a
    distortion nor a weight.
    """
    found = data.objective(context)
    if not len(found.distortion) and not len(found.weight):
        return
    beside = data.objective(other) if other else None
    axis, way = view.axis(context), data.path(context)
    left, right = st.columns(2, gap="small") if len(way) else (st.container(), None)
    with left:
        figure = objective_parts(
            _within(found, view), step=view.cursor(step), axis=axis,
            other=None if beside is None else _within(beside, view), label=other.entry.name if other else "",
            other_axis=view.axis(other) if other else None,
        )  # fmt: skip
        cards.card(
            f"**{_parts(found)}** · {found.said}", figure, "objective_parts",
            partial(_rows, found), of=context.entry.name, note=_missing(found),
            draw=partial(step_axis.chart, view=view, axes=[axis]),
        )  # fmt: skip
    if right is not None:
        with right:
            _plane(context, found, way, step, other if beside and beside.unit == found.unit else None)


def _plane(
    context: RunContext, found: Objective, way: pd.DataFrame, step: int, other: RunContext | None
) -> None:
    """other: a second run with a distortion of the same unit."""
    others, weight = data.others(context), one_weight(found)
    figure = rate_path(
        way, name=context.entry.name, unit=found.unit, weight=weight, step=step, others=others,
        second=data.path(other) if other else None, label=other.entry.name if other else "",
    )  # fmt: skip
    if weight is not None:
        note = "Along a line of slope −β (dashed; short at the ends of other runs) the objective is the same."
    elif len(found.weight):
        note = "β differs between neurons: no line of equal objective."
    else:
        note = "β was not logged: no line of equal objective."
    if len(others):
        folder, runs = url.plain(context.entry.path.parent.name), "run" if len(others) == 1 else "runs"
        note += f" Grey: the last record of {len(others):,} other {runs} of {folder} on the same data."
    note += " Early points may lie above the axis: a double click shows all."
    cards.card(
        "**Rate and distortion** · the way over steps, dark to light; means of neighbouring records",
        figure, "rate_path", way, of=context.entry.name, note=note,
    )  # fmt: skip


def _within(found: Objective, view: step_axis.View) -> Objective:
    """The part within the range of steps that figures show."""
    parts = {
        name: values[(values.index >= view.first) & (values.index <= view.last)]
        for name, values in found._asdict().items()
        if not isinstance(values, str)
    }
    return found._replace(**parts)


def _parts(found: Objective) -> str:
    """What was logged of it, as a title."""
    parts = {"weight": found.weight, "free bits": found.free_bits, "rate": found.rate}
    named = [name for name, values in (parts | {"distortion": found.distortion}).items() if len(values)]
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1]))).capitalize()


def _missing(found: Objective) -> str:
    return "" if len(found.distortion) else f"The distortion was not logged: {REMEDY}."


def _rows(found: Objective) -> pd.DataFrame:
    weight = found.weight.add_prefix("beta_")
    columns = {"rate": found.rate, "distortion": found.distortion, "free_bits": found.free_bits}
    return pd.DataFrame(columns).join(weight, how="outer").rename_axis("step").reset_index()
