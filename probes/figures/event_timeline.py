"""What was done to the network, and when: one row a kind of intervention, one mark an event, alerts on
top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.spacing import evenly_spaced

MARKS = 800  # a kind and layer: more would be one solid bar
ROW = 46  # pixels
MARGIN = 0.02  # of the axis, beyond its ends


def event_timeline(
    events: pd.DataFrame,
    layers: Sequence[str],
    steps: tuple[int, int],
    *,
    alerts: pd.DataFrame | None = None,
    step: int | None = None,
    axis: style.StepAxis = "linear",
) -> go.Figure:
    """What was done to the network and when: a row a kind of intervention, a mark a step.

    Parameters
    ----------
    events : DataFrame
        `Run.events()`: columns step, layer (null: the whole run), kind.
    layers : sequence of str
        The layers' names.
    steps : (int, int)
        The run's first and last.
    alerts : DataFrame, optional
        `Run.alerts()`: columns step, text; a row of their own, one mark a step.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.

    Returns
    -------
    go.Figure
        Marks coloured by layer; beyond MARKS of one kind and layer those at evenly spaced ranks.
    """
    figure = FigureBuilder(shared_legend=True)
    kinds = sorted(events["kind"].unique(), reverse=True)
    place = events["layer"].astype("Int64").fillna(-1).astype(int)
    for key, part in events.groupby([events["kind"], place], sort=True):
        kind, layer = cast("tuple[str, int]", key)
        at, count = np.unique(part["step"].to_numpy(np.int64), return_counts=True)
        chosen = evenly_spaced(len(at), MARKS)
        name = "the run" if layer < 0 else style.text(layers[layer])
        height = kinds.index(kind) + (0 if layer < 0 else _offset(layer, len(layers)))
        figure.scatter(
            style.along(axis, at[chosen]), np.full(len(chosen), height), name, mode="markers",
            customdata=np.column_stack([at[chosen], count[chosen]]),
            marker={
                "symbol": "line-ns",
                "size": 9,
                "line": {"width": 1.5, "color": style.layer_color(max(layer, 0), len(layers))},
            },
            hovertemplate=(
                f"{style.text(kind)}, {name}<br>step %{{customdata[0]}}, %{{customdata[1]}}"
                " events<extra></extra>"
            ),
        )  # fmt: skip
    rows = [style.text(kind) for kind in kinds]
    if alerts is not None and len(alerts):
        first = alerts.groupby("step")["text"].first()
        at = first.index.to_numpy(np.int64)
        figure.scatter(
            style.along(axis, at), np.full(len(first), len(rows)), "alert", mode="markers",
            marker={"symbol": "triangle-up", "size": 10, "color": palette.ALERT},
            text=[style.text(text) for text in first], customdata=at,
            hovertemplate="step %{customdata}: %{text}<extra></extra>",
        )  # fmt: skip
        rows.append("alert")
    ends = np.log10(np.maximum(steps, 1)) if axis == "log" else style.along(axis, np.asarray(steps, float))
    beyond = MARGIN * max(float(ends[1] - ends[0]), 1e-3)
    figure.update_xaxes(range=[ends[0] - beyond, ends[1] + beyond])
    figure.update_yaxes(
        title="kind",
        tickvals=list(range(len(rows))),
        ticktext=rows,
        range=[-0.6, max(len(rows), 1) - 0.4],
        showgrid=False,
    )
    figure.step_axis(axis, step)
    alt = f"Steps of {len(events)} interventions of {len(kinds)} kinds" + (
        " and of alerts" if len(rows) > len(kinds) else ""
    )
    return figure.finish(118 + ROW * max(len(rows), 1), alt, hovermode="closest", margin={"l": 110})


def _offset(layer: int, layers: int) -> float:
    """Layers of one kind stand a little above each other, the first on top."""
    return 0.5 * (0.5 - (layer + 0.5) / layers)
