"""Measured persistence of every neuron with its interval, sorted, against the prior's and the input's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.diagnostics import temporal_fault
from probes.figures import style
from probes.figures.sketch import Sketch

MOST = 300
"""Neurons drawn; a layer of more is shown by those at evenly spaced ranks."""
CROWDED = 80  # neurons beyond which dots are drawn smaller
ORDERS = ("persistence", "prior", "index")
# of the axis: a slope of few pairs may have an interval far beyond 1, which would flatten the rest
REACH = 1.15
FAULTS = {
    "": ("as expected", style.OKABE_ITO[0]),
    "stuck": ("stuck", style.OKABE_ITO[5]),
    "jittery": ("jittery", style.OKABE_ITO[3]),
}
PRIOR, INPUT = style.OKABE_ITO[2], style.OKABE_ITO[1]


def sorted_neurons(rows: pd.DataFrame, order: str = "persistence", most: int = MOST) -> pd.DataFrame:
    """The rows as they are drawn: sorted, without undefined slopes, at most `most` at evenly spaced ranks;
    `fault` added.

    rows: neuron, persistence and, where recorded, persistence_low, persistence_high, phi. order:
    "persistence", "prior" (its phi, then the slope) or "index". Raises ValueError for another order.
    """
    if order not in ORDERS:
        raise ValueError(f"neurons are sorted by {', '.join(ORDERS)}, not by {order!r}")
    table = rows[np.isfinite(rows["persistence"].to_numpy(float, na_value=np.nan))]
    keys = {
        "persistence": ["persistence"],
        "prior": [*(["phi"] if "phi" in table else []), "persistence"],
        "index": ["neuron"],
    }
    table = table.sort_values(keys[order], kind="stable", ignore_index=True)
    if len(table) > most:
        table = table.iloc[np.unique(np.linspace(0, len(table) - 1, most).round().astype(int))]
    known = {"persistence_low", "persistence_high", "phi"} <= set(table)
    faults = (
        temporal_fault(table["persistence_low"], table["persistence_high"], table["phi"]) if known else ""
    )
    return table.assign(fault=faults)


def caterpillar(
    rows: pd.DataFrame, *, order: str = "persistence", most: int = MOST, reference: float | None = None
) -> go.Figure:
    """One dot a neuron with its 95 % interval (Student's t of the slope), the prior's phi as a bar, the
    input's own dashed.

    rows, order, most: as for `sorted_neurons`; reference: the input's own slope. With a prior that expects
    persistence a neuron whose interval lies wholly off it by more than 0.2 in atanh is stuck or jittery, and
    coloured.
    """
    table = sorted_neurons(rows, order, most)
    table["rank"] = np.arange(1, len(table) + 1)
    figure = Sketch()
    has_phi = "phi" in table and bool((table["phi"] != 0).any())
    if has_phi:
        bar = {"symbol": "line-ew", "size": 7, "line": {"color": PRIOR, "width": 2}}
        figure.add_trace(
            dict(
                type="scatter",
                x=table["rank"].to_numpy(), y=table["phi"].to_numpy(np.float32), mode="markers", marker=bar,
                name="prior's φ",
                hovertemplate="prior's φ %{y:.2f}<extra></extra>",
            )
        )  # fmt: skip
    size = 4 if len(table) > CROWDED else 7
    for fault, (label, color) in FAULTS.items():
        part = table[table["fault"] == fault]
        if part.empty:
            continue
        value = part["persistence"].to_numpy(np.float32)
        ends = {}
        name = label if has_phi else "measured φ̂"
        if {"persistence_low", "persistence_high"} <= set(part):
            low, high = (part[name].to_numpy(np.float32) for name in ("persistence_low", "persistence_high"))
            bars = {"array": high - value, "arrayminus": value - low, "symmetric": False}
            ends = {
                "error_y": {
                    "type": "data",
                    **bars,
                    "width": 0,
                    "thickness": 1,
                    "color": style.translucent(color, 0.55),
                }
            }
        figure.add_trace(
            dict(
                type="scatter",
                x=part["rank"].to_numpy(), y=value, mode="markers", name=name,
                marker={"color": color, "size": size},
                customdata=part["neuron"].to_numpy(),
                hovertemplate="neuron %{customdata}: φ̂ %{y:.3f}<extra></extra>", **ends,
            )
        )  # fmt: skip
    if reference is not None and np.isfinite(reference):
        figure.add_hline(reference, {"color": INPUT, "width": 1.5, "dash": "dash"})
        right = {"x": 1, "xref": "x domain", "xanchor": "right", "yanchor": "bottom", "showarrow": False}
        figure.add_annotation(text="the input's own", y=reference, yref="y", **right)
    figure.add_hline(0, {"color": style.AXIS, "width": 1})
    ends_ = [name for name in ("persistence", "persistence_low", "persistence_high", "phi") if name in table]
    if len(table):
        lowest, highest = float(np.nanmin(table[ends_])), float(np.nanmax(table[ends_]))
        figure.update_yaxes(
            range=[max(min(lowest, 0), -REACH) - 0.04, min(max(highest, reference or 0), REACH) + 0.04]
        )
    names = {
        "persistence": "neurons by φ̂",
        "prior": "neurons by the prior's φ, then φ̂",
        "index": "neurons by index",
    }
    figure.update_xaxes(title=names[order], showgrid=False)
    figure.update_yaxes(title="persistence φ̂, 95 % interval")
    alt = (
        f"Measured persistence of {len(table)} neurons with 95 percent intervals, sorted, against the prior's"
    )
    return figure.finish(360, alt, hovermode="closest")
