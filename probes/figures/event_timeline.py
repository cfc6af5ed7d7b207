"""What was done to the network, and when: one row a kind of intervention, one mark an event, alerts on
top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.sketch import Sketch
from probes.spacing import evenly_spaced

MARKS = 800  # a kind and layer: more would be one solid bar
ALERT = "#D55E00"
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
    """Marks at the steps of `Run.events()`, coloured by layer; beyond MARKS of one kind and layer they are
    thinned evenly.

    `steps` are the run's first and last. `alerts` is `Run.alerts()`: their own row, one mark a step.
    """
    figure = Sketch()
    kinds = sorted(events["kind"].unique(), reverse=True)
    known: set[int] = set()
    place = events["layer"].astype("Int64").fillna(-1).astype(int)
    for key, part in events.groupby([events["kind"], place], sort=True):
        kind, layer = cast("tuple[str, int]", key)
        at, count = np.unique(part["step"].to_numpy(np.int64), return_counts=True)
        keep = evenly_spaced(len(at), MARKS)
        name = "the run" if layer < 0 else style.text(layers[layer])
        height = kinds.index(kind) + (0 if layer < 0 else _offset(layer, len(layers)))
        figure.add_trace(
            dict(
                type="scatter",
                x=style.along(axis, at[keep]),
                y=np.full(len(keep), height, np.float32),
                name=name,
                legendgroup=name,
                mode="markers",
                showlegend=layer not in known,
                customdata=np.column_stack([at[keep], count[keep]]),
                marker={
                    "symbol": "line-ns",
                    "size": 9,
                    "line": {"width": 1.5, "color": style.layer_color(max(layer, 0))},
                },
                hovertemplate=(
                    f"{style.text(kind)}, {name}<br>step %{{customdata[0]}}, %{{customdata[1]}}"
                    " events<extra></extra>"
                ),
            )
        )
        known.add(layer)
    rows = [style.text(kind) for kind in kinds]
    if alerts is not None and len(alerts):
        first = alerts.groupby("step")["text"].first()
        figure.add_trace(
            dict(
                type="scatter",
                x=style.along(axis, first.index.to_numpy(np.int64)),
                y=np.full(len(first), len(rows), np.float32),
                name="alert",
                mode="markers",
                marker={"symbol": "triangle-up", "size": 10, "color": ALERT},
                text=[style.text(text) for text in first],
                customdata=first.index.to_numpy(np.int64),
                hovertemplate="step %{customdata}: %{text}<extra></extra>",
            )
        )
        rows.append("alert")
    ends = np.log10(np.maximum(steps, 1)) if axis == "log" else style.along(axis, np.asarray(steps, float))
    beyond = MARGIN * max(float(ends[1] - ends[0]), 1e-3)
    figure.update_xaxes(title=style.steps_title(axis), range=[ends[0] - beyond, ends[1] + beyond])
    figure.update_yaxes(
        title="kind",
        tickvals=list(range(len(rows))),
        ticktext=rows,
        range=[-0.6, max(len(rows), 1) - 0.4],
        showgrid=False,
    )
    style.scale_steps(figure, axis)
    style.mark_step(figure, step, axis)
    alt = f"Steps of {len(events)} interventions of {len(kinds)} kinds" + (
        " and of alerts" if len(rows) > len(kinds) else ""
    )
    return figure.finish(118 + ROW * max(len(rows), 1), alt, hovermode="closest", margin={"l": 110})


def _offset(layer: int, layers: int) -> float:
    """Layers of one kind stand a little above each other, the first on top."""
    return 0.5 * (0.5 - (layer + 0.5) / layers)
